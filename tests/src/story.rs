//! The life of an order, as commands: what a planner, an operator and a line lead would send.

use serde_json::{Value, json};
use uuid::Uuid;

/// When the orders of these tests are due.
pub const DUE: &str = "2030-03-10T09:00:00.000Z";

/// A new id.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// A command in its envelope, with an id of its own.
pub fn command(kind: &str, aggregate: &str, expected_version: Option<u64>, payload: Value) -> Value {
    let mut c = json!({"command_id": new_id(), "type": kind, "aggregate_id": aggregate, "payload": payload});
    if let Some(v) = expected_version {
        c["expected_version"] = json!(v);
    }
    c
}

/// The version in a reply.
pub fn version(reply: &Value) -> u64 {
    reply["version"].as_u64().unwrap_or_else(|| panic!("no version in {reply}"))
}

/// The position in a reply.
pub fn position(reply: &Value) -> u64 {
    reply["position"].as_u64().unwrap_or_else(|| panic!("no position in {reply}"))
}

/// The types of the events that a reply names.
pub fn events(reply: &Value) -> Vec<String> {
    let list = reply["events"].as_array().cloned().unwrap_or_default();
    list.iter().map(|e| e["type"].as_str().unwrap_or_default().to_owned()).collect()
}

/// `work-order.create`.
pub fn create(id: &str, product: &str, qty: u32) -> Value {
    command(
        "work-order.create",
        id,
        None,
        json!({"product_id": product, "planned_qty": qty.to_string(), "uom": "H87", "due_at": DUE}),
    )
}

/// `work-order.plan`.
pub fn plan(id: &str, version: u64) -> Value {
    let payload = json!({
        "line_id": "line-1",
        "planned_start": "2030-03-03T08:00:00.000Z",
        "planned_end": "2030-03-03T16:00:00.000Z",
    });
    command("work-order.plan", id, Some(version), payload)
}

/// `work-order.release`.
pub fn release(id: &str, version: u64) -> Value {
    command("work-order.release", id, Some(version), json!({}))
}

/// `work-order.allocate-serials`: `PREFIX0001` and on.
pub fn allocate_serials(id: &str, prefix: &str, count: u32) -> Value {
    command("work-order.allocate-serials", id, None, json!({"prefix": prefix, "first": "0001", "count": count}))
}

/// `work-order.start-operation`.
pub fn start_operation(id: &str, op: u16, cell: &str, session: &str) -> Value {
    command("work-order.start-operation", id, None, json!({"op": op, "session_id": session, "cell_id": cell}))
}

/// `work-order.pause-operation`.
pub fn pause_operation(id: &str, op: u16, session: &str) -> Value {
    command("work-order.pause-operation", id, None, json!({"op": op, "session_id": session, "reason": "break"}))
}

/// `work-order.resume-operation`.
pub fn resume_operation(id: &str, op: u16, session: &str) -> Value {
    command("work-order.resume-operation", id, None, json!({"op": op, "session_id": session}))
}

/// `work-order.report-quantity` of good pieces and of pieces scrapped for their surface.
pub fn report(id: &str, op: u16, good: u32, scrap: u32) -> Value {
    let mut payload = json!({"op": op, "report_id": new_id(), "good": good.to_string()});
    if scrap > 0 {
        payload["scrap"] = json!([{"qty": scrap.to_string(), "reason": "surface"}]);
    }
    command("work-order.report-quantity", id, None, payload)
}

/// `work-order.complete-operation`.
pub fn complete_operation(id: &str, op: u16, confirm_shortfall: bool) -> Value {
    command("work-order.complete-operation", id, None, json!({"op": op, "confirm_shortfall": confirm_shortfall}))
}

/// `work-order.register-unit` of a good unit.
pub fn register_unit(id: &str, op: u16, serial: &str) -> Value {
    command("work-order.register-unit", id, None, json!({"op": op, "serial": serial, "result": "good"}))
}

