//! The shared copy of all accounts. Reading costs no lock; every change makes a new map. Owns the
//! fold of identity's events; must never be asked whether a secret is right.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mw_contract::{AccountName, CellId, CommitNumber, Event, Role, SiteId};
use mw_policy::Account;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::decider::{AccountState, evolve};
use crate::erasures::Erasure;

/// Every account as identity's log says, up to one commit of it.
pub struct Directory {
    /// The product's own processes: from the configuration, never from the log.
    services: HashMap<AccountName, Arc<Account>>,
    accounts: ArcSwap<HashMap<AccountName, Arc<Account>>>,
    /// Every erasure that was ever heard of. One that a log does not have any more stays: erasing
    /// is for ever.
    erasures: ArcSwap<Vec<Erasure>>,
    /// Held while a batch is folded in, so that two writers don't lose each other's work.
    folding: Mutex<()>,
    applied: watch::Sender<CommitNumber>,
}

impl Default for Directory {
    fn default() -> Self {
        Directory {
            services: HashMap::new(),
            accounts: ArcSwap::from_pointee(HashMap::new()),
            erasures: ArcSwap::from_pointee(Vec::new()),
            folding: Mutex::new(()),
            applied: watch::Sender::new(CommitNumber::ZERO),
        }
    }
}

impl Directory {
    /// With no accounts.
    pub fn new() -> Arc<Self> {
        Arc::new(Directory::default())
    }

    /// With these accounts of the product's own processes, which no event can change. Each is
    /// marked as a service with role `system`.
    pub fn with_services(names: impl IntoIterator<Item = AccountName>) -> Arc<Self> {
        let service = |name: AccountName| Account {
            name,
            roles: [Role::System].into(),
            sites: Default::default(),
            customer_id: None,
            cell: None,
            disabled: false,
            service: true,
        };
        let services = names.into_iter().map(|n| (n.clone(), Arc::new(service(n)))).collect();
        Arc::new(Directory { services, ..Directory::default() })
    }

    /// The names of the services: nobody else may be called so.
    pub fn service_names(&self) -> impl Iterator<Item = &AccountName> {
        self.services.keys()
    }

    /// The account of this name, disabled ones and services too.
    pub fn get(&self, name: &AccountName) -> Option<Arc<Account>> {
        if let Some(service) = self.services.get(name.as_str()) {
            return Some(service.clone());
        }
        self.accounts.load().get(name.as_str()).cloned()
    }

    /// All accounts of the log, by name.
    pub fn all(&self) -> Vec<Arc<Account>> {
        let mut all: Vec<Arc<Account>> = self.accounts.load().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Is there an enabled admin? Without one it is a first start.
    pub fn has_admin(&self) -> bool {
        self.accounts.load().values().any(|a| !a.disabled && a.has(Role::Admin))
    }

    /// Folds one event in.
    pub fn apply(&self, event: &Event) {
        self.apply_all(std::slice::from_ref(event), self.applied_to());
    }

    /// Folds in the events of a batch of commits, the last of which is `up_to`. Commits at or
    /// before one that was folded in already must not come again.
    pub fn apply_all(&self, events: &[Event], up_to: CommitNumber) {
        {
            let _one_at_a_time = self.folding.lock();
            if !events.is_empty() {
                let mut map = HashMap::clone(&self.accounts.load());
                for e in events {
                    fold(&mut map, e);
                }
                self.accounts.store(Arc::new(map));
            }
        }
        // Also without events: whoever waits for a commit waits for refusals too.
        self.applied.send_modify(|n| *n = (*n).max(up_to));
    }

    /// Takes these accounts in place of all that are known, as identity's log says up to `up_to`.
    /// Erasures stay known.
    pub fn replace(&self, accounts: impl IntoIterator<Item = Account>, up_to: CommitNumber) {
        {
            let _one_at_a_time = self.folding.lock();
            let map = accounts.into_iter().map(|a| (a.name.clone(), Arc::new(a))).collect();
            self.accounts.store(Arc::new(map));
        }
        self.applied.send_replace(up_to);
    }

    /// Every erasure of a data subject, in the order in which they were heard of.
    pub fn erasures(&self) -> Arc<Vec<Erasure>> {
        self.erasures.load_full()
    }

    /// Takes in erasures. Before the commits that they are of, so that whoever waits for those finds
    /// them here.
    pub fn erase(&self, new: impl IntoIterator<Item = Erasure>) {
        let mut new = new.into_iter().peekable();
        if new.peek().is_none() {
            return;
        }
        let _one_at_a_time = self.folding.lock();
        let mut all = Vec::clone(&self.erasures.load());
        for e in new {
            if !all.iter().any(|known| known.event_id == e.event_id) {
                all.push(e);
            }
        }
        self.erasures.store(Arc::new(all));
    }

    /// The last commit that is folded in.
    pub fn applied_to(&self) -> CommitNumber {
        *self.applied.borrow()
    }

    /// Wakes on every change, with the commit that is folded in. Whoever holds sessions then asks
    /// again for each of them whether its account may go on.
    pub fn changes(&self) -> watch::Receiver<CommitNumber> {
        self.applied.subscribe()
    }

    /// Waits until this commit is folded in. Ends with `false` when the directory is gone first.
    pub async fn wait_for(&self, commit: CommitNumber) -> bool {
        self.changes().wait_for(|n| *n >= commit).await.is_ok()
    }
}

fn fold(map: &mut HashMap<AccountName, Arc<Account>>, event: &Event) {
    let name = match event {
        Event::AccountAdded(e) => &e.account,
        Event::AccountGranted(e) => &e.account,
        Event::AccountRevoked(e) => &e.account,
        Event::AccountDisabled(e) => &e.account,
        Event::AccountEnabled(e) => &e.account,
        _ => return,
    };
    let before = map.get(name.as_str()).map(|a| state_of(a)).unwrap_or_default();
    if let Some(after) = evolve(before, event).to_account() {
        map.insert(after.name.clone(), Arc::new(after));
    }
}

fn state_of(a: &Account) -> AccountState {
    AccountState {
        name: Some(a.name.clone()),
        roles: a.roles.clone(),
        sites: a.sites.clone(),
        customer_id: a.customer_id.clone(),
        cell: a.cell.clone(),
        disabled: a.disabled,
    }
}

impl mw_runtime::Accounts for Directory {
    fn account(&self, name: &AccountName) -> Option<Arc<Account>> {
        self.get(name)
    }

    fn device_of(&self, site: &SiteId, cell: &CellId) -> Option<AccountName> {
        let accounts = self.accounts.load();
        let speaks = |a: &&Arc<Account>| a.cell.as_ref() == Some(cell) && a.sites.contains(site) && !a.disabled;
        accounts.values().filter(|a| a.has(Role::Device)).filter(speaks).map(|a| a.name.clone()).min()
    }
}
