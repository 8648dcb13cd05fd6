//! From the first byte to CONNACK.
//!
//! Owns the order of its checks: form, credentials, will, client id; nothing of the client is
//! kept, and nothing reaches the router, before all of them held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf, BytesMut};
use mw_contract::{AccountName, topics};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::{Conn, EndGuard, Terms, make_room, publish};
use crate::auth::{AuthFailure, Principal};
use crate::broker::Shared;
use crate::codec::encode::{self, ServerTerms};
use crate::codec::{CodecError, Connect, ConnectWill, Packet, Version, parse_frame, reason};
use crate::control::{Control, Kick};
use crate::registry::{JoinError, Joined, lifetime};
use crate::router::{LinkClosed, RouterLink};
use crate::will::Will;
use crate::withheld::HeldBack;

/// How long identity may take; a queue of log-ins is behind it.
const AUTH_PATIENCE: Duration = Duration::from_secs(20);
/// The one account of a broker without accounts.
const OPEN_ACCOUNT: &str = "open-for-testing";

/// CONNECT is refused: the reason code, and the words for it.
struct Refused(u8, &'static str);

/// What is left of a CONNECT once its bytes are gone.
struct Wanted {
    version: Version,
    clean_start: bool,
    keep_alive: u16,
    client_id: String,
    assigned: bool,
    will: Option<Will>,
    session_expiry: u32,
    terms: Terms,
    principal: Principal,
}

/// Reads CONNECT and answers it. `None`: the connection is to be closed, all is said.
pub(super) async fn open<S>(
    shared: &Arc<Shared>,
    rd: &mut ReadHalf<S>,
    wr: &mut WriteHalf<S>,
    inb: &mut BytesMut,
    peer: SocketAddr,
    deadline: tokio::time::Instant,
) -> Option<(EndGuard, Conn)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let max = shared.limits.max_connect_packet;
    let mut answer = BytesMut::new();
    let read = tokio::time::timeout_at(deadline, async {
        loop {
            match parse_frame(inb, None, max) {
                Ok(Some(_)) => return Ok(true),
                Ok(None) => {}
                Err(e) => return Err(e),
            }
            make_room(inb, max);
            match rd.read_buf(inb).await {
                Ok(n) if n > 0 => shared.metrics.bytes_in.inc_by(n as u64),
                _ => return Ok(false),
            };
        }
    })
    .await;
    match read {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return None,
        Err(_) => {
            tracing::debug!(%peer, "no CONNECT in time");
            return None;
        }
        Ok(Err(e)) => {
            tracing::debug!(%peer, error = %e, "no CONNECT that can be read");
            shared.metrics.connects_refused.inc();
            // Other errors are of clients whose version is not known: no answer could be read.
            if let CodecError::UnsupportedVersion(level) = e {
                let v = if level > 5 { Version::V5 } else { Version::V311 };
                encode::connack_refused(&mut answer, v, e.reason(), "only 3.1.1 and 5 are spoken here");
                say(wr, &answer).await;
            }
            return None;
        }
    }
    let (version, outcome, taken) = match parse_frame(inb, None, max) {
        Ok(Some((Packet::Connect(c), n))) => (c.version, check(shared, &c, peer).await, n),
        // Read a moment ago; the compiler can't know.
        _ => return None,
    };
    inb.advance(taken);
    let refused = match outcome {
        Ok(wanted) => match link_up(shared, wanted).await {
            Ok((mut conn, guard, present, assigned)) => {
                welcome(&mut conn, present, assigned);
                return Some((guard, conn));
            }
            Err(r) => r,
        },
        Err(r) => r,
    };
    shared.metrics.connects_refused.inc();
    tracing::info!(%peer, code = refused.0, why = refused.1, "CONNECT refused");
    encode::connack_refused(&mut answer, version, refused.0, refused.1);
    say(wr, &answer).await;
    None
}

async fn say<S: AsyncRead + AsyncWrite>(wr: &mut WriteHalf<S>, bytes: &[u8]) {
    // A client that does not take its refusal misses it.
    let _ = tokio::time::timeout(super::FAREWELL, wr.write_all(bytes)).await;
}

