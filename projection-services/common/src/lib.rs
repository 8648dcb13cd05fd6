//! What the read models of every context share: nothing here knows orders or tickets but by the words
//! for their events.
//!
//! A map of this crate, in reading order:
//!
//! - [`trail`]: the audit trail and the outcomes of commands. [`words`]: what an event says, in plain
//!   words. [`inbox`]: refusals that a person should look at.
//! - [`columns`]: how values of lists are stored, shown and sorted.
//! - [`read`]: the queries: pages of any list, histories, outcomes. Each takes the caller's scope and
//!   puts it into its SQL.
//! - [`rows`]: rows that are written only where they differ.
//! - [`views`]: [`TrailViews`], the read model of a context that has no other.
//!
//! The rows follow from history alone. Nothing here reads a clock, a socket or the log.

pub mod columns;
pub mod inbox;
pub mod read;
pub mod rows;
pub mod trail;
pub mod views;
pub mod words;

pub use views::TrailViews;

/// Opens sealed text for a reader in scope. `None` when its key was destroyed.
pub trait TextOpener: Send + Sync {
    /// The text, if it can be opened.
    fn open(&self, sealed: &mw_contract::Sealed) -> Option<String>;

    /// Was its key destroyed, so that nobody can open it any more?
    fn is_erased(&self, _: &mw_contract::Sealed) -> bool {
        false
    }
}

/// Opens nothing: for readers that hold no vault.
pub struct NeverOpens;

impl TextOpener for NeverOpens {
    fn open(&self, _: &mw_contract::Sealed) -> Option<String> {
        None
    }
}
