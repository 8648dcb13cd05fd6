//! What work, parts and travelling units change in a ticket.

use mw_contract::*;
use serde_json::json;

use super::fold::said;
use super::*;
use crate::seal::{put, put_some};

impl Ticket {
    fn come(&mut self, visit: Option<EntityId>) {
        if let Some(v) = self.visits.iter_mut().find(|v| Some(v.visit_id) == visit && v.state == VisitState::Planned) {
            v.state = VisitState::Done;
        }
    }

    pub(super) fn worked(&mut self, event: &Event, m: &Meta) {
        let cycle = self.cycle;
        let stint = |id: EntityId, technician: &AccountName| Stint {
            id,
            technician: technician.clone(),
            activity: None,
            visit_id: None,
            started_at: m.occurred_at,
            ended_at: None,
            cycle,
            more: json!({}),
        };
        match event {
            Event::TravelStarted(e) => {
                let more = json!({"geo": e.geo, "eta": e.eta});
                self.trips.push(Stint { visit_id: e.visit_id, more, ..stint(e.trip_id, &e.technician) });
                self.state = TicketState::Travelling;
            }
            Event::TechnicianArrived(e) => {
                let mut visit = None;
                if let Some(t) = self.trips.iter_mut().find(|t| t.id == e.trip_id) {
                    t.ended_at = Some(m.occurred_at);
                    t.more["arrived"] = json!(true);
                    t.more["distance_km"] = json!(e.distance_km);
                    t.more["arrived_geo"] = json!(e.geo);
                    visit = t.visit_id;
                }
                self.come(visit);
            }
            Event::TravelAborted(e) => {
                if let Some(t) = self.trips.iter_mut().find(|t| t.id == e.trip_id) {
                    t.ended_at = Some(m.occurred_at);
                    t.more["aborted"] = json!(e.reason);
                    t.more["note"] = put_some(e.note.as_ref());
                }
                if self.state == TicketState::Travelling {
                    self.state = TicketState::Assigned;
                }
            }
            Event::WorkStarted(e) => {
                // Whoever begins on a scheduled ticket without naming the visit came for the next one.
                let next = self.next_visit().filter(|_| self.state == TicketState::Scheduled).map(|v| v.visit_id);
                let visit_id = e.visit_id.or(next);
                let more = json!({"lockout": e.lockout, "permit_ref": e.permit_ref, "geo": e.geo});
                self.sessions.push(Stint {
                    activity: Some(e.activity),
                    visit_id,
                    more,
                    ..stint(e.session_id, &e.technician)
                });
                self.come(visit_id);
                self.state = TicketState::InProgress;
            }
            Event::WorkClashNoticed(e) => self.clashes.push(said(
                m,
                json!({"session_id": e.session_id, "technician": e.technician, "other_ticket_id": e.other_ticket_id,
                    "other_session_id": e.other_session_id}),
            )),
            Event::WorkPaused(e) => {
                if let Some(s) = self.sessions.iter_mut().find(|s| s.id == e.session_id) {
                    s.ended_at = Some(m.occurred_at.max(s.started_at));
                    s.more["reason"] = json!(e.reason);
                    s.more["note"] = put_some(e.note.as_ref());
                }
            }
            Event::WorkResumed(e) => {
                let activity = Some(e.activity);
                self.sessions.push(Stint { activity, ..stint(e.session_id, &e.technician) });
            }
            Event::DiagnosisRecorded(e) => {
                let more = json!({"diagnosis_id": e.diagnosis_id, "symptom": e.symptom, "cause": e.cause,
                    "component": e.component, "text": put(&e.text), "readings": e.readings,
                    "recommendation": e.recommendation, "root_cause_in_production": e.root_cause_in_production,
                    "work_order_id": e.work_order_id, "lot": e.lot, "attachments": e.attachments});
                self.diagnoses.push(said(m, more));
            }
            Event::WorkLogged(e) => {
                let more = json!({"log_id": e.log_id, "technician": e.technician, "activity": e.log.activity,
                    "start": e.log.start, "end": e.log.end, "chargeable": e.log.chargeable, "duration": e.duration,
                    "text": put_some(e.text.as_ref()), "corrections": []});
                self.work_logs.push(said(m, more));
            }
            Event::WorkLogCorrected(e) => {
                let correction = said(m, json!({"old": e.old, "reason": e.reason, "note": put_some(e.note.as_ref())}));
                if let Some(l) = self.work_logs.iter_mut().find(|l| l["log_id"] == json!(e.log_id)) {
                    l["activity"] = json!(e.new.activity);
                    (l["start"], l["end"]) = (json!(e.new.start), json!(e.new.end));
                    l["chargeable"] = json!(e.new.chargeable);
                    l["duration"] = json!(e.new.end.since(e.new.start).max(0) / 1000);
                    if let Some(all) = l["corrections"].as_array_mut() {
                        all.push(correction);
                    }
                }
            }
            Event::TicketReadingRecorded(e) => {
                let more = json!({"name": e.name, "value": e.value, "unit": e.unit, "reset": e.reset, "old": e.old,
                    "serial": e.serial, "equipment_id": e.equipment_id});
                self.readings.push(said(m, more));
            }
            _ => {}
        }
    }

