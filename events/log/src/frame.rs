//! A commit as bytes. The same bytes are one record of the log, one leaf of its Merkle tree, and
//! what a reader in another process gets.
//!
//! ```text
//! offset  0        1          5         9
//!         format   length     CRC32C    body: number, last position, head, events
//! ```
//! Integers are little endian; lengths and counts are LEB128 in their shortest form. The length
//! is that of the whole frame; the CRC covers everything but itself. There is exactly one way to
//! write a commit, and decoding takes no other (but for spaces in the JSON of a refusal's details).
//!
//! This module must never panic on any input, allocate by an unchecked length, or look into an
//! event's payload.

use std::fmt;

use mw_contract::commit::{CommitHead, NewCommit, NewEvent, Outcome, StoredCommit, StoredEvent};
use mw_contract::{
    AccountName, AggregateId, AggregateKind, CausationId, CommandId, CommitNumber, CorrelationId, ErrorCode, EventId,
    Instant, Position, Rejection, Role, SiteId, StreamId, Version, Warning,
};

/// The format byte of the frames written today.
pub const FORMAT: u8 = 1;
/// Format, length, CRC.
pub const HEADER: usize = 9;
/// No frame is longer. A command is at most 64 KiB and an event 16 KiB, so this is far off.
pub const MAX_FRAME: usize = 8 * 1024 * 1024;

/// Bytes that are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than its header.
    #[error("only {0} bytes, less than a frame's header")]
    Short(usize),
    /// A format of another time.
    #[error("unknown frame format {0}")]
    Format(u8),
    /// The length in the header is not the number of bytes at hand.
    #[error("the frame says it has {says} bytes, but there are {has}")]
    Length {
        /// What the header says.
        says: u64,
        /// What there is.
        has: u64,
    },
    /// The bytes have changed since they were written.
    #[error("checksum {found:08x} instead of {expected:08x}")]
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes give.
        found: u32,
    },
    /// The checksum holds but the body is not one that this program writes.
    #[error("{field} at byte {at} {reason}")]
    Body {
        /// What was being read.
        field: &'static str,
        /// Where.
        at: usize,
        /// What is wrong.
        reason: String,
    },
}

const HAS_AGGREGATE: u8 = 1;
const HAS_DEVICE: u8 = 2;
const HAS_CORRELATION: u8 = 4;
const HAS_CAUSATION: u8 = 8;
const HAS_SITE: u8 = 16;
const REJECTION_FIELD: u8 = 1;
const REJECTION_DETAILS: u8 = 2;
const REJECTION_RETRYABLE: u8 = 4;
const EVENT_LATE: u8 = 1;

/// The frame of a new commit whose events take the positions up to `last_position`.
pub fn encode_commit(number: CommitNumber, last_position: Position, commit: &NewCommit) -> Vec<u8> {
    let first = last_position.0.wrapping_sub(commit.events.len() as u64);
    let events = commit.events.iter().enumerate().map(|(i, e)| (Position(first.wrapping_add(i as u64 + 1)), e));
    encode(number, last_position, &commit.head, events)
}

/// The frame of a stored commit: the same bytes that the log holds.
pub fn encode_stored(commit: &StoredCommit) -> Vec<u8> {
    encode(commit.number, commit.last_position, &commit.head, commit.events.iter().map(|e| (e.position, &e.event)))
}

