//! What the broker asks of identity.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use mw_contract::AccountName;

/// Who a CONNECT turned out to be.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The account.
    pub account: AccountName,
    /// When the session must end: the expiry of the token it was opened with.
    pub expires_at: Option<SystemTime>,
    /// One of the product's own services.
    pub service: bool,
}

/// Why a CONNECT is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthFailure {
    /// Unknown account, wrong secret, bad token. Which of them is not said.
    #[error("the account or its secret is wrong")]
    BadCredentials,
    /// The account is known and may not connect.
    #[error("the account may not connect")]
    NotAuthorized,
    /// Too many log-ins just now.
    #[error("too many log-ins, try again later")]
    Busy,
    /// Identity can't be asked at the moment.
    #[error("log-ins by secret are not possible at the moment")]
    Unavailable,
}

/// Knows accounts. Calls of `account` are on the way of every message: answer from memory.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Checks a name and a secret or token.
    async fn authenticate(&self, username: &str, password: &[u8], from: IpAddr) -> Result<Principal, AuthFailure>;

    /// The account as it is now; `None` when it is gone. The same `Arc` must be given again while
    /// nothing changed: what is worked out from an account is kept for as long.
    fn account(&self, name: &AccountName) -> Option<Arc<mw_policy::Account>>;
}
