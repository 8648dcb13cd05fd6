//! Acts on what a client sent, packet by packet. Owns the read buffer's front.

use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::{Conn, End, FRAMES_A_TURN};
use crate::codec::{Packet, Version, encode, parse_frame, reason};

impl Conn {
    /// Acts on the packets that are there, up to a bound. Are there more to act on at once?
    pub(super) fn act(&mut self, inb: &mut BytesMut, now: Instant) -> Result<bool, End> {
        let (version, max) = (Some(self.terms.version), self.limits().max_packet);
        let mut at = 0;
        let mut outcome = Ok(false);
        for n in 0.. {
            if !self.may_read(now) {
                break;
            }
            if n == FRAMES_A_TURN {
                outcome = Ok(true);
                break;
            }
            match parse_frame(&inb[at..], version, max) {
                Ok(None) => break,
                Ok(Some((packet, size))) => {
                    at += size;
                    self.last_packet = now;
                    if let Err(end) = self.on_packet(packet, now) {
                        outcome = Err(end);
                        break;
                    }
                }
                Err(e) => {
                    outcome = Err(e.into());
                    break;
                }
            }
        }
        inb.advance(at);
        if outcome.is_err() {
            // What came before the end was accepted, and its answers are on their way.
            self.acknowledge();
            self.link.flush()?;
        }
        outcome
    }

    fn on_packet(&mut self, packet: Packet<'_>, now: Instant) -> Result<(), End> {
        match packet {
            Packet::Publish(p) => self.on_publish(&p, now),
            Packet::PubAck(id) => {
                self.on_puback(id);
                Ok(())
            }
            Packet::Subscribe(s) => self.on_subscribe(&s),
            Packet::Unsubscribe(u) => self.on_unsubscribe(&u),
            Packet::PingReq => {
                encode::pingresp(&mut self.out);
                Ok(())
            }
            Packet::Disconnect { reason: code, session_expiry } => Err(self.on_disconnect(code, session_expiry)),
            Packet::Auth => Err(End::Refused(reason::PROTOCOL_ERROR, "AUTH was never agreed upon")),
            // The place of QoS 2, once it is offered.
            Packet::QoS2Step(_) => Err(End::Refused(reason::PROTOCOL_ERROR, "no QoS 2 message is in flight")),
            Packet::Connect(_) => Err(End::Refused(reason::PROTOCOL_ERROR, "a second CONNECT")),
        }
    }

    fn on_disconnect(&mut self, code: u8, session_expiry: Option<u32>) -> End {
        if let Some(s) = session_expiry {
            if self.session_expiry == 0 && s > 0 {
                return End::Refused(reason::PROTOCOL_ERROR, "a session that was to end can't be kept now");
            }
            self.session_expiry = s;
        }
        if self.terms.version == Version::V311 || code == reason::SUCCESS { End::Goodbye } else { End::WithWill }
    }
}