/// All that can be said no to without touching anybody else.
async fn check(shared: &Shared, c: &Connect<'_>, peer: SocketAddr) -> Result<Wanted, Refused> {
    if c.enhanced_auth {
        return Err(Refused(reason::BAD_AUTH_METHOD, "enhanced authentication is not offered"));
    }
    if c.client_id.len() > shared.limits.max_client_id {
        return Err(Refused(reason::CLIENT_ID_NOT_VALID, "the client id is too long"));
    }
    if c.client_id.is_empty() && c.version == Version::V311 && !c.clean_start {
        return Err(Refused(reason::CLIENT_ID_NOT_VALID, "a session to keep needs a client id"));
    }
    let principal = identify(shared, c, peer).await?;
    let will = match &c.will {
        Some(w) => Some(check_will(shared, &principal, c.version, w)?),
        None => None,
    };
    let session_expiry = match (c.version, c.clean_start) {
        (Version::V5, _) => c.session_expiry,
        (Version::V311, true) => 0,
        (Version::V311, false) => u32::MAX,
    };
    let assigned = c.client_id.is_empty();
    Ok(Wanted {
        version: c.version,
        clean_start: c.clean_start,
        keep_alive: c.keep_alive,
        client_id: if assigned { format!("auto-{}", uuid::Uuid::new_v4().simple()) } else { c.client_id.to_owned() },
        assigned,
        will,
        session_expiry,
        terms: Terms {
            version: c.version,
            receive_maximum: c.receive_maximum,
            max_packet: usize::try_from(c.max_packet).unwrap_or(usize::MAX),
            problem_information: c.problem_information,
        },
        principal,
    })
}

async fn identify(shared: &Shared, c: &Connect<'_>, peer: SocketAddr) -> Result<Principal, Refused> {
    const NO: Refused = Refused(reason::BAD_CREDENTIALS, "the account or its secret is wrong");
    if shared.open {
        let account = AccountName::new(OPEN_ACCOUNT).map_err(|_| NO)?;
        return Ok(Principal { account, expires_at: None, service: false });
    }
    let (Some(user), Some(password)) = (c.username, c.password) else { return Err(NO) };
    let asked = shared.auth.authenticate(user, password, peer.ip());
    match tokio::time::timeout(AUTH_PATIENCE, asked).await {
        Ok(Ok(p)) => Ok(p),
        Ok(Err(AuthFailure::BadCredentials)) => Err(NO),
        Ok(Err(AuthFailure::NotAuthorized)) => Err(Refused(reason::NOT_AUTHORIZED, "the account may not connect")),
        Ok(Err(AuthFailure::Busy)) => Err(Refused(reason::SERVER_BUSY, "too many log-ins, try again later")),
        Ok(Err(AuthFailure::Unavailable)) | Err(_) => {
            Err(Refused(reason::SERVER_UNAVAILABLE, "log-ins are not possible at the moment"))
        }
    }
}

fn check_will(shared: &Shared, who: &Principal, version: Version, w: &ConnectWill<'_>) -> Result<Will, Refused> {
    // Wills of QoS 2 are refused until QoS 2 is offered; a 3.1.1 client can't be told of it before,
    // so it gets the nearest there is.
    if version == Version::V5 && w.qos > 1 {
        return Err(Refused(reason::QOS_NOT_SUPPORTED, "wills of QoS 2 are not offered"));
    }
    if topics::check_name(w.topic).is_err() {
        return Err(Refused(reason::TOPIC_INVALID, "not a topic for a will"));
    }
    let allowed = if shared.open {
        !w.topic.starts_with('$')
    } else {
        let account = shared.auth.account(&who.account);
        // A command that acts because somebody left is not a message to leave behind.
        !matches!(topics::Topic::parse(w.topic), Some(topics::Topic::Command { .. }))
            && account.is_some_and(|a| mw_policy::may_publish(&a, w.topic, w.retain).is_allowed())
    };
    if !allowed {
        return Err(Refused(reason::NOT_AUTHORIZED, "the account may not publish its will"));
    }
    let l = if who.service { &shared.service_limits } else { &shared.limits };
    if !shared.names.admit_topic(w.topic, &shared.accounts.get_or_add(&who.account), l) {
        return Err(Refused(reason::QUOTA_EXCEEDED, "too many different topics"));
    }
    let own = w.props.response_topic.is_none_or(|t| topics::is_own_reply(t, &who.account));
    Ok(Will::new(w, own || shared.open || who.service))
}

