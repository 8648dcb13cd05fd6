//! Accounts, secrets and tokens.
//!
//! A map of this crate, in reading order:
//!
//! - [`decider`]: the rules of accounts, pure: commands in, events out.
//! - [`directory`]: the shared copy of all accounts, fed from the log of context `identity`.
//! - [`domain`]: the decider as a command service runs it.
//! - [`secrets`]: argon2id hashes in a private store; [`cache`]: what was right a moment ago;
//!   [`throttle`]: how often one may fail.
//! - [`refresh`]: refresh tokens in the same store.
//! - [`keys`]: the Ed25519 keys that sign tokens; [`jwk`]: key sets that verify them.
//! - [`strict`]: JSON of a token, read without any leniency; [`tokens`]: making and checking tokens.
//! - [`login`]: the front of all that: secrets and grants in, accounts and tokens out.
//! - [`asked`]: the same asked from other processes: identity's answers, and the ones who ask.
//! - [`copy`]: the accounts and public keys that another process keeps on its own disk.
//! - [`feed`]: what follows identity's log and keeps directory and store in step with it.
//! - [`erasures`]: what is erased in the vaults of all contexts because identity's log says so.
//! - [`bootstrap`]: the accounts of a first start.
//!
//! Secrets, their hashes and private keys stay in this crate's own files. They must never be part
//! of an event, a reply, a log line or an error.

pub mod asked;
pub mod bootstrap;
pub mod cache;
pub mod copy;
pub mod decider;
pub mod directory;
pub mod domain;
pub mod erasures;
pub mod error;
pub mod feed;
pub mod jwk;
pub mod keys;
pub mod login;
pub mod refresh;
pub mod secrets;
pub mod strict;
pub mod throttle;
pub mod tokens;

pub use asked::RemoteLogin;
pub use copy::AccountCopy;
pub use directory::Directory;
pub use domain::IdentityDomain;
pub use erasures::Erasure;
pub use error::IdentityError;
pub use feed::Feed;
pub use jwk::{JwkSet, TrustedIssuer};
pub use keys::KeyRing;
pub use login::{Grant, LogIns, Login, LoginError, TokenGate, TokenReply, Verified};
pub use refresh::RefreshStore;
pub use secrets::{SecretStore, random_secret};
pub use tokens::{Claims, TokenError, Verifier};
