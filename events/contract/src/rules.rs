//! What the deciders of every context share: who may, for which reason, when. Pure.
//!
//! Owns the checks of the general rules (G3, G7) and of allowances. Rules of one command stand with
//! that command.

use crate::decide::{Allowance, DecisionContext, Person};
use crate::enums::Role;
use crate::event::parts::FileRefV1;
use crate::ids::{AccountName, ReasonCode};
use crate::reference::{CatalogueEntry, Document};
use crate::reply::{ErrorCode, FieldError, Rejection};
use crate::text::Text;
use crate::time::Instant;

/// Which conditions of an allowance hold for this command and this sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holds {
    /// The site's setting for this command is on.
    pub setting: bool,
    /// What is acted on is the sender's own.
    pub own: bool,
    /// It is at the sender's own cell.
    pub own_cell: bool,
    /// It is assigned to the sender.
    pub assigned: bool,
    /// A second person agrees.
    pub second: bool,
}

/// The role that the act is recorded with.
///
/// # Errors
/// `FORBIDDEN` when the condition of none of the sender's grants holds.
pub fn authorise(ctx: &DecisionContext<'_>, holds: Holds) -> Result<Role, Rejection> {
    authorise_if(ctx, holds, |_| true)
}

/// Like [`authorise`], for the roles of which `ok` is true.
pub fn authorise_if(ctx: &DecisionContext<'_>, holds: Holds, ok: impl Fn(Role) -> bool) -> Result<Role, Rejection> {
    let satisfied = |allowance| match allowance {
        Allowance::Yes => true,
        Allowance::Setting => holds.setting,
        Allowance::Own => holds.own,
        Allowance::OwnCell => holds.own_cell,
        Allowance::FourEyes => holds.second,
        Allowance::Assigned => holds.assigned,
    };
    ctx.actor.grant(|role, allowance| satisfied(allowance) && ok(role)).ok_or_else(|| {
        let why: Vec<String> = ctx.actor.grants.iter().map(|(r, a)| format!("{r}: {}", condition(*a))).collect();
        Rejection::forbidden(format!("{} may not do this here ({})", ctx.actor.account, why.join("; ")))
    })
}

const fn condition(a: Allowance) -> &'static str {
    match a {
        Allowance::Yes => "not in this case",
        Allowance::Setting => "only where the site's settings allow it",
        Allowance::Own => "only for what is your own",
        Allowance::OwnCell => "only at its own cell",
        Allowance::Assigned => "only what is assigned to you",
        Allowance::FourEyes => "only with a second person's approval",
    }
}

/// Does a second person of this site with one of these roles agree?
///
/// # Errors
/// `FORBIDDEN` when the one who is named is the sender, unknown, or has none of the roles here.
pub fn agreed(ctx: &DecisionContext<'_>, approver: Option<&AccountName>, roles: &[Role]) -> Result<bool, Rejection> {
    let Some(name) = approver else { return Ok(false) };
    if *name == ctx.actor.account {
        return Err(Rejection::forbidden("the approver is a second person, not the sender").at("payload.approver"));
    }
    let here = |p: &Person| ctx.site.is_some_and(|s| p.sites.contains(s)) && roles.iter().any(|r| p.roles.contains(r));
    if ctx.people.person(name).is_some_and(|p| here(&p)) {
        return Ok(true);
    }
    let roles: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
    Err(Rejection::forbidden(format!("{name} is no {} of this site", roles.join(" or "))).at("payload.approver"))
}

/// G3: an interval may not end before it began.
///
/// # Errors
/// `GUARD_FAILED` G3.
pub fn not_before(end: Instant, start: Instant, what: &'static str) -> Result<(), Rejection> {
    if end < start {
        return Err(Rejection::guard("G3", format!("{what}: occurred_at is before {start}"))
            .with("not_before", start.to_string()));
    }
    Ok(())
}

/// A catalogue as a decision looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue<'a> {
    /// Its code.
    pub code: &'a str,
    /// Its entries; none where it is not there.
    pub entries: &'a [CatalogueEntry],
}