/// Takes the client id, then a link under it.
async fn link_up(shared: &Arc<Shared>, w: Wanted) -> Result<(Conn, EndGuard, bool, Option<String>), Refused> {
    const BUSY: Refused = Refused(reason::SERVER_UNAVAILABLE, "the broker can't take connections at the moment");
    let name = w.principal.account.clone();
    let control = Arc::new(Control::default());
    let limits = if w.principal.service { &shared.service_limits } else { &shared.limits };
    let joined = shared
        .registry
        .join(&w.client_id, &name, &control, w.clean_start, limits.max_sessions_per_account)
        .await
        .map_err(|e| match e {
            JoinError::OtherAccount => Refused(reason::NOT_AUTHORIZED, "the client id belongs to another account"),
            JoinError::TooMany => Refused(reason::QUOTA_EXCEEDED, "too many sessions of this account"),
        })?;
    let Joined { slot, session, will: overtaken } = joined;
    let client_id: Box<str> = w.client_id.as_str().into();
    let mut after = slot;
    after.used = true;
    let guard = EndGuard(Some((Arc::clone(shared), Arc::clone(&control), client_id.clone(), after)));
    if let Some(will) = overtaken {
        will.publish(&name, shared);
    }
    // Disabled between the check of its secret and here: the kick found nobody to tell.
    if !shared.open && shared.auth.account(&name).is_none_or(|a| a.disabled) {
        return Err(Refused(reason::NOT_AUTHORIZED, "the account may not connect"));
    }
    let present = session.is_some();
    let keeps = present || w.session_expiry > 0;
    let router = &shared.router;
    let made = async {
        if slot.used && keeps && !present {
            // What the router still has under this name is of somebody else.
            drop(router.link(&slot.name(), true).await?);
        }
        router.link(&slot.name(), !keeps).await
    };
    let made: Result<RouterLink, LinkClosed> = made.await;
    let Ok(link) = made else { return Err(BUSY) };
    if *shared.stopping.borrow() {
        return Err(Refused(reason::SERVER_SHUTTING_DOWN, "the broker stops"));
    }
    if let Some(Kick::AccountEnded(_)) = control.kicked() {
        return Err(Refused(reason::NOT_AUTHORIZED, "the account may not connect"));
    }
    let now = Instant::now();
    let expires = w.principal.expires_at.map(|t| now + t.duration_since(SystemTime::now()).unwrap_or_default());
    let mut conn = Conn {
        shared: Arc::clone(shared),
        control,
        client_id,
        counts: shared.accounts.get_or_add(&name),
        name,
        service: w.principal.service,
        terms: w.terms,
        slot: after,
        link,
        session: session.unwrap_or_default(),
        session_expiry: w.session_expiry,
        keep_alive: (w.keep_alive > 0).then(|| Duration::from_millis(u64::from(w.keep_alive) * 1500)),
        expires,
        will: w.will,
        out: BytesMut::new(),
        held: HeldBack::new(shared.metrics.clone()),
        in_flight: std::collections::VecDeque::new(),
        retained_in_flight: Vec::new(),
        unanswered: 0,
        router_first: true,
        aliases: Vec::new(),
        decisions: publish::Decisions::default(),
        pause_until: None,
        last_packet: now,
        last_write: now,
        strict: false,
    };
    shared.metrics.sessions.inc();
    shared.metrics.connects.inc();
    if present {
        conn.resume();
    }
    let assigned = (w.assigned && w.version == Version::V5).then_some(w.client_id);
    Ok((conn, guard, present, assigned))
}

fn welcome(conn: &mut Conn, present: bool, assigned: Option<String>) {
    let l = conn.limits();
    let granted = lifetime(conn.session_expiry, l.max_session_expiry).as_secs();
    let granted = u32::try_from(granted).unwrap_or(u32::MAX);
    let terms = ServerTerms {
        assigned_client_id: assigned.as_deref(),
        session_expiry: (granted != conn.session_expiry).then_some(granted),
        receive_maximum: u16::try_from(l.max_withheld).unwrap_or(u16::MAX).max(1),
        max_packet: u32::try_from(l.max_packet).unwrap_or(u32::MAX),
        topic_alias_maximum: l.max_topic_aliases,
    };
    encode::connack_ok(&mut conn.out, conn.terms.version, present, &terms);
}
