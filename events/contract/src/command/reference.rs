//! Payloads of the reference-data commands.

use crate::enums::ReferenceKind;
use crate::ids::{Code, ReasonCode};

payload! {
    /// `reference.put`: makes or replaces a document; the earlier versions stay in history.
    PutReference {
        kind: ReferenceKind,
        code: Code,
        /// By the JSON Schema of its kind, `Reference…` in `/openapi.json`.
        document: serde_json::Map<String, serde_json::Value>,
    }

    /// `reference.retire`: the code can't be used by new decisions any more.
    RetireReference {
        kind: ReferenceKind,
        code: Code,
        reason: Option<ReasonCode>,
    }
}
