//! The TLS listener, and addresses that can't be had.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use mw_broker::{Broker, BrokerConfig, BrokerError, Limits};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

fn tls() -> (Arc<rustls::ServerConfig>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_tls_client_blocks_nobody_and_is_closed() {
    let f = start_with(Limits { connect_timeout: Duration::from_secs(2), ..Limits::default() }).await;
    let (server, connector) = tls();
    let addr = f.broker.listen_tls(loopback(), server).unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(Client::raw(addr, V5).await);
    }
    let mut plain = f.client(V4, "plain", "planner-1").await;
    plain.subscribe("mw/v1/plant-1/dev/#", 1).await;
    for v in BOTH {
        let s = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let s = within("the handshake", connector.connect(name, s)).await.unwrap();
        let mut c = Client::over(Box::new(s), v);
        c.send(&Connect::new(v, "tls", "cell-1").bytes()).await;
        assert_eq!(c.frame().await.unwrap().body[1], 0);
        c.publish("mw/v1/plant-1/dev/cell-1/alarm/hot", &[v; 20_000], 1, 1).await;
        assert_eq!(c.puback().await, (1, 0));
        assert_eq!(plain.message().await.payload, [v; 20_000]);
        c.goodbye().await;
    }
    f.others_still_work().await;
    for mut c in silent {
        assert_eq!(c.closed().await, None);
    }
    // Bytes that are no handshake.
    let mut c = Client::raw(addr, V5).await;
    c.send(&Connect::new(V5, "x", "planner-1").bytes()).await;
    c.closed().await;
    f.others_still_work().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_said_by_name() {
    let f = start().await;
    let e = f.broker.listen_tcp(f.addr).unwrap_err();
    assert!(matches!(e, BrokerError::Bind { listener: "mqtt", .. }));
    assert!(e.to_string().contains(&f.addr.to_string()), "{e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_broker_is_for_this_machine_only_and_withholds_nothing() {
    let f = start().await;
    let config = BrokerConfig { open_for_testing: true, ..BrokerConfig::default() };
    let open = Broker::start(config, Arc::clone(&f.accounts) as _).unwrap();
    let e = open.listen_tcp("0.0.0.0:0".parse().unwrap()).unwrap_err();
    assert!(matches!(e, BrokerError::OpenNotLoopback(_)));
    let addr = open.listen_tcp(loopback()).unwrap();
    for v in BOTH {
        let mut nobody = Connect::new(v, "n", "x");
        (nobody.user, nobody.password) = (None, None);
        let mut c = nobody.open(addr).await;
        for filter in ["#", "/+/a", "TopicA"] {
            assert_eq!(c.subscribe(filter, 1).await, 1);
        }
        c.publish("mw/v1/plant-1/cmd/planner-1/production", b"not json", 1, 3).await;
        assert_eq!(c.puback().await, (3, 0));
        assert_eq!(c.message().await.payload, b"not json");
        assert_eq!(c.subscribe("$SYS/#", 0).await, if v == V5 { 0x87 } else { 0x80 });
    }
}
