//! Every kind of topic against every role, and the filters that reach too far.

mod common;

use common::{account, service, site};
use mw_contract::topics::{check_filter, matches};
use mw_contract::{AccountName, Role};
use mw_policy::{Access, Account, may_publish, may_subscribe};

const STAFF: &[Role] = &[
    Role::Operator,
    Role::LineLead,
    Role::Planner,
    Role::QualityInspector,
    Role::Technician,
    Role::Dispatcher,
    Role::Auditor,
    Role::Admin,
];

/// Topic, retained?, and the roles that may publish it.
fn publishes() -> Vec<(&'static str, bool, &'static [Role])> {
    const NOBODY: &[Role] = &[];
    const DEVICE: &[Role] = &[Role::Device];
    vec![
        ("mw/v1/plant-1/cmd/me/production", false, Role::ALL),
        ("mw/v1/plant-1/cmd/me/after-service", false, Role::ALL),
        ("mw/v1/plant-1/cmd/me/identity", false, Role::ALL),
        ("mw/v1/-/cmd/me/identity", false, Role::ALL),
        ("mw/v1/-/cmd/me/production", false, NOBODY),
        ("mw/v1/plant-1/cmd/me/production", true, NOBODY),
        ("mw/v1/plant-2/cmd/me/production", false, NOBODY),
        ("mw/v1/plant-1/cmd/other/production", false, NOBODY),
        ("mw/v1/plant-1/cmd/me/nothing", false, NOBODY),
        ("mw/v1/plant-1/cmd/me", false, NOBODY),
        ("mw/v1/plant-1/rsp/me", false, NOBODY),
        ("mw/v1/plant-1/rsp/me/tablet", false, NOBODY),
        ("mw/v1/plant-1/evt/work-order/work-order-created", false, NOBODY),
        ("mw/v1/plant-1/dev/cell-1/alarm/overheat", false, DEVICE),
        ("mw/v1/plant-1/dev/cell-1/state/main", true, DEVICE),
        ("mw/v1/plant-1/dev/cell-2/alarm/overheat", false, NOBODY),
        ("mw/v1/plant-2/dev/cell-1/alarm/overheat", false, NOBODY),
        ("mw/v1/plant-1/dev/cell-1/other/overheat", false, NOBODY),
        ("mw/v1/plant-1/state/line-1", true, NOBODY),
        ("mw/v1/-/status/production", true, NOBODY),
        ("mw/v1/-/log/production/read", false, NOBODY),
        ("sandbox/x/y", false, &[Role::Admin]),
        ("elsewhere", false, NOBODY),
        ("$SYS/broker", false, NOBODY),
        ("mw/v1/plant-1/cmd/+/production", false, NOBODY),
        ("", false, NOBODY),
    ]
}

#[test]
fn every_kind_of_topic_is_published_by_its_roles_only() {
    for (topic, retain, roles) in publishes() {
        for role in Role::ALL {
            let got = may_publish(&account(&[*role]), topic, retain).is_allowed();
            assert_eq!(got, roles.contains(role), "{role} publishes {topic} (retained: {retain})");
        }
    }
}

