//! The table of roles and commands, written out again by hand, and what goes round it.

mod common;

use common::{account, service, site};
use mw_contract::{CommandType, ErrorCode, Role};
use mw_policy::{Allowance, Setting, backdate_window, command_rule, may_command};

/// Columns OP LL PL QI TE DI CU AU AD DV SY. `x` yes, `o` own objects, `c` own cell, `r` where
/// line leads may release, `k` where operators may complete, `i` where they may issue material, `s`
/// where people inspect what they make, `2` with a second person, `a` what is assigned, `t` where technicians may take
/// tickets themselves, `q` where they may quote, `v` where they may verify, `.` no.
const MATRIX: &[(&str, &str)] = &[
    ("work-order.create", "..x.....x.x"),
    ("work-order.amend", "..x.....x.."),
    ("work-order.plan", "..x.....x.."),
    ("work-order.unplan", "..x.....x.."),
    ("work-order.reschedule", ".xx.....x.."),
    ("work-order.release", ".rx.....x.."),
    ("work-order.revoke-release", ".rx.....x.."),
    ("work-order.change-quantity", "..x.....x.."),
    ("work-order.change-due-date", "..x.....x.."),
    ("work-order.change-priority", ".xx.....x.."),
    ("work-order.split", "..x.....x.."),
    ("work-order.assign", ".xx.....x.."),
    ("work-order.unassign", ".xx.....x.."),
    ("work-order.hold", ".xxx....x.x"),
    ("work-order.resume", ".xxx....x.."),
    ("work-order.complete", "kxx.....x.."),
    ("work-order.short-close", ".2x.....x.."),
    ("work-order.reopen", ".xx.....x.."),
    ("work-order.close", "..x.....x.x"),
    ("work-order.cancel", "..x.....x.x"),
    ("work-order.request-material", ".xx.....x.x"),
    ("work-order.confirm-reservation", "..........x"),
    ("work-order.release-reservation", ".xx.....x.x"),
    ("work-order.issue-material", "ixx.....x.."),
    ("work-order.return-material", "ixx.....x.."),
    ("work-order.record-consumption", "xx......xcx"),
    ("work-order.approve-substitute", "..xx....x.."),
    ("work-order.start-operation", "ox......xc."),
    ("work-order.pause-operation", "ox......xcx"),
    ("work-order.resume-operation", "ox......xc."),
    ("work-order.report-quantity", "ox......xc."),
    ("work-order.complete-operation", "ox......xc."),
    ("work-order.correct-report", "oxx.....x.."),
    ("work-order.correct-session", "oxx.....x.."),
    ("work-order.reopen-operation", ".x........."),
    ("work-order.skip-operation", ".xx........"),
    ("work-order.add-operation", "..xx......."),
    ("work-order.assign-lot", "xxx.....x.."),
    ("work-order.void-serial", ".x.x....x.."),
    ("work-order.allocate-serials", "xxx.....xcx"),
    ("work-order.register-unit", "xxx.....xc."),
    ("work-order.amend-genealogy", ".x.x....x.."),
    ("work-order.record-inspection", "ss.x....xc."),
    ("work-order.raise-nonconformance", "xxxx....x.x"),
    ("work-order.disposition-nonconformance", "...x......."),
    ("work-order.close-nonconformance", "...x......."),
    ("work-order.return-nonconformance", "..........x"),
    ("work-order.add-note", "xxxx....x.x"),
    ("work-order.link", "..x.......x"),
    ("equipment.register", "........x.x"),
    ("equipment.report-state", "xx......xcx"),
    ("equipment.start-downtime", "xx......xcx"),
    ("equipment.end-downtime", "xx......xcx"),
    ("equipment.classify-downtime", "oxx.....x.x"),
    ("equipment.raise-alarm", ".........cx"),
    ("equipment.acknowledge-alarm", "xx..x...x.."),
    ("equipment.clear-alarm", ".x.......cx"),
    ("equipment.record-counter", "....x....cx"),
    ("equipment.set-maintenance-mode", ".x..x...x.."),
    ("unit.register", "..........x"),
    ("unit.ship", "..x..x..x.x"),
    ("unit.install", "....xxo.x.."),
    ("unit.extend-warranty", ".....x..x.."),
    ("unit.void-warranty", ".....x..x.."),
    ("unit.record-reading", "....xx..x.x"),
    ("unit.change-component", "..........x"),
    ("unit.change-status", "..........x"),
    ("unit.raise-alarm", "....xxo.x.x"),
    ("unit.clear-alarm", "....xxo.x.x"),
    ("unit.transfer", "..x..x..x.x"),
    ("unit.scrap", "..xx....x.x"),
    ("unit.recall", "...x....x.x"),
    ("stock.receive", ".xx.....x.x"),
    ("stock.reserve", ".xx.....x.x"),
    ("stock.release-reservation", ".xx.....x.x"),
    ("stock.issue", "ixx.....x.x"),
    ("stock.return", "ixx.....x.x"),
    ("stock.adjust", "..x.....x.."),
    ("inbox.dismiss", ".xxx.x..x.."),
    ("reference.put", "..x.....x.x"),
    ("reference.retire", "..x.....x.x"),
    ("ticket.open", "oxxxxxo.x.x"),
    ("ticket.amend", "....axo.x.."),
    ("ticket.comment", "oxxxxxo.x.x"),
    ("ticket.mark-duplicate", ".....x..x.."),
    ("ticket.triage", "....tx..x.x"),
    ("ticket.classify-fault", "....ax..x.."),
    ("ticket.change-priority", "....tx..x.."),
    ("ticket.check-warranty", "....xx..x.x"),
    ("ticket.override-warranty", ".....x..x.."),
    ("ticket.submit-quote", "....qx..x.."),
    ("ticket.approve-quote", ".....xo...."),
    ("ticket.reject-quote", ".....xo...."),
    ("ticket.expire-quote", "..........x"),
    ("ticket.assign-technician", "....tx..x.x"),
    ("ticket.reassign-technician", ".....x..x.."),
    ("ticket.accept-assignment", "....a......"),
    ("ticket.decline-assignment", "....a......"),
    ("ticket.schedule-visit", "....tx..x.."),
    ("ticket.reschedule-visit", "....tx..x.."),
    ("ticket.cancel-visit", "....tx..x.."),
    ("ticket.start-travel", "....a...x.."),
    ("ticket.arrive", "....a...x.."),
    ("ticket.abort-travel", "....a...x.."),
    ("ticket.start-work", "....a...x.."),
    ("ticket.pause-work", "....a...x.x"),
    ("ticket.resume-work", "....a...x.."),
    ("ticket.record-diagnosis", "....a...x.."),
    ("ticket.request-parts", "....a...x.."),
    ("ticket.confirm-parts", "..........x"),
    ("ticket.release-parts", "..........x"),
    ("ticket.consume-parts", "....a...x.."),
    ("ticket.return-parts", "....a...x.."),
    ("ticket.hold", "....ax..x.x"),
    ("ticket.resume", "....ax..x.x"),
    ("ticket.log-work", "....a...x.."),
    ("ticket.correct-work-log", "....ox..x.."),
    ("ticket.record-reading", "....a...x.x"),
    ("ticket.replace-unit", "....ax..x.."),
    ("ticket.request-replacement-order", "....2x..x.."),
    ("ticket.link-replacement-order", "..........x"),
    ("ticket.confirm-replacement", "..........x"),
    ("ticket.fail-replacement", "..........x"),
    ("ticket.cancel", ".....xo.x.x"),
    ("ticket.resolve", "....ax..x.."),
    ("ticket.verify", "...xvx..x.."),
    ("ticket.confirm", ".....xo...."),
    ("ticket.close", ".....x..x.x"),
    ("ticket.reopen", "....axo.x.x"),
    ("ticket.rate", "......o...."),
    ("ticket.escalate", "....xxo.x.x"),
    ("ticket.de-escalate", ".....x..x.."),
    ("ticket.authorize-return", ".....x..x.."),
    ("ticket.receive-return", "....xx..x.."),
    ("ticket.disposition-return", "...x.x..x.."),
    ("ticket.ship-back", "....xx..x.."),
    ("ticket.raise-sla-warning", "..........x"),
    ("ticket.breach-sla", "..........x"),
    ("ticket.link", ".....x..x.x"),
    ("maintenance-plan.create", "..x..x..x.."),
    ("maintenance-plan.activate", "..x..x..x.."),
    ("maintenance-plan.suspend", "..x..x..x.."),
    ("maintenance-plan.amend", "..x..x..x.."),
    ("maintenance-plan.mark-due", "..........x"),
    ("maintenance-plan.mark-done", "..........x"),
    ("maintenance-plan.skip", "..x..x..x.."),
    ("account.add", "........x.x"),
    ("account.grant", "........x.x"),
    ("account.revoke", "........x.x"),
    ("account.rotate-secret", "........x.x"),
    ("account.disable", "........x.x"),
    ("account.enable", "........x.x"),
    ("account.erase-subject", "........x.x"),
];

