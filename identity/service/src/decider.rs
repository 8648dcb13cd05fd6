//! The rules of accounts. Pure: no clock, no store. A secret of a command is left to the
//! store ([`crate::secrets`]); its length is part of the command's shape.

use std::collections::BTreeSet;

use mw_contract::command::account::{AddAccount, EraseSubject, GrantAccount, RevokeAccount, RotateSecret};
use mw_contract::event::account::{
    AccountAddedV1, AccountDisabledV1, AccountEnabledV1, AccountGrantedV1, AccountRevokedV1, AccountSecretRotatedV1,
    SubjectErasedV1,
};
use mw_contract::{AccountName, CellId, Command, CustomerId, ErrorCode, Event, FieldError, Rejection, Role, SiteId};
use mw_policy::Account;

/// One account, folded from its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Its name; `None` until it was added.
    pub name: Option<AccountName>,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// Where it may do it.
    pub sites: BTreeSet<SiteId>,
    /// Whose customer account it is.
    pub customer_id: Option<CustomerId>,
    /// Which cell it speaks for.
    pub cell: Option<CellId>,
    /// Is it shut?
    pub disabled: bool,
}

impl AccountState {
    /// Is it an admin that can act? One of these must always be left (AC-R1).
    pub fn is_active_admin(&self) -> bool {
        self.name.is_some() && !self.disabled && self.roles.contains(&Role::Admin)
    }

    /// The account as the policy sees it; `None` before it was added.
    pub fn to_account(&self) -> Option<Account> {
        Some(Account {
            name: self.name.clone()?,
            roles: self.roles.clone(),
            sites: self.sites.clone(),
            customer_id: self.customer_id.clone(),
            cell: self.cell.clone(),
            disabled: self.disabled,
            service: false,
        })
    }
}

/// What a decision needs to know beyond the account itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Enabled accounts with role admin, this account not counted.
    pub other_active_admins: usize,
}

/// Decides one account command.
///
/// # Errors
/// The refusal that the sender hears: `VALIDATION`, `ALREADY_EXISTS`, `NOT_FOUND`,
/// `INVALID_STATE`, or `GUARD_FAILED` with rule `AC-R1` (the last admin), `AC-R2` (roles that
/// don't go together) or `AC-R3` (nothing to change).
pub fn decide(state: &AccountState, command: &Command, around: Surroundings) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::AccountAdd(c) => add(state, c),
        Command::AccountGrant(c) => grant(existing(state, &c.account)?, c),
        Command::AccountRevoke(c) => revoke(existing(state, &c.account)?, c, around),
        Command::AccountRotateSecret(c) => rotate(existing(state, &c.account)?, c),
        Command::AccountDisable(c) => {
            let s = existing(state, &c.account)?;
            if s.disabled {
                return Err(Rejection::invalid_state("account.disable", "disabled", &["enabled"]));
            }
            keep_an_admin(s, around)?;
            Ok(vec![AccountDisabledV1 { account: c.account.clone(), reason: c.reason.clone() }.into()])
        }
        Command::AccountEnable(c) => {
            if !existing(state, &c.account)?.disabled {
                return Err(Rejection::invalid_state("account.enable", "enabled", &["disabled"]));
            }
            Ok(vec![AccountEnabledV1 { account: c.account.clone() }.into()])
        }
        Command::AccountEraseSubject(c) => erase(state, c),
        other => Err(Rejection::invalid("type", format!("{} is no command of context identity", other.command_type()))),
    }
}

/// The secret that a command sets, for the store; never part of an event.
pub fn secret_of(command: &Command) -> Option<&str> {
    match command {
        Command::AccountAdd(c) => c.secret.as_ref().map(|s| s.as_str()),
        Command::AccountRotateSecret(c) => Some(c.secret.as_str()),
        _ => None,
    }
}

/// The account that a command is about; `None` of an erasure that is about a customer.
pub fn subject_of(command: &Command) -> Option<&AccountName> {
    match command {
        Command::AccountAdd(c) => Some(&c.account),
        Command::AccountGrant(c) => Some(&c.account),
        Command::AccountRevoke(c) => Some(&c.account),
        Command::AccountRotateSecret(c) => Some(&c.account),
        Command::AccountDisable(c) => Some(&c.account),
        Command::AccountEnable(c) => Some(&c.account),
        Command::AccountEraseSubject(c) => c.account.as_ref(),
        _ => None,
    }
}

/// Folds one event. Events of other aggregates leave the state alone.
#[must_use]
pub fn evolve(mut state: AccountState, event: &Event) -> AccountState {
    match event {
        Event::AccountAdded(e) => AccountState {
            name: Some(e.account.clone()),
            roles: e.roles.iter().copied().collect(),
            sites: e.sites.iter().cloned().collect(),
            customer_id: e.customer_id.clone(),
            cell: e.cell.clone(),
            disabled: false,
        },
        Event::AccountGranted(e) => {
            state.roles.extend(&e.roles);
            state.sites.extend(e.sites.iter().cloned());
            state
        }
        Event::AccountRevoked(e) => {
            state.roles.retain(|r| !e.roles.contains(r));
            state.sites.retain(|s| !e.sites.contains(s));
            state
        }
        Event::AccountDisabled(_) => AccountState { disabled: true, ..state },
        Event::AccountEnabled(_) => AccountState { disabled: false, ..state },
        _ => state,
    }
}