    pub(super) fn supplied(&mut self, event: &Event, m: &Meta) {
        match event {
            Event::PartsRequested(e) => self.parts_requests.push(PartsRequest {
                request_id: e.request_id,
                at: m.occurred_at,
                by: m.by.clone(),
                lines: json!(e.lines),
                reserved: json!([]),
                missing: json!([]),
            }),
            Event::PartsReserved(e) => {
                if let Some(r) = self.parts_requests.iter_mut().find(|r| r.request_id == e.request_id) {
                    let mut all = r.reserved.as_array().cloned().unwrap_or_default();
                    all.extend(e.lines.iter().map(|l| json!(l)));
                    r.reserved = Value::Array(all);
                    // What came is not missing any more.
                    if let Some(missing) = r.missing.as_array_mut() {
                        missing.retain(|x| !e.lines.iter().any(|l| x["item_id"] == json!(l.item_id)));
                    }
                }
            }
            Event::PartsUnavailable(e) => {
                if let Some(r) = self.parts_requests.iter_mut().find(|r| r.request_id == e.request_id) {
                    r.missing = json!(e.lines);
                }
            }
            Event::PartsReleased(e) => {
                let is_gone = |x: &Value| e.lines.iter().any(|l| x["reservation_id"] == json!(l.reservation_id));
                for r in &mut self.parts_requests {
                    if let Some(reserved) = r.reserved.as_array_mut() {
                        reserved.retain(|x| !is_gone(x));
                    }
                }
            }
            Event::PartsConsumed(e) => {
                let more = json!({"consumption_id": e.consumption_id, "serial": e.serial, "product": e.product_id,
                    "lines": e.lines});
                self.parts_consumed.push(said(m, more));
            }
            Event::PartsReturned(e) => {
                let more = json!({"return_id": e.return_id, "lines": e.lines, "condition": e.condition,
                    "to_location": e.to_location});
                self.parts_returned.push(said(m, more));
            }
            Event::UnitReplaced(e) => {
                let more = json!({"old_serial": e.old_serial, "old_product": e.old_product_id,
                    "new_serial": e.new_serial, "new_product": e.new_product_id, "reason": e.reason,
                    "old_disposition": e.old_disposition, "warranty_end": e.warranty_end,
                    "note": put_some(e.note.as_ref())});
                self.replaced_units.push(said(m, more));
                self.unit.serial = Some(e.new_serial.clone());
                self.unit.product = Some(e.new_product_id.clone());
            }
            Event::ReplacementOrderRequested(e) => self.replacement_orders.push(ReplacementOrder {
                request_id: e.request_id,
                product: e.product_id.clone(),
                qty: e.qty,
                uom: e.uom.as_str().to_owned(),
                needed_by: e.needed_by,
                mode: e.mode,
                return_serial: e.return_serial.clone(),
                state: "requested".into(),
                work_order_id: None,
                work_order_number: None,
                serials: Vec::new(),
                reason: None,
            }),
            Event::ReplacementOrderLinked(e) => {
                if let Some(r) = self.replacement_orders.iter_mut().find(|r| r.request_id == e.request_id) {
                    r.work_order_id = Some(e.work_order_id);
                    r.work_order_number = e.number.clone().or(r.work_order_number.take());
                    "in_production".clone_into(&mut r.state);
                }
            }
            Event::ReplacementOrderReady(e) => {
                if let Some(r) = self.replacement_orders.iter_mut().find(|r| r.request_id == e.request_id) {
                    r.work_order_id = e.work_order_id.or(r.work_order_id);
                    r.serials.clone_from(&e.serials);
                    "ready".clone_into(&mut r.state);
                }
            }
            Event::ReplacementOrderFailed(e) => {
                if let Some(r) = self.replacement_orders.iter_mut().find(|r| r.request_id == e.request_id) {
                    r.work_order_id = e.work_order_id.or(r.work_order_id);
                    r.reason = Some(e.reason.clone());
                    "failed".clone_into(&mut r.state);
                }
            }
            Event::TicketLinkAdded(e) => {
                self.links.push(said(m, json!({"kind": e.kind, "id": e.id, "relation": e.relation})));
            }
            _ => {}
        }
    }

