//! Sockets: accept, TLS, the connection limit.
//!
//! Accepting never waits for a client: handshake and CONNECT happen in the connection's own task
//! and have a deadline there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::broker::Shared;
use crate::config::BrokerError;
use crate::session;

/// Binds, so that a taken port is known at once.
pub(crate) fn bind(listener: &'static str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), BrokerError> {
    let go = || {
        let l = std::net::TcpListener::bind(addr)?;
        l.set_nonblocking(true)?;
        let l = TcpListener::from_std(l)?;
        let at = l.local_addr()?;
        Ok((l, at))
    };
    go().map_err(|source| BrokerError::Bind { listener, addr, source })
}

/// Accepts until the broker stops.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>) {
    let acceptor = tls.map(TlsAcceptor::from);
    let mut stopping = shared.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            a = listener.accept() => a,
            _ = stopping.wait_for(|s| *s) => return,
        };
        match accepted {
            Ok((stream, peer)) => start(&shared, stream, peer, acceptor.clone()),
            Err(e) => {
                // Out of descriptors, as a rule: the next try would fail at once.
                tracing::warn!(error = %e, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// One connection's place in the limit.
pub(crate) struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Place> {
        let max = shared.limits.max_connections;
        let took = shared
            .connections
            .fetch_update(AcqRel, std::sync::atomic::Ordering::Acquire, |n| (n < max).then_some(n + 1));
        took.ok()?;
        shared.metrics.connections.inc();
        Some(Place(Arc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, AcqRel);
        self.0.metrics.connections.dec();
    }
}

fn start(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
    let Some(place) = Place::take(shared) else {
        tracing::warn!(%peer, "connection limit reached");
        shared.metrics.connects_refused.inc();
        return;
    };
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(120)).with_interval(Duration::from_secs(30));
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&keepalive));
    if let Err(e) = prepared {
        tracing::debug!(%peer, error = %e, "the client was gone before it was served");
        return;
    }
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let _place = place;
        let deadline = tokio::time::Instant::now() + shared.limits.connect_timeout;
        match tls {
            None => session::serve(&shared, stream, peer, deadline).await,
            Some(acceptor) => match tokio::time::timeout_at(deadline, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => session::serve(&shared, stream, peer, deadline).await,
                Ok(Err(e)) => tracing::debug!(%peer, error = %e, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            },
        }
    });
}
