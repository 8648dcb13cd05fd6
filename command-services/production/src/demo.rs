//! The reference data of the demonstration plant: one site with a line of two cells, two
//! products, an SLA policy, the starter catalogues, a customer.
//!
//! Owns plain data in the wire form of `reference.put`. Whoever starts the demo sends it through
//! the ordinary command path. Catalogues that a plant fills for itself (fault codes, categories,
//! teams, the priority matrix, alarm rules …) are not here, so that every well-formed code is taken.

use mw_contract::reference::Document;
use mw_contract::{Code, ReferenceKind};

use ReferenceKind as K;

/// Kind, code and document, in an order in which each names only what stands before it.
pub const DOCUMENTS: &[(ReferenceKind, &str, &str)] = &[
    (K::Site, "plant-1", r#"{"name":"Plant 1","time_zone":"Europe/Berlin"}"#),
    (K::Area, "assembly", r#"{"site":"plant-1","name":"Assembly"}"#),
    (K::Line, "line-1", r#"{"site":"plant-1","area":"assembly","name":"Line 1"}"#),
    (K::Cell, "cell-1", r#"{"line":"line-1","name":"Assembly cell"}"#),
    (K::Cell, "cell-2", r#"{"line":"line-1","name":"Test cell"}"#),
    (
        K::Routing,
        "pump-200",
        r#"{"product":"pump-200","operations":[
            {"op":10,"name":"assemble","cell_id":"cell-1","setup_time":300,"run_time_per_unit":"60"},
            {"op":20,"name":"test","cell_id":"cell-2","run_time_per_unit":"30"}]}"#,
    ),
    (
        K::Product,
        "pump-200",
        r#"{"name":"Pump 200","uom":"H87","tracking":"serial","routing":"pump-200","warranty_months":24}"#,
    ),
    (K::Product, "bracket-10", r#"{"name":"Bracket 10","uom":"H87","tracking":"none"}"#),
    (
        K::Calendar,
        "office-berlin",
        r#"{"time_zone":"Europe/Berlin","hours":{
            "mon":[{"from":"09:00","to":"17:00"}],"tue":[{"from":"09:00","to":"17:00"}],
            "wed":[{"from":"09:00","to":"17:00"}],"thu":[{"from":"09:00","to":"17:00"}],
            "fri":[{"from":"09:00","to":"17:00"}]}}"#,
    ),
    (
        K::SlaPolicy,
        "standard",
        r#"{"calendar":"office-berlin","targets":[
            {"clock":"first_response","minutes":120},{"clock":"resolution","minutes":480}]}"#,
    ),
    (
        K::Catalogue,
        "stop_reasons",
        r#"{"name":"Stop reasons","entries":[
            {"code":"setup","loss_category":"setup","planned":true},
            {"code":"breakdown","loss_category":"breakdown","is_downtime":true,"opens_ticket":true},
            {"code":"minor_stop","loss_category":"minor_stop","is_downtime":true},
            {"code":"no_material","loss_category":"logistics","is_downtime":true},
            {"code":"no_operator","loss_category":"logistics","is_downtime":true},
            {"code":"no_tool","loss_category":"logistics","is_downtime":true},
            {"code":"quality_issue","loss_category":"minor_stop","is_downtime":true},
            {"code":"waiting_inspection","loss_category":"minor_stop","is_downtime":true},
            {"code":"cleaning","loss_category":"planned_stop","planned":true},
            {"code":"planned_maintenance","loss_category":"planned_stop","planned":true},
            {"code":"break","loss_category":"planned_stop","planned":true,"pauses_labour":true},
            {"code":"shift_end","loss_category":"planned_stop","planned":true,"pauses_labour":true},
            {"code":"no_energy","loss_category":"external","is_downtime":true},
            {"code":"other"}]}"#,
    ),
    (
        K::Catalogue,
        "scrap_reasons",
        r#"{"name":"Scrap reasons","entries":[
            {"code":"dimension"},{"code":"surface"},{"code":"assembly_error"},{"code":"material_defect"},
            {"code":"setup_piece","loss_category":"startup_reject"},{"code":"test_failure"},{"code":"other"}]}"#,
    ),
    (
        K::Catalogue,
        "rework_reasons",
        r#"{"name":"Rework reasons","entries":[
            {"code":"dimension"},{"code":"surface"},{"code":"assembly_error"},{"code":"material_defect"},
            {"code":"setup_piece"},{"code":"test_failure"},{"code":"other"}]}"#,
    ),
    (
        K::Catalogue,
        "order_hold_reasons",
        r#"{"name":"Order hold reasons","entries":[
            {"code":"material_shortage","kind":"held"},{"code":"quality_hold","kind":"held"},
            {"code":"equipment_down","kind":"held"},{"code":"engineering_change","kind":"suspended"},
            {"code":"priority_change","kind":"suspended"},{"code":"customer_request","kind":"suspended"}]}"#,
    ),
    (
        K::Catalogue,
        "ticket_hold_reasons",
        r#"{"name":"Ticket hold reasons","entries":[
            {"code":"waiting_parts"},{"code":"waiting_customer","pauses_sla":true},
            {"code":"waiting_customer_access","pauses_sla":true},{"code":"waiting_supplier","pauses_sla":false},
            {"code":"waiting_unit_arrival","pauses_sla":true},{"code":"internal","pauses_sla":false}]}"#,
    ),
    (
        K::Catalogue,
        "cancel_reasons",
        r#"{"name":"Cancel, short-close and reopen reasons","entries":[
            {"code":"duplicate"},{"code":"customer_cancelled"},{"code":"wrong_data"},{"code":"no_demand"},
            {"code":"quality"},{"code":"obsolete"},{"code":"other"}]}"#,
    ),
    (K::Customer, "acme", r#"{"name":"Acme","sla_policy":"standard"}"#),
];