fn existing<'s>(state: &'s AccountState, name: &AccountName) -> Result<&'s AccountState, Rejection> {
    if state.name.is_some() { Ok(state) } else { Err(Rejection::not_found(format!("there is no account {name}"))) }
}

fn add(state: &AccountState, c: &AddAccount) -> Result<Vec<Event>, Rejection> {
    let mut wrong = Vec::new();
    let roles: BTreeSet<Role> = c.roles.iter().copied().collect();
    if roles.is_empty() {
        wrong.push(FieldError::new("payload.roles", "needs at least one role"));
    }
    if roles.contains(&Role::System) {
        wrong.push(FieldError::new("payload.roles", "system is for the product's own processes"));
    }
    if roles.contains(&Role::Device) != c.cell.is_some() {
        wrong.push(FieldError::new("payload.cell", "goes with role device, and role device with a cell"));
    }
    if roles.contains(&Role::Customer) != c.customer_id.is_some() {
        wrong
            .push(FieldError::new("payload.customer_id", "goes with role customer, and role customer with a customer"));
    }
    if !wrong.is_empty() {
        return Err(Rejection::validation(wrong));
    }
    if state.name.is_some() {
        return Err(Rejection::new(ErrorCode::AlreadyExists, format!("account {} exists", c.account)));
    }
    compatible(&roles)?;
    let sites: BTreeSet<SiteId> = c.sites.iter().flatten().cloned().collect();
    Ok(vec![
        AccountAddedV1 {
            account: c.account.clone(),
            roles: roles.into_iter().collect(),
            sites: sites.into_iter().collect(),
            customer_id: c.customer_id.clone(),
            cell: c.cell.clone(),
        }
        .into(),
    ])
}

fn grant(state: &AccountState, c: &GrantAccount) -> Result<Vec<Event>, Rejection> {
    let roles: BTreeSet<Role> = c.roles.iter().flatten().copied().filter(|r| !state.roles.contains(r)).collect();
    let sites: BTreeSet<SiteId> = c.sites.iter().flatten().filter(|s| !state.sites.contains(*s)).cloned().collect();
    if roles.contains(&Role::System) {
        return Err(Rejection::invalid("payload.roles", "system is for the product's own processes"));
    }
    if roles.contains(&Role::Device) && state.cell.is_none() {
        return Err(Rejection::guard("AC-R2", "role device needs an account that was added with a cell"));
    }
    if roles.contains(&Role::Customer) && state.customer_id.is_none() {
        return Err(Rejection::guard("AC-R2", "role customer needs an account that was added with a customer_id"));
    }
    compatible(&roles.union(&state.roles).copied().collect())?;
    if roles.is_empty() && sites.is_empty() {
        return Err(Rejection::guard("AC-R3", "the account already has all of it, or nothing was named"));
    }
    Ok(vec![
        AccountGrantedV1 {
            account: c.account.clone(),
            roles: roles.into_iter().collect(),
            sites: sites.into_iter().collect(),
        }
        .into(),
    ])
}

fn revoke(state: &AccountState, c: &RevokeAccount, around: Surroundings) -> Result<Vec<Event>, Rejection> {
    let roles: BTreeSet<Role> = c.roles.iter().flatten().copied().filter(|r| state.roles.contains(r)).collect();
    let sites: BTreeSet<SiteId> = c.sites.iter().flatten().filter(|s| state.sites.contains(*s)).cloned().collect();
    if roles.is_empty() && sites.is_empty() {
        return Err(Rejection::guard("AC-R3", "the account has none of it, or nothing was named"));
    }
    if roles.contains(&Role::Admin) {
        keep_an_admin(state, around)?;
    }
    Ok(vec![
        AccountRevokedV1 {
            account: c.account.clone(),
            roles: roles.into_iter().collect(),
            sites: sites.into_iter().collect(),
        }
        .into(),
    ])
}

fn rotate(_: &AccountState, c: &RotateSecret) -> Result<Vec<Event>, Rejection> {
    Ok(vec![AccountSecretRotatedV1 { account: c.account.clone() }.into()])
}

/// A customer is known to production, not here, so any code is taken. The account stays as it is: who
/// shall not come in any more is disabled. It may be erased again, for what was written since.
fn erase(state: &AccountState, c: &EraseSubject) -> Result<Vec<Event>, Rejection> {
    if c.subject().is_none() {
        let why = "or account: name the one whose text is to be erased, and only one of the two";
        return Err(Rejection::invalid("payload.customer_id", why));
    }
    if let Some(account) = &c.account {
        existing(state, account)?;
    }
    let (customer_id, account) = (c.customer_id.clone(), c.account.clone());
    Ok(vec![SubjectErasedV1 { customer_id, account, reason: c.reason.clone() }.into()])
}

/// A machine is no person, and a customer is nobody of the plant.
fn compatible(roles: &BTreeSet<Role>) -> Result<(), Rejection> {
    for alone in [Role::Device, Role::Customer] {
        if roles.contains(&alone) && roles.len() > 1 {
            return Err(Rejection::guard("AC-R2", format!("role {alone} goes with no other role")));
        }
    }
    Ok(())
}

fn keep_an_admin(state: &AccountState, around: Surroundings) -> Result<(), Rejection> {
    if state.is_active_admin() && around.other_active_admins == 0 {
        return Err(Rejection::guard("AC-R1", "this is the last enabled admin; make another one first"));
    }
    Ok(())
}
