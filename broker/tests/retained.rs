//! Retained messages over real sockets.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use mw_broker::{Limits, Publish};

const DEV: &str = "mw/v1/plant-1/dev/cell-1/state/mode";
const ALL: &str = "mw/v1/plant-1/dev/#";

async fn retain(c: &mut Client, topic: &str, payload: &str, qos: u8) {
    let b = c.publish_bytes(topic.as_bytes(), payload.as_bytes(), qos << 1 | 1, 40, &[]);
    c.send(&b).await;
    if qos > 0 {
        assert_eq!(c.puback().await, (40, 0));
    } else {
        c.ping().await;
    }
}

/// Nothing is on its way: a fence after everything before.
async fn nothing(c: &mut Client) {
    c.ping().await;
    c.ping().await;
    assert!(c.inbox.is_empty(), "{:?}", c.inbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_is_given_to_whoever_subscribes_later() {
    let f = start().await;
    for said_by in BOTH {
        for heard_by in BOTH {
            let mut device = f.client(said_by, "d", "cell-1").await;
            let mut before = f.client(heard_by, "before", "planner-1").await;
            before.subscribe(ALL, 1).await;
            retain(&mut device, DEV, "old", 1).await;
            retain(&mut device, DEV, "new", 1).await;
            for text in ["old", "new"] {
                let m = before.message().await;
                assert_eq!((m.payload, m.retain), (text.into(), false), "it is news for those who listen already");
            }
            let mut after = f.client(heard_by, "after", "planner-1").await;
            assert_eq!(after.subscribe(ALL, 1).await, 1);
            let m = after.message().await;
            assert_eq!((m.topic.as_str(), m.payload, m.retain, m.qos), (DEV, b"new".to_vec(), true, 1));
            nothing(&mut after).await;
            let mut low = f.client(heard_by, "low", "planner-1").await;
            low.subscribe(DEV, 0).await;
            let m = low.message().await;
            assert_eq!((m.qos, m.retain), (0, true), "the lower of both");

            retain(&mut device, DEV, "", 1).await;
            assert_eq!(after.message().await.payload, b"", "its removal is a message to those who listen");
            let mut late = f.client(heard_by, "late", "planner-1").await;
            late.subscribe(ALL, 1).await;
            nothing(&mut late).await;
            retain(&mut device, DEV, "at most once", 0).await;
            late.subscribe(DEV, 1).await;
            let (live, kept) = (late.message().await, late.message().await);
            let mut flags = [(live.retain, live.qos), (kept.retain, kept.qos)];
            flags.sort_unstable();
            assert_eq!(flags, [(false, 0), (true, 0)]);
            retain(&mut device, DEV, "", 1).await;
            for c in [device, before, after, low, late] {
                c.goodbye().await;
            }
        }
    }
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_says_when_it_wants_them_and_how_they_are_marked() {
    let f = start().await;
    let mut device = f.client(V5, "d", "cell-1").await;
    retain(&mut device, DEV, "kept", 1).await;
    let mut c = f.client(V5, "c", "planner-1").await;
    // Retain handling 2: never.
    c.subscribe_with(DEV.as_bytes(), 1 | 2 << 4, &[]).await;
    nothing(&mut c).await;
    // 1: only with a new subscription, which this is not.
    c.subscribe_with(DEV.as_bytes(), 1 | 1 << 4, &[]).await;
    nothing(&mut c).await;
    // 0: always, with the subscription's identifier.
    c.subscribe_with(DEV.as_bytes(), 1, &[0x0b, 7]).await;
    let m = c.message().await;
    assert!(m.retain && m.props.windows(2).any(|w| w == [0x0b, 7]), "{m:?}");
    c.unsubscribe(DEV).await;
    c.subscribe_with(DEV.as_bytes(), 1 | 1 << 4, &[]).await;
    assert!(c.message().await.retain);
    // Retain as published.
    c.subscribe_with(DEV.as_bytes(), 1 | 1 << 3 | 2 << 4, &[]).await;
    retain(&mut device, DEV, "marked", 1).await;
    let m = c.message().await;
    assert_eq!((m.payload, m.retain), (b"marked".to_vec(), true));
    device.publish(DEV, b"plain", 1, 3).await;
    assert!(!c.message().await.retain);
    // 3.1.1 gets them with every SUBSCRIBE.
    let mut old = f.client(V4, "old", "planner-1").await;
    for _ in 0..2 {
        old.subscribe(DEV, 1).await;
        assert!(old.message().await.retain);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_thousands_arrives_through_a_narrow_window() {
    const N: usize = 2_500;
    let f = start_with(Limits { max_retained_per_cell: N, ..Limits::default() }).await;
    let mut device = f.client(V5, "d", "cell-1").await;
    let topic = |n: usize| format!("mw/v1/plant-1/dev/cell-1/telemetry/n{n:05}");
    for n in 0..N {
        let b = device.publish_bytes(topic(n).as_bytes(), n.to_string().as_bytes(), 3, n as u16 + 1, &[]);
        device.send(&b).await;
    }
    for n in 0..N {
        assert_eq!(device.puback().await, (n as u16 + 1, 0), "in the order of the publishes");
    }
    for v in BOTH {
        let mut connect = Connect::new(v, "narrow", "planner-1");
        if v == V5 {
            connect.props.extend_from_slice(&[0x21, 0, 5]);
        }
        let mut c = connect.open(f.addr).await;
        c.subscribe(ALL, 1).await;
        // One by one, live messages between them.
        let mut found = BTreeSet::new();
        let (mut sent, mut live) = (0, 0);
        while found.len() < N || live < sent {
            if found.len() / 200 > sent {
                sent += 1;
                device.publish(DEV, b"live", 1, 9).await;
                assert_eq!(device.puback().await, (9, 0));
            }
            let m = c.message().await;
            if m.retain {
                assert!(found.insert(m.topic), "twice");
            } else {
                live += 1;
            }
        }
        assert_eq!((live, found.len()), (N / 200, N));
        nothing(&mut c).await;
        c.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_gets_again_what_it_had_not_acknowledged_and_the_rest() {
    let f = start().await;
    let mut device = f.client(V5, "d", "cell-1").await;
    for n in 0..300 {
        retain(&mut device, &format!("mw/v1/plant-1/dev/cell-1/counter/n{n:03}"), "x", 1).await;
    }
    for v in BOTH {
        let connect = Connect::new(v, "kept", "planner-1").keep();
        let mut c = connect.open(f.addr).await;
        c.acks = false;
        c.subscribe(ALL, 1).await;
        let mut first = Vec::new();
        while first.len() < 20 {
            first.push(c.message().await);
        }
        for m in &first[..5] {
            c.send_puback(m.packet_id).await;
        }
        c.ping().await;
        drop(c);
        let (mut c, code, present) = connect.try_open(f.addr).await;
        assert_eq!((code, present), (0, true));
        let mut names: BTreeSet<String> = first[..5].iter().map(|m| m.topic.clone()).collect();
        let mut again = 0;
        while names.len() < 300 {
            let m = c.message().await;
            assert!(m.retain);
            if let Some(old) = first.iter().find(|o| o.topic == m.topic) {
                assert!(m.dup && m.packet_id == old.packet_id, "{m:?}");
                again += 1;
            }
            assert!(names.insert(m.topic), "twice");
        }
        assert_eq!(again, 15);
        nothing(&mut c).await;
        c.goodbye().await;
        // The session is left behind; the next version begins anew.
        Connect::new(v, "kept", "planner-1").open(f.addr).await.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_survive_a_restart_and_services_are_offline_after_it() {
    let dir = tempfile::tempdir().unwrap();
    {
        let f = start_on(Some(dir.path()), Limits::default()).await;
        let mut device = f.client(V5, "d", "cell-1").await;
        retain(&mut device, DEV, "kept", 1).await;
        retain(&mut device, "mw/v1/plant-1/dev/cell-1/state/gone", "x", 1).await;
        retain(&mut device, "mw/v1/plant-1/dev/cell-1/state/gone", "", 1).await;
        let long = "y".repeat(60_000);
        retain(&mut device, "mw/v1/plant-1/dev/cell-1/state/long", &long, 1).await;
        let service = f.broker.link("production").unwrap();
        let status = Publish {
            topic: "mw/v1/-/status/production".into(),
            payload: "online".into(),
            qos: 1,
            retain: true,
            ..Publish::default()
        };
        service.publish(status).await.unwrap();
        let mut c = f.client(V5, "c", "planner-1").await;
        c.subscribe("mw/v1/-/status/+", 1).await;
        assert_eq!(c.message().await.payload, b"online");
        f.broker.shutdown().await;
    }
    let f = start_on(Some(dir.path()), Limits::default()).await;
    for v in BOTH {
        let mut c = f.client(v, "c", "planner-1").await;
        c.subscribe(ALL, 1).await;
        let (long, kept) = (c.message().await, c.message().await);
        assert_eq!((kept.topic.as_str(), kept.payload, kept.retain), (DEV, b"kept".to_vec(), true));
        assert_eq!((long.payload.len(), long.retain), (60_000, true));
        c.subscribe("mw/v1/-/status/+", 1).await;
        assert_eq!(c.message().await.payload, b"offline", "what stood behind it ended with the broker");
        nothing(&mut c).await;
        c.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wills_are_retained_and_what_expires_is_not_given_any_more() {
    let f = start().await;
    for v in BOTH {
        let mut connect = Connect::new(v, "w", "cell-1").will(DEV, "gone");
        connect.will.as_mut().unwrap().3 = true;
        let c = connect.open(f.addr).await;
        drop(c);
        let mut hear = f.client(v, "h", "planner-1").await;
        hear.subscribe(DEV, 1).await;
        assert_eq!(hear.message().await.payload, b"gone");
        let mut device = f.client(v, "d", "cell-1").await;
        retain(&mut device, DEV, "", 1).await;
        hear.goodbye().await;
    }
    let mut device = f.client(V5, "d", "cell-1").await;
    for (name, seconds) in [("short", 1u8), ("long", 200)] {
        let topic = format!("mw/v1/plant-1/dev/cell-1/state/{name}");
        let b = device.publish_bytes(topic.as_bytes(), b"x", 3, 5, &[0x02, 0, 0, 0, seconds]);
        device.send(&b).await;
        assert_eq!(device.puback().await, (5, 0));
    }
    let began = std::time::Instant::now();
    let mut n = 0;
    loop {
        n += 1;
        let mut c = f.client(V5, &format!("e{n}"), "planner-1").await;
        c.subscribe(ALL, 1).await;
        let m = c.message().await;
        assert!(m.topic.ends_with("/long") && m.props[0] == 0x02 && m.props[4] <= 200, "{m:?}");
        c.ping().await;
        let short = c.inbox.pop_front();
        c.goodbye().await;
        match short {
            Some(m) => assert!(began.elapsed() < Duration::from_secs(3), "{m:?}"),
            None => break,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_kept_is_bounded_and_only_by_those_who_may_speak_there() {
    let f = start_with(Limits { max_retained_per_cell: 2, ..Limits::default() }).await;
    let mut device = f.client(V5, "d", "cell-1").await;
    for n in 0..2 {
        retain(&mut device, &format!("mw/v1/plant-1/dev/cell-1/state/n{n}"), "x", 1).await;
    }
    let b = device.publish_bytes(b"mw/v1/plant-1/dev/cell-1/state/n2", b"x", 3, 8, &[]);
    device.send(&b).await;
    assert_eq!(device.puback().await, (8, 0x97));
    retain(&mut device, "mw/v1/plant-1/dev/cell-1/state/n1", "y", 1).await;
    let b = device.publish_bytes(b"mw/v1/plant-1/dev/cell-2/state/n1", b"x", 3, 9, &[]);
    device.send(&b).await;
    assert_eq!(device.puback().await, (9, 0x87));
    // A retained command would act again with every restart.
    let mut planner = f.client(V5, "p", "planner-1").await;
    let b = planner.publish_bytes(b"mw/v1/plant-1/cmd/planner-1/production", &command(1), 3, 10, &[]);
    planner.send(&b).await;
    assert_eq!(planner.puback().await, (10, 0x87));
    let mut service = f.client(V5, "s", "production").await;
    let b = service.publish_bytes(b"mw/v1/plant-1/cmd/production/production", &command(2), 3, 11, &[]);
    service.send(&b).await;
    assert_eq!(service.puback().await, (11, 0x87));
    let mut c = f.client(V5, "c", "planner-1").await;
    c.subscribe(ALL, 1).await;
    assert_eq!(c.message().await.payload, b"x");
    assert_eq!(c.message().await.payload, b"y");
    nothing(&mut c).await;
    f.others_still_work().await;
}

/// A topic of the device.
fn at_cell(topic: &str) -> String {
    format!("mw/v1/plant-1/dev/cell-1/{topic}")
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_kept_and_a_version_without_them_gets_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    // A content type and a user property.
    let props = b"\x03\x00\x04text\x26\x00\x01k\x00\x01v";
    {
        let f = start_on(Some(dir.path()), Limits::default()).await;
        let mut device = f.client(V5, "d", "cell-1").await;
        let b = device.publish_bytes(DEV.as_bytes(), b"x", 3, 1, props);
        device.send(&b).await;
        assert_eq!(device.puback().await, (1, 0));
        f.broker.shutdown().await;
    }
    let f = start_on(Some(dir.path()), Limits::default()).await;
    for v in BOTH {
        let mut c = f.client(v, "c", "planner-1").await;
        c.subscribe(DEV, 1).await;
        let m = c.message().await;
        let expected = if v == V5 { props.to_vec() } else { Vec::new() };
        assert_eq!((m.payload, m.props, m.retain), (b"x".to_vec(), expected, true));
    }
    let mut link = f.broker.link("reader").unwrap();
    link.subscribe(DEV).await.unwrap();
    let m = heard(&mut link).await;
    assert_eq!((m.content_type.as_deref(), m.qos, m.retain), (Some("text"), 1, true));
    assert_eq!(m.user_properties, [("k".to_owned(), "v".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_after_a_subscription_comes_once_and_as_news() {
    let f = start().await;
    for v in BOTH {
        let mut c = f.client(v, "c", "production").await;
        // Both in one piece, so that the broker acts on both before it delivers anything.
        let mut subscribe = vec![0, 9];
        if v == V5 {
            subscribe.push(0);
        }
        string(&mut subscribe, DEV.as_bytes());
        subscribe.push(1);
        let mut bytes = frame(0x82, &subscribe);
        bytes.extend(c.publish_bytes(DEV.as_bytes(), b"news", 3, 4, &[]));
        c.send(&bytes).await;
        assert_eq!(c.answer().await.unwrap().first, 0x90);
        let m = c.message_or_puback(4, 0).await;
        assert_eq!((m.payload, m.retain), (b"news".to_vec(), false));
        nothing(&mut c).await;
        retain(&mut c, DEV, "", 1).await;
        assert_eq!(c.message().await.payload, b"");
        c.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_local_leaves_out_what_the_client_itself_retained() {
    let f = start().await;
    let mut c = f.client(V5, "own", "production").await;
    retain(&mut c, DEV, "mine", 1).await;
    assert_eq!(c.subscribe_with(DEV.as_bytes(), 1 | 1 << 2, &[]).await, 1);
    nothing(&mut c).await;
    let mut other = f.client(V5, "other", "production").await;
    assert_eq!(other.subscribe_with(DEV.as_bytes(), 1 | 1 << 2, &[]).await, 1);
    assert_eq!(other.message().await.payload, b"mine");
    assert_eq!(c.subscribe(DEV, 1).await, 1);
    assert_eq!(c.message().await.payload, b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_window_is_shared_with_live_messages() {
    let f = start().await;
    let mut device = f.client(V5, "d", "cell-1").await;
    for n in 0..400 {
        retain(&mut device, &at_cell(&format!("telemetry/n{n:03}")), "x", 1).await;
    }
    let mut connect = Connect::new(V5, "narrow", "planner-1");
    connect.props.extend_from_slice(&[0x21, 0, 1]);
    let mut c = connect.open(f.addr).await;
    c.acks = false;
    c.subscribe(ALL, 1).await;
    let first = c.message().await;
    for n in 0..20 {
        device.publish(DEV, b"live", 1, n + 1).await;
        assert_eq!(device.puback().await, (n + 1, 0));
    }
    c.send_puback(first.packet_id).await;
    let (mut live, mut kept) = (0, 1);
    while live < 20 {
        let m = c.message().await;
        c.send_puback(m.packet_id).await;
        *if m.retain { &mut kept } else { &mut live } += 1;
    }
    assert!(kept < 100, "20 live messages came only after {kept} retained ones");
    while kept < 400 {
        let m = c.message().await;
        assert!(m.retain);
        c.send_puback(m.packet_id).await;
        kept += 1;
    }
    nothing(&mut c).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_ones_are_given_as_fast_as_they_are_taken() {
    let f = start_with(Limits { max_write_queue: 64 * 1024, ..Limits::default() }).await;
    let mut device = f.client(V5, "d", "cell-1").await;
    let payload = "z".repeat(50_000);
    for n in 0..150 {
        retain(&mut device, &at_cell(&format!("state/n{n:03}")), &payload, n % 2).await;
    }
    for v in BOTH {
        let mut c = f.client(v, "c", "planner-1").await;
        c.subscribe(ALL, 1).await;
        for n in 0..150 {
            let m = c.message().await;
            assert_eq!((m.topic, m.payload.len()), (at_cell(&format!("state/n{n:03}")), 50_000));
        }
        nothing(&mut c).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_a_bound_ends_an_old_client_and_is_not_published_either() {
    let f = start_with(Limits { max_retained: 1, ..Limits::default() }).await;
    let mut hear = f.client(V5, "h", "planner-1").await;
    hear.subscribe(ALL, 1).await;
    let mut old = f.client(V4, "d", "cell-1").await;
    retain(&mut old, DEV, "x", 1).await;
    assert_eq!(hear.message().await.payload, b"x");
    let b = old.publish_bytes(at_cell("state/other").as_bytes(), b"y", 3, 2, &[]);
    old.send(&b).await;
    assert_eq!(old.closed().await, None);
    nothing(&mut hear).await;
    let m = f.broker.metrics();
    assert_eq!((m.retained.get(), m.retained_refused.get()), (1, 1));
    let mut old = f.client(V4, "d", "cell-1").await;
    retain(&mut old, DEV, "replaced", 1).await;
    assert_eq!(hear.message().await.payload, b"replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_taken_back_ends_what_was_still_to_come() {
    let f = start().await;
    let mut device = f.client(V5, "d", "cell-1").await;
    for n in 0..200 {
        retain(&mut device, &at_cell(&format!("state/n{n:03}")), "x", 1).await;
    }
    for v in BOTH {
        let connect = Connect::new(v, "kept", "planner-2").keep();
        let mut c = connect.open(f.addr).await;
        c.acks = false;
        c.subscribe(ALL, 1).await;
        assert!(c.message().await.retain);
        drop(c);
        f.accounts.change("planner-2", |a| a.sites.clear());
        let (mut c, _, present) = connect.try_open(f.addr).await;
        assert!(present);
        nothing(&mut c).await;
        c.goodbye().await;
        Connect::new(v, "kept", "planner-2").open(f.addr).await.goodbye().await;
        f.accounts.change("planner-2", |a| a.sites = [mw_contract::SiteId::new("plant-1").unwrap()].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_will_of_a_connection_that_was_taken_over_is_never_the_last_word() {
    let f = start().await;
    let mut connect = Connect::new(V5, "machine", "cell-1").will(DEV, "offline");
    connect.will.as_mut().unwrap().3 = true;
    let mut hear = f.client(V5, "h", "planner-1").await;
    let mut before: Option<Client> = None;
    for round in 0..50 {
        // Each takes the client id from the one before, whose will is said.
        let mut c = connect.open(f.addr).await;
        retain(&mut c, DEV, &format!("online {round}"), 1).await;
        hear.subscribe(DEV, 1).await;
        let m = hear.message().await;
        assert_eq!(String::from_utf8(m.payload).unwrap(), format!("online {round}"));
        hear.unsubscribe(DEV).await;
        if let Some(mut old) = before.replace(c) {
            assert_eq!(old.closed().await, Some(0x8e));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_retain_and_hear_what_is_retained_before_what_is_news() {
    let f = start().await;
    let link = f.broker.link("service").unwrap();
    let say = |topic: &str, text: &str| Publish {
        topic: topic.into(),
        payload: text.to_owned().into(),
        qos: 1,
        retain: true,
        ..Publish::default()
    };
    let all: Vec<Publish> = (0..300).map(|n| say(&at_cell(&format!("state/n{n:03}")), "old")).collect();
    link.publish_many(all).await.unwrap();
    let mut c = f.client(V4, "c", "planner-1").await;
    c.subscribe(ALL, 1).await;
    let m = c.message().await;
    assert_eq!((m.topic, m.retain, m.qos), (at_cell("state/n000"), true, 1));
    // The receiver waits on its thread before anything is subscribed to.
    let (sender, mut receiver) = f.broker.link("reader").unwrap().split();
    let (heard, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok(m) = receiver.recv_blocking() {
            if heard.send(m).is_err() {
                return;
            }
        }
    });
    let next = || hears.recv_timeout(PATIENCE).unwrap();
    sender.subscribe(ALL).unwrap();
    link.publish(say(DEV, "new")).await.unwrap();
    for n in 0..300 {
        let m = next();
        assert_eq!((m.topic, m.retain, m.qos), (at_cell(&format!("state/n{n:03}")), true, 1));
    }
    let m = next();
    assert_eq!((m.topic.as_str(), m.retain, &m.payload[..]), (DEV, false, &b"new"[..]));
    let mut empty = f.broker.link("later").unwrap();
    empty.subscribe(DEV).await.unwrap();
    let m = within("a retained message", empty.recv()).await.unwrap();
    assert_eq!((m.retain, &m.payload[..]), (true, &b"new"[..]));
    link.publish(say(DEV, "")).await.unwrap();
    let m = within("its removal", empty.recv()).await.unwrap();
    assert_eq!((m.retain, m.payload.len()), (false, 0));
    assert_eq!(f.broker.metrics().retained.get(), 300);
}

/// Publishes retained numbers for ever and says which were acknowledged.
async fn acknowledged_until_killed(dir: &std::path::Path) {
    let f = start_on(Some(dir), Limits::default()).await;
    let mut device = f.client(V5, "d", "cell-1").await;
    for n in 0u32.. {
        retain(&mut device, &at_cell(&format!("counter/n{}", n % 7)), &n.to_string(), 1).await;
        println!("acknowledged {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    const DIR: &str = "MW_TEST_RETAINED_DIR";
    if let Some(dir) = std::env::var_os(DIR) {
        return acknowledged_until_killed(dir.as_ref()).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut last = [None; 7];
    for round in 0..3u32 {
        // This same test in a process of its own, where the line above is taken.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_was_acknowledged_survives_a_kill", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            // The harness may have written in front of it on the same line.
            let Some(n) = line.split("acknowledged ").nth(1).and_then(|n| n.parse::<u32>().ok()) else { continue };
            last[n as usize % 7] = Some(n);
            seen += 1;
            if seen == 100 + 37 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= 100, "the child ended by itself after {seen}");
        let f = start_on(Some(dir.path()), Limits::default()).await;
        let mut c = f.client(V5, "c", "planner-1").await;
        c.subscribe(ALL, 1).await;
        for (i, last) in last.iter_mut().enumerate() {
            let m = c.message().await;
            assert_eq!(m.topic, at_cell(&format!("counter/n{i}")));
            let found: u32 = String::from_utf8(m.payload).unwrap().parse().unwrap();
            // At most the one that was under way is newer.
            assert!(Some(found) == *last || Some(found) == last.map(|l| l + 7), "{found}, acknowledged {last:?}");
            *last = None;
        }
        nothing(&mut c).await;
        f.broker.shutdown().await;
    }
}
