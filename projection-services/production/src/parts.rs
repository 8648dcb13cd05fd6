//! Operations and missing material of an order as rows, for queues, the schedule and the shortage
//! list. They follow from the order alone and change when it does.

use mw_contract::{OperationState, WorkOrderState};
use mw_views::rows::differing;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::columns::{at, qty, text};
use crate::order::Order;

/// The rows of one order as they stand in the file.
#[derive(Default, PartialEq)]
pub struct Parts {
    operations: Vec<Vec<Value>>,
    shortages: Vec<Vec<Value>>,
}

/// Makes the tables.
pub fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE TABLE operation (
            seq INTEGER NOT NULL, op INTEGER NOT NULL, name TEXT NOT NULL, cell TEXT, cell_class TEXT, line TEXT,
            state INTEGER NOT NULL, ready INTEGER, open INTEGER NOT NULL, priority INTEGER NOT NULL,
            planned_start INTEGER, planned_end INTEGER, started_at INTEGER, ended_at INTEGER,
            planned_seconds INTEGER NOT NULL, setup_time INTEGER NOT NULL, run_time_per_unit TEXT NOT NULL,
            to_do TEXT NOT NULL, good TEXT NOT NULL, scrap TEXT NOT NULL, rework_open TEXT NOT NULL,
            predecessors TEXT NOT NULL, assigned TEXT NOT NULL, crew TEXT, PRIMARY KEY (seq, op)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE shortage (
            seq INTEGER NOT NULL, line_no INTEGER NOT NULL, item TEXT NOT NULL, op INTEGER, required TEXT NOT NULL,
            reserved TEXT NOT NULL, issued TEXT NOT NULL, missing TEXT NOT NULL, needed_at INTEGER NOT NULL,
            PRIMARY KEY (seq, line_no)
         ) STRICT, WITHOUT ROWID;",
    )
}

/// Makes what queries need.
pub fn create_indexes(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE INDEX operation_queue ON operation (cell, priority, planned_start) WHERE open = 1;
         CREATE INDEX operation_line ON operation (line, priority, planned_start) WHERE open = 1 AND cell IS NULL;
         CREATE INDEX operation_planned ON operation (planned_start);
         CREATE INDEX shortage_needed ON shortage (needed_at);
         CREATE INDEX shortage_item ON shortage (item, needed_at);",
    )
}

fn number(n: u64) -> Value {
    Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

impl Parts {
    /// The rows that an order should have.
    pub fn of(o: &Order) -> Parts {
        let h = &o.header;
        let live = matches!(h.state, WorkOrderState::Released | WorkOrderState::InProgress);
        let queued = live || h.state == WorkOrderState::OnHold;
        let operation = |op: &crate::operation::Operation| {
            let state = match op.state {
                OperationState::Pending if live && o.is_ready(op) => OperationState::Ready,
                s => s,
            };
            let before = o.predecessors(op);
            let before: Vec<serde_json::Value> = o
                .operations
                .iter()
                .filter(|p| before.contains(&p.step.op))
                .map(|p| serde_json::json!({"op": p.step.op, "state": p.state, "good": p.good}))
                .collect();
            vec![
                Value::Integer(i64::from(op.step.op)),
                Value::Text(op.step.name.to_string()),
                text(op.step.cell_id.as_ref()),
                text(op.step.cell_class.as_ref()),
                text(h.line.as_ref()),
                Value::Integer(i64::from(state.number())),
                o.operation_readiness(op).map_or(Value::Null, |r| Value::Integer(i64::from(r))),
                Value::Integer(i64::from(queued && !op.is_ended())),
                Value::Integer(i64::from(h.priority)),
                at(op.planned_start.or(h.planned_start)),
                at(op.planned_end.or(h.planned_end)),
                at(op.started_at),
                at(op.ended_at),
                number(op.planned_time(h.planned_qty).0),
                number(op.step.setup_time.0),
                Value::Text(op.step.run_time_per_unit.to_string()),
                qty(o.to_do(op)),
                qty(op.good),
                qty(op.scrap),
                qty(op.rework_open),
                Value::Text(serde_json::Value::from(before).to_string()),
                Value::Text(serde_json::json!(op.assigned).to_string()),
                text(op.crew.as_ref()),
            ]
        };
        let shortage = |s: &crate::material::Shortage| {
            let line = o.bom.iter().find(|b| b.line_no == s.line_no)?;
            let m = o.material_of(s.line_no);
            let op = line.op.and_then(|n| o.operations.iter().find(|x| x.step.op == n));
            let needed = op.and_then(|x| x.planned_start).or(h.planned_start).unwrap_or(h.due_at);
            Some(vec![
                Value::Integer(i64::from(s.line_no)),
                Value::Text(s.item_id.to_string()),
                line.op.map_or(Value::Null, |n| Value::Integer(i64::from(n))),
                qty(o.required(line)),
                qty(o.reserved(s.line_no)),
                qty(m.issued.less(m.returned)),
                qty(s.missing_qty),
                Value::Integer(needed.millis()),
            ])
        };
        Parts {
            operations: o.operations.iter().map(operation).collect(),
            shortages: o.shortages().iter().filter_map(shortage).collect(),
        }
    }

    /// Brings the file in step; only rows that differ are written.
    pub fn replace(&mut self, tx: &Connection, seq: i64, new: Parts) -> rusqlite::Result<()> {
        differing(tx, "operation", "op", seq, &self.operations, &new.operations)?;
        differing(tx, "shortage", "line_no", seq, &self.shortages, &new.shortages)?;
        *self = new;
        Ok(())
    }
}
