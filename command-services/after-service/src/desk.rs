//! What spans tickets: numbers, dedupe keys, who is at work, who is expected where, what stands open.
//!
//! Owns their compact form. It must never refuse anything; rules read from it.

use std::collections::{BTreeMap, HashMap, HashSet};

use mw_contract::decide::EventMeta;
use mw_contract::event::ticket_parts::WorkLogV1;
use mw_contract::{
    AccountName, AggregateId, AggregateKind, CustomerId, EntityId, Event, Instant, ProductId, SiteId, StreamId, Text,
    TicketState,
};

use crate::evolve::state_after;

/// Work that ended longer ago than this before the newest is not held against new logs.
const REMEMBERED_MS: i64 = 60 * 24 * 3_600_000;

/// What is known of a ticket from outside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// Its number.
    pub number: Text<20>,
    /// Its site.
    pub site_id: SiteId,
    /// Where it is in its life.
    pub state: TicketState,
    /// Whose it is.
    pub customer_id: Option<CustomerId>,
    /// Its unit.
    pub serial: Option<Text<60>>,
    /// The unit's product.
    pub product_id: Option<ProductId>,
    /// It is the same case as another one.
    pub master: Option<AggregateId>,
    /// How often it was reported.
    pub occurrences: u32,
    /// When it was closed or cancelled.
    pub ended_at: Option<Instant>,
}

/// A visit that is still to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Of which ticket.
    pub ticket_id: AggregateId,
    /// From.
    pub start: Instant,
    /// To.
    pub end: Instant,
}

/// Time that somebody spent: a work session that ended, or a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// On which ticket.
    pub ticket_id: AggregateId,
    /// The session or log.
    pub id: EntityId,
    /// From.
    pub start: Instant,
    /// To.
    pub end: Instant,
}

/// A work session that is open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtWork {
    /// On which ticket.
    pub ticket_id: AggregateId,
    /// Which.
    pub session_id: EntityId,
    /// Since when.
    pub since: Instant,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    tickets: HashMap<AggregateId, Brief>,
    /// The last ticket with the key, by site and customer: nobody reaches another customer's ticket by a key.
    dedupe: HashMap<(SiteId, Option<CustomerId>, Text<120>), AggregateId>,
    by_serial: HashMap<Text<60>, Vec<AggregateId>>,
    masters: HashSet<AggregateId>,
    /// The last ticket that goes on from one.
    follow_ups: HashMap<AggregateId, AggregateId>,
    /// By year, the number below which none is free.
    series: HashMap<u16, u32>,
    at_work: HashMap<AccountName, Vec<AtWork>>,
    session_of: HashMap<EntityId, AccountName>,
    visits: HashMap<EntityId, (AccountName, Expected)>,
    spent: HashMap<AccountName, Vec<Spent>>,
    rma: HashMap<Text<20>, AggregateId>,
    /// Units that production has made or found for a ticket.
    promised: HashMap<Text<60>, AggregateId>,
    /// Units for which production was asked, and has not answered finally.
    replacements: HashMap<Text<60>, BTreeMap<EntityId, AggregateId>>,
}

impl Desk {
    /// A ticket, as seen from outside.
    pub fn ticket(&self, id: AggregateId) -> Option<&Brief> {
        self.tickets.get(&id)
    }

    /// The open ticket of a site and customer (none: internal) with a dedupe key, and how often it was
    /// reported.
    pub fn open_with_key(
        &self,
        site: &SiteId,
        customer: Option<&CustomerId>,
        key: &Text<120>,
    ) -> Option<(AggregateId, u32)> {
        self.open_count(*self.dedupe.get(&(site.clone(), customer.cloned(), key.clone()))?)
    }

    /// The open ticket that goes on from another one, and how often it was reported.
    pub fn open_follow_up(&self, of: AggregateId) -> Option<(AggregateId, u32)> {
        self.open_count(*self.follow_ups.get(&of)?)
    }

    fn open_count(&self, id: AggregateId) -> Option<(AggregateId, u32)> {
        self.tickets.get(&id).filter(|t| t.state.is_open()).map(|t| (id, t.occurrences))
    }

    /// Was another ticket marked as the same case as this one?
    pub fn has_duplicates(&self, id: AggregateId) -> bool {
        self.masters.contains(&id)
    }

