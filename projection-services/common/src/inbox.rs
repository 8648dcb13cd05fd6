//! The conflict inbox (RM-17): refused commands that a person should look at. They come from the
//! stored refusals, so nothing has to remember to put them there.
//!
//! An item is open until somebody dismisses it, or until a command that names it as its cause is
//! accepted.

use mw_contract::commit::Outcome;
use mw_contract::{AggregateId, AggregateKind, ErrorCode, Event, Instant, Rejection, Role, StoredCommit};
use mw_projection::ApplyError;
use rusqlite::{Connection, params};

/// Why an item is in the inbox.
pub const KINDS: &[&str] = &["late_report", "offline", "clock_skew", "process_failed"];
/// What may have become of one.
pub const STATES: &[&str] = &["open", "dismissed", "resolved"];

/// The account of the process managers.
const PROCESSES: &str = "processes";

/// Reports that only add, so that a late one may still be right.
const REPORTS: &[&str] = &[
    "work-order.report-quantity",
    "work-order.complete-operation",
    "work-order.pause-operation",
    "work-order.register-unit",
    "work-order.record-consumption",
    "work-order.record-inspection",
    "ticket.log-work",
    "ticket.consume-parts",
    "ticket.pause-work",
    "ticket.record-reading",
];

/// Makes the tables. A dismissal is kept apart too: it is production's, and the item may be of
/// another context.
pub fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE TABLE inbox (
            command_id BLOB NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL, commit_number INTEGER NOT NULL,
            recorded_at INTEGER NOT NULL, occurred_at INTEGER NOT NULL, role INTEGER, device TEXT, site TEXT,
            command_type TEXT NOT NULL, aggregate_id BLOB, code TEXT NOT NULL, message TEXT NOT NULL,
            details TEXT, state TEXT NOT NULL, settled_at INTEGER, settled_by TEXT, reason TEXT,
            resolved_by BLOB, PRIMARY KEY (command_id, account)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE dismissal (
            command_id BLOB PRIMARY KEY, at INTEGER NOT NULL, account TEXT NOT NULL, reason TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;",
    )
}

/// Makes what queries need.
pub fn create_indexes(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("CREATE INDEX inbox_state ON inbox (state, recorded_at, command_id)")
}

/// Writes what a commit means for the inbox. `ended` tells when a completed or closed order,
/// or a closed ticket, ended.
pub fn commit(
    tx: &Connection,
    commit: &StoredCommit,
    events: &[Event],
    ended: impl Fn(AggregateId) -> Result<Option<Instant>, ApplyError>,
) -> Result<(), ApplyError> {
    let h = &commit.head;
    if let Outcome::Rejected(refusal) = &h.outcome {
        return match kind(commit, refusal, ended)? {
            Some(kind) => put(tx, commit, refusal, kind),
            None => Ok(()),
        };
    }
    if let Some(cause) = &h.causation_id {
        tx.prepare_cached(
            "UPDATE inbox SET state = 'resolved', settled_at = ?2, settled_by = ?3, resolved_by = ?4
             WHERE command_id = ?1 AND state = 'open'",
        )?
        .execute(params![
            cause.as_bytes(),
            h.recorded_at.millis(),
            h.account.as_str(),
            h.command_id.as_bytes()
        ])?;
    }
    for (stored, event) in commit.events.iter().zip(events) {
        let (AggregateKind::Inbox, Event::InboxItemDismissed(e)) = (stored.event.stream.kind, event) else { continue };
        let id = stored.event.stream.id;
        let (at, by, reason) = (h.recorded_at.millis(), h.account.as_str(), e.reason.as_str());
        tx.prepare_cached("INSERT OR REPLACE INTO dismissal VALUES (?1,?2,?3,?4)")?.execute(params![
            id.as_bytes(),
            at,
            by,
            reason,
        ])?;
        tx.prepare_cached(
            "UPDATE inbox SET state = 'dismissed', settled_at = ?2, settled_by = ?3, reason = ?4
             WHERE command_id = ?1 AND state = 'open'",
        )?
        .execute(params![id.as_bytes(), at, by, reason])?;
    }
    Ok(())
}