/// The same, read: kind, code and document.
pub fn documents() -> Vec<(ReferenceKind, Code, Document)> {
    let read = |(kind, code, text): &(ReferenceKind, &str, &str)| {
        Some((*kind, Code::new(code).ok()?, Document::stored(*kind, text)?))
    };
    DOCUMENTS.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::World;
    use mw_contract::ErrorCode;

    #[test]
    fn every_document_is_read_and_is_accepted_by_the_command() {
        assert_eq!(documents().len(), DOCUMENTS.len());
        // The world of the tests puts all of them through the command.
        let w = World::new();
        for (kind, code, document) in documents() {
            assert_eq!(w.facts.document(kind, code.as_str()), Some(&document), "{kind} {code}");
        }
    }

    #[test]
    fn what_a_plant_fills_for_itself_takes_any_code() {
        use mw_contract::reference::catalogues as c;
        let w = World::new();
        let open = [
            c::SYMPTOM,
            c::FAULT_CAUSE,
            c::REMEDY,
            c::CATEGORY,
            c::TICKET,
            c::QUOTE,
            c::ALARM,
            c::EQUIPMENT_CLASS,
            c::PRIORITY,
            c::TEAM,
            c::SKILL,
            c::CHANGE,
        ];
        for catalogue in open {
            assert!(w.facts.document(ReferenceKind::Catalogue, catalogue).is_none(), "{catalogue}");
        }
        // Whether the wait for parts stops the clock is for the policy to say.
        let Some(Document::Catalogue(holds)) = w.facts.document(ReferenceKind::Catalogue, c::TICKET_HOLD) else {
            panic!("no hold reasons");
        };
        let by_policy: Vec<&str> =
            holds.entries.iter().filter(|e| e.pauses_sla.is_none()).map(|e| e.code.as_str()).collect();
        assert_eq!((by_policy, holds.entries.len()), (vec!["waiting_parts"], 6));
    }

    #[test]
    fn every_starter_reason_is_known_and_another_is_not() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        let hold = |reason: &str| serde_json::json!({"reason": reason});
        assert_eq!(w.lead("work-order.hold", id, hold("bad_weather")).unwrap_err().code, ErrorCode::ReasonUnknown);
        w.lead("work-order.hold", id, hold("material_shortage")).unwrap();
    }
}