    /// The tickets about a serial number, oldest first, without those that were marked duplicates. With a
    /// product only those of it and those of which no product is known.
    pub fn tickets_of(&self, serial: &Text<60>, product: Option<&ProductId>) -> Vec<AggregateId> {
        let fits = |t: &Brief| {
            t.master.is_none() && (product.is_none() || t.product_id.is_none() || t.product_id.as_ref() == product)
        };
        let all = self.by_serial.get(serial).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|id| self.tickets.get(id).is_some_and(fits)).copied().collect()
    }

    /// The next free number of a year: `TK-YYYY-nnnnnn`. None when the year has used them all.
    pub fn next_number(&self, year: u16) -> Option<Text<20>> {
        let n = self.series.get(&year).copied().unwrap_or(1);
        Text::new(&format!("TK-{year:04}-{n:06}")).ok()
    }

    /// T3: the sessions in which a technician is at work, on whatever ticket.
    pub fn at_work(&self, technician: &AccountName) -> &[AtWork] {
        self.at_work.get(technician).map_or(&[], Vec::as_slice)
    }

    /// A technician's visits that are still to come and touch an interval, except one.
    pub fn visits_between(
        &self,
        technician: &AccountName,
        start: Instant,
        end: Instant,
        except: Option<EntityId>,
    ) -> Vec<(EntityId, Expected)> {
        let touches = |e: &Expected| e.start < end && start < e.end;
        let mut found: Vec<_> = self
            .visits
            .iter()
            .filter(|(id, (who, e))| who == technician && Some(**id) != except && touches(e))
            .map(|(id, (_, e))| (*id, *e))
            .collect();
        found.sort_by_key(|(id, e)| (e.start, *id));
        found
    }

    /// A log or session of a technician on another ticket than `except` that touches an interval; an open
    /// session lasts for ever.
    pub fn busy(
        &self,
        technician: &AccountName,
        from: Instant,
        to: Instant,
        except: AggregateId,
    ) -> Option<(AggregateId, EntityId)> {
        let open = self.at_work(technician).iter().find(|w| w.ticket_id != except && w.since < to);
        let spent = || {
            let all = self.spent.get(technician)?;
            all.iter().find(|s| s.ticket_id != except && s.start < to && from < s.end).map(|s| (s.ticket_id, s.id))
        };
        open.map(|w| (w.ticket_id, w.session_id)).or_else(spent)
    }

    /// The ticket that an RMA number belongs to.
    pub fn rma(&self, rma_no: &Text<20>) -> Option<AggregateId> {
        self.rma.get(rma_no).copied()
    }

    /// The ticket that a unit is kept for.
    pub fn promised_to(&self, serial: &Text<60>) -> Option<AggregateId> {
        self.promised.get(serial).copied()
    }

    /// The ticket whose request to production stands open for a unit.
    pub fn open_replacement(&self, serial: &Text<60>) -> Option<AggregateId> {
        self.replacements.get(serial)?.values().next().copied()
    }

    /// Folds one event in.
    pub fn learn(&mut self, stream: &StreamId, event: &Event, meta: &EventMeta) {
        if stream.kind != AggregateKind::Ticket {
            return;
        }
        let id = stream.id;
        if let Event::TicketOpened(e) = event {
            self.take_number(&e.number);
            if let Some(key) = &e.dedupe_key {
                self.dedupe.insert((e.site_id.clone(), e.customer_id.clone(), key.clone()), id);
            }
            if let Some(serial) = &e.serial {
                self.by_serial.entry(serial.clone()).or_default().push(id);
            }
            if let Some(old) = e.follows {
                self.follow_ups.insert(old, id);
            }
            let brief = Brief {
                number: e.number.clone(),
                site_id: e.site_id.clone(),
                state: TicketState::New,
                customer_id: e.customer_id.clone(),
                serial: e.serial.clone(),
                product_id: e.product_id.clone(),
                master: None,
                occurrences: 1,
                ended_at: None,
            };
            self.tickets.insert(id, brief);
            return;
        }
        if let Some(t) = self.tickets.get_mut(&id) {
            t.state = state_after(t.state, event);
            match event {
                Event::TicketOccurrenceAdded(e) => t.occurrences = e.count,
                Event::TicketMarkedDuplicate(e) => {
                    t.master = Some(e.master_ticket_id);
                    self.masters.insert(e.master_ticket_id);
                }
                Event::WarrantyChecked(e) => {
                    if let Some(u) = &e.unit {
                        t.product_id = Some(u.product_id.clone());
                    }
                }
                Event::TicketClosed(_) | Event::TicketCancelled(_) => t.ended_at = Some(meta.occurred_at),
                Event::TicketReopened(_) => t.ended_at = None,
                Event::TicketAmended(e) => {
                    t.product_id = e.product_id.clone().or(t.product_id.take());
                    if let Some(serial) = &e.serial {
                        if let Some(old) = t.serial.replace(serial.clone())
                            && let Some(of) = self.by_serial.get_mut(&old)
                        {
                            of.retain(|x| *x != id);
                        }
                        self.by_serial.entry(serial.clone()).or_default().push(id);
                    }
                }
                _ => {}
            }
        }
        self.learn_work(id, event, meta);
        self.learn_visits(id, event);
        match event {
            Event::ReturnAuthorized(e) => {
                self.rma.insert(e.rma_no.clone(), id);
            }
            Event::ReplacementOrderRequested(e) => {
                let serial = e.return_serial.clone().or_else(|| self.tickets.get(&id)?.serial.clone());
                if let Some(serial) = serial {
                    self.replacements.entry(serial).or_default().insert(e.request_id, id);
                }
            }
            Event::ReplacementOrderReady(e) => {
                self.promised.extend(e.serials.iter().map(|s| (s.clone(), id)));
                self.replaced(e.request_id);
            }
            Event::UnitReplaced(_) => self.promised.retain(|_, t| *t != id),
            Event::ReplacementOrderFailed(e) => self.replaced(e.request_id),
            Event::TicketCancelled(_) | Event::TicketClosed(_) => {
                self.promised.retain(|_, t| *t != id);
                self.visits.retain(|_, (_, e)| e.ticket_id != id);
                self.replacements.retain(|_, open| {
                    open.retain(|_, t| *t != id);
                    !open.is_empty()
                });
            }
            _ => {}
        }
    }

    fn take_number(&mut self, number: &Text<20>) {
        let mut parts = number.as_str().splitn(3, '-').skip(1);
        let year = parts.next().and_then(|y| y.parse::<u16>().ok());
        let n = parts.next().and_then(|n| n.parse::<u32>().ok());
        if let (Some(year), Some(n)) = (year, n) {
            let next = self.series.entry(year).or_insert(1);
            *next = (*next).max(n.saturating_add(1));
        }
    }

    fn replaced(&mut self, request: EntityId) {
        self.replacements.retain(|_, open| {
            open.remove(&request);
            !open.is_empty()
        });
    }

    fn learn_work(&mut self, id: AggregateId, event: &Event, meta: &EventMeta) {
        let started = match event {
            Event::WorkStarted(e) => Some((e.session_id, &e.technician)),
            Event::WorkResumed(e) => Some((e.session_id, &e.technician)),
            _ => None,
        };
        if let Some((session_id, technician)) = started {
            self.session_of.insert(session_id, technician.clone());
            let at_work = AtWork { ticket_id: id, session_id, since: meta.occurred_at };
            self.at_work.entry(technician.clone()).or_default().push(at_work);
        }
        match event {
            Event::WorkPaused(e) => {
                let Some(technician) = self.session_of.remove(&e.session_id) else { return };
                let Some(open) = self.at_work.get_mut(&technician) else { return };
                let Some(i) = open.iter().position(|w| w.session_id == e.session_id) else { return };
                let w = open.swap_remove(i);
                if open.is_empty() {
                    self.at_work.remove(&technician);
                }
                let spent = Spent { ticket_id: id, id: e.session_id, start: w.since, end: meta.occurred_at };
                self.spend(&technician, spent);
            }
            Event::WorkLogged(e) => self.spend(&e.technician, logged(id, e.log_id, &e.log)),
            Event::WorkLogCorrected(e) => {
                if let Some(all) = self.spent.get_mut(&e.technician) {
                    all.retain(|s| s.id != e.log_id);
                }
                self.spend(&e.technician, logged(id, e.log_id, &e.new));
            }
            _ => {}
        }
    }

    fn spend(&mut self, technician: &AccountName, spent: Spent) {
        let all = self.spent.entry(technician.clone()).or_default();
        all.push(spent);
        let newest = all.iter().map(|s| s.end).max().unwrap_or(spent.end);
        all.retain(|s| newest.since(s.end) <= REMEMBERED_MS);
    }

    fn learn_visits(&mut self, id: AggregateId, event: &Event) {
        match event {
            Event::VisitScheduled(e) => {
                let expected = Expected { ticket_id: id, start: e.visit.window_start, end: e.visit.window_end };
                self.visits.insert(e.visit.visit_id, (e.technician.clone(), expected));
            }
            Event::VisitRescheduled(e) => {
                if let Some((_, x)) = self.visits.get_mut(&e.new.visit_id) {
                    (x.start, x.end) = (e.new.window_start, e.new.window_end);
                }
            }
            Event::VisitCancelled(e) => {
                self.visits.remove(&e.visit_id);
            }
            Event::TechnicianReassigned(e) if e.keep_visit => {
                for (who, _) in self.visits.values_mut().filter(|(_, x)| x.ticket_id == id) {
                    *who = e.new.clone();
                }
            }
            Event::TechnicianReassigned(_) | Event::TicketResolved(_) | Event::AssignmentDeclined(_) => {
                self.visits.retain(|_, (_, x)| x.ticket_id != id);
            }
            _ => {}
        }
    }
}

fn logged(ticket_id: AggregateId, id: EntityId, log: &WorkLogV1) -> Spent {
    Spent { ticket_id, id, start: log.start, end: log.end }
}