/// `work-order.hold`.
pub fn hold(id: &str, version: u64) -> Value {
    command("work-order.hold", id, Some(version), json!({"reason": "material_shortage"}))
}

/// `work-order.resume`.
pub fn resume(id: &str, version: u64) -> Value {
    command("work-order.resume", id, Some(version), json!({}))
}

/// `work-order.complete`.
pub fn complete(id: &str, version: u64) -> Value {
    command("work-order.complete", id, Some(version), json!({}))
}

/// `work-order.cancel`.
pub fn cancel(id: &str, version: u64) -> Value {
    command("work-order.cancel", id, Some(version), json!({"reason": "no_demand"}))
}

/// `work-order.add-note`.
pub fn add_note(id: &str, text: &str) -> Value {
    command("work-order.add-note", id, None, json!({"note_id": new_id(), "text": text}))
}

/// One step of a [`Story`].
pub struct Step {
    /// Who sends it.
    pub account: &'static str,
    /// What.
    pub command: Value,
    /// What must happen.
    pub events: &'static [&'static str],
}

/// An order of `pump-200` from its creation to its completion: both operations of its routing and
/// a registered unit for each piece.
pub struct Story {
    /// The order.
    pub id: String,
    /// How many pumps.
    pub qty: u32,
    prefix: String,
    sessions: [String; 2],
    version: u64,
    step: usize,
}

impl Story {
    /// `prefix` begins the serial numbers, which exist once for ever.
    pub fn new(prefix: &str, qty: u32) -> Story {
        Story { id: new_id(), qty, prefix: prefix.to_owned(), sessions: [new_id(), new_id()], version: 0, step: 0 }
    }

    /// The serial numbers of its pumps.
    pub fn serials(&self) -> Vec<String> {
        (1..=self.qty).map(|n| format!("{}{n:04}", self.prefix)).collect()
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        11 + self.qty as usize
    }

    /// Never: every story has steps.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The version of the order as of the last reply.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Takes the version out of the reply to the last step.
    pub fn heard(&mut self, reply: &Value) {
        self.version = version(reply);
    }

    /// The next step; its command expects the version of the last reply where it must.
    pub fn next_step(&mut self) -> Option<Step> {
        let (id, v) = (self.id.as_str(), self.version);
        let units = self.qty as usize;
        let step = |account, command, events| Some(Step { account, command, events });
        let planner = "planner-1";
        let operator = "operator-1";
        let n = self.step;
        self.step += 1;
        match n {
            0 => step(planner, create(id, "pump-200", self.qty), &["WorkOrderCreated"]),
            1 => step(planner, plan(id, v), &["WorkOrderPlanned"]),
            2 => step(planner, release(id, v), &["WorkOrderReleased"]),
            3 => step(planner, allocate_serials(id, &self.prefix, self.qty), &["SerialsAllocated"]),
            4 => step(
                operator,
                start_operation(id, 10, "cell-1", &self.sessions[0]),
                &["OperationStarted", "WorkOrderStarted"],
            ),
            5 => step(operator, report(id, 10, self.qty, 0), &["OperationQuantityReported"]),
            6 => step(operator, complete_operation(id, 10, false), &["OperationPaused", "OperationCompleted"]),
            7 => step(operator, start_operation(id, 20, "cell-2", &self.sessions[1]), &["OperationStarted"]),
            8 => step(operator, report(id, 20, self.qty, 0), &["OperationQuantityReported"]),
            n if n < 9 + units => {
                let serial = &self.serials()[n - 9];
                step(operator, register_unit(id, 20, serial), &["UnitRegistered"])
            }
            n if n == 9 + units => {
                step(operator, complete_operation(id, 20, false), &["OperationPaused", "OperationCompleted"])
            }
            n if n == 10 + units => step("lead-1", complete(id, v), &["WorkOrderCompleted"]),
            _ => None,
        }
    }
}