fn encode<'a>(
    number: CommitNumber,
    last_position: Position,
    h: &CommitHead,
    events: impl ExactSizeIterator<Item = (Position, &'a NewEvent)>,
) -> Vec<u8> {
    let mut b = Vec::with_capacity(512);
    b.extend_from_slice(&[FORMAT, 0, 0, 0, 0, 0, 0, 0, 0]);
    u64le(&mut b, number.0);
    u64le(&mut b, last_position.0);
    b.extend_from_slice(h.command_id.as_bytes());
    bytes(&mut b, h.command_type.as_bytes());
    bytes(&mut b, h.account.as_str().as_bytes());
    b.push(h.role.map_or(0, Role::number));
    b.push(
        flag(h.aggregate_id.is_some(), HAS_AGGREGATE)
            | flag(h.device.is_some(), HAS_DEVICE)
            | flag(h.correlation_id.is_some(), HAS_CORRELATION)
            | flag(h.causation_id.is_some(), HAS_CAUSATION)
            | flag(h.site.is_some(), HAS_SITE),
    );
    if let Some(s) = &h.site {
        bytes(&mut b, s.as_str().as_bytes());
    }
    b.extend_from_slice(&h.payload_hash);
    if let Some(id) = &h.aggregate_id {
        b.extend_from_slice(id.as_bytes());
    }
    u64le(&mut b, h.version.0);
    u64le(&mut b, h.recorded_at.millis() as u64);
    u64le(&mut b, h.occurred_at.millis() as u64);
    if let Some(d) = &h.device {
        bytes(&mut b, d.as_bytes());
    }
    if let Some(id) = &h.correlation_id {
        b.extend_from_slice(id.as_bytes());
    }
    if let Some(id) = &h.causation_id {
        b.extend_from_slice(id.as_bytes());
    }
    match &h.outcome {
        Outcome::Accepted => b.push(0),
        Outcome::Rejected(r) => {
            b.push(1);
            rejection(&mut b, r);
        }
        Outcome::Existing => b.push(2),
    }
    varint(&mut b, h.warnings.len() as u64);
    for w in &h.warnings {
        bytes(&mut b, w.code.as_bytes());
        bytes(&mut b, w.message.as_bytes());
    }
    varint(&mut b, events.len() as u64);
    for (position, e) in events {
        u64le(&mut b, position.0);
        b.push(e.stream.kind.number());
        b.extend_from_slice(e.stream.id.as_bytes());
        u64le(&mut b, e.version.0);
        bytes(&mut b, e.event_type.as_bytes());
        b.extend_from_slice(&e.schema.to_le_bytes());
        b.extend_from_slice(e.event_id.as_bytes());
        u64le(&mut b, e.occurred_at.millis() as u64);
        b.push(flag(e.late, EVENT_LATE));
        bytes(&mut b, &e.payload);
    }
    // An engine refuses what is over MAX_FRAME, so a length that does not fit is never stored.
    let len = u32::try_from(b.len()).unwrap_or(u32::MAX);
    b[1..5].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&b);
    b[5..9].copy_from_slice(&crc.to_le_bytes());
    b
}

fn rejection(b: &mut Vec<u8>, r: &Rejection) {
    b.push(r.code.number());
    b.push(
        flag(r.field.is_some(), REJECTION_FIELD)
            | flag(r.details.is_some(), REJECTION_DETAILS)
            | flag(r.retryable, REJECTION_RETRYABLE),
    );
    bytes(b, r.message.as_bytes());
    if let Some(f) = &r.field {
        bytes(b, f.as_bytes());
    }
    if let Some(d) = &r.details {
        bytes(b, d.to_string().as_bytes());
    }
}

fn flag(on: bool, bit: u8) -> u8 {
    if on { bit } else { 0 }
}

fn u64le(b: &mut Vec<u8>, n: u64) {
    b.extend_from_slice(&n.to_le_bytes());
}

fn varint(b: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        b.push(n as u8 | 0x80);
        n >>= 7;
    }
    b.push(n as u8);
}

fn bytes(b: &mut Vec<u8>, s: &[u8]) {
    varint(b, s.len() as u64);
    b.extend_from_slice(s);
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..5]), &frame[HEADER..])
}

/// The length that a frame's header gives; `None` while the header is incomplete.
pub fn announced_len(frame: &[u8]) -> Option<u32> {
    frame.get(1..5).and_then(|l| l.try_into().ok()).map(u32::from_le_bytes)
}

/// Checks the header and the CRC alone, without reading the body.
pub fn check(frame: &[u8]) -> Result<(), FrameError> {
    let (Some(says), Some(crc)) = (announced_len(frame), frame.get(5..HEADER)) else {
        return Err(FrameError::Short(frame.len()));
    };
    if frame[0] != FORMAT {
        return Err(FrameError::Format(frame[0]));
    }
    if says as usize != frame.len() || frame.len() > MAX_FRAME {
        return Err(FrameError::Length { says: u64::from(says), has: frame.len() as u64 });
    }
    let expected = u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]);
    let found = checksum(frame);
    if expected != found {
        return Err(FrameError::Checksum { expected, found });
    }
    Ok(())
}

