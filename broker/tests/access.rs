//! Who is let in, what is refused, and who is sent away.

mod common;

use std::time::{Duration, SystemTime};

use common::*;
use mw_broker::Limits;
use mw_contract::{Role, SiteId};

const DEV: &str = "mw/v1/plant-1/dev/cell-1/counter/parts";

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_without_the_right_secret_is_refused() {
    let f = start().await;
    f.accounts.change("planner-2", |a| a.disabled = true);
    for v in BOTH {
        for (user, password, v5) in [
            (Some("planner-1"), Some("no"), 0x86),
            (Some("nobody"), Some("pw"), 0x86),
            (Some("Not A Name"), Some("pw"), 0x86),
            (Some("planner-1"), None, 0x86),
            (None, None, 0x86),
            (Some("planner-2"), Some("pw"), 0x87),
        ] {
            let mut c = Connect::new(v, "in", "x");
            c.user = user.map(str::to_owned);
            c.password = password.map(|p| p.into());
            let (mut c, code, _) = c.try_open(f.addr).await;
            assert_eq!(code, if v == V5 { v5 } else { 5 }, "{user:?}");
            assert_eq!(c.closed().await, None);
        }
        for (password, v5) in [(b"busy", 0x89), (b"down", 0x88)] {
            let (_, code, _) = Connect::new(v, "in", "planner-1").password(password).try_open(f.addr).await;
            assert_eq!(code, if v == V5 { v5 } else { 3 });
        }
    }
    let mut enhanced = Connect::new(V5, "in", "planner-1");
    enhanced.props = b"\x15\x00\x01x".to_vec();
    assert_eq!(enhanced.try_open(f.addr).await.1, 0x8c);
    let mut level_3 = Connect::new(3, "in", "planner-1");
    level_3.v = 3;
    assert_eq!(level_3.try_open(f.addr).await.1, 1);
    assert_eq!(Connect::new(6, "in", "planner-1").try_open(f.addr).await.1, 0x84);
    let mut nameless = Connect::new(V4, "", "planner-1");
    nameless.clean = false;
    assert_eq!(nameless.try_open(f.addr).await.1, 2);
    assert_eq!(f.broker.metrics().sessions.get(), 0);
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_reaches_nobody() {
    let f = start().await;
    // A link of the broker's own hears everything.
    let mut all = f.broker.link("all").unwrap();
    all.subscribe("#").await.unwrap();
    let refused = [
        "mw/v1/plant-1/cmd/planner-2/production",
        "mw/v1/plant-2/cmd/planner-1/production",
        "mw/v1/plant-1/rsp/planner-1",
        "mw/v1/plant-1/evt/work-order/work-order-released",
        DEV,
        "mw/v1/-/log/production/x",
        "elsewhere",
        "$SYS/x",
    ];
    for v in BOTH {
        for topic in refused {
            for qos in [0, 1] {
                let mut c = f.client(v, "speaker", "planner-1").await;
                c.publish(topic, b"refused", qos, 9).await;
                match (v, qos) {
                    (V5, 1) => assert!(c.puback().await.1 >= 0x87, "{topic}"),
                    (V5, _) => c.ping().await,
                    _ => assert_eq!(c.closed().await, None),
                }
            }
        }
        let mut c = f.client(v, "hearer", "customer-1").await;
        for filter in
            ["#", "mw/v1/plant-1/evt/#", "mw/v1/plant-1/rsp/planner-1", "mw/v1/+/rsp/customer-1", DEV, "$SYS/#"]
        {
            let want = if v == V5 { 0x87 } else { 0x80 };
            assert_eq!(c.subscribe(filter, 1).await, want, "{filter}");
        }
        assert_eq!(c.subscribe("mw/v1/plant-1/rsp/customer-1/#", 1).await, 1);
        let mut say = f.client(v, "say", "cell-1").await;
        say.publish(DEV, b"allowed", 1, 1).await;
        say.puback().await;
        let m = heard(&mut all).await;
        assert_eq!((m.topic.as_str(), &m.payload[..]), (DEV, &b"allowed"[..]), "nothing else came before");
        c.ping().await;
        assert!(c.inbox.is_empty());
    }
    assert!(f.broker.metrics().publishes_refused.get() >= 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_may_not_be_said_refuses_the_connect() {
    let f = start().await;
    for v in BOTH {
        for topic in ["mw/v1/plant-1/evt/a/b", "mw/v1/plant-1/cmd/planner-1/production"] {
            let (_, code, _) = Connect::new(v, "w", "planner-1").will(topic, "x").try_open(f.addr).await;
            assert_eq!(code, if v == V5 { 0x87 } else { 5 });
        }
    }
    let mut qos_2 = Connect::new(V5, "w", "cell-1").will(DEV, "x");
    qos_2.will.as_mut().unwrap().2 = 2;
    assert_eq!(qos_2.try_open(f.addr).await.1, 0x9b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_is_taken_over_by_its_own_account_only() {
    let f = start().await;
    for v in BOTH {
        let mut first = f.client(v, "tablet", "planner-1").await;
        let (_, code, _) = Connect::new(v, "tablet", "planner-2").try_open(f.addr).await;
        assert_eq!(code, if v == V5 { 0x87 } else { 5 });
        first.ping().await;
        let mut second = f.client(v, "tablet", "planner-1").await;
        assert_eq!(first.closed().await, (v == V5).then_some(0x8e));
        second.ping().await;
        // Many at once: one stays, and it works.
        let mut all = Vec::new();
        for _ in 0..20 {
            let (connect, addr) = (Connect::new(v, "tablet", "planner-1"), f.addr);
            all.push(tokio::spawn(async move { connect.try_open(addr).await.1 }));
        }
        for t in all {
            assert_eq!(t.await.unwrap(), 0);
        }
        f.client(v, "tablet", "planner-1").await.goodbye().await;
    }
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_belongs_to_the_account_that_made_it() {
    let f = start().await;
    for v in BOTH {
        let id = format!("kept-{v}");
        Connect::new(v, &id, "planner-1").keep().open(f.addr).await.goodbye().await;
        for clean in [false, true] {
            let mut thief = Connect::new(v, &id, "planner-2");
            thief.clean = clean;
            assert_eq!(thief.try_open(f.addr).await.1, if v == V5 { 0x87 } else { 5 });
        }
        let (_, code, present) = Connect::new(v, &id, "planner-1").keep().try_open(f.addr).await;
        assert_eq!((code, present), (0, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_sent_away_and_its_session_with_it() {
    let f = start().await;
    for v in BOTH {
        f.accounts.change("planner-2", |a| a.disabled = false);
        let mut c = Connect::new(v, "d", "planner-2").keep().open(f.addr).await;
        let mut other = f.client(v, "other", "planner-1").await;
        f.accounts.change("planner-2", |a| a.disabled = true);
        f.broker.disconnect_account(&name("planner-2"));
        assert_eq!(c.closed().await, (v == V5).then_some(0x87));
        other.ping().await;
        f.accounts.change("planner-2", |a| a.disabled = false);
        let (mut c, code, present) = Connect::new(v, "d", "planner-2").keep().try_open(f.addr).await;
        assert_eq!((code, present), (0, false));
        f.accounts.change("planner-2", |a| a.disabled = true);
        f.broker.recheck(&name("planner-2"));
        assert_eq!(c.closed().await, (v == V5).then_some(0x87));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_taken_back_ends_subscriptions_and_publishes() {
    let f = start().await;
    for v in BOTH {
        let id = format!("g-{v}");
        f.accounts.change("planner-2", |a| a.roles = [Role::Planner].into());
        let mut c = f.client(v, &id, "planner-2").await;
        let own = "mw/v1/plant-1/rsp/planner-2";
        assert_eq!(c.subscribe("mw/v1/plant-1/dev/#", 1).await, 1);
        assert_eq!(c.subscribe(own, 1).await, 1);
        f.accounts.change("planner-2", |a| a.roles = [Role::Customer].into());
        f.broker.recheck(&name("planner-2"));
        // The connection obeys before it reads on.
        c.ping().await;
        let mut say = f.client(v, "say", "production").await;
        say.publish(DEV, b"not for you", 1, 1).await;
        say.puback().await;
        say.publish(own, b"yours", 1, 2).await;
        say.puback().await;
        assert_eq!(c.message().await.payload, b"yours");
        f.accounts.change("planner-2", |a| a.sites.clear());
        c.publish("mw/v1/plant-1/cmd/planner-2/production", &command(1), 1, 4).await;
        match v {
            V5 => assert_eq!(c.puback().await, (4, 0x87)),
            _ => assert_eq!(c.closed().await, None),
        }
        f.accounts.change("planner-2", |a| a.sites = [SiteId::new("plant-1").unwrap()].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_token() {
    let f = start().await;
    for v in BOTH {
        f.accounts.expires("planner-2", SystemTime::now() + Duration::from_millis(300));
        let mut c = f.client(v, "token", "planner-2").await;
        let began = std::time::Instant::now();
        assert_eq!(c.closed().await, (v == V5).then_some(0x87));
        assert!(began.elapsed() < Duration::from_secs(5));
        f.others_still_work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_names_of_an_account_are_bounded() {
    let limits = Limits {
        max_sessions_per_account: 3,
        max_subscriptions_per_client: 2,
        max_distinct_topics_per_account: 2,
        ..Limits::default()
    };
    let f = start_with(limits).await;
    for v in BOTH {
        let mut c = f.client(v, "one", "planner-1").await;
        let _two = f.client(v, "two", "planner-1").await;
        let _three = f.client(v, "three", "planner-1").await;
        assert_eq!(Connect::new(v, "four", "planner-1").try_open(f.addr).await.1, if v == V5 { 0x97 } else { 3 });
        f.client(v, "four", "planner-2").await.ping().await;
        let full = if v == V5 { 0x97 } else { 0x80 };
        assert_eq!(c.subscribe("mw/v1/plant-1/dev/a/#", 1).await, 1);
        assert_eq!(c.subscribe("mw/v1/plant-1/dev/b/#", 1).await, 1);
        assert_eq!(c.subscribe("mw/v1/plant-1/dev/a/#", 0).await, 0, "the same again is no more");
        assert_eq!(c.subscribe("mw/v1/plant-1/dev/c/#", 1).await, full);
        c.unsubscribe("mw/v1/plant-1/dev/a/#").await;
        assert_eq!(c.subscribe("mw/v1/plant-1/dev/c/#", 1).await, 1);
    }
    let mut dev = f.client(V5, "dev", "cell-1").await;
    for (n, code) in [(1, 0), (2, 0), (3, 0x97), (1, 0)] {
        dev.publish(&format!("mw/v1/plant-1/dev/cell-1/alarm/a{n}"), b"", 1, 1).await;
        assert_eq!(dev.puback().await, (1, code));
    }
}