impl<'a> Catalogue<'a> {
    /// From its document.
    pub fn of(code: &'a str, document: Option<&'a Document>) -> Self {
        let entries = match document {
            Some(Document::Catalogue(c)) => c.entries.as_slice(),
            _ => &[],
        };
        Catalogue { code, entries }
    }
}

/// What a catalogue says of a reason.
pub enum Reason<'a> {
    /// Its entry.
    Listed(&'a CatalogueEntry),
    /// The code alone: `other`, or a catalogue without entries.
    Plain,
}

impl<'a> Reason<'a> {
    /// The entry, where there is one.
    pub fn entry(&self) -> Option<&'a CatalogueEntry> {
        match self {
            Reason::Listed(e) => Some(e),
            Reason::Plain => None,
        }
    }
}

/// G7: a reason that must be given.
///
/// # Errors
/// `REASON_REQUIRED`, or as [`check_reason`].
pub fn need_reason<'a, 'p>(
    catalogue: Catalogue<'a>,
    reason: Option<&'p ReasonCode>,
    note: Option<&Text<2000>>,
) -> Result<(&'p ReasonCode, Reason<'a>), Rejection> {
    let code = reason.ok_or_else(|| {
        Rejection::new(ErrorCode::ReasonRequired, format!("give a reason from catalogue {}", catalogue.code))
            .at("payload.reason")
    })?;
    Ok((code, check_reason(catalogue, code, note, "payload.")?))
}

/// G7: is it an active entry? `other` always is and needs a note of 5 characters; a catalogue
/// without entries takes any code.
///
/// # Errors
/// `REASON_UNKNOWN` with the active codes; `VALIDATION` for the missing note.
pub fn check_reason<'a>(
    catalogue: Catalogue<'a>,
    code: &ReasonCode,
    note: Option<&Text<2000>>,
    path: &str,
) -> Result<Reason<'a>, Rejection> {
    let entries = catalogue.entries;
    let listed = entries.iter().find(|e| e.code == *code);
    if code.as_str() == "other" {
        if note.is_none_or(|n| n.as_str().chars().count() < 5) {
            let need = "reason other needs a note of at least 5 characters";
            return Err(Rejection::invalid(format!("{path}note"), need));
        }
        return Ok(listed.map_or(Reason::Plain, Reason::Listed));
    }
    match listed {
        Some(e) if e.active => Ok(Reason::Listed(e)),
        None if entries.is_empty() => Ok(Reason::Plain),
        _ => {
            let active: Vec<String> = entries.iter().filter(|e| e.active).map(|e| e.code.to_string()).collect();
            let message = format!("{code} is not an active entry of {}: {}", catalogue.code, active.join(", "));
            Err(Rejection::new(ErrorCode::ReasonUnknown, message)
                .at(format!("{path}reason"))
                .with("catalogue", catalogue.code)
                .with("allowed", active))
        }
    }
}

/// Something of that id is there already.
pub fn exists(message: impl Into<String>) -> Rejection {
    Rejection::new(ErrorCode::AlreadyExists, message)
}

/// The most bytes that a referenced file may have.
const MOST_FILE_BYTES: u64 = 25 * 1024 * 1024;

/// A reference to a file: a SHA-256 in lower-case hex, at most 25 MiB.
pub fn check_file(errors: &mut Vec<FieldError>, field: &str, f: &FileRefV1) {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if f.sha256.as_str().len() != 64 || !f.sha256.as_str().bytes().all(hex) {
        errors.push(FieldError::new(format!("{field}.sha256"), "is 64 lower-case hex digits"));
    }
    if f.bytes > MOST_FILE_BYTES {
        errors.push(FieldError::new(format!("{field}.bytes"), "is at most 26214400 (25 MiB)"));
    }
}

/// All failing fields at once.
///
/// # Errors
/// `VALIDATION` when there is one.
pub fn all_valid(errors: Vec<FieldError>) -> Result<(), Rejection> {
    if errors.is_empty() { Ok(()) } else { Err(Rejection::validation(errors)) }
}
