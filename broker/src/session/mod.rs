//! One task a connection: it reads, acts, delivers and writes, and nobody else touches its state.
//!
//! Owns the wheel: what is read is bounded by what may be written and by what is withheld, all
//! that one turn produced goes into one event of the router and one write to the socket. A turn
//! never waits for another client.

mod connect;
mod inbound;
mod outbound;
mod publish;
mod subscribe;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mw_contract::AccountName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::broker::Shared;
use crate::codec::{CodecError, Version, encode, reason};
use crate::config::Limits;
use crate::control::{Control, Kick};
use crate::limits::AccountState;
use crate::registry::{Keep, Session, Slot, lifetime};
use crate::retained::Kept;
use crate::router::RouterLink;
use crate::will::Will;
use crate::withheld::HeldBack;

/// The bytes that one read brings at most; also what an idle connection's buffer shrinks to.
const READ_STEP: usize = 16 * 1024;
const IDLE_BUFFER: usize = 1024;
/// Packets acted on and messages taken in one turn, so that neither starves the other.
const FRAMES_A_TURN: usize = 256;
const MESSAGES_A_TURN: usize = 256;
/// How long the last bytes to a client may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The client said goodbye; no will.
    Goodbye,
    /// The client said goodbye with its will, or with a complaint.
    WithWill,
    /// The socket closed.
    Gone,
    /// The broker closes, for this reason.
    Refused(u8, &'static str),
    /// Somebody asked for the end.
    Kicked(Kick),
    /// The router is gone.
    NoRouter,
}

impl From<CodecError> for End {
    fn from(e: CodecError) -> End {
        let why = match e {
            CodecError::Malformed(w) | CodecError::Protocol(w) => w,
            CodecError::TooLarge { .. } => "the packet is too large",
            CodecError::UnsupportedVersion(_) => "this protocol version is not spoken here",
            CodecError::TopicAlias => "a topic alias is never 0",
        };
        End::Refused(e.reason(), why)
    }
}

impl From<crate::router::LinkClosed> for End {
    fn from(_: crate::router::LinkClosed) -> End {
        End::NoRouter
    }
}

/// What an MQTT client may be sent.
#[derive(Clone, Copy)]
struct Terms {
    version: Version,
    receive_maximum: u16,
    max_packet: usize,
    problem_information: bool,
}

/// A message that was written and waits for its PUBACK, or for those before it.
struct InFlight {
    router_id: u16,
    /// 0 when the client does not acknowledge it.
    packet_id: u16,
    done: bool,
    topic: Vec<u8>,
    cursor: Option<(u64, u64)>,
}

/// A retained message for one subscription.
#[derive(Clone)]
pub(crate) struct RetainedOut {
    kept: Arc<Kept>,
    subscription_id: Option<u32>,
}

/// All state of one connection but its socket.
struct Conn {
    shared: Arc<Shared>,
    control: Arc<Control>,
    client_id: Box<str>,
    name: AccountName,
    service: bool,
    counts: Arc<AccountState>,
    terms: Terms,
    slot: Slot,
    link: RouterLink,
    session: Session,
    session_expiry: u32,
    keep_alive: Option<Duration>,
    expires: Option<Instant>,
    will: Option<Will>,
    /// Bytes for the client.
    out: BytesMut,
    held: HeldBack,
    in_flight: VecDeque<InFlight>,
    /// Retained messages that were written and wait for their PUBACK.
    retained_in_flight: Vec<(u16, RetainedOut)>,
    unanswered: usize,
    /// Whose turn it is when there is room for one message only.
    router_first: bool,
    aliases: Vec<Option<Arc<str>>>,
    decisions: publish::Decisions,
    /// The rate limit says not to read before this.
    pause_until: Option<Instant>,
    last_packet: Instant,
    last_write: Instant,
    /// A subscription was taken away: what the router had ready for it must be held back.
    strict: bool,
}

impl Conn {
    fn limits(&self) -> &Limits {
        if self.service { &self.shared.service_limits } else { &self.shared.limits }
    }

    /// May more be read? Not while the client takes no answers, has too much withheld, or is too fast.
    fn may_read(&self, now: Instant) -> bool {
        self.out.len() < self.shared.limits.max_write_queue
            && self.held.len() < self.shared.limits.max_withheld
            && self.pause_until.is_none_or(|t| t <= now)
    }

