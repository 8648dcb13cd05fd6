//! What `--demo` adds: the reference data of a small plant ([`reference_data`]), and with
//! `--with-history` what happened there in two weeks ([`history`], [`service`], [`play`]). All of it goes through
//! the ordinary command path.

pub mod history;
pub mod play;
pub mod service;

use anyhow::Result;
use mw_contract::CommandId;
use mw_runtime::CommandService;
use serde_json::json;
use uuid::Uuid;

use crate::services::identity::expect_done;

/// Puts the documents that are not there yet, and registers the cells as equipment. Command ids follow from kind, code and document, so
/// that every start may send them again: what was done is answered as a duplicate.
pub async fn reference_data(production: &CommandService) -> Result<()> {
    for (kind, code, document) in mw_production::demo::DOCUMENTS {
        let name = format!("demo:{kind}:{code}:{document}");
        let id = CommandId(Uuid::new_v5(&mw_contract::ids::NAMESPACE, name.as_bytes()));
        let document: serde_json::Value = serde_json::from_str(document)?;
        let command = json!({
            "command_id": id, "type": "reference.put",
            "payload": {"kind": kind, "code": code, "document": document},
        });
        expect_done(production, None, command.to_string().into_bytes()).await?;
    }
    for cell in ["cell-1", "cell-2"] {
        let name = format!("demo:equipment:{cell}");
        let command = json!({
            "command_id": CommandId(Uuid::new_v5(&mw_contract::ids::NAMESPACE, name.as_bytes())),
            "type": "equipment.register", "aggregate_id": mw_contract::equipment_id(&cell.parse()?),
            "payload": {"code": cell},
        });
        expect_done(production, Some("plant-1".parse()?), command.to_string().into_bytes()).await?;
    }
    Ok(())
}
