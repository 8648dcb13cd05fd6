//! Where a stream stood at an earlier moment, and in which commits that is written.

use mw_contract::{AggregateId, AggregateKind, Instant, Position, Version};
use rusqlite::{Connection, OptionalExtension, params};

/// A moment of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// What was recorded then or before.
    Time(Instant),
    /// What stands in the context's log up to there.
    Position(Position),
    /// What the stream held with this version.
    Version(Version),
}

impl std::str::FromStr for Moment {
    type Err = ();

    /// An instant, or `position:N`.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_prefix("position:") {
            Some(n) => n.parse().map(|n| Moment::Position(Position(n))).map_err(|_| ()),
            None => text.parse().map(Moment::Time).map_err(|_| ()),
        }
    }
}

/// A stream at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The version that it had.
    pub version: Version,
    /// The position of the event that made it so.
    pub position: Position,
    /// The numbers of the commits up to there, in order.
    pub commits: Vec<u64>,
}

/// How a stream stood; `None` when it did not exist yet.
///
/// The last version that the moment holds decides, and every one before it counts: a clock that
/// was set back must not make a hole.
pub fn standing(
    conn: &Connection,
    kind: AggregateKind,
    id: AggregateId,
    moment: Moment,
) -> rusqlite::Result<Option<Standing>> {
    let (column, bound) = match moment {
        Moment::Time(t) => ("recorded_at", t.millis()),
        Moment::Position(p) => ("position", i64::try_from(p.0).unwrap_or(i64::MAX)),
        Moment::Version(v) => ("version", i64::try_from(v.0).unwrap_or(i64::MAX)),
    };
    let (version, position): (Option<i64>, Option<i64>) = conn
        .prepare_cached(&format!(
            "SELECT max(version), max(position) FROM trail WHERE entity = ?1 AND kind = ?2 AND {column} <= ?3"
        ))?
        .query_row(params![id.as_bytes(), kind.number(), bound], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let (Some(version), Some(position)) = (version, position) else { return Ok(None) };
    let commits = conn
        .prepare_cached(
            "SELECT DISTINCT commit_number FROM trail WHERE entity = ?1 AND kind = ?2 AND version <= ?3
             ORDER BY commit_number",
        )?
        .query_map(params![id.as_bytes(), kind.number(), version], |r| r.get::<_, i64>(0))?
        .map(|n| n.map(|n| n as u64))
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Standing { version: Version(version as u64), position: Position(position as u64), commits }))
}

/// When what stands at a position, or last before it, was recorded.
///
/// # Errors
/// SQLite's.
pub fn recorded_at(conn: &Connection, position: Position) -> rusqlite::Result<Option<Instant>> {
    conn.prepare_cached("SELECT recorded_at FROM trail WHERE position <= ?1 ORDER BY position DESC LIMIT 1")?
        .query_row([i64::try_from(position.0).unwrap_or(i64::MAX)], |r| r.get(0))
        .optional()
        .map(|ms| ms.map(Instant::clamped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_instant_or_a_position() {
        assert_eq!("position:7".parse(), Ok(Moment::Position(Position(7))));
        let t: Instant = "2026-03-02T09:00:00.000Z".parse().unwrap();
        assert_eq!("2026-03-02T09:00:00Z".parse(), Ok(Moment::Time(t)));
        for bad in ["", "7", "position:", "position:-1", "yesterday"] {
            assert_eq!(bad.parse::<Moment>(), Err(()), "{bad}");
        }
    }
}
