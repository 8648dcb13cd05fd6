//! Acknowledgements that wait for a stored outcome.

mod common;

use std::time::Duration;

use common::*;
use mw_broker::Limits;

const CMD: &str = "mw/v1/plant-1/cmd/planner-1/production";
const IDENTITY: &str = "mw/v1/plant-1/cmd/planner-1/identity";
const RSP: &str = "mw/v1/plant-1/rsp/planner-1";

#[tokio::test(flavor = "multi_thread")]
async fn the_acknowledgement_waits_for_the_outcome_and_keeps_its_order() {
    let f = start().await;
    let mut service = f.command_service().await;
    for (i, v) in BOTH.into_iter().enumerate() {
        let n = 10 * i as u32;
        let mut c = f.client(v, "c", "planner-1").await;
        c.subscribe(RSP, 1).await;
        c.publish(CMD, &command(n + 1), 1, 1).await;
        c.publish(CMD, &command(n + 2), 1, 2).await;
        c.publish(IDENTITY, &command(n + 3), 1, 3).await;
        let one = heard(&mut service).await;
        let two = heard(&mut service).await;
        assert_eq!((one.topic.as_str(), &one.payload[..]), (CMD, &command(n + 1)[..]));
        // The second outcome comes first: its acknowledgement waits, the other context's does not.
        service.publish(reply_to(&two, reply_json(&uuid(n + 2), "production", None))).await.unwrap();
        service.publish(reply_to(&one, reply_json(&uuid(n + 3), "identity", None))).await.unwrap();
        assert_eq!(c.puback().await, (3, 0));
        c.ping().await;
        // An outcome that was not stored acknowledges nothing.
        service.publish(reply_to(&one, reply_json(&uuid(n + 1), "production", Some(true)))).await.unwrap();
        // Nor does one of another context, or of another account.
        service.publish(reply_to(&one, reply_json(&uuid(n + 1), "after-service", None))).await.unwrap();
        let mut foreign = reply_to(&one, reply_json(&uuid(n + 1), "production", None));
        foreign.topic = "mw/v1/plant-1/rsp/planner-2".into();
        service.publish(foreign).await.unwrap();
        for _ in 0..4 {
            assert_eq!(c.message().await.topic, RSP);
        }
        c.ping().await;
        assert_eq!(f.broker.metrics().withheld.get(), 2);
        service.publish(reply_to(&one, reply_json(&uuid(n + 1), "production", Some(false)))).await.unwrap();
        assert_eq!(c.puback().await, (1, 0));
        assert_eq!(c.puback().await, (2, 0));
        assert_eq!(f.broker.metrics().withheld.get(), 0);
        c.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_over_mqtt_releases_too() {
    let f = start().await;
    for (n, (sv, v)) in [(V4, V5), (V5, V4), (V5, V5)].into_iter().enumerate() {
        let n = n as u32;
        let mut service = f.client(sv, "service", "production").await;
        assert_eq!(service.subscribe("mw/v1/+/cmd/+/production", 1).await, 1);
        let mut c = f.client(v, "c", "planner-1").await;
        c.publish(CMD, &command(n), 1, 77).await;
        let m = service.message().await;
        assert_eq!((m.topic.as_str(), m.payload), (CMD, command(n)));
        service.publish(RSP, &reply_json(&uuid(n), "production", None), 1, 5).await;
        assert_eq!(service.puback().await, (5, 0));
        assert_eq!(c.puback().await, (77, 0));
        c.goodbye().await;
        service.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sent_again_is_answered_again() {
    let f = start().await;
    let mut service = f.command_service().await;
    let mut c = f.client(V4, "c", "planner-1").await;
    c.publish(CMD, &command(1), 1, 1).await;
    let m = heard(&mut service).await;
    drop(c);
    until("the first connection to end", || f.broker.metrics().withheld.get() == 0).await;
    let mut c = f.client(V4, "c", "planner-1").await;
    let again = c.publish_bytes(CMD.as_bytes(), &command(1), 0b1010, 1, &[]);
    c.send(&again).await;
    // A client that does it twice on one connection gets one acknowledgement for its packet id.
    c.send(&again).await;
    // Both copies have been read before the outcome comes: after it, a copy is a new question.
    c.ping().await;
    heard(&mut service).await;
    service.publish(reply_to(&m, reply_json(&uuid(1), "production", None))).await.unwrap();
    assert_eq!(c.puback().await, (1, 0));
    c.ping().await;
    assert!(service.split().1.try_recv().unwrap().is_none(), "the second copy went nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_outcome_in_time_closes_the_connection() {
    let f = start_with(Limits { outcome_timeout: Duration::from_millis(200), ..Limits::default() }).await;
    for v in BOTH {
        let mut c = f.client(v, "c", "planner-1").await;
        c.publish(CMD, &command(1), 1, 1).await;
        assert_eq!(c.closed().await, (v == V5).then_some(0x89));
        // At QoS 0 nothing is waited for.
        let mut c = f.client(v, "c", "planner-1").await;
        c.publish(CMD, &command(2), 0, 0).await;
        c.ping().await;
        assert_eq!(f.broker.metrics().withheld.get(), 0);
        f.others_still_work().await;
    }
    assert_eq!(f.broker.metrics().outcome_timeouts.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_answered_and_goes_nowhere() {
    let f = start_with(Limits { max_command: 1_000, ..Limits::default() }).await;
    let mut service = f.command_service().await;
    let mut seen = 0;
    for v in BOTH {
        let mut c = f.client(v, "c", "planner-1").await;
        c.subscribe(RSP, 1).await;
        let long = format!(r#"{{"command_id":"{}","x":"{}"}}"#, uuid(1), "y".repeat(1_000));
        for (i, bad) in
            ["", "null", "[]", "{}", "{\"command_id\":1}", "{\"command_id\":\"x\"}", "\u{1}", &long].iter().enumerate()
        {
            let id = 100 + i as u16;
            c.publish(CMD, bad.as_bytes(), 1, id).await;
            let m = c.message_or_puback(id, if v == V5 { 0x99 } else { 0 }).await;
            let reply: serde_json::Value = serde_json::from_slice(&m.payload).unwrap();
            assert_eq!((m.topic.as_str(), m.qos), (RSP, 1));
            assert!(reply["command_id"].is_null());
            assert_eq!((&reply["status"], &reply["context"]), (&"rejected".into(), &"production".into()));
            assert_eq!((&reply["error"]["code"], &reply["error"]["retryable"]), (&"VALIDATION".into(), &false.into()));
            seen += 1;
        }
        // At QoS 0 the reply is the only answer.
        c.publish(CMD, b"x", 0, 0).await;
        c.message().await;
        seen += 1;
        // Behind a command of the same context that waits, the answer waits too.
        c.publish(CMD, &command(u32::from(v)), 1, 1).await;
        c.publish(CMD, b"x", 1, 2).await;
        seen += 1;
        let m = heard(&mut service).await;
        assert_eq!(m.payload, command(u32::from(v)), "nothing unreadable was passed on");
        c.message().await;
        c.ping().await;
        service.publish(reply_to(&m, reply_json(&uuid(u32::from(v)), "production", None))).await.unwrap();
        assert_eq!(c.puback().await, (1, 0));
        assert_eq!(c.puback().await, (2, if v == V5 { 0x99 } else { 0 }));
        c.goodbye().await;
    }
    assert_eq!(f.broker.metrics().commands_unreadable.get(), seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_the_unreadable_goes_where_answers_were_wanted() {
    let f = start().await;
    let mut c = f.client(V5, "c", "planner-1").await;
    c.subscribe("mw/v1/plant-1/rsp/planner-1/#", 1).await;
    for (topic, want) in [
        ("mw/v1/plant-1/rsp/planner-1/tablet", "mw/v1/plant-1/rsp/planner-1/tablet"),
        ("mw/v1/plant-1/rsp/planner-2", RSP),
        ("mw/v1/plant-1/rsp/planner-11", RSP),
        ("elsewhere", RSP),
    ] {
        let mut props = vec![8];
        string(&mut props, topic.as_bytes());
        props.extend_from_slice(b"\x09\x00\x03abc");
        let b = c.publish_bytes(CMD.as_bytes(), b"x", 2, 1, &props);
        c.send(&b).await;
        let m = c.message_or_puback(1, 0x99).await;
        assert_eq!(m.topic, want);
        assert!(m.props.windows(6).any(|w| w == b"\x09\x00\x03abc"), "{:?}", m.props);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_response_topic_never_reaches_the_service() {
    let f = start().await;
    let mut service = f.command_service().await;
    let mut c = f.client(V5, "c", "planner-1").await;
    for (n, topic, kept) in [
        (1, "mw/v1/plant-1/rsp/planner-1/deep/er", true),
        (2, "mw/v1/plant-1/rsp/planner-2", false),
        (3, "mw/v1/plant-1/evt/work-order/x", false),
    ] {
        let mut props = vec![8];
        string(&mut props, topic.as_bytes());
        props.extend_from_slice(b"\x09\x00\x01k");
        let b = c.publish_bytes(CMD.as_bytes(), &command(n), 2, 1, &props);
        c.send(&b).await;
        let m = heard(&mut service).await;
        assert_eq!(m.response_topic.as_deref(), kept.then_some(topic));
        assert_eq!(m.correlation_data.as_deref(), Some(&b"k"[..]));
        service.publish(reply_to(&m, reply_json(&uuid(n), "production", None))).await.unwrap();
        assert_eq!(c.puback().await, (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_limit_slows_and_loses_nothing() {
    let f = start_with(Limits { commands_per_second: 200, command_burst: 20, ..Limits::default() }).await;
    let mut service = f.command_service().await;
    let mut c = f.client(V5, "c", "planner-1").await;
    let mut other = f.client(V5, "o", "planner-2").await;
    let began = std::time::Instant::now();
    for n in 1..=120u16 {
        c.publish(CMD, &command(n.into()), 1, n).await;
    }
    for n in 1..=120u16 {
        let m = heard(&mut service).await;
        service.publish(reply_to(&m, reply_json(&uuid(n.into()), "production", None))).await.unwrap();
    }
    for n in 1..=120u16 {
        assert_eq!(c.puback().await, (n, 0));
    }
    assert!(began.elapsed() > Duration::from_millis(400), "100 over the burst take half a second");
    assert!(f.broker.metrics().commands_slowed.get() > 0);
    other.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_withheld_stop_the_reading_and_go_on_later() {
    let f = start_with(Limits { max_withheld: 10, ..Limits::default() }).await;
    let mut service = f.command_service().await;
    let mut c = f.client(V4, "c", "planner-1").await;
    for n in 1..=30u16 {
        c.publish(CMD, &command(n.into()), 1, n).await;
    }
    let mut early = Vec::new();
    for _ in 0..10 {
        early.push(heard(&mut service).await);
    }
    f.others_still_work().await;
    assert_eq!(f.broker.metrics().withheld.get(), 10);
    assert_eq!(f.broker.metrics().commands.get(), 10, "the eleventh is not read");
    for (n, m) in early.iter().enumerate() {
        service.publish(reply_to(m, reply_json(&uuid(n as u32 + 1), "production", None))).await.unwrap();
    }
    for n in 11..=30u32 {
        let m = heard(&mut service).await;
        service.publish(reply_to(&m, reply_json(&uuid(n), "production", None))).await.unwrap();
    }
    for n in 1..=30u16 {
        assert_eq!(c.puback().await, (n, 0));
    }
}