/// Reads a frame. Every byte must be used, and every value be one that [`encode_stored`] writes.
pub fn decode_commit(frame: &[u8]) -> Result<StoredCommit, FrameError> {
    check(frame)?;
    let mut r = Reader { b: frame, at: HEADER };
    let number = CommitNumber(r.u64("commit number")?);
    let last_position = Position(r.u64("last position")?);
    let head = head(&mut r)?;
    let n = r.count("event count", 60)?;
    let mut events = Vec::with_capacity(n);
    for i in 0..n {
        let position = Position(r.u64("position")?);
        let expected = (last_position.0).checked_sub((n - 1 - i) as u64);
        if expected != Some(position.0) || position.0 == 0 {
            return r.bad("position", "does not lead up to the commit's last position");
        }
        events.push(StoredEvent { position, event: event(&mut r)? });
    }
    if r.at != frame.len() {
        return r.bad("end", format!("is followed by {} more bytes", frame.len() - r.at));
    }
    Ok(StoredCommit { number, last_position, head, events })
}

fn head(r: &mut Reader<'_>) -> Result<CommitHead, FrameError> {
    let command_id = CommandId(r.uuid("command id")?);
    let command_type = r.str("command type")?.into();
    let account = r.parsed("account", AccountName::new)?;
    let role = match r.u8("role")? {
        0 => None,
        n => Some(r.known("role", Role::from_number(n))?),
    };
    let has = r.flags("flags", HAS_AGGREGATE | HAS_DEVICE | HAS_CORRELATION | HAS_CAUSATION | HAS_SITE)?;
    let site = if has & HAS_SITE != 0 { Some(r.parsed("site", SiteId::new)?) } else { None };
    let payload_hash = r.array("payload hash")?;
    let aggregate_id = if has & HAS_AGGREGATE != 0 { Some(AggregateId(r.uuid("aggregate id")?)) } else { None };
    let version = Version(r.u64("version")?);
    let recorded_at = r.instant("recorded at")?;
    let occurred_at = r.instant("occurred at")?;
    let device = if has & HAS_DEVICE != 0 { Some(r.str("device")?.into()) } else { None };
    let correlation_id = if has & HAS_CORRELATION != 0 { Some(CorrelationId(r.uuid("correlation id")?)) } else { None };
    let causation_id = if has & HAS_CAUSATION != 0 { Some(CausationId(r.uuid("causation id")?)) } else { None };
    let outcome = match r.u8("outcome")? {
        0 => Outcome::Accepted,
        1 => Outcome::Rejected(read_rejection(r)?),
        2 => Outcome::Existing,
        n => return r.bad("outcome", format!("is {n}, which is not known")),
    };
    let n = r.count("warning count", 2)?;
    let mut warnings = Vec::with_capacity(n);
    for _ in 0..n {
        warnings.push(Warning { code: r.str("warning code")?.to_owned(), message: r.str("warning")?.to_owned() });
    }
    Ok(CommitHead {
        command_id,
        command_type,
        account,
        role,
        site,
        payload_hash,
        aggregate_id,
        version,
        recorded_at,
        occurred_at,
        device,
        correlation_id,
        causation_id,
        outcome,
        warnings,
    })
}

fn read_rejection(r: &mut Reader<'_>) -> Result<Rejection, FrameError> {
    let code = r.u8("error code")?;
    let code = r.known("error code", ErrorCode::from_number(code))?;
    let has = r.flags("rejection flags", REJECTION_FIELD | REJECTION_DETAILS | REJECTION_RETRYABLE)?;
    let message = r.str("message")?.to_owned();
    let field = if has & REJECTION_FIELD != 0 { Some(r.str("field")?.to_owned()) } else { None };
    let details = if has & REJECTION_DETAILS != 0 {
        Some(r.parsed("details", serde_json::from_str::<serde_json::Value>)?)
    } else {
        None
    };
    Ok(Rejection { code, message, field, details, retryable: has & REJECTION_RETRYABLE != 0 })
}

