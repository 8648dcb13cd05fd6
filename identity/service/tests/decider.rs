//! The rules of accounts: given, when, then.

use mw_contract::decide::{Actor, Allowance, DecisionContext, Domain, EventMeta, People, Person};
use mw_contract::{
    AccountName, AggregateKind, Command, CommandEnvelope, Context, DataSubject, ErrorCode, Event, EventId, Instant,
    Rejection, Role, StreamId, Version, ids,
};
use mw_identity::IdentityDomain;
use mw_identity::decider::{AccountState, Surroundings, decide, evolve, secret_of};
use mw_identity::secrets::{HashCost, SecretStore};
use serde_json::{Value, json};

const CHEAP: HashCost = HashCost { memory: 64, passes: 1 };

fn command(kind: &str, payload: Value) -> Command {
    let json = json!({"command_id": "01937b1e-0000-7000-8000-000000000001", "type": kind, "payload": payload});
    CommandEnvelope::read(json.to_string().as_bytes(), Context::Identity, None).unwrap().command.unwrap()
}

/// The shape of a command, refused before any state is looked at.
fn shape(kind: &str, payload: Value) -> Result<Command, Rejection> {
    let json = json!({"command_id": "01937b1e-0000-7000-8000-000000000001", "type": kind, "payload": payload});
    CommandEnvelope::read(json.to_string().as_bytes(), Context::Identity, None).unwrap().command
}

fn given(history: &[(&str, Value)]) -> AccountState {
    history.iter().fold(AccountState::default(), |s, (kind, payload)| {
        let events = decide(&s, &command(kind, payload.clone()), Surroundings { other_active_admins: 9 }).unwrap();
        events.iter().fold(s, evolve)
    })
}

fn when(history: &[(&str, Value)], kind: &str, payload: Value, other_admins: usize) -> Result<Vec<Event>, Rejection> {
    decide(&given(history), &command(kind, payload), Surroundings { other_active_admins: other_admins })
}

fn planner() -> (&'static str, Value) {
    ("account.add", json!({"account": "x", "roles": ["planner"], "sites": ["plant-1"]}))
}

fn admin() -> (&'static str, Value) {
    ("account.add", json!({"account": "x", "roles": ["admin"]}))
}

fn disabled() -> (&'static str, Value) {
    ("account.disable", json!({"account": "x"}))
}

fn rule(r: &Rejection) -> Option<&str> {
    r.details.as_ref()?.get("rule")?.as_str()
}

#[test]
fn an_account_is_added_once_with_what_its_role_needs() {
    let rows: &[(Value, Result<(), ErrorCode>)] = &[
        (json!({"roles": ["planner"], "sites": ["plant-1"]}), Ok(())),
        (json!({"roles": ["planner", "line_lead"]}), Ok(())),
        (json!({"roles": ["planner"], "secret": "twelve chars"}), Ok(())),
        (json!({"roles": []}), Err(ErrorCode::Validation)),
        (json!({"roles": ["system"]}), Err(ErrorCode::Validation)),
        (json!({"roles": ["device"], "cell": "cell-1"}), Ok(())),
        (json!({"roles": ["device"]}), Err(ErrorCode::Validation)),
        (json!({"roles": ["operator"], "cell": "cell-1"}), Err(ErrorCode::Validation)),
        (json!({"roles": ["customer"], "customer_id": "acme"}), Ok(())),
        (json!({"roles": ["customer"]}), Err(ErrorCode::Validation)),
        (json!({"roles": ["planner"], "customer_id": "acme"}), Err(ErrorCode::Validation)),
        (json!({"roles": ["device", "operator"], "cell": "cell-1"}), Err(ErrorCode::GuardFailed)),
        (json!({"roles": ["customer", "planner"], "customer_id": "acme"}), Err(ErrorCode::GuardFailed)),
    ];
    for (payload, expected) in rows {
        let mut payload = payload.clone();
        payload["account"] = json!("x");
        let got = when(&[], "account.add", payload.clone(), 0);
        match expected {
            Ok(()) => assert!(matches!(got.as_deref(), Ok([Event::AccountAdded(_)])), "{payload}: {got:?}"),
            Err(code) => assert_eq!(got.unwrap_err().code, *code, "{payload}"),
        }
        let again = when(&[planner()], "account.add", payload, 0);
        assert!(matches!(again.unwrap_err().code, ErrorCode::AlreadyExists | ErrorCode::Validation));
    }
}