    /// Gives out the acknowledgements whose turn has come.
    fn acknowledge(&mut self) {
        let (out, terms) = (&mut self.out, self.terms);
        self.held.drain(|id, code, why| {
            let why = if terms.problem_information { why } else { "" };
            encode::puback(out, terms.version, id, code, why);
        });
    }

    /// Does what others asked for.
    fn obey(&mut self) -> Result<(), End> {
        if let Some(k) = self.control.kicked() {
            return Err(End::Kicked(k));
        }
        for (lane, seq) in self.control.take_released() {
            self.held.released(lane, seq);
        }
        if self.control.take_recheck() {
            self.recheck()?;
        }
        Ok(())
    }

    /// The ends that come with time.
    fn overdue(&mut self, now: Instant) -> Result<(), End> {
        if self.expires.is_some_and(|t| t <= now) {
            return Err(End::Refused(reason::NOT_AUTHORIZED, "the token has expired"));
        }
        if self.held.oldest().is_some_and(|t| t + self.shared.limits.outcome_timeout <= now) {
            self.shared.metrics.outcome_timeouts.inc();
            return Err(End::Refused(reason::SERVER_BUSY, "what was published was not stored in time"));
        }
        if !self.out.is_empty() && self.last_write + self.shared.limits.write_timeout <= now {
            return Err(End::Refused(reason::UNSPECIFIED, "the client takes no bytes"));
        }
        // A client that is not read can't be seen to be alive.
        if !self.may_read(now) {
            self.last_packet = now;
        }
        if self.keep_alive.is_some_and(|k| self.last_packet + k <= now) {
            return Err(End::Refused(reason::KEEP_ALIVE_TIMEOUT, "nothing was heard for one and a half keep-alives"));
        }
        Ok(())
    }

    /// When [`Conn::overdue`] may next have something to say, or reading may go on.
    fn next_deadline(&self, now: Instant) -> Instant {
        let l = &self.shared.limits;
        let candidates = [
            self.expires,
            self.held.oldest().map(|t| t + l.outcome_timeout),
            (!self.out.is_empty()).then(|| self.last_write + l.write_timeout),
            self.keep_alive.map(|k| self.last_packet + k),
            self.pause_until.filter(|t| *t > now),
        ];
        candidates.into_iter().flatten().min().unwrap_or(now + Duration::from_secs(3600))
    }

    /// Lets go of everything that others wait for, before the last bytes go out.
    fn close(&mut self, end: End) {
        let (shared, control) = (Arc::clone(&self.shared), Arc::clone(&self.control));
        self.held.clear(&shared.withheld, &control);
        self.link.close();
        let fires = !matches!(end, End::Goodbye | End::Kicked(Kick::Shutdown) | End::NoRouter);
        let will = self.will.take().filter(|_| fires);
        let life = lifetime(self.session_expiry, shared.limits.max_session_expiry);
        let keeps = !life.is_zero() && !matches!(end, End::Kicked(Kick::AccountEnded(_)));
        shared.metrics.sessions.dec();
        // A will that is due is said while the client id is still held: what a client that comes
        // back retains on the same topic is then always the later word.
        if !keeps {
            if let Some(w) = will {
                w.publish(&self.name, &shared);
            }
            shared.registry.leave(&self.client_id, &control, self.slot, None);
            control.set_ended();
            return;
        }
        let mut session = std::mem::take(&mut self.session);
        session.unacked.extend(self.unacked());
        // In the order in which they were sent.
        self.retained_in_flight.append(&mut session.retained_unacked);
        session.retained_unacked = std::mem::take(&mut self.retained_in_flight);
        let delay = will.as_ref().map_or(Duration::ZERO, |w| w.delay).min(life);
        let (now_said, later) = if delay.is_zero() { (will, None) } else { (None, will) };
        if let Some(w) = now_said {
            w.publish(&self.name, &shared);
        }
        let has_later = later.is_some();
        let keep = Keep { session, until: Instant::now() + life, will: later };
        let epoch = shared.registry.leave(&self.client_id, &control, self.slot, Some(keep));
        control.set_ended();
        if let (true, Some(epoch)) = (has_later, epoch) {
            let id = self.client_id.clone();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                if let Some((account, w)) = shared.registry.take_will(&id, epoch) {
                    w.publish(&account, &shared);
                }
            });
        }
    }

    /// What the client is told last.
    fn farewell(&mut self, end: End) {
        let (code, why) = match end {
            End::Refused(code, why) => (code, why),
            End::Kicked(k) => k.reason(),
            End::NoRouter => (reason::UNSPECIFIED, "the broker can't go on"),
            End::Goodbye | End::WithWill | End::Gone => return,
        };
        self.shared.metrics.closed_for_cause.inc();
        tracing::info!(account = %self.name, client = %self.client_id.escape_debug(), code, why, "connection closed");
        if self.terms.version == Version::V5 {
            encode::disconnect(&mut self.out, code, why, self.terms.max_packet);
        }
    }
}

