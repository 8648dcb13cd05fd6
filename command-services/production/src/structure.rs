//! Shape of routings and bills of materials, wherever they come from.
//!
//! Owns what makes one usable by an order at all. It names every failing field at once.

use std::collections::BTreeSet;

use mw_contract::event::parts::{BomLineV1, RoutingOperationV1};
use mw_contract::{FieldError, Overlap};

/// The most steps or lines that a document may have.
const MOST: usize = 200;

/// Operation numbers are unique and over 0; predecessors exist and have smaller numbers, so that
/// no circle can arise; a transfer batch has its quantity.
pub fn check_routing(errors: &mut Vec<FieldError>, path: &str, steps: &[RoutingOperationV1]) {
    if steps.len() > MOST {
        errors.push(FieldError::new(path, format!("has at most {MOST} operations")));
    }
    let numbers: BTreeSet<u16> = steps.iter().map(|s| s.op).collect();
    let mut seen = BTreeSet::new();
    for (i, s) in steps.iter().enumerate() {
        if s.op == 0 || !seen.insert(s.op) {
            errors.push(FieldError::new(format!("{path}[{i}].op"), "must be over 0 and stand only once"));
        }
        for p in s.predecessors.iter().flatten().filter(|p| **p >= s.op || !numbers.contains(p)) {
            let message = format!("{p} is not an operation of this routing with a number below {}", s.op);
            errors.push(FieldError::new(format!("{path}[{i}].predecessors"), message));
        }
        if s.overlap == Overlap::TransferBatch && s.transfer_batch_qty.is_none_or(|q| q.is_zero()) {
            let message = "is required and over 0 with overlap transfer_batch";
            errors.push(FieldError::new(format!("{path}[{i}].transfer_batch_qty"), message));
        }
    }
}

/// Line numbers are unique, and each line needs something.
pub fn check_bom(errors: &mut Vec<FieldError>, path: &str, lines: &[BomLineV1]) {
    if lines.len() > MOST {
        errors.push(FieldError::new(path, format!("has at most {MOST} lines")));
    }
    let mut seen = BTreeSet::new();
    for (i, l) in lines.iter().enumerate() {
        if !seen.insert(l.line_no) {
            errors.push(FieldError::new(format!("{path}[{i}].line_no"), "must stand only once"));
        }
        if l.qty_per_unit.is_zero() {
            errors.push(FieldError::new(format!("{path}[{i}].qty_per_unit"), "must be over 0"));
        }
    }
}