fn kind(
    commit: &StoredCommit,
    refusal: &Rejection,
    ended: impl Fn(AggregateId) -> Result<Option<Instant>, ApplyError>,
) -> Result<Option<&'static str>, ApplyError> {
    let h = &commit.head;
    if h.account.as_str() == PROCESSES {
        return Ok((!is_an_answer(&h.command_type, refusal.code)).then_some("process_failed"));
    }
    if refusal.code == ErrorCode::ClockSkew && (h.role == Some(Role::Device) || h.device.is_some()) {
        return Ok(Some("clock_skew"));
    }
    if refusal.code == ErrorCode::InvalidState
        && REPORTS.contains(&&*h.command_type)
        && let Some(id) = h.aggregate_id
        && ended(id)?.is_some_and(|end| h.occurred_at < end)
    {
        return Ok(Some("late_report"));
    }
    let offline = refusal.details.as_ref().and_then(|d| d.get("captured_offline")) == Some(&serde_json::json!(true));
    Ok(offline.then_some("offline"))
}

/// What its aggregate has answered by going on before the command came.
const OVERTAKEN: &[&str] = &[
    "ticket.hold",
    "ticket.resume",
    "ticket.reopen",
    "ticket.cancel",
    "ticket.close",
    "ticket.pause-work",
    "ticket.expire-quote",
    "ticket.release-parts",
    "ticket.raise-sla-warning",
    "ticket.breach-sla",
    "ticket.escalate",
    "maintenance-plan.mark-due",
    "maintenance-plan.mark-done",
    // What was made already goes to stock.
    "work-order.cancel",
    "equipment.start-downtime",
    "equipment.end-downtime",
    "equipment.classify-downtime",
];

/// What was to be let go or ended is gone, and an order that has ended needs nothing.
const GONE: &[&str] = &[
    "work-order.release-reservation",
    "stock.release-reservation",
    "work-order.request-material",
    "work-order.confirm-reservation",
    "work-order.pause-operation",
    "stock.reserve",
];

/// What a process manager reckons with, and has nobody look at. A recall that it proposes is refused for
/// people to see, and is none of these.
///
/// A refusal is final: the same command has the same outcome however often it is sent. One without an
/// outcome is no failure yet; it is sent again until it has one.
fn is_an_answer(command_type: &str, code: ErrorCode) -> bool {
    let is = |all: &[&str]| all.contains(&command_type);
    match code {
        // It is tried again on the version of now.
        ErrorCode::VersionConflict => true,
        // Too little is an answer to whoever asks for some; who has used it is told of no mistake by that.
        ErrorCode::InsufficientStock => is(&["stock.reserve"]),
        // Somebody issued what it was about to ask for: it asks for the rest.
        ErrorCode::GuardFailed => is(OVERTAKEN) || is(&["work-order.request-material"]),
        ErrorCode::NotFound => is(OVERTAKEN) || is(GONE),
        ErrorCode::InvalidState => is(OVERTAKEN) || is(GONE) || is(&["ticket.confirm-parts"]),
        // What it wanted is there. An order of the same id is another one.
        ErrorCode::AlreadyExists => !is(&["work-order.create"]),
        // A downtime that nobody gave a reason can't be split.
        ErrorCode::ReasonRequired => is(&["equipment.end-downtime", "equipment.classify-downtime"]),
        _ => false,
    }
}

