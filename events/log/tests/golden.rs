//! The frame that the first version wrote. It never changes: what is in logs must be read for ever.

use std::path::Path;

use mw_contract::commit::{NewEvent, Outcome, StoredCommit, StoredEvent};
use mw_contract::{
    AggregateId, CausationId, CommandId, CommitNumber, CorrelationId, ErrorCode, EventId, Instant, Position, Rejection,
    Role, Version, Warning,
};
use mw_log::bench::commit_of;
use mw_log::frame::{decode_commit, encode_stored};
use proptest::prelude::*;
use uuid::Uuid;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Every field that a frame can have.
fn accepted() -> StoredCommit {
    let mut c = commit_of(3);
    let h = &mut c.head;
    h.command_id = CommandId(id(1));
    h.account = "planner-1".parse().unwrap();
    h.role = Some(Role::Planner);
    h.site = Some("plant-1".parse().unwrap());
    h.payload_hash = [0xab; 32];
    h.aggregate_id = Some(AggregateId(id(2)));
    h.version = Version(3);
    h.recorded_at = Instant::clamped(1_772_442_000_123);
    h.occurred_at = Instant::clamped(1_772_441_000_000);
    h.device = Some("tablet-7".into());
    h.correlation_id = Some(CorrelationId(id(4)));
    h.causation_id = Some(CausationId(id(5)));
    h.warnings = vec![Warning { code: "LATE".into(), message: "ä was late".into() }];
    let event = |n: u64| StoredEvent {
        position: Position(40 + n),
        event: NewEvent {
            stream: mw_contract::StreamId::new(mw_contract::AggregateKind::WorkOrder, AggregateId(id(2))),
            version: Version(1 + n),
            event_id: EventId(id(10 + u128::from(n))),
            event_type: "WorkOrderReleased".into(),
            schema: 1,
            occurred_at: Instant::clamped(1_772_441_000_000),
            late: n == 1,
            payload: vec![n as u8; 200 * n as usize],
        },
    };
    StoredCommit {
        number: CommitNumber(77),
        last_position: Position(42),
        head: c.head,
        events: vec![event(1), event(2)],
    }
}

fn refused() -> StoredCommit {
    let mut c = accepted();
    c.events.clear();
    c.head.outcome = Outcome::Rejected(Rejection {
        code: ErrorCode::Validation,
        message: "quantity must be above 0".into(),
        field: Some("payload.quantity".into()),
        details: Some(serde_json::json!({"max": "5"})),
        retryable: false,
    });
    c.head.role = None;
    c.head.site = None;
    c.head.device = None;
    c.head.warnings.clear();
    c
}

#[test]
fn frames_are_read_and_written_as_on_the_first_day() {
    for (name, commit) in [("accepted", accepted()), ("refused", refused())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}-v1.frame"));
        let bytes = encode_stored(&commit);
        if !path.exists() && std::env::var_os("MILLWRIGHT_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let golden = std::fs::read(&path).unwrap();
        assert_eq!(decode_commit(&golden).unwrap(), commit, "{name}");
        assert_eq!(bytes, golden, "{name}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_or_are_taken_for_a_frame(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode_commit(&bytes).is_err());
    }

    /// A body whose checksum was made to fit is decoded or refused, and what is decoded encodes to the same bytes.
    #[test]
    fn there_is_one_way_to_write_a_commit(at in 9usize..500, bits in 1u8..) {
        let mut frame = encode_stored(&accepted());
        let at = 9 + (at - 9) % (frame.len() - 9);
        frame[at] ^= bits;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..5]), &frame[9..]);
        frame[5..9].copy_from_slice(&crc.to_le_bytes());
        if let Ok(c) = decode_commit(&frame) {
            prop_assert_eq!(encode_stored(&c), frame);
        }
    }
}
