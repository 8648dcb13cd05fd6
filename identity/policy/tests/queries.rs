//! Who sees how much of which resource.

mod common;

use common::{account, service, site};
use mw_contract::{AccountName, Role};
use mw_policy::{Account, Route, Sites, query_scope};

/// Columns OP LL PL QI TE DI CU AU AD DV. `s` own sites, `i` internal things of own sites, `n` own
/// sites and what has none, `o` own only, `.` not at all.
const MATRIX: &[(Route, &str)] = &[
    (Route::WorkOrders, "ssss...ss."),
    (Route::WorkOrderEvents, "osssos.ss."),
    (Route::Boards, "ssss...ss."),
    (Route::CellQueues, "ssss...ss."),
    (Route::Schedule, "ssss...ss."),
    (Route::Shortages, "ssss...ss."),
    (Route::Quality, "ssss...ss."),
    (Route::Equipment, "sssss..ss."),
    (Route::Stock, "ssss...ss."),
    (Route::Units, "sssssssss."),
    (Route::Inbox, "osssos.nn."),
    (Route::Commands, "osssosonno"),
    (Route::AuditEvents, ".......nn."),
    (Route::AuditProofs, ".......nn."),
    (Route::Figures, "ssss...ss."),
    (Route::Tickets, "iisssssss."),
    (Route::TicketEvents, "oissos.ss."),
    (Route::TicketBoards, "iissss.ss."),
    (Route::TechnicianQueues, "iissss.ss."),
    (Route::SlaAtRisk, "iissss.ss."),
    (Route::Backlog, "iissss.ss."),
    (Route::MaintenancePlans, ".ss.ss.ss."),
    (Route::PartsUsage, "..ssss.ss."),
    (Route::My, "......s..."),
    (Route::Metrics, "........n."),
];

const COLUMNS: [Role; 10] = [
    Role::Operator,
    Role::LineLead,
    Role::Planner,
    Role::QualityInspector,
    Role::Technician,
    Role::Dispatcher,
    Role::Customer,
    Role::Auditor,
    Role::Admin,
    Role::Device,
];

#[test]
fn every_pair_of_role_and_resource_is_as_the_table_says() {
    assert_eq!(MATRIX.len(), Route::ALL.len());
    for (route, row) in MATRIX {
        assert_eq!(row.len(), COLUMNS.len(), "{route:?}");
        for (role, letter) in COLUMNS.iter().zip(row.chars()) {
            let got = query_scope(&account(&[*role]), *route)
                .map(|s| {
                    assert_eq!(s.sites, Sites::Some([site("plant-1")].into()), "{role} {route:?}");
                    assert_eq!(s.customer.is_some(), *role == Role::Customer, "{role} {route:?}");
                    match (s.own_account_only, s.internal_only, s.siteless) {
                        (true, false, false) => 'o',
                        (false, true, false) => 'i',
                        (false, false, true) => 'n',
                        (false, false, false) => 's',
                        _ => '?',
                    }
                })
                .unwrap_or('.');
            assert_eq!(got, letter, "{role} {route:?}");
        }
    }
}

#[test]
fn several_roles_give_the_most_of_each() {
    let s = query_scope(&account(&[Role::Operator, Role::LineLead]), Route::Commands).unwrap();
    assert!(!s.own_account_only);
    let s = query_scope(&account(&[Role::Customer, Role::Planner]), Route::Commands).unwrap();
    assert_eq!(s.customer, None);
}

#[test]
fn a_scope_keeps_to_its_sites_but_shows_the_sender_its_own() {
    let me = AccountName::new("me").unwrap();
    let other = AccountName::new("other").unwrap();
    let (p1, p2) = (site("plant-1"), site("plant-2"));
    let planner = query_scope(&account(&[Role::Planner]), Route::Commands).unwrap();
    let operator = query_scope(&account(&[Role::Operator]), Route::Commands).unwrap();
    let admin = query_scope(&account(&[Role::Admin]), Route::AuditEvents).unwrap();
    let history = query_scope(&account(&[Role::Operator]), Route::WorkOrderEvents).unwrap();
    let rows = [
        (&planner, Some(&p1), &other, true),
        (&planner, Some(&p2), &other, false),
        (&planner, None, &other, false),
        (&planner, Some(&p2), &me, true),
        (&operator, Some(&p1), &other, false),
        (&operator, Some(&p1), &me, true),
        (&operator, None, &me, true),
        (&admin, None, &other, true),
        (&admin, Some(&p2), &other, false),
        (&admin, Some(&p2), &me, false),
        (&history, Some(&p1), &me, true),
        (&history, Some(&p1), &other, false),
        (&history, Some(&p2), &me, false),
    ];
    for (i, (scope, at, actor, expected)) in rows.into_iter().enumerate() {
        assert_eq!(scope.sees(&me, at, actor), expected, "row {i}");
    }
}

#[test]
fn services_see_everything_and_disabled_accounts_nothing() {
    for route in Route::ALL {
        assert_eq!(query_scope(&service(), *route).unwrap().sites, Sites::All);
        let off = Account { disabled: true, ..account(&[Role::Admin]) };
        assert_eq!(query_scope(&off, *route), None);
    }
}

#[test]
fn a_customer_account_without_a_customer_sees_nothing() {
    let lost = Account { customer_id: None, ..account(&[Role::Customer]) };
    for route in Route::ALL {
        assert_eq!(query_scope(&lost, *route), None, "{route:?}");
    }
}
