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

impl PutReference {
    /// Notes the fields of the document that its kind does not have.
    pub(super) fn note_ignored(&self, ignored: &mut Vec<String>) {
        let note = |path: &str| crate::wire::note(ignored, &format!("payload.document.{path}"));
        // Whether the document is a good one is the decider's to say.
        let document = serde_json::Value::Object(self.document.clone());
        drop(crate::reference::Document::read_noting(self.kind, &document, note));
    }
}
