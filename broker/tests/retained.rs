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