#[test]
fn every_kind_of_filter_is_subscribed_by_its_roles_only() {
    const NOBODY: &[Role] = &[];
    const WATCHERS: &[Role] = &[Role::Admin, Role::Auditor];
    let rows: &[(&str, &[Role])] = &[
        ("mw/v1/plant-1/rsp/me", Role::ALL),
        ("mw/v1/plant-1/rsp/me/#", Role::ALL),
        ("mw/v1/plant-1/rsp/me/tablet", Role::ALL),
        ("mw/v1/-/rsp/me", Role::ALL),
        ("mw/v1/plant-2/rsp/me", NOBODY),
        ("mw/v1/+/rsp/me", NOBODY),
        ("mw/v1/plant-1/rsp/other", NOBODY),
        ("mw/v1/plant-1/rsp/+", NOBODY),
        ("mw/v1/plant-1/rsp/#", NOBODY),
        ("mw/v1/plant-1/rsp/me-too", NOBODY),
        ("mw/v1/plant-1/evt/#", STAFF),
        ("mw/v1/plant-1/evt/+/+", STAFF),
        ("mw/v1/plant-1/evt/work-order/#", STAFF),
        ("mw/v1/plant-1/evt/work-order/work-order-released", STAFF),
        ("mw/v1/plant-1/evt/a/b/c", NOBODY),
        ("mw/v1/plant-1/evt", NOBODY),
        ("mw/v1/plant-2/evt/#", NOBODY),
        ("mw/v1/+/evt/#", NOBODY),
        ("mw/v1/-/evt/#", WATCHERS),
        ("mw/v1/plant-1/dev/#", STAFF),
        ("mw/v1/plant-1/dev/cell-1/telemetry/+", STAFF),
        ("mw/v1/plant-2/dev/#", NOBODY),
        ("mw/v1/-/dev/#", NOBODY),
        ("mw/v1/plant-1/state/#", STAFF),
        ("mw/v1/plant-1/state/line-1/+", STAFF),
        ("mw/v1/-/status/+", STAFF),
        ("mw/v1/-/status/production", STAFF),
        ("mw/v1/plant-1/status/+", NOBODY),
        ("mw/v1/plant-1/cmd/me/production", NOBODY),
        ("mw/v1/plant-1/cmd/#", NOBODY),
        ("mw/v1/plant-1/#", NOBODY),
        ("mw/v1/plant-1/+/me", NOBODY),
        ("mw/v1/plant-1/+/#", NOBODY),
        ("mw/v1/-/log/#", NOBODY),
        ("mw/v1/#", NOBODY),
        ("mw/+/plant-1/evt/#", NOBODY),
        ("+/v1/plant-1/evt/#", NOBODY),
        ("mw/v1/-/#", NOBODY),
        ("mw/#", NOBODY),
        ("#", NOBODY),
        ("+/+/+/rsp/me", NOBODY),
        ("sandbox/#", STAFF),
        ("sandbox/x/+", STAFF),
        ("sandbox", NOBODY),
        ("$SYS/#", NOBODY),
        ("$share/g/mw/v1/plant-1/evt/#", NOBODY),
        ("other/#", NOBODY),
        ("", NOBODY),
        ("mw/v1/plant-1/evt/a#", NOBODY),
    ];
    for (filter, roles) in rows {
        for role in Role::ALL {
            let got = may_subscribe(&account(&[*role]), filter).is_allowed();
            assert_eq!(got, roles.contains(role), "{role} subscribes {filter}");
        }
    }
}

/// What the account may hear, said topic by topic: the other way to look at the filters.
fn may_hear(who: &Account, topic: &str) -> bool {
    let l: Vec<&str> = topic.split('/').collect();
    match l.as_slice() {
        ["sandbox", ..] => who.is_staff(),
        ["mw", "v1", s, "rsp", a, ..] => *a == "me" && (*s == "-" || *s == "plant-1"),
        ["mw", "v1", "plant-1", "evt" | "dev" | "state", ..] => who.is_staff(),
        ["mw", "v1", "-", "status", ..] => who.is_staff(),
        ["mw", "v1", "-", "evt", ..] => who.has(Role::Admin) || who.has(Role::Auditor),
        _ => false,
    }
}

#[test]
fn no_allowed_filter_matches_a_topic_outside_the_allowance() {
    let levels = |s: &str| -> Vec<String> { s.split(' ').map(str::to_owned).collect() };
    let firsts = levels("mw + # sandbox $share");
    let seconds = levels("v1 + #");
    let sites = levels("plant-1 plant-2 - + #");
    let kinds = levels("cmd rsp evt dev state status log + #");
    let names = levels("me other work-order cell-1 + #");
    let tails = levels("production x + #");
    let mut topics = vec!["sandbox/x".to_owned(), "$SYS/x".to_owned(), "mw/v1".to_owned()];
    for s in ["plant-1", "plant-2", "-"] {
        for k in ["cmd", "rsp", "evt", "dev", "state", "status", "log"] {
            for n in ["me", "other", "work-order", "cell-1"] {
                topics.push(format!("mw/v1/{s}/{k}/{n}"));
                topics.push(format!("mw/v1/{s}/{k}/{n}/production"));
                topics.push(format!("mw/v1/{s}/{k}/{n}/x/y"));
            }
        }
    }
    let all = [firsts, seconds, sites, kinds, names, tails];
    let mut filters: Vec<String> = vec![];
    let mut open: Vec<String> = vec![String::new()];
    for level in &all {
        let mut next = vec![];
        for prefix in &open {
            for l in level {
                let f = if prefix.is_empty() { l.clone() } else { format!("{prefix}/{l}") };
                if check_filter(&f).is_ok() {
                    filters.push(f.clone());
                    next.push(f);
                }
            }
        }
        open = next;
    }
    let mut allowed = 0;
    for role in Role::ALL {
        let who = account(&[*role]);
        for f in filters.iter().filter(|f| may_subscribe(&who, f).is_allowed()) {
            allowed += 1;
            for t in topics.iter().filter(|t| matches(f, t)) {
                assert!(may_hear(&who, t), "{role} hears {t} through {f}");
            }
        }
    }
    assert!(allowed > 100, "the test looked at {allowed} filters only");
}

