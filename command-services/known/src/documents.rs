//! Reference data, in memory: decisions ask for it several times each.

use std::collections::HashMap;
use std::sync::Arc;

use mw_contract::reference::{Availability, Document};
use mw_contract::{AccountName, Code, ReferenceKind};

/// What happened to a document: its new text, or none when it was retired.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its kind.
    pub kind: ReferenceKind,
    /// Its code.
    pub code: Code,
    /// Its new text.
    pub text: Option<String>,
}

/// The documents that are in use.
#[derive(Debug, Default)]
pub struct Documents {
    all: HashMap<ReferenceKind, HashMap<Code, Arc<Document>>>,
    /// The documents of attendance and absence, by person.
    of: HashMap<AccountName, Vec<Code>>,
}

impl Documents {
    /// Takes over what happened. A text that can't be read is not in use: production checked it
    /// when it was put, so a newer program wrote it.
    pub fn take(&mut self, changes: Vec<Change>) {
        for c in changes {
            let old = self.all.get_mut(&c.kind).and_then(|m| m.remove(&c.code));
            if let Some(Document::Availability(a)) = old.as_deref()
                && let Some(codes) = self.of.get_mut(&a.account)
            {
                codes.retain(|x| *x != c.code);
                if codes.is_empty() {
                    self.of.remove(&a.account);
                }
            }
            let Some(text) = c.text else { continue };
            let Some(document) = Document::stored(c.kind, &text) else {
                tracing::warn!(kind = %c.kind, code = %c.code, "a reference document can't be read");
                continue;
            };
            if let Document::Availability(a) = &document {
                self.of.entry(a.account.clone()).or_default().push(c.code.clone());
            }
            self.all.entry(c.kind).or_default().insert(c.code, Arc::new(document));
        }
    }

    /// A document that is in use.
    pub fn get(&self, kind: ReferenceKind, code: &str) -> Option<Arc<Document>> {
        self.all.get(&kind)?.get(code).cloned()
    }

    /// Attendance and absence of a person.
    pub fn availability(&self, account: &AccountName) -> Vec<Availability> {
        let codes = self.of.get(account).map_or(&[][..], Vec::as_slice);
        let one = |code: &Code| match &*self.get(ReferenceKind::Availability, code.as_str())? {
            Document::Availability(a) => Some(a.clone()),
            _ => None,
        };
        codes.iter().filter_map(one).collect()
    }
}
