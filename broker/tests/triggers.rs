//! Everything that is known to stop a stock rumqttd, each followed by a proof that the others
//! still work.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use common::*;
use mw_broker::{Limits, Publish};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const BUSY: &str = "mw/v1/plant-1/dev/cell-1/telemetry/speed";

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_ascii_is_refused() {
    let f = start().await;
    let topic = "ähm/topic".as_bytes();
    for v in BOTH {
        for qos in [0u8, 1] {
            for retain in [0u8, 1] {
                let mut c = f.client(v, "non-ascii", "production").await;
                let b = c.publish_bytes(topic, b"x", qos << 1 | retain, 5, &[]);
                c.send(&b).await;
                match (v, qos, retain) {
                    (V5, 1, _) => assert_eq!(c.puback().await, (5, 0x90)),
                    (V5, 0, _) => c.ping().await,
                    _ => assert_eq!(c.closed().await, None),
                }
                f.others_still_work().await;
            }
        }
        let mut c = f.client(v, "non-ascii-sub", "production").await;
        let code = c.subscribe_with("ä/#".as_bytes(), 1, &[]).await;
        assert_eq!(code, if v == V5 { 0x8f } else { 0x80 });
        c.ping().await;
        let mut will = Connect::new(v, "non-ascii-will", "production");
        will.will = Some((topic.to_vec(), b"gone".to_vec(), 1, false, Vec::new()));
        let (mut c, code, _) = will.try_open(f.addr).await;
        assert_eq!(code, if v == V5 { 0x90 } else { 3 });
        assert_eq!(c.closed().await, None);
        f.others_still_work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_subscription_that_loses_its_last_member_harms_nobody() {
    let f = start().await;
    for v in BOTH {
        let mut c = Connect::new(v, "sharer", "production").keep().open(f.addr).await;
        c.acks = false;
        let shared = format!("$share/group/{BUSY}");
        assert_eq!(c.subscribe(&shared, 1).await, if v == V5 { 0x9e } else { 0x80 });
        assert_eq!(c.subscribe(BUSY, 1).await, 1);
        let mut say = f.client(v, "sayer", "cell-1").await;
        say.publish(BUSY, b"1", 1, 1).await;
        say.puback().await;
        c.message().await;
        drop(c);
        f.others_still_work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_a_busy_topic_may_say_goodbye() {
    let f = start().await;
    let link = f.broker.link("flood").unwrap();
    let (sender, _receiver) = link.split();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flood = std::thread::spawn(move || {
        let one = Publish { topic: BUSY.to_owned(), payload: vec![7; 100].into(), qos: 1, ..Publish::default() };
        while !stopped.load(Relaxed) {
            sender.publish_many(vec![one.clone(); 50]).unwrap();
        }
    });
    // Several at once, so that connections come and go between any two steps of the router.
    let mut leavers = Vec::new();
    for (who, (v, qos)) in [(V4, 0), (V4, 1), (V5, 0), (V5, 1), (V4, 0), (V5, 1)].into_iter().enumerate() {
        let addr = f.addr;
        leavers.push(tokio::spawn(async move {
            for round in 0..40 {
                let mut c = Connect::new(v, &format!("leaver-{who}"), "planner-1").open(addr).await;
                assert_eq!(c.subscribe(BUSY, qos).await, qos);
                for _ in 0..(round * 10) {
                    c.message().await;
                }
                if round % 3 == 2 {
                    drop(c);
                } else {
                    c.goodbye().await;
                }
            }
        }));
    }
    for l in leavers {
        l.await.unwrap();
    }
    f.others_still_work().await;
    stop.store(true, Relaxed);
    flood.join().unwrap();
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_client_ids_and_resets_before_connack_poison_nothing() {
    let f = start().await;
    for v in BOTH {
        for id in ["+", "a/b", "#", "$x", "ü", "with space"] {
            for _ in 0..2 {
                let (c, code, _) = Connect::new(v, id, "planner-1").try_open(f.addr).await;
                assert_eq!(code, 0, "{id}");
                drop(c);
            }
        }
        for bad in [&b"\xff\xfe"[..], b"a\0b"] {
            for _ in 0..2 {
                let mut connect = Connect::new(v, "", "planner-1");
                connect.id = bad.to_vec();
                let mut c = Client::raw(f.addr, v).await;
                c.send(&connect.bytes()).await;
                assert_eq!(c.closed().await, None);
            }
        }
        for _ in 0..10 {
            let mut s = TcpStream::connect(f.addr).await.unwrap();
            SockRef::from(&s).set_linger(Some(Duration::ZERO)).unwrap();
            s.write_all(&Connect::new(v, "resetter", "planner-1").bytes()).await.unwrap();
            drop(s);
        }
        // A reset connection whose CONNECT is read late may still take the id over.
        within("the id to be free again", async { while !f.client(v, "resetter", "planner-1").await.alive().await {} })
            .await;
        f.others_still_work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_connection_limit_and_then_again() {
    let f = start_with(Limits { max_connections: 5, ..Limits::default() }).await;
    let open = f.broker.metrics().connections;
    for v in BOTH {
        let mut held = Vec::new();
        for i in 0..5 {
            held.push(f.client(v, &format!("held-{i}"), "planner-1").await);
        }
        for _ in 0..2 {
            let mut c = Client::raw(f.addr, v).await;
            c.try_send(&Connect::new(v, "one-more", "planner-1").bytes()).await;
            assert_eq!(c.closed().await, None);
        }
        for c in &mut held {
            c.ping().await;
        }
        drop(held);
        until("the connections to end", || open.get() == 0).await;
        f.others_still_work().await;
        until("the proof to end", || open.get() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_reach_mqtt_5_and_never_3_1_1() {
    let f = start().await;
    let mut old = f.client(V4, "old", "planner-1").await;
    let mut new = f.client(V5, "new", "planner-1").await;
    old.subscribe(BUSY, 1).await;
    new.subscribe(BUSY, 1).await;
    let mut say = f.client(V5, "say", "cell-1").await;
    let props = b"\x01\x01\x03\x00\x04json\x09\x00\x02cd\x26\x00\x01k\x00\x01v";
    let b = say.publish_bytes(BUSY.as_bytes(), b"{}", 2, 3, props);
    say.send(&b).await;
    assert_eq!(say.puback().await, (3, 0));
    let m = old.message().await;
    assert_eq!((m.topic.as_str(), &m.payload[..], m.qos), (BUSY, &b"{}"[..], 1));
    let m = new.message().await;
    assert_eq!((&m.payload[..], &m.props[..]), (&b"{}"[..], &props[..]));
    old.ping().await;
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_of_a_server_before_and_after_connect() {
    let f = start().await;
    for v in BOTH {
        for packet in [&[0x20, 2, 0, 0][..], &[0xb0, 2, 0, 1], &[0xf0, 0], &[0x90, 3, 0, 1, 0], &[0xd0, 0], &[0, 0]] {
            let mut c = Client::raw(f.addr, v).await;
            c.send(packet).await;
            assert_eq!(c.closed().await, None);
            let mut c = f.client(v, "server-like", "planner-1").await;
            c.send(packet).await;
            let code = c.closed().await;
            if v == V5 {
                assert!(matches!(code, Some(0x81 | 0x82)), "{code:?}");
            } else {
                assert_eq!(code, None);
            }
        }
        f.others_still_work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_rubbish_is_closed_and_harms_nobody() {
    let f = start().await;
    // A fixed generator: the same rubbish every time.
    let mut x = 0x2545_f491_4f6c_dd1du64;
    let mut rubbish = |n: usize| -> Vec<u8> {
        (0..n)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x as u8
            })
            .collect()
    };
    for v in BOTH {
        for i in 0..60 {
            let mut c = Client::raw(f.addr, v).await;
            if i % 2 == 0 {
                c.send(&Connect::new(v, &format!("rubbish-{i}"), "planner-1").bytes()).await;
            }
            c.try_send(&rubbish(2_000)).await;
            // Rubbish may look like the start of a long packet: no more comes, so it stays open.
            let _ = c.stream.shutdown().await;
            c.closed().await;
        }
        f.others_still_work().await;
    }
}