#[test]
fn a_service_speaks_and_hears_for_itself_alone() {
    let named = |name: &str| Account { name: AccountName::new(name).unwrap(), ..service() };
    let (production, identity, processes) = (named("production"), named("identity"), named("processes"));
    let publish = |who: &Account, topic: &str| may_publish(who, topic, false).is_allowed();
    for (topic, p, i, m) in [
        ("mw/v1/plant-1/cmd/processes/production", false, false, true),
        ("mw/v1/plant-1/cmd/planner-1/production", false, false, false),
        ("mw/v1/plant-1/rsp/planner-1", true, true, false),
        ("mw/v1/plant-1/evt/work-order/work-order-released", true, true, false),
        ("mw/v1/plant-1/state/line-1", true, true, true),
        ("mw/v1/-/status/production", true, false, false),
        ("mw/v1/-/log/identity/ask", true, true, true),
        ("mw/v1/-/log/production/req", true, true, true),
        ("mw/v1/-/log/identity/answer/broker", false, true, false),
        ("mw/v1/-/log/identity/keys", false, true, false),
        ("mw/v1/-/log/production/rsp/projections", true, false, false),
        ("mw/v1/-/log/production/head", true, false, false),
        ("mw/v1/-/log/production/other", false, false, false),
        ("elsewhere", false, false, false),
    ] {
        let found = (publish(&production, topic), publish(&identity, topic), publish(&processes, topic));
        assert_eq!(found, (p, i, m), "{topic}");
    }
    let hear = |who: &Account, filter: &str| may_subscribe(who, filter).is_allowed();
    for (filter, p, i) in [
        ("mw/v1/+/cmd/+/production", true, true),
        ("mw/v1/+/evt/#", true, true),
        ("mw/v1/-/log/identity/ask", false, true),
        ("mw/v1/-/log/identity/answer/production", true, false),
        ("mw/v1/-/log/identity/rsp/production", true, false),
        ("mw/v1/-/log/identity/head", true, true),
        ("mw/v1/-/log/identity/keys", true, true),
        ("mw/v1/-/log/#", false, false),
        ("mw/v1/-/log/identity/+", false, false),
        ("mw/v1/-/log/+/ask", false, false),
        ("mw/v1/+/+/identity/ask", false, false),
        ("mw/v1/#", false, false),
        ("+/+/+/+/+/+", false, false),
        ("#", false, false),
        ("$share/g/mw/v1/+/evt/#", false, false),
    ] {
        assert_eq!((hear(&production, filter), hear(&identity, filter)), (p, i), "{filter}");
    }
}

#[test]
fn a_disabled_account_is_refused_everything() {
    for who in [account(&[Role::Admin]), service()] {
        let who = Account { disabled: true, ..who };
        for (topic, retain, _) in publishes() {
            assert_eq!(may_publish(&who, topic, retain), Access::Deny("the account is disabled"));
        }
        assert!(!may_subscribe(&who, "mw/v1/plant-1/rsp/me").is_allowed());
    }
}

#[test]
fn a_cell_alone_makes_no_device_and_a_device_without_one_is_silent() {
    let topic = "mw/v1/plant-1/dev/cell-1/alarm/overheat";
    let device = account(&[Role::Device]);
    let operator = Account { cell: device.cell.clone(), ..account(&[Role::Operator]) };
    assert!(may_publish(&device, topic, false).is_allowed());
    assert!(!may_publish(&operator, topic, false).is_allowed());
    assert!(!may_publish(&Account { cell: None, ..device }, topic, false).is_allowed());
}

#[test]
fn a_token_narrows_and_never_widens() {
    let who = account(&[Role::Planner, Role::Operator]);
    let n = who.narrowed(&[Role::Operator, Role::Admin].into(), &[site("plant-1"), site("plant-2")].into());
    assert_eq!(n.roles, [Role::Operator].into());
    assert_eq!(n.sites, [site("plant-1")].into());
    assert!(who.narrowed(&who.roles, &Default::default()).sites.is_empty());
}