const COLUMNS: [Role; 11] = [
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
    Role::System,
];

fn allowance(letter: char) -> Option<Allowance> {
    match letter {
        'x' => Some(Allowance::Yes),
        'o' => Some(Allowance::Own),
        'c' => Some(Allowance::OwnCell),
        'r' => Some(Allowance::IfSite(Setting::LineLeadReleases)),
        'a' => Some(Allowance::Assigned),
        't' => Some(Allowance::IfSite(Setting::TechnicianSelfAssigns)),
        'q' => Some(Allowance::IfSite(Setting::TechnicianQuotes)),
        'v' => Some(Allowance::IfSite(Setting::TechnicianVerifies)),
        'k' => Some(Allowance::IfSite(Setting::OperatorCompletes)),
        'i' => Some(Allowance::IfSite(Setting::OperatorIssues)),
        's' => Some(Allowance::IfSite(Setting::SelfInspection)),
        '2' => Some(Allowance::FourEyes),
        '.' => None,
        other => panic!("{other}"),
    }
}

#[test]
fn every_pair_of_role_and_command_is_as_the_table_says() {
    assert_eq!(Role::ALL.len(), COLUMNS.len());
    assert_eq!(CommandType::ALL.len(), MATRIX.len(), "a command without a row");
    for (name, row) in MATRIX {
        let command: CommandType = name.parse().unwrap();
        assert_eq!(row.len(), COLUMNS.len(), "{name}");
        for (role, letter) in COLUMNS.iter().zip(row.chars()) {
            let expected = allowance(letter);
            assert_eq!(command_rule(*role, command), expected, "{role} {name}");
            let answer = may_command(&account(&[*role]), command, Some(&site("plant-1")));
            match expected {
                Some(a) => {
                    let grants = answer.unwrap();
                    assert_eq!((grants.len(), grants[0].role, grants[0].allowance), (1, *role, a), "{role} {name}");
                }
                None => assert_eq!(answer.unwrap_err().code, ErrorCode::Forbidden, "{role} {name}"),
            }
        }
    }
}