    pub(super) fn travelled(&mut self, event: &Event, m: &Meta) {
        match event {
            Event::ReturnAuthorized(e) => {
                let unit = |s: &Text<60>| ReturnedUnit {
                    serial: s.clone(),
                    state: RmaState::Authorized,
                    mismatch: false,
                    more: json!({}),
                };
                self.returns.push(Return {
                    rma_no: e.rma_no.clone(),
                    more: said(
                        m,
                        json!({"reason": e.reason, "note": put_some(e.note.as_ref()), "ship_to": e.ship_to,
                        "carrier": e.carrier, "valid_until": e.valid_until}),
                    ),
                    units: e.serials.iter().map(unit).collect(),
                });
                self.rma = RmaState::Authorized;
                self.service_mode = Some(e.service_mode);
            }
            Event::ReturnReceived(e) => {
                if let Some(r) = self.returns.iter_mut().find(|r| r.rma_no == e.rma_no) {
                    if !r.units.iter().any(|u| u.serial == e.serial) {
                        r.units.push(ReturnedUnit {
                            serial: e.serial.clone(),
                            state: RmaState::Received,
                            mismatch: e.mismatch,
                            more: json!({}),
                        });
                    }
                    for u in r.units.iter_mut().filter(|u| u.serial == e.serial) {
                        (u.state, u.mismatch) = (RmaState::Received, e.mismatch);
                        u.more["received_at"] = json!(m.occurred_at);
                        u.more["received_by"] = json!(m.by);
                        u.more["condition"] = json!(e.condition);
                        u.more["photos"] = json!(e.photos);
                    }
                }
                self.rma = RmaState::Received;
            }
            Event::ReturnDispositioned(e) => {
                for u in self.returns.iter_mut().flat_map(|r| &mut r.units).filter(|u| u.serial == e.serial) {
                    u.state = RmaState::Dispositioned;
                    u.more["disposition"] = json!(e.disposition);
                    u.more["disposition_note"] = put_some(e.note.as_ref());
                }
                self.rma = RmaState::Dispositioned;
            }
            Event::UnitShippedBack(e) => {
                for u in self.returns.iter_mut().flat_map(|r| &mut r.units).filter(|u| u.serial == e.serial) {
                    u.state = RmaState::ShippedBack;
                    u.more["shipped_at"] = json!(m.occurred_at);
                    u.more["carrier"] = json!(e.carrier);
                    u.more["tracking_no"] = json!(e.tracking_no);
                }
                self.rma = RmaState::ShippedBack;
            }
            _ => {}
        }
    }
}
