//! The decider as a command service runs it: the rules of [`crate::decider`], the facts that span
//! accounts, and the hook that keeps a new secret before its event is committed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mw_contract::decide::{Allowance, Decision, DecisionContext, Domain, EventMeta};
use mw_contract::{AccountName, AggregateKind, Command, Context, ErrorCode, Event, Rejection, StreamId, Version, ids};
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
        let name = decider::subject_of(command)
            .ok_or_else(|| Rejection::invalid("type", "is no command of context identity"))?;
        if self.reserved.contains(name) {
            return Err(Rejection::new(ErrorCode::AlreadyExists, format!("{name} is a process of the product itself")));
        }
        let stream = StreamId::new(AggregateKind::Account, ids::account_id(name));
        let other_admins = self.accounts.iter().filter(|(s, a)| **s != stream && a.is_active_admin()).count();
        let events = decider::decide(state, command, Surroundings { other_active_admins: other_admins })?;
        self.deciding.store(ctx.version.next().0, Ordering::Relaxed);
        Ok(Decision::on(stream, role, events))
    }

    fn evolve(state: &mut AccountState, _: &StreamId, event: &Event, _: &EventMeta) {
        *state = decider::evolve(std::mem::take(state), event);
    }

    fn observe(&mut self, stream: &StreamId, event: &Event, _: &EventMeta) {
        let state = self.accounts.entry(*stream).or_default();
        *state = decider::evolve(std::mem::take(state), event);
    }

    fn needs_existing(&self, command: &Command) -> bool {
        !matches!(command, Command::AccountAdd(_))
    }
}