/// A panic must not leave a client id taken for ever.
struct EndGuard(Option<(Arc<Shared>, Arc<Control>, Box<str>, Slot)>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        if let Some((shared, control, id, slot)) = self.0.take() {
            shared.registry.leave(&id, &control, slot, None);
            control.set_ended();
        }
    }
}

/// Serves one connection from its first byte to its last.
pub(crate) async fn serve<S>(shared: &Arc<Shared>, stream: S, peer: SocketAddr, deadline: tokio::time::Instant)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (mut rd, mut wr) = tokio::io::split(stream);
    let mut inb = BytesMut::new();
    let opened = connect::open(shared, &mut rd, &mut wr, &mut inb, peer, deadline).await;
    if let Some((mut guard, mut conn)) = opened {
        let end = wheel(&mut conn, &mut rd, &mut wr, &mut inb).await;
        guard.0 = None;
        conn.close(end);
        conn.farewell(end);
        if !matches!(end, End::Gone) {
            let last = async { wr.write_all(&conn.out).await };
            // Nobody is left to be told of a failure.
            let _ = tokio::time::timeout(FAREWELL, last).await;
        }
    }
    let _ = tokio::time::timeout(FAREWELL, wr.shutdown()).await;
}

/// Room for the next read: little for the idle, more for the busy, never more than one packet.
fn make_room(inb: &mut BytesMut, max: usize) {
    if inb.is_empty() && inb.capacity() > 4 * READ_STEP {
        *inb = BytesMut::new();
    }
    if inb.capacity() - inb.len() < IDLE_BUFFER / 2 {
        let step = if inb.is_empty() { IDLE_BUFFER } else { READ_STEP.max(inb.len()) };
        inb.reserve(step.min(max.saturating_sub(inb.len()).max(READ_STEP)));
    }
}

async fn wheel<S>(conn: &mut Conn, rd: &mut ReadHalf<S>, wr: &mut WriteHalf<S>, inb: &mut BytesMut) -> End
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let control = Arc::clone(&conn.control);
    let alarm = tokio::time::sleep_until(conn.next_deadline(Instant::now()).into());
    tokio::pin!(alarm);
    loop {
        let now = Instant::now();
        let more = match conn.turn(inb, now) {
            Ok(more) => more,
            Err(end) => return end,
        };
        let next = conn.next_deadline(now).into();
        if next < alarm.deadline() || alarm.is_elapsed() {
            alarm.as_mut().reset(next);
        }
        let reading = conn.may_read(now);
        let taking = conn.may_take();
        if reading {
            make_room(inb, conn.limits().max_packet);
        }
        let writing = !conn.out.is_empty();
        tokio::select! {
            biased;
            w = wr.write_buf(&mut conn.out), if writing => match w {
                Ok(0) | Err(_) => return End::Gone,
                Ok(n) => {
                    conn.shared.metrics.bytes_out.inc_by(n as u64);
                    conn.last_write = Instant::now();
                    if conn.out.is_empty() && conn.out.capacity() > 4 * READ_STEP {
                        conn.out = BytesMut::new();
                    }
                }
            },
            () = control.woken() => {}
            r = rd.read_buf(inb), if reading => match r {
                Ok(0) | Err(_) => return End::Gone,
                Ok(n) => { conn.shared.metrics.bytes_in.inc_by(n as u64); }
            },
            l = conn.link.wait(), if taking => if l.is_err() { return End::NoRouter },
            () = &mut alarm => {}
            () = tokio::task::yield_now(), if more => {}
        }
    }
}

impl Conn {
    /// One turn of the wheel. Is there more to do right away?
    fn turn(&mut self, inb: &mut BytesMut, now: Instant) -> Result<bool, End> {
        self.obey()?;
        self.overdue(now)?;
        let was_empty = self.out.is_empty();
        let mut more = self.act(inb, now)?;
        self.acknowledge();
        more |= self.deliver_both()?;
        self.link.flush()?;
        if was_empty && !self.out.is_empty() {
            self.last_write = now;
        }
        Ok(more)
    }
}
