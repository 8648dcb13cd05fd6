//! Read models of production, and of accounts: who may ask them is decided elsewhere, what they
//! hide is decided here.
//!
//! A map of this crate, in reading order:
//!
//! - [`order`]: one work order folded from its events; the detail document. [`operation`] and
//!   [`material`] are parts of it.
//! - [`plant`]: machines, stock and produced units, as rows.
//! - [`columns`]: the one table of list columns: how they are stored, shown, filtered and sorted.
//! - [`words`]: what an event says, in plain words.
//! - [`trail`]: the audit trail and the outcomes of commands, for every context.
//! - [`inbox`]: refusals that a person should look at, for every context.
//! - [`parts`], [`rows`]: what belongs to an order and is found without its document.
//! - [`views`]: the projections: [`ProductionViews`] and [`TrailViews`].
//! - [`figures`]: KPIs and paretos, with a projection and a file of their own.
//! - [`read`]: the queries. Each takes the caller's scope and puts it into its SQL.
//!
//! The rows follow from history alone. Nothing here reads a clock, a socket or the log.

pub mod columns;
pub mod figures;
pub mod inbox;
pub mod material;
pub mod operation;
pub mod order;
pub mod parts;
pub mod plant;
pub mod read;
pub mod rows;
pub mod trail;
pub mod views;
pub mod words;

pub use figures::FigureViews;
pub use order::Order;
pub use views::{ProductionViews, TrailViews};

/// Opens sealed text for a reader in scope.
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
