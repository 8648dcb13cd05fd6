//! Messages to subscribers, sessions, wills, keep-alive, bounds.

mod common;

use std::time::{Duration, Instant};

use common::*;
use mw_broker::{Limits, Publish};
use socket2::{Domain, SockAddr, Socket, Type};

const DEV: &str = "mw/v1/plant-1/dev/cell-1/counter/parts";
const WILL: &str = "mw/v1/plant-1/dev/cell-1/state/gone";

#[tokio::test(flavor = "multi_thread")]
async fn delivered_qos_is_the_lower_of_both() {
    let f = start().await;
    for v in BOTH {
        let mut say = f.client(v, "say", "cell-1").await;
        for (published, subscribed) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)] {
            let mut c = f.client(v, "hear", "planner-1").await;
            let granted = c.subscribe(DEV, subscribed).await;
            assert_eq!(granted, subscribed.min(1));
            for n in 1..=3 {
                say.publish(DEV, b"x", published, n).await;
                if published == 1 {
                    say.puback().await;
                }
                let m = c.message().await;
                assert_eq!(m.qos, published.min(granted), "{published} {subscribed}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qos_2_is_refused_as_announced() {
    let f = start().await;
    let mut c = Client::raw(f.addr, V5).await;
    c.send(&Connect::new(V5, "", "cell-1").bytes()).await;
    let connack = c.frame().await.unwrap();
    for announced in [&[0x24, 1][..], &[0x2a, 0], b"\x12\x00\x25auto-"] {
        assert!(connack.body.windows(announced.len()).any(|w| w == announced), "{announced:?} in {connack:?}");
    }
    let mut c = f.client(V5, "c", "cell-1").await;
    let b = c.publish_bytes(DEV.as_bytes(), b"x", 4, 1, &[]);
    c.send(&b).await;
    assert_eq!(c.closed().await, Some(0x9b));
    let mut old = f.client(V4, "c", "cell-1").await;
    let b = old.publish_bytes(DEV.as_bytes(), b"x", 4, 1, &[]);
    old.send(&b).await;
    assert_eq!(old.closed().await, None);
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_found_again_with_what_it_missed() {
    let f = start().await;
    for v in BOTH {
        let id = format!("kept-{v}");
        let connect = Connect::new(v, &id, "planner-1").keep();
        let mut c = connect.open(f.addr).await;
        c.acks = false;
        c.subscribe(DEV, 1).await;
        let mut say = f.client(v, "say", "cell-1").await;
        for n in 1..=4u8 {
            say.publish(DEV, &[n], 1, 1).await;
            say.puback().await;
        }
        let mut ids = Vec::new();
        for n in 1..=4u8 {
            let m = c.message().await;
            assert_eq!((&m.payload[..], m.dup), (&[n][..], false));
            ids.push(m.packet_id);
        }
        c.send_puback(ids[0]).await;
        c.ping().await;
        drop(c);
        for n in 5..=6u8 {
            say.publish(DEV, &[n], 1, 1).await;
            say.puback().await;
        }
        let (mut c, code, present) = connect.try_open(f.addr).await;
        assert_eq!((code, present), (0, true));
        for n in 2..=6u8 {
            let m = c.message().await;
            assert_eq!((&m.payload[..], m.dup), (&[n][..], n <= 4), "version {v}");
            if n <= 4 {
                assert_eq!(m.packet_id, ids[usize::from(n) - 1], "sent again under its own id");
            }
        }
        c.unsubscribe(DEV).await;
        say.publish(DEV, b"after", 1, 1).await;
        say.puback().await;
        c.ping().await;
        assert!(c.inbox.is_empty(), "a resumed subscription can be ended");
        c.goodbye().await;
        // A clean start forgets it, also in the router.
        let (c, _, present) = Connect::new(v, &id, "planner-1").try_open(f.addr).await;
        assert!(!present);
        c.goodbye().await;
        let (c, _, present) = connect.try_open(f.addr).await;
        assert!(!present);
        c.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_never_leaks_into_a_used_link_name() {
    let f = start().await;
    let mut say = f.client(V5, "say", "cell-1").await;
    let mut first = Connect::new(V5, "first", "planner-1").keep().open(f.addr).await;
    first.subscribe(DEV, 1).await;
    // Leaves with expiry 0: its session ends now, its link's name is free.
    first.send(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    first.closed().await;
    say.publish(DEV, b"for first", 1, 1).await;
    say.puback().await;
    let mut second = Connect::new(V5, "second", "planner-2").keep().open(f.addr).await;
    say.publish(DEV, b"for nobody", 1, 1).await;
    say.puback().await;
    second.ping().await;
    assert!(second.inbox.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_out_of_order_and_unknown_ones_harm_nobody() {
    let f = start().await;
    for v in BOTH {
        let mut c = f.client(v, "c", "planner-1").await;
        c.acks = false;
        c.subscribe(DEV, 1).await;
        let mut say = f.client(v, "say", "cell-1").await;
        for round in 0..30 {
            let mut ids = Vec::new();
            for n in 0..10u8 {
                say.publish(DEV, &[round, n], 1, 1).await;
                say.puback().await;
                let m = c.message().await;
                assert_eq!(m.payload, [round, n]);
                ids.push(m.packet_id);
            }
            for id in ids.iter().rev() {
                c.send_puback(*id).await;
                c.send_puback(60_000).await;
            }
        }
        c.ping().await;
        f.others_still_work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receive_maximum_no_local_and_subscription_ids_hold() {
    let f = start().await;
    let mut connect = Connect::new(V5, "narrow", "planner-1");
    connect.props = vec![0x21, 0, 2];
    let mut c = connect.open(f.addr).await;
    c.acks = false;
    assert_eq!(c.subscribe_with(DEV.as_bytes(), 1, &[0x0b, 7]).await, 1);
    let mut say = f.client(V5, "say", "cell-1").await;
    for n in 1..=5u8 {
        say.publish(DEV, &[n], 1, 1).await;
        say.puback().await;
    }
    let a = c.message().await;
    let b = c.message().await;
    assert_eq!((a.props, b.payload), (vec![0x0b, 7], vec![2]));
    c.ping().await;
    assert!(c.inbox.is_empty(), "two is the most it takes");
    c.send_puback(a.packet_id).await;
    assert_eq!(c.message().await.payload, [3]);
    // No local: not its own, but those of others.
    let mut both = f.client(V5, "both", "production").await;
    assert_eq!(both.subscribe_with(DEV.as_bytes(), 0b101, &[]).await, 1);
    both.publish(DEV, b"mine", 1, 1).await;
    both.puback().await;
    say.publish(DEV, b"theirs", 1, 1).await;
    assert_eq!(both.message().await.payload, b"theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_aliases_and_message_expiry() {
    let f = start().await;
    let mut c = f.client(V5, "c", "planner-1").await;
    c.subscribe(DEV, 1).await;
    let mut say = f.client(V5, "say", "cell-1").await;
    for (topic, payload) in [(DEV, "1"), ("", "2")] {
        let b = say.publish_bytes(topic.as_bytes(), payload.as_bytes(), 2, 1, &[0x23, 0, 3]);
        say.send(&b).await;
        assert_eq!(say.puback().await, (1, 0));
        let m = c.message().await;
        assert_eq!((m.topic.as_str(), m.payload, m.props), (DEV, payload.as_bytes().to_vec(), vec![]));
    }
    let b = say.publish_bytes(DEV.as_bytes(), b"old", 2, 1, &[2, 0, 0, 0, 0]);
    say.send(&b).await;
    say.puback().await;
    let b = say.publish_bytes(DEV.as_bytes(), b"new", 2, 1, &[2, 0, 0, 0, 60]);
    say.send(&b).await;
    let m = c.message().await;
    assert_eq!((&m.payload[..], m.props), (&b"new"[..], vec![2, 0, 0, 0, 60]), "the expired one is not delivered");
    for bad in [[0x23, 0, 4], [0x23, 0, 200], [0x23, 0, 0]] {
        let mut say = f.client(V5, "say", "cell-1").await;
        let b = say.publish_bytes(b"", b"x", 2, 1, &bad);
        say.send(&b).await;
        assert_eq!(say.closed().await, Some(0x94));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_said_after_a_bad_end_only() {
    let f = start().await;
    for v in BOTH {
        let mut hear = f.client(v, "hear", "planner-1").await;
        hear.subscribe(WILL, 1).await;
        let connect = |text: &str| Connect::new(v, "w", "cell-1").will(WILL, text);
        connect("not said").open(f.addr).await.goodbye().await;
        drop(connect("dropped").open(f.addr).await);
        assert_eq!(hear.message().await.payload, b"dropped");
        let mut c = connect("malformed").open(f.addr).await;
        c.send(&[0, 0]).await;
        c.closed().await;
        assert_eq!(hear.message().await.payload, b"malformed");
        let mut c = connect("taken over").open(f.addr).await;
        let c2 = f.client(v, "w", "cell-1").await;
        c.closed().await;
        let m = hear.message().await;
        assert_eq!((&m.payload[..], m.qos), (&b"taken over"[..], 1));
        c2.goodbye().await;
        if v == V5 {
            let mut c = connect("on demand").open(f.addr).await;
            c.send(&[0xe0, 1, 4]).await;
            c.closed().await;
            assert_eq!(hear.message().await.payload, b"on demand");
        }
        // Who was disabled says nothing any more.
        let mut c = connect("disabled").open(f.addr).await;
        f.accounts.change("cell-1", |a| a.disabled = true);
        f.broker.disconnect_account(&name("cell-1"));
        c.closed().await;
        f.accounts.change("cell-1", |a| a.disabled = false);
        drop(connect("last").open(f.addr).await);
        assert_eq!(hear.message().await.payload, b"last");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_will_waits_and_a_return_cancels_it() {
    let f = start().await;
    let mut hear = f.client(V5, "hear", "planner-1").await;
    hear.subscribe(WILL, 1).await;
    let mut connect = Connect::new(V5, "w", "cell-1").keep().will(WILL, "late");
    connect.will.as_mut().unwrap().4 = vec![0x18, 0, 0, 0, 1];
    drop(connect.open(f.addr).await);
    let (c, _, present) = connect.try_open(f.addr).await;
    assert!(present);
    let began = Instant::now();
    drop(c);
    assert_eq!(hear.message().await.payload, b"late");
    assert!(began.elapsed() > Duration::from_millis(900), "said once, a second after the second end");
    hear.ping().await;
    assert!(hear.inbox.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_ends_the_silent_and_zero_never() {
    let f = start().await;
    let mut forever = f.client(V4, "forever", "planner-1").await;
    for v in BOTH {
        let mut c = Connect::new(v, "short", "planner-1");
        c.keep_alive = 1;
        let mut c = c.open(f.addr).await;
        let began = Instant::now();
        assert_eq!(c.closed().await, (v == V5).then_some(0x8d));
        let took = began.elapsed();
        assert!(took > Duration::from_millis(1_300) && took < Duration::from_secs(5), "{took:?}");
    }
    forever.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_connect_is_closed() {
    let f = start_with(Limits { connect_timeout: Duration::from_millis(200), ..Limits::default() }).await;
    for bytes in [&b""[..], &[0x10], &[0x10, 20, 0, 4, b'M']] {
        let mut c = Client::raw(f.addr, V5).await;
        c.send(bytes).await;
        assert_eq!(c.closed().await, None);
    }
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_too_large_is_refused_by_its_header() {
    let f = start().await;
    for v in BOTH {
        let mut c = f.client(v, "c", "cell-1").await;
        c.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]).await;
        assert_eq!(c.closed().await, (v == V5).then_some(0x95));
        let mut c = Client::raw(f.addr, v).await;
        c.send(&[0x10, 0xff, 0xff, 0xff, 0x7f]).await;
        assert_eq!(c.closed().await, None);
    }
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_may_send_large_pieces_of_the_log() {
    let f = start().await;
    let topic = "mw/v1/-/log/production/rsp/production";
    let mut link = f.broker.link("reader").unwrap();
    link.subscribe("mw/v1/-/log/#").await.unwrap();
    for v in BOTH {
        let mut hear = f.client(v, "hear", "production").await;
        hear.subscribe(topic, 1).await;
        let mut say = f.client(v, "say", "production").await;
        let payload = vec![v; 700 * 1024];
        say.publish(topic, &payload, 1, 1).await;
        assert_eq!(say.puback().await, (1, 0));
        assert!(hear.message().await.payload == payload);
        assert!(heard(&mut link).await.payload == payload);
    }
    let payload = vec![1; 900 * 1024];
    link.publish(Publish { topic: topic.into(), payload: payload.clone().into(), ..Publish::default() }).await.unwrap();
    assert!(heard(&mut link).await.payload == payload);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_clients_own_limit_is_left_out() {
    let f = start().await;
    let mut connect = Connect::new(V5, "small", "planner-1");
    connect.props = vec![0x27, 0, 0, 0, 100];
    let mut c = connect.open(f.addr).await;
    c.subscribe(DEV, 1).await;
    let mut say = f.client(V5, "say", "cell-1").await;
    for size in [200, 3] {
        say.publish(DEV, &vec![0; size], 1, 1).await;
        say.puback().await;
    }
    assert_eq!(c.message().await.payload.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_little_and_blocks_nobody() {
    let limits = Limits { write_timeout: Duration::from_secs(2), ..Limits::default() };
    let f = start_with(limits).await;
    let link = f.broker.link("flood").unwrap();
    for v in BOTH {
        // A small receive window, so that the broker's side fills up soon.
        let s = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        s.set_recv_buffer_size(4_096).unwrap();
        s.connect(&SockAddr::from(f.addr)).unwrap();
        s.set_nonblocking(true).unwrap();
        let s = tokio::net::TcpStream::from_std(s.into()).unwrap();
        let mut c = Client::over(Box::new(s), v);
        c.send(&Connect::new(v, "stuck", "planner-1").bytes()).await;
        c.frame().await.unwrap();
        c.subscribe(DEV, 0).await;
        let one = Publish { topic: DEV.into(), payload: vec![1; 60_000].into(), ..Publish::default() };
        let closed = f.broker.metrics().closed_for_cause;
        let before = closed.get();
        for _ in 0..300 {
            link.publish(one.clone()).await.unwrap();
        }
        f.others_still_work().await;
        // On a slow machine the router may have let some of it go before it was taken: go on, then.
        within("the stuck client to be closed", async {
            while closed.get() == before {
                link.publish(one.clone()).await.unwrap();
                f.others_still_work().await;
            }
        })
        .await;
        f.others_still_work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_tells_the_clients_and_says_no_will() {
    let f = start().await;
    let mut new = Connect::new(V5, "w", "cell-1").will(WILL, "not said").open(f.addr).await;
    let mut old = f.client(V4, "old", "planner-1").await;
    old.subscribe(WILL, 1).await;
    within("shutdown", f.broker.shutdown()).await;
    assert_eq!(new.closed().await, Some(0x8b));
    assert_eq!(old.closed().await, None);
    assert!(old.inbox.is_empty());
    until("the listener to be closed", || std::net::TcpStream::connect(f.addr).is_err()).await;
}