fn put(tx: &Connection, commit: &StoredCommit, refusal: &Rejection, kind: &str) -> Result<(), ApplyError> {
    let h = &commit.head;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO inbox VALUES
         (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,'open',NULL,NULL,NULL,NULL)",
    )?
    .execute(params![
        h.command_id.as_bytes(),
        h.account.as_str(),
        kind,
        commit.number.0 as i64,
        h.recorded_at.millis(),
        h.occurred_at.millis(),
        h.role.map(|r| r.number()),
        h.device,
        h.site.as_ref().map(|s| s.as_str()),
        h.command_type,
        h.aggregate_id.as_ref().map(|a| a.as_bytes()),
        refusal.code.as_str(),
        refusal.message,
        refusal.details.as_ref().map(ToString::to_string),
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mw_contract::{CommandId, CommandType, CommitHead, CommitNumber, Position, Version};
    use uuid::Uuid;

    /// Every command that a process manager sends, with the refusals that nobody has to look at.
    const SENT: &[(&str, &[ErrorCode])] = {
        use ErrorCode::{
            AlreadyExists as There, GuardFailed as Guard, InsufficientStock as Short, InvalidState as State,
            NotFound as Gone, ReasonRequired as Reason, VersionConflict as Version,
        };
        const SEEN: &[ErrorCode] = &[There, Version];
        const OVERTAKEN: &[ErrorCode] = &[State, Gone, Guard, There, Version];
        const GONE: &[ErrorCode] = &[State, Gone, There, Version];
        &[
            ("ticket.open", SEEN),
            ("ticket.comment", SEEN),
            ("ticket.link", SEEN),
            ("ticket.hold", OVERTAKEN),
            ("ticket.resume", OVERTAKEN),
            ("ticket.reopen", OVERTAKEN),
            ("ticket.cancel", OVERTAKEN),
            ("ticket.close", OVERTAKEN),
            ("ticket.pause-work", OVERTAKEN),
            ("ticket.expire-quote", OVERTAKEN),
            ("ticket.escalate", OVERTAKEN),
            ("ticket.raise-sla-warning", OVERTAKEN),
            ("ticket.breach-sla", OVERTAKEN),
            ("ticket.release-parts", OVERTAKEN),
            ("ticket.confirm-parts", &[State, There, Version]),
            // A unit is ready, or does not come, and its ticket does not know.
            ("ticket.link-replacement-order", SEEN),
            ("ticket.confirm-replacement", SEEN),
            ("ticket.fail-replacement", SEEN),
            ("maintenance-plan.mark-due", OVERTAKEN),
            ("maintenance-plan.mark-done", OVERTAKEN),
            ("work-order.create", &[Version]),
            ("work-order.link", SEEN),
            ("work-order.add-note", SEEN),
            ("work-order.close", SEEN),
            ("work-order.cancel", OVERTAKEN),
            ("work-order.pause-operation", GONE),
            ("work-order.request-material", &[State, Gone, Guard, There, Version]),
            ("work-order.confirm-reservation", GONE),
            ("work-order.release-reservation", GONE),
            ("work-order.raise-nonconformance", SEEN),
            ("work-order.return-nonconformance", SEEN),
            ("stock.reserve", &[State, Gone, Short, There, Version]),
            ("stock.release-reservation", GONE),
            // What was used and is not there, somebody must count.
            ("stock.issue", SEEN),
            ("stock.return", SEEN),
            ("unit.register", SEEN),
            ("unit.ship", SEEN),
            ("unit.scrap", SEEN),
            ("unit.transfer", SEEN),
            ("unit.change-component", SEEN),
            ("unit.change-status", SEEN),
            ("unit.record-reading", SEEN),
            // Proposed by being refused.
            ("unit.recall", SEEN),
            ("equipment.start-downtime", OVERTAKEN),
            ("equipment.end-downtime", &[State, Gone, Guard, There, Version, Reason]),
            ("equipment.classify-downtime", &[State, Gone, Guard, There, Version, Reason]),
            ("equipment.record-counter", SEEN),
        ]
    };

    fn refused(account: &str, command: &str, code: ErrorCode) -> StoredCommit {
        let at: Instant = "2026-03-02T08:00:00Z".parse().unwrap();
        let head = CommitHead {
            command_id: CommandId(Uuid::new_v5(&Uuid::nil(), format!("{account} {command} {code}").as_bytes())),
            command_type: command.into(),
            account: account.parse().unwrap(),
            role: Some(Role::System),
            site: Some("plant-1".parse().unwrap()),
            payload_hash: [0; 32],
            aggregate_id: None,
            version: Version(0),
            recorded_at: at,
            occurred_at: at,
            device: None,
            correlation_id: None,
            causation_id: None,
            outcome: Outcome::Rejected(Rejection::new(code, "no")),
            warnings: Vec::new(),
        };
        StoredCommit { number: CommitNumber(1), last_position: Position(0), head, events: Vec::new() }
    }

    #[test]
    fn rm_17_a_failure_of_a_process_manager_is_an_item_and_an_answer_is_none() {
        let db = Connection::open_in_memory().unwrap();
        create_tables(&db).unwrap();
        let items = || db.query_row("SELECT count(*) FROM inbox", [], |r| r.get::<_, i64>(0)).unwrap();
        for (command, answers) in SENT {
            assert!(command.parse::<CommandType>().is_ok(), "{command}");
            for code in ErrorCode::ALL {
                let before = items();
                commit(&db, &refused(PROCESSES, command, *code), &[], |_| Ok(None)).unwrap();
                assert_eq!(items() - before, i64::from(!answers.contains(code)), "{command} {code}");
                commit(&db, &refused("planner-1", command, *code), &[], |_| Ok(None)).unwrap();
                assert_eq!(items() - before, i64::from(!answers.contains(code)), "{command} {code}: a person's own");
            }
        }
        let kinds: i64 = db
            .query_row("SELECT count(*) FROM inbox WHERE kind <> 'process_failed' OR state <> 'open'", [], |r| r.get(0))
            .unwrap();
        assert_eq!(kinds, 0);
    }
}
