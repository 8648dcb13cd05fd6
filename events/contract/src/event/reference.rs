//! Events of reference data.

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::work_order::events;
use crate::enums::ReferenceKind;
use crate::ids::{Code, ReasonCode};
use crate::text::Sealed;

/// Canonical JSON of a document, shown as an object.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct DocumentText(pub String);

impl Serialize for DocumentText {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let v: serde_json::Value = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        v.serialize(s)
    }
}

impl JsonSchema for DocumentText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReferenceDocument".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }
}

events! {
    /// A document was made or replaced.
    ReferencePutV1 {
        kind: ReferenceKind,
        code: Code,
        revision: u32,
        document: DocumentText,
    }

    /// A document can't be used by new decisions any more.
    ReferenceRetiredV1 {
        kind: ReferenceKind,
        code: Code,
        reason: Option<ReasonCode>,
    }
}