fn event(r: &mut Reader<'_>) -> Result<NewEvent, FrameError> {
    let kind = r.u8("stream kind")?;
    let kind = r.known("stream kind", AggregateKind::from_number(kind))?;
    let stream = StreamId::new(kind, AggregateId(r.uuid("stream id")?));
    let version = Version(r.u64("version")?);
    let event_type = r.str("event type")?.into();
    let schema = u16::from_le_bytes(r.array("schema version")?);
    let event_id = EventId(r.uuid("event id")?);
    let occurred_at = r.instant("occurred at")?;
    let late = r.flags("event flags", EVENT_LATE)? & EVENT_LATE != 0;
    let payload = r.bytes("payload")?.to_vec();
    Ok(NewEvent { stream, version, event_id, event_type, schema, occurred_at, late, payload })
}

struct Reader<'a> {
    b: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bad<T>(&self, field: &'static str, reason: impl fmt::Display) -> Result<T, FrameError> {
        Err(FrameError::Body { field, at: self.at, reason: reason.to_string() })
    }

    fn take(&mut self, field: &'static str, n: usize) -> Result<&'a [u8], FrameError> {
        match self.at.checked_add(n).and_then(|end| self.b.get(self.at..end)) {
            Some(s) => {
                self.at += n;
                Ok(s)
            }
            None => self.bad(field, "goes beyond the frame"),
        }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FrameError> {
        let mut a = [0; N];
        a.copy_from_slice(self.take(field, N)?);
        Ok(a)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, FrameError> {
        Ok(self.take(field, 1)?[0])
    }

    fn u64(&mut self, field: &'static str) -> Result<u64, FrameError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    fn uuid(&mut self, field: &'static str) -> Result<uuid::Uuid, FrameError> {
        Ok(uuid::Uuid::from_bytes(self.array(field)?))
    }

    fn flags(&mut self, field: &'static str, known: u8) -> Result<u8, FrameError> {
        match self.u8(field)? {
            f if f & !known == 0 => Ok(f),
            f => self.bad(field, format!("are {f:#04x}, some of which are not known")),
        }
    }

    fn varint(&mut self, field: &'static str) -> Result<u64, FrameError> {
        let mut n = 0u64;
        // Nine groups of seven bits are more than any length here.
        for shift in (0..63).step_by(7) {
            let byte = self.u8(field)?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { self.bad(field, "is not in its shortest form") } else { Ok(n) };
            }
        }
        self.bad(field, "is too long a number")
    }

    /// A number of things that take at least `each` bytes: never more than what is left can hold.
    fn count(&mut self, field: &'static str, each: usize) -> Result<usize, FrameError> {
        let n = self.varint(field)?;
        match usize::try_from(n) {
            Ok(n) if n <= (self.b.len() - self.at) / each => Ok(n),
            _ => self.bad(field, format!("is {n}, more than the frame can hold")),
        }
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], FrameError> {
        let n = self.count(field, 1)?;
        self.take(field, n)
    }

    fn str(&mut self, field: &'static str) -> Result<&'a str, FrameError> {
        let at = self.at;
        std::str::from_utf8(self.bytes(field)?).map_err(|e| FrameError::Body {
            field,
            at,
            reason: format!("is not UTF-8: {e}"),
        })
    }

    fn parsed<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<T, FrameError> {
        let at = self.at;
        parse(self.str(field)?).map_err(|e| FrameError::Body { field, at, reason: format!("is not one: {e}") })
    }

    fn known<T>(&self, field: &'static str, v: Option<T>) -> Result<T, FrameError> {
        match v {
            Some(v) => Ok(v),
            None => self.bad(field, "is a number that is not known"),
        }
    }

    fn instant(&mut self, field: &'static str) -> Result<Instant, FrameError> {
        let ms = self.u64(field)? as i64;
        match Instant::from_millis(ms) {
            Ok(t) => Ok(t),
            Err(e) => self.bad(field, e),
        }
    }
}