#[test]
fn an_auditor_writes_nothing_and_a_customer_only_what_is_its_own() {
    for c in CommandType::ALL {
        assert_eq!(command_rule(Role::Auditor, *c), None, "{c}");
        let customer = command_rule(Role::Customer, *c);
        assert!(matches!(customer, None | Some(Allowance::Own)), "{c}");
        let of_the_case = c.as_str().starts_with("ticket.") || c.as_str().starts_with("unit.");
        assert!(customer.is_none() || of_the_case, "{c}");
    }
}

#[test]
fn a_refusal_says_which_roles_would_do() {
    let r = may_command(&account(&[Role::Operator]), CommandType::WorkOrderCreate, Some(&site("plant-1"))).unwrap_err();
    assert!(r.message.contains("planner") && r.message.contains("admin"), "{}", r.message);
    assert!(!r.message.contains("operator"), "{}", r.message);
}

#[test]
fn site_and_disabling_come_before_the_roles() {
    let admin = account(&[Role::Admin]);
    for c in CommandType::ALL {
        assert_eq!(may_command(&admin, *c, Some(&site("plant-2"))).unwrap_err().code, ErrorCode::Forbidden, "{c}");
        let without_site = may_command(&admin, *c, None);
        assert_eq!(without_site.is_ok(), c.as_str().starts_with("account."), "{c}");
        let disabled = mw_policy::Account { disabled: true, ..admin.clone() };
        assert!(may_command(&disabled, *c, Some(&site("plant-1"))).unwrap_err().message.contains("disabled"));
    }
}

#[test]
fn a_service_acts_at_every_site_but_only_as_system() {
    let s = service();
    assert!(may_command(&s, CommandType::WorkOrderHold, Some(&site("plant-2"))).is_ok());
    assert!(may_command(&s, CommandType::AccountAdd, None).is_ok());
    assert!(may_command(&s, CommandType::WorkOrderPlan, Some(&site("plant-2"))).is_err());
    let disabled = mw_policy::Account { disabled: true, ..s };
    assert!(may_command(&disabled, CommandType::WorkOrderHold, Some(&site("plant-2"))).is_err());
}

#[test]
fn the_grant_with_the_fewest_conditions_comes_first() {
    let p1 = site("plant-1");
    let roles = |rs: &[Role], c| -> Vec<Role> {
        may_command(&account(rs), c, Some(&p1)).unwrap().into_iter().map(|g| g.role).collect()
    };
    use Role::*;
    assert_eq!(roles(&[Operator, LineLead], CommandType::WorkOrderStartOperation), [LineLead, Operator]);
    assert_eq!(roles(&[Device, Operator], CommandType::WorkOrderStartOperation), [Operator, Device]);
    assert_eq!(roles(&[LineLead, Planner], CommandType::WorkOrderRelease), [Planner, LineLead]);
    assert_eq!(roles(&[Operator, LineLead], CommandType::WorkOrderComplete), [LineLead, Operator]);
    // A planner's work is recorded as a planner's, also where the planner is an admin too.
    assert_eq!(roles(&[Admin, Planner], CommandType::WorkOrderClose), [Planner, Admin]);
    assert_eq!(roles(&[Admin, Auditor], CommandType::WorkOrderClose), [Admin]);
}

#[test]
fn backdating_is_bounded_by_role() {
    let hours = |r, offline| backdate_window(r, offline) as f64 / 3_600_000.0;
    let expected = [
        (Role::Operator, 24.0, 168.0),
        (Role::LineLead, 168.0, 168.0),
        (Role::Planner, 168.0, 168.0),
        (Role::QualityInspector, 168.0, 168.0),
        (Role::Technician, 24.0, 168.0),
        (Role::Dispatcher, 168.0, 168.0),
        (Role::Customer, 24.0, 24.0),
        (Role::Auditor, 0.0, 0.0),
        (Role::Admin, 744.0, 744.0),
        (Role::Device, 72.0, 72.0),
        (Role::System, 744.0, 744.0),
    ];
    assert_eq!(expected.len(), Role::ALL.len());
    for (role, online, offline) in expected {
        assert_eq!((hours(role, false), hours(role, true)), (online, offline), "{role}");
    }
}
