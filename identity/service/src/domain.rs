//! The decider as a command service runs it: the rules of [`crate::decider`], the facts that span
//! accounts, and the hook that keeps a new secret before its event is committed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mw_contract::decide::{Allowance, Decision, DecisionContext, Domain, EventMeta};
use mw_contract::{
    AccountName, AggregateKind, Command, Context, CustomerId, DataSubject, ErrorCode, Event, Rejection, StreamId,
    Version, Warning,
};
use mw_runtime::decider::BeforeCommit;

use crate::decider::{self, AccountState, Surroundings};
use crate::secrets::SecretStore;

/// The business of context `identity`.
pub struct IdentityDomain {
    accounts: HashMap<StreamId, AccountState>,
    reserved: BTreeSet<AccountName>,
    /// The version that the event of the last decision will have. The hook runs right after the
    /// decision, on the same thread, and reads it here.
    deciding: Arc<AtomicU64>,
}

impl IdentityDomain {
    /// The domain and the hook that belongs to it. Nobody can add an account with a reserved
    /// name: those are the product's own processes.
    pub fn new(store: Arc<SecretStore>, reserved: impl IntoIterator<Item = AccountName>) -> (Self, BeforeCommit) {
        let deciding = Arc::new(AtomicU64::new(0));
        let version = deciding.clone();
        let hook: BeforeCommit = Box::new(move |command, decision| {
            let sets_a_secret = decision
                .events
                .iter()
                .any(|(_, e)| matches!(e, Event::AccountAdded(_) | Event::AccountSecretRotated(_)));
            let Some(account) = decider::subject_of(command).filter(|_| sets_a_secret) else { return Ok(()) };
            let version = Version(version.load(Ordering::Relaxed));
            store.stage(account, version, decider::secret_of(command)).map_err(|e| {
                tracing::error!(%account, error = %e, "a secret could not be stored");
                Rejection::new(ErrorCode::Unavailable, "the secret can't be stored now; send it again")
            })
        });
        (IdentityDomain { accounts: HashMap::new(), reserved: reserved.into_iter().collect(), deciding }, hook)
    }
}

impl IdentityDomain {
    /// What whoever erases a customer should look at: its accounts are authors of their own, and a
    /// misspelt code would erase nobody.
    fn of_customer(&self, customer: &CustomerId) -> Warning {
        let mut names: Vec<&str> = self
            .accounts
            .values()
            .filter(|a| a.customer_id.as_ref() == Some(customer))
            .filter_map(|a| a.name.as_ref().map(AccountName::as_str))
            .collect();
        names.sort_unstable();
        if names.is_empty() {
            let message = format!("no account belongs to customer {customer}: make sure that the code is right");
            return Warning { code: "customer_not_known_here".into(), message };
        }
        let names = names.join(", ");
        let message = format!("what accounts of the customer wrote elsewhere than on its tickets stays: {names}");
        Warning { code: "accounts_of_customer".into(), message }
    }
}

impl Domain for IdentityDomain {
    type State = AccountState;

    fn context(&self) -> Context {
        Context::Identity
    }

    fn decide(
        &self,
        state: &AccountState,
        command: &Command,
        ctx: &DecisionContext<'_>,
    ) -> Result<Decision, Rejection> {
        let role = ctx
            .actor
            .grant(|_, a| a == Allowance::Yes)
            .ok_or_else(|| Rejection::forbidden("accounts are changed by admins only"))?;
        if let Some(name) = decider::subject_of(command).filter(|n| self.reserved.contains(*n)) {
            return Err(Rejection::new(ErrorCode::AlreadyExists, format!("{name} is a process of the product itself")));
        }
        let stream = StreamId::new(AggregateKind::Account, ctx.aggregate_id);
        let other_admins = self.accounts.iter().filter(|(s, a)| **s != stream && a.is_active_admin()).count();
        let events = decider::decide(state, command, Surroundings { other_active_admins: other_admins })?;
        self.deciding.store(ctx.version.next().0, Ordering::Relaxed);
        let mut decision = Decision::on(stream, role, events);
        if let Command::AccountEraseSubject(c) = command {
            decision.warnings.extend(c.customer_id.as_ref().map(|c| self.of_customer(c)));
        }
        Ok(decision)
    }

    fn evolve(state: &mut AccountState, _: &StreamId, event: &Event, _: &EventMeta) {
        *state = decider::evolve(std::mem::take(state), event);
    }

    fn observe(&mut self, stream: &StreamId, event: &Event, _: &EventMeta) {
        let state = self.accounts.entry(*stream).or_default();
        *state = decider::evolve(std::mem::take(state), event);
    }

    fn needs_existing(&self, command: &Command) -> bool {
        match command {
            Command::AccountAdd(_) => false,
            // A customer is no account: the first erasure makes its stream. Naming nobody is a fault
            // of the shape.
            Command::AccountEraseSubject(c) => matches!(c.subject(), Some(DataSubject::Account(_))),
            _ => true,
        }
    }
}
