use proptest::prelude::*;

use super::*;

const MAX: usize = 64 * 1024;

fn connect(level: u8, flags: u8, props: &[u8], payload: &[&[u8]]) -> Vec<u8> {
    let mut b = vec![0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 30];
    if level == 5 {
        b.push(props.len() as u8);
        b.extend_from_slice(props);
    }
    for p in payload {
        b.extend_from_slice(&(p.len() as u16).to_be_bytes());
        b.extend_from_slice(p);
    }
    frame(0x10, &b)
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    props::put_varint(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

fn one(bytes: &[u8], v: Version) -> Result<Packet<'_>, CodecError> {
    parse_frame(bytes, Some(v), MAX).map(|p| p.expect("a whole packet").0)
}

#[test]
fn a_connect_is_read_in_both_versions() {
    for level in [4, 5] {
        let props: &[u8] = &[0x11, 0, 0, 0, 9, 0x21, 0, 5, 0x26, 0, 1, b'a', 0, 1, b'b'];
        let bytes = connect(level, 0xc2, props, &[b"me", b"planner-1", b"secret"]);
        let (p, n) = parse_frame(&bytes, None, MAX).unwrap().unwrap();
        assert_eq!(n, bytes.len());
        let Packet::Connect(c) = p else { panic!("not a CONNECT") };
        assert_eq!((c.client_id, c.username, c.password), ("me", Some("planner-1"), Some(&b"secret"[..])));
        assert!(c.clean_start);
        if level == 5 {
            assert_eq!((c.session_expiry, c.receive_maximum), (9, 5));
        }
        // Every shorter piece asks for more, and never fails.
        for cut in 0..bytes.len() {
            assert_eq!(parse_frame(&bytes[..cut], None, MAX), Ok(None), "{cut}");
        }
    }
}

#[test]
fn a_connect_that_breaks_a_rule_is_refused() {
    let bad = [
        (connect(4, 0x03, &[], &[b"x"]), reason::MALFORMED),
        (connect(4, 0x42, &[], &[b"x", b"p"]), reason::MALFORMED),
        (connect(4, 0x1e, &[], &[b"x", b"t", b"m"]), reason::MALFORMED),
        (connect(4, 0x22, &[], &[b"x"]), reason::MALFORMED),
        (connect(3, 0x02, &[], &[b"x"]), reason::UNSUPPORTED_VERSION),
        (connect(9, 0x02, &[], &[b"x"]), reason::UNSUPPORTED_VERSION),
        (connect(4, 0x02, &[], &[b"x", b"left over"]), reason::MALFORMED),
        (connect(4, 0x02, &[], &[b"\xff"]), reason::MALFORMED),
        (connect(4, 0x02, &[], &[b"a\0b"]), reason::MALFORMED),
        (connect(5, 0x02, &[0x21, 0, 0], &[b"x"]), reason::PROTOCOL_ERROR),
        (connect(5, 0x02, &[0x17, 2], &[b"x"]), reason::PROTOCOL_ERROR),
        (connect(5, 0x02, &[0x17, 1, 0x17, 1], &[b"x"]), reason::PROTOCOL_ERROR),
        (connect(5, 0x02, &[0x23, 0, 1], &[b"x"]), reason::PROTOCOL_ERROR),
        (connect(5, 0x02, &[0x7f], &[b"x"]), reason::MALFORMED),
        (connect(5, 0x02, &[0x16, 0, 0], &[b"x"]), reason::PROTOCOL_ERROR),
        (frame(0x10, b"\0\x04MQTX\x04\x02\0\0\0\0"), reason::MALFORMED),
        (frame(0x11, b""), reason::MALFORMED),
        (frame(0x30, b"\0\x01a"), reason::PROTOCOL_ERROR),
    ];
    for (i, (bytes, code)) in bad.iter().enumerate() {
        let e = parse_frame(bytes, None, MAX).expect_err(&format!("case {i}"));
        assert_eq!(e.reason(), *code, "case {i}: {e}");
    }
}

#[test]
fn a_publish_is_read_and_its_rules_hold() {
    let v5 = frame(0x32, b"\0\x03a/b\0\x07\x05\x02\0\0\0\x1ehello");
    let Packet::Publish(p) = one(&v5, Version::V5).unwrap() else { panic!() };
    assert_eq!((p.topic, p.packet_id, p.qos, p.payload), ("a/b", 7, 1, &b"hello"[..]));
    assert_eq!(p.props.expiry, Some(30));
    assert_eq!(&*p.props.forward(true), b"");
    let v4 = frame(0x30, b"\0\x01ax");
    assert!(matches!(one(&v4, Version::V311), Ok(Packet::Publish(p)) if p.payload == b"x"));
    for (bytes, v, code) in [
        (frame(0x36, b"\0\x01a\0\x01"), Version::V311, reason::MALFORMED),
        (frame(0x38, b"\0\x01a"), Version::V311, reason::MALFORMED),
        (frame(0x32, b"\0\x01a\0\0"), Version::V311, reason::PROTOCOL_ERROR),
        (frame(0x30, b"\0\x01#"), Version::V311, reason::MALFORMED),
        (frame(0x30, b"\0\0"), Version::V311, reason::PROTOCOL_ERROR),
        (frame(0x30, b"\0\x05a"), Version::V311, reason::MALFORMED),
        (frame(0x30, b"\0\x01a\x02\x0b\x01"), Version::V5, reason::PROTOCOL_ERROR),
        (frame(0x30, b"\0\x01a\x03\x23\0\0"), Version::V5, reason::TOPIC_ALIAS_INVALID),
        (frame(0x30, b"\0\x01a\x04\x08\0\x01+"), Version::V5, reason::PROTOCOL_ERROR),
    ] {
        assert_eq!(one(&bytes, v).unwrap_err().reason(), code, "{bytes:?}");
    }
}

#[test]
fn what_is_forwarded_leaves_out_alias_expiry_and_a_foreign_response_topic() {
    let props = b"\x23\0\x01\x02\0\0\0\x05\x08\0\x01r\x09\0\x02cd\x26\0\x01k\0\x01v";
    let mut body = b"\0\x01a".to_vec();
    body.push(props.len() as u8);
    body.extend_from_slice(props);
    let bytes = frame(0x30, &body);
    let Packet::Publish(p) = one(&bytes, Version::V5).unwrap() else { panic!() };
    assert_eq!(&*p.props.forward(true), b"\x08\0\x01r\x09\0\x02cd\x26\0\x01k\0\x01v");
    assert_eq!(&*p.props.forward(false), b"\x09\0\x02cd\x26\0\x01k\0\x01v");
}

#[test]
fn packets_of_a_server_are_refused_from_a_client() {
    for v in [Version::V311, Version::V5] {
        for first in [0x20, 0x90, 0xb0, 0xd0, 0x10, 0x00] {
            assert!(one(&frame(first, b"\0\0"), v).is_err(), "{first:x}");
        }
    }
    assert!(one(&frame(0xf0, b""), Version::V311).is_err());
    assert_eq!(one(&frame(0xf0, b""), Version::V5), Ok(Packet::Auth));
}

#[test]
fn subscriptions_are_read_and_their_rules_hold() {
    let v5 = frame(0x82, b"\0\x01\x02\x0b\x07\0\x01a\x05\0\x01b\x00");
    let Packet::Subscribe(s) = one(&v5, Version::V5).unwrap() else { panic!() };
    assert_eq!((s.packet_id, s.subscription_id, s.filters.len()), (1, Some(7), 2));
    assert!(s.filters[0].no_local && s.filters[0].qos == 1);
    for (bytes, v) in [
        (frame(0x82, b"\0\x01"), Version::V311),
        (frame(0x82, b"\0\0\0\x01a\0"), Version::V311),
        (frame(0x82, b"\0\x01\0\x01a\x03"), Version::V311),
        (frame(0x82, b"\0\x01\0\x01a\x04"), Version::V311),
        (frame(0x80, b"\0\x01\0\x01a\0"), Version::V311),
        (frame(0x82, b"\0\x01\x00\0\x01a\x30"), Version::V5),
        (frame(0x82, b"\0\x01\x02\x0b\x00\0\x01a\x00"), Version::V5),
        (frame(0xa2, b"\0\x01"), Version::V311),
    ] {
        assert!(one(&bytes, v).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_packet_over_the_limit_is_refused_by_its_header_alone() {
    let e = parse_frame(&[0x30, 0xff, 0xff, 0xff, 0x7f], Some(Version::V5), MAX).unwrap_err();
    assert_eq!(e.reason(), reason::PACKET_TOO_LARGE);
    let e = parse_frame(&[0x30, 0xff, 0xff, 0xff, 0xff], Some(Version::V5), MAX).unwrap_err();
    assert_eq!(e.reason(), reason::MALFORMED);
    assert_eq!(parse_frame(&[0x30, 0xff], Some(Version::V5), MAX), Ok(None));
    assert!(parse_frame(&[0xc0, 0x80, 0x00], Some(Version::V5), MAX).is_err());
    assert!(matches!(parse_frame(&[0xc0, 0x80, 0x00], Some(Version::V311), MAX), Ok(Some(_))));
}

fn versions() -> impl Strategy<Value = Option<Version>> {
    prop_oneof![Just(None), Just(Some(Version::V311)), Just(Some(Version::V5))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_in_bounds(
        bytes in prop::collection::vec(any::<u8>(), 0..600), v in versions(),
    ) {
        if let Ok(Some((_, n))) = parse_frame(&bytes, v, 512) {
            prop_assert!(n <= bytes.len() && (2..=512).contains(&n));
        }
    }

    #[test]
    fn arbitrary_bodies_of_every_type_never_panic(
        first in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..300), v in versions(),
    ) {
        let bytes = frame(first, &body);
        match parse_frame(&bytes, v, MAX) {
            Ok(Some((p, n))) => {
                prop_assert_eq!(n, bytes.len());
                if let Packet::Publish(p) = p {
                    prop_assert!(p.props.forward(false).len() <= bytes.len());
                }
            }
            Ok(None) => prop_assert!(false, "a whole frame asked for more"),
            Err(_) => {}
        }
    }

    #[test]
    fn a_whole_packet_broken_in_one_place_never_panics(at in 0usize..64, with in any::<u8>()) {
        let mut bytes = connect(5, 0xce, &[0x11, 0, 0, 0, 9], &[b"id"]);
        bytes.extend_from_slice(b"\x00\0\x01t\0\x01m\0\x01u\0\x01p");
        bytes[1] = (bytes.len() - 2) as u8;
        if let Some(b) = bytes.get_mut(at) {
            *b = with;
        }
        let _ = parse_frame(&bytes, None, MAX);
    }
}