#[test]
fn nothing_else_is_possible_before_an_account_exists() {
    for (kind, more) in [
        ("account.grant", json!({"roles": ["planner"]})),
        ("account.revoke", json!({"roles": ["planner"]})),
        ("account.rotate-secret", json!({"secret": "a long new secret"})),
        ("account.disable", json!({})),
        ("account.enable", json!({})),
    ] {
        let mut payload = more;
        payload["account"] = json!("x");
        assert_eq!(when(&[], kind, payload, 9).unwrap_err().code, ErrorCode::NotFound, "{kind}");
    }
}

#[test]
fn granting_and_revoking_name_only_what_changes() {
    let got = when(
        &[planner()],
        "account.grant",
        json!({"account": "x", "roles": ["planner", "line_lead"],
        "sites": ["plant-1", "plant-2"]}),
        0,
    )
    .unwrap();
    let [Event::AccountGranted(e)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!((e.roles.as_slice(), e.sites.len(), e.sites[0].as_str()), (&[Role::LineLead][..], 1, "plant-2"));

    let got = when(
        &[planner()],
        "account.revoke",
        json!({"account": "x", "roles": ["planner", "admin"],
        "sites": ["plant-9"]}),
        0,
    )
    .unwrap();
    let [Event::AccountRevoked(e)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!((e.roles.as_slice(), e.sites.len()), (&[Role::Planner][..], 0));

    for kind in ["account.grant", "account.revoke"] {
        let same = if kind == "account.grant" { json!(["planner"]) } else { json!(["admin"]) };
        let r = when(&[planner()], kind, json!({"account": "x", "roles": same}), 9).unwrap_err();
        assert_eq!(rule(&r), Some("AC-R3"), "{kind}");
    }
}

#[test]
fn a_grant_cannot_make_what_an_add_could_not() {
    for (roles, code) in [
        (json!(["system"]), ErrorCode::Validation),
        (json!(["device"]), ErrorCode::GuardFailed),
        (json!(["customer"]), ErrorCode::GuardFailed),
    ] {
        let r = when(&[planner()], "account.grant", json!({"account": "x", "roles": roles}), 9).unwrap_err();
        assert_eq!(r.code, code, "{roles}");
    }
    let device = ("account.add", json!({"account": "x", "roles": ["device"], "cell": "cell-1"}));
    let r = when(&[device], "account.grant", json!({"account": "x", "roles": ["admin"]}), 9).unwrap_err();
    assert_eq!(rule(&r), Some("AC-R2"));
}

#[test]
fn the_last_enabled_admin_stays() {
    let ways =
        [("account.disable", json!({"account": "x"})), ("account.revoke", json!({"account": "x", "roles": ["admin"]}))];
    for (kind, payload) in ways {
        assert_eq!(rule(&when(&[admin()], kind, payload.clone(), 0).unwrap_err()), Some("AC-R1"), "{kind}");
        assert!(when(&[admin()], kind, payload.clone(), 1).is_ok(), "{kind} with another admin");
        if kind == "account.revoke" {
            assert!(when(&[admin(), disabled()], kind, payload, 0).is_ok(), "a disabled admin is none");
        }
    }
    assert!(when(&[planner()], "account.disable", json!({"account": "x"}), 0).is_ok());
}

#[test]
fn disabling_and_enabling_take_turns() {
    let x = json!({"account": "x"});
    assert_eq!(when(&[planner()], "account.enable", x.clone(), 9).unwrap_err().code, ErrorCode::InvalidState);
    assert_eq!(
        when(&[planner(), disabled()], "account.disable", x.clone(), 9).unwrap_err().code,
        ErrorCode::InvalidState
    );
    assert!(when(&[planner(), disabled()], "account.enable", x.clone(), 9).is_ok());
    assert!(!given(&[planner(), disabled(), ("account.enable", x)]).disabled);
}

#[test]
fn a_secret_is_long_enough_and_never_in_an_event() {
    for (secret, ok) in
        [("eleven char", false), ("twelve chars", true), (&*"s".repeat(200), true), (&*"s".repeat(201), false)]
    {
        let r = shape("account.rotate-secret", json!({"account": "x", "secret": secret}));
        assert_eq!(r.as_ref().err().map(|e| e.code), (!ok).then_some(ErrorCode::Validation), "{secret}");
        assert!(!format!("{r:?}").contains(secret), "a secret must not be shown");
    }
    let c = command("account.rotate-secret", json!({"account": "x", "secret": "correct horse battery"}));
    assert_eq!(secret_of(&c), Some("correct horse battery"));
    let events = decide(&given(&[planner()]), &c, Surroundings { other_active_admins: 0 }).unwrap();
    assert!(!format!("{events:?}").contains("horse"));
}

fn domain_decide(
    domain: &IdentityDomain,
    state: &AccountState,
    version: u64,
    command: &Command,
) -> Result<mw_contract::decide::Decision, Rejection> {
    let actor = Actor {
        account: AccountName::new("boss").unwrap(),
        grants: vec![(Role::Admin, Allowance::Yes)],
        sites: Default::default(),
        customer_id: None,
        cell: None,
    };
    let now = Instant::clamped(1_000_000);
    let ctx = DecisionContext {
        people: &Nobody,
        received_at: now,
        occurred_at: now,
        captured_offline: false,
        actor: &actor,
        site: None,
        aggregate_id: command.derived_id().unwrap(),
        version: Version(version),
    };
    domain.decide(state, command, &ctx)
}

#[derive(Debug)]
struct Nobody;

impl People for Nobody {
    fn person(&self, _: &AccountName) -> Option<Person> {
        None
    }
}

fn meta() -> EventMeta {
    EventMeta {
        event_id: EventId(Default::default()),
        version: Version(1),
        occurred_at: Instant::clamped(0),
        recorded_at: Instant::clamped(0),
        account: AccountName::new("boss").unwrap(),
        role: None,
        late: false,
    }
}

#[test]
fn the_domain_counts_admins_over_all_accounts_and_keeps_service_names_free() {
    let dir = tempfile::tempdir().unwrap();
    let store = SecretStore::open(&dir.path().join("s.db"), CHEAP).unwrap();
    let (mut domain, _hook) = IdentityDomain::new(store, [AccountName::new("svc-query").unwrap()]);
    let add = |n: &str| command("account.add", json!({"account": n, "roles": ["admin"]}));
    let mut first = AccountState::default();
    for name in ["a", "b"] {
        let d = domain_decide(&domain, &AccountState::default(), 0, &add(name)).unwrap();
        let (stream, event) = &d.events[0];
        assert_eq!(*stream, StreamId::new(AggregateKind::Account, ids::account_id(&AccountName::new(name).unwrap())));
        assert_eq!(d.role, Role::Admin);
        domain.observe(stream, event, &meta());
        if name == "a" {
            IdentityDomain::evolve(&mut first, stream, event, &meta());
        }
    }
    let off = command("account.disable", json!({"account": "a"}));
    let d = domain_decide(&domain, &first, 1, &off).unwrap();
    let off_b = domain_decide(&domain, &first, 1, &command("account.disable", json!({"account": "b"}))).unwrap();
    domain.observe(&off_b.events[0].0, &off_b.events[0].1, &meta());
    assert_eq!(rule(&domain_decide(&domain, &first, 1, &off).unwrap_err()), Some("AC-R1"));
    assert_eq!(d.events.len(), 1);
    let r = domain_decide(&domain, &AccountState::default(), 0, &add("svc-query")).unwrap_err();
    assert_eq!(r.code, ErrorCode::AlreadyExists);
    assert!(!domain.needs_existing(&add("x")) && domain.needs_existing(&off));
}

#[test]
fn the_hook_keeps_a_secret_for_the_version_that_its_event_will_have() {
    use mw_contract::CommitNumber;
    use mw_identity::secrets::Effect;
    let dir = tempfile::tempdir().unwrap();
    let store = SecretStore::open(&dir.path().join("s.db"), CHEAP).unwrap();
    let (domain, mut hook) = IdentityDomain::new(store.clone(), []);
    let x = AccountName::new("x").unwrap();
    let add = command("account.add", json!({"account": "x", "roles": ["admin"], "secret": "the first secret"}));
    let decision = domain_decide(&domain, &AccountState::default(), 0, &add).unwrap();
    hook(&add, &decision).unwrap();
    assert!(!store.verify("x", "the first secret").unwrap(), "not before the commit");
    store.apply(CommitNumber(1), &[Effect::Promote { account: &x, version: Version(1) }]).unwrap();
    assert!(store.verify("x", "the first secret").unwrap());

    let state = given(&[("account.add", json!({"account": "x", "roles": ["admin"]}))]);
    let rotate = command("account.rotate-secret", json!({"account": "x", "secret": "the second secret"}));
    let decision = domain_decide(&domain, &state, 6, &rotate).unwrap();
    hook(&rotate, &decision).unwrap();
    // Other events of the account, and the same commit again, promote nothing.
    store.apply(CommitNumber(2), &[Effect::Promote { account: &x, version: Version(6) }]).unwrap();
    store.apply(CommitNumber(2), &[Effect::Promote { account: &x, version: Version(7) }]).unwrap();
    assert!(store.verify("x", "the first secret").unwrap());
    store.apply(CommitNumber(3), &[Effect::Promote { account: &x, version: Version(7) }]).unwrap();
    assert!(store.verify("x", "the second secret").unwrap() && !store.verify("x", "the first secret").unwrap());

    // A grant has no secret and leaves the store alone.
    let grant = command("account.grant", json!({"account": "x", "roles": ["planner"]}));
    let decision = domain_decide(&domain, &state, 7, &grant).unwrap();
    hook(&grant, &decision).unwrap();
    assert!(store.verify("x", "the second secret").unwrap());
}

#[test]
fn whoever_is_erased_is_a_customer_or_an_account_and_only_one_of_the_two() {
    let erase = |history: &[(&str, Value)], payload: Value| when(history, "account.erase-subject", payload, 0);
    for payload in [json!({}), json!({"customer_id": "acme", "account": "x"}), json!({"reason": "case 7"})] {
        let r = erase(&[planner()], payload.clone()).unwrap_err();
        assert_eq!(
            (r.code, r.field.as_deref()),
            (ErrorCode::Validation, Some("payload.customer_id")),
            "{payload}: {}",
            r.message
        );
    }
    let got = erase(&[], json!({"customer_id": "acme", "reason": "case 7"})).unwrap();
    let [Event::SubjectErased(e)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(e.subject(), Some(DataSubject::Customer("acme".parse().unwrap())));
    assert_eq!(e.reason.as_ref().map(|r| r.as_str()), Some("case 7"));

    assert_eq!(erase(&[], json!({"account": "x"})).unwrap_err().code, ErrorCode::NotFound);
    let erased = ("account.erase-subject", json!({"account": "x"}));
    for history in [vec![planner()], vec![planner(), disabled()], vec![planner(), erased.clone()]] {
        let got = erase(&history, erased.1.clone()).unwrap();
        let [Event::SubjectErased(e)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(e.subject(), Some(DataSubject::Account("x".parse().unwrap())));
    }
    assert_eq!(given(&[planner(), erased]), given(&[planner()]), "the account itself stays as it is");
    assert!(shape("account.erase-subject", json!({"customer_id": "ACME"})).is_err());
}

#[test]
fn an_erased_customer_has_a_stream_of_its_own_and_its_accounts_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = SecretStore::open(&dir.path().join("s.db"), CHEAP).unwrap();
    let (mut domain, _hook) = IdentityDomain::new(store, [AccountName::new("svc-query").unwrap()]);
    let erase = |payload: Value| command("account.erase-subject", payload);
    let acme = erase(json!({"customer_id": "acme"}));
    let d = domain_decide(&domain, &AccountState::default(), 0, &acme).unwrap();
    assert_eq!(d.warnings[0].code, "customer_not_known_here");
    let (stream, event) = &d.events[0];
    assert_eq!(stream.id, DataSubject::Customer("acme".parse().unwrap()).aggregate_id());
    domain.observe(stream, event, &meta());
    let mut state = AccountState::default();
    IdentityDomain::evolve(&mut state, stream, event, &meta());
    assert_eq!(state, AccountState::default());
    for name in ["portal-2", "portal-1"] {
        let add = command("account.add", json!({"account": name, "roles": ["customer"], "customer_id": "acme"}));
        let d = domain_decide(&domain, &AccountState::default(), 0, &add).unwrap();
        domain.observe(&d.events[0].0, &d.events[0].1, &meta());
    }
    let d = domain_decide(&domain, &state, 1, &acme).unwrap();
    assert_eq!(d.warnings[0].code, "accounts_of_customer");
    assert!(d.warnings[0].message.ends_with("portal-1, portal-2"), "{}", d.warnings[0].message);
    assert!(domain_decide(&domain, &state, 1, &erase(json!({"customer_id": "other"}))).is_ok());

    let mine = erase(json!({"account": "svc-query"}));
    assert!(domain_decide(&domain, &AccountState::default(), 0, &mine).is_err(), "a process is no person");
    assert!(!domain.needs_existing(&acme) && domain.needs_existing(&mine));
    assert!(!domain.needs_existing(&erase(json!({}))));
}
