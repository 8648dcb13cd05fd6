//! Facts that span aggregates: reference data, unique keys, number series, line load and who is
//! at work. One [`Production`] stands beside the writer of the context and sees every event.
//!
//! Owns their compact form: they stay in memory for every order that was ever made, so a serial
//! costs 17 bytes and an order a few dozen. It must never refuse anything; rules read from it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use mw_contract::event::parts::RoutingOperationV1;
use mw_contract::reference::{Cell, Document, Line, Product, SiteSettings};
use mw_contract::{
    AccountName, AggregateId, AggregateKind, CellId, Code, EntityId, Event, LineId, ProductId, Qty, ReferenceKind,
    SiteId, StreamId, Text, WorkOrderState,
};

use crate::components::ComponentFacts;
use crate::equipment::CellFacts;
use crate::load::{LineLoad, Span};
use crate::unit::UnitFacts;

/// The production context: pure decisions, and the facts that they need beside their aggregate.
#[derive(Clone, Debug, Default)]
pub struct Production {
    references: HashMap<ReferenceKind, HashMap<Code, Reference>>,
    cells_of_line: HashMap<LineId, BTreeSet<CellId>>,
    orders: HashMap<AggregateId, OrderFact>,
    products: Interner<ProductId>,
    /// Numbers of the form `WO-YYYY-nnnnnn`.
    series_numbers: HashSet<(u16, u32)>,
    /// All other numbers.
    other_numbers: HashSet<Text<20>>,
    /// By year, the number below which none is free.
    series: HashMap<u16, u32>,
    serials: HashMap<[u8; 16], SerialStatus>,
    /// The order that took a lot number of a product first.
    lots: HashMap<[u8; 16], AggregateId>,
    open_sessions: HashMap<(AggregateId, EntityId), (AccountName, CellId)>,
    sessions_of: HashMap<AccountName, u32>,
    /// Planned work of the lines.
    pub(crate) load: LineLoad,
    /// Cells and their machines.
    pub cells: CellFacts,
    /// Units and their components.
    pub units: UnitFacts,
    /// Serial numbers of components.
    pub components: ComponentFacts,
    /// Serial numbers that wait for the order that was split off for them.
    split_off: HashMap<AggregateId, Vec<Text<60>>>,
}

/// The last revision of a reference document.
#[derive(Clone, Debug)]
struct Reference {
    document: Document,
    retired: bool,
}

#[derive(Clone, Debug)]
struct OrderFact {
    state: WorkOrderState,
    product: u32,
    planned_qty: Qty,
    work: StandardWork,
    planned: Option<Box<(LineId, Span)>>,
}

/// What is known of a serial number of a product. No entry: it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialStatus {
    /// Set aside for an order.
    Allocated,
    /// Borne by a unit.
    Registered,
    /// Borne by a unit that went to a customer.
    Shipped,
    /// Taken out of use for ever.
    Voided,
}

#[derive(Clone, Debug)]
struct Interner<T> {
    index: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner { index: HashMap::new(), all: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn intern(&mut self, t: &T) -> u32 {
        if let Some(i) = self.index.get(t) {
            return *i;
        }
        let i = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.index.insert(t.clone(), i);
        self.all.push(t.clone());
        i
    }
}

impl Production {
    /// A context in which nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last revision of a document that is in use.
    pub fn document(&self, kind: ReferenceKind, code: &str) -> Option<&Document> {
        self.references.get(&kind)?.get(code).filter(|r| !r.retired).map(|r| &r.document)
    }

    /// The settings of a site; the careful defaults where it has no document.
    pub fn settings(&self, site: &SiteId) -> SiteSettings {
        match self.document(ReferenceKind::Site, site.as_str()) {
            Some(Document::Site(s)) => s.settings.clone(),
            _ => SiteSettings::default(),
        }
    }

    /// The IANA time zone of a site.
    pub fn time_zone(&self, site: &SiteId) -> &str {
        match self.document(ReferenceKind::Site, site.as_str()) {
            Some(Document::Site(s)) => &s.time_zone,
            _ => "UTC",
        }
    }

    /// A product that is in use.
    pub fn product(&self, id: &ProductId) -> Option<&Product> {
        match self.document(ReferenceKind::Product, id.as_str()) {
            Some(Document::Product(p)) => Some(p),
            _ => None,
        }
    }

    /// A line of a site, in use.
    pub fn line_at(&self, site: &SiteId, line: &LineId) -> Option<&Line> {
        match self.document(ReferenceKind::Line, line.as_str()) {
            Some(Document::Line(l)) if l.site == *site => Some(l),
            _ => None,
        }
    }

    /// A cell on a line of a site, all in use.
    pub fn cell_at(&self, site: &SiteId, cell: &CellId) -> Option<&Cell> {
        match self.document(ReferenceKind::Cell, cell.as_str()) {
            Some(Document::Cell(c)) if self.line_at(site, &c.line).is_some() => Some(c),
            _ => None,
        }
    }

    /// How many cells in use a line has.
    pub fn cells_on(&self, line: &LineId) -> usize {
        self.cells_of_line.get(line).map_or(0, BTreeSet::len)
    }

    /// Would a line have more work in an interval than its cells can do, if this order's were there?
    pub fn overloaded(&self, order: AggregateId, line: &LineId, asked: Span) -> bool {
        let own = self.orders.get(&order).and_then(|o| o.planned.as_deref());
        let own = own.filter(|(l, _)| l == line).map(|(_, span)| *span);
        self.load.overloaded(line, asked, own, self.cells_on(line))
    }

    /// The state of an order, whichever aggregate asks.
    pub fn order_state(&self, id: AggregateId) -> Option<WorkOrderState> {
        self.orders.get(&id).map(|o| o.state)
    }

    /// Is an order's number taken?
    pub fn number_taken(&self, number: &Text<20>) -> bool {
        match series_number(number.as_str()) {
            Some(n) => self.series_numbers.contains(&n),
            None => self.other_numbers.contains(number),
        }
    }

    /// The next free number of a year's series.
    pub fn next_number(&self, year: u16) -> (u16, u32) {
        // Whatever number was taken last, `take_number` has stepped over all that follow it.
        (year, self.series.get(&year).copied().unwrap_or(0).saturating_add(1))
    }

    /// What is known of a serial number; `None`: it is free.
    pub fn serial(&self, product: &ProductId, serial: &Text<60>) -> Option<SerialStatus> {
        self.serials.get(&serial_key(product, serial)).copied()
    }

    /// The serial numbers that wait for an order which is not there yet.
    pub fn waiting_for(&self, order: AggregateId) -> &[Text<60>] {
        self.split_off.get(&order).map_or(&[], Vec::as_slice)
    }

    /// The order that took a lot number of a product first.
    pub fn lot(&self, product: &ProductId, lot: &Text<40>) -> Option<AggregateId> {
        self.lots.get(&serial_key(product, lot)).copied()
    }

    /// How many sessions an operator has open, over all orders.
    pub fn sessions_of(&self, operator: &AccountName) -> u32 {
        self.sessions_of.get(operator).copied().unwrap_or(0)
    }

    pub(crate) fn learn(&mut self, stream: &StreamId, event: &Event) {
        let id = stream.id;
        self.components.learn(stream, event);
        match stream.kind {
            AggregateKind::Equipment => return self.cells.learn(stream, event),
            AggregateKind::WorkOrder | AggregateKind::Unit => self.units.learn(stream, event),
            _ => {}
        }
        match event {
            Event::ReferencePut(e) => self.put(e.kind, &e.code, Document::stored(e.kind, &e.document.0)),
            Event::ReferenceRetired(e) => self.retire(e.kind, &e.code),
            Event::WorkOrderCreated(e) => {
                self.take_number(&e.number);
                self.split_off.remove(&id);
                let product = self.products.intern(&e.product_id);
                let work = StandardWork::of(&e.routing);
                let fact = OrderFact {
                    state: WorkOrderState::Draft,
                    product,
                    planned_qty: e.planned_qty,
                    work,
                    planned: None,
                };
                self.orders.insert(id, fact);
            }
            Event::WorkOrderAmended(e) => {
                if let (Some(o), Some(routing)) = (self.orders.get_mut(&id), &e.routing) {
                    o.work = StandardWork::of(routing);
                    self.weigh(id);
                }
            }
            Event::WorkOrderPlanned(e) => {
                self.unplan(id);
                if let Some(o) = self.orders.get(&id) {
                    let span = Span { start: e.planned_start, end: e.planned_end, work: o.work.total(o.planned_qty) };
                    self.plan(id, &e.line_id, span);
                }
                self.enter(id, WorkOrderState::Planned);
            }
            Event::WorkOrderUnplanned(_) => {
                self.unplan(id);
                self.enter(id, WorkOrderState::Draft);
            }
            Event::WorkOrderRescheduled(e) => {
                self.unplan(id);
                if let (Some(o), Some(line), Some(start), Some(end)) =
                    (self.orders.get(&id), &e.new.line_id, e.new.planned_start, e.new.planned_end)
                {
                    let span = Span { start, end, work: o.work.total(o.planned_qty) };
                    self.plan(id, line, span);
                }
            }
            Event::WorkOrderQuantityChanged(e) => {
                if let Some(o) = self.orders.get_mut(&id) {
                    o.planned_qty = e.new_qty;
                    self.weigh(id);
                }
            }
            Event::WorkOrderReleaseRevoked(_) => self.enter(id, WorkOrderState::Planned),
            // Its place in the plan comes back with the next rescheduling: most of its work is done.
            Event::WorkOrderReopened(e) => self.enter(id, e.to_state),
            Event::WorkOrderReleased(_) => self.enter(id, WorkOrderState::Released),
            Event::WorkOrderStarted(_) => self.enter(id, WorkOrderState::InProgress),
            Event::WorkOrderHeld(_) => self.enter(id, WorkOrderState::OnHold),
            Event::WorkOrderResumed(e) => self.enter(id, e.to_state),
            Event::WorkOrderCompleted(_) => {
                self.unplan(id);
                self.enter(id, WorkOrderState::Completed);
            }
            Event::WorkOrderClosed(_) => self.enter(id, WorkOrderState::Closed),
            Event::WorkOrderCancelled(_) => {
                self.unplan(id);
                self.enter(id, WorkOrderState::Cancelled);
            }
            Event::OperationStarted(e) => self.begin(id, e.session_id, &e.operator, &e.cell_id),
            Event::OperationResumed(e) => self.begin(id, e.session_id, &e.operator, &e.cell_id),
            Event::OperationPaused(e) => self.end(id, e.session_id),
            Event::SerialsAllocated(e) => {
                let keys: Vec<[u8; 16]> = match self.product_of(id) {
                    Some(product) => e.serials.iter().map(|s| serial_key(product, s)).collect(),
                    None => Vec::new(),
                };
                for key in keys {
                    self.serials.entry(key).or_insert(SerialStatus::Allocated);
                }
            }
            Event::SerialVoided(e) => {
                if let Some(product) = self.product_of(id) {
                    self.serials.insert(serial_key(product, &e.serial), SerialStatus::Voided);
                }
            }
            Event::LotAssigned(e) => {
                if let Some(product) = self.product_of(id) {
                    self.lots.entry(serial_key(product, &e.lot)).or_insert(id);
                }
            }
            Event::OperationAdded(e) => {
                if let Some(o) = self.orders.get_mut(&id) {
                    o.work.add(&e.operation);
                    self.weigh(id);
                }
            }
            Event::UnitRegistered(e) => {
                self.serials.insert(serial_key(&e.product_id, &e.serial), SerialStatus::Registered);
            }
            Event::WorkOrderSplit(e) => {
                for p in e.parts.iter().filter(|p| !p.serials.is_empty()) {
                    self.split_off.insert(p.work_order_id, p.serials.clone());
                }
            }
            Event::UnitShipped(e) => {
                self.serials.insert(serial_key(&e.product_id, &e.serial), SerialStatus::Shipped);
            }
            _ => {}
        }
    }

    fn product_of(&self, order: AggregateId) -> Option<&ProductId> {
        self.orders.get(&order).and_then(|o| self.products.all.get(o.product as usize))
    }

    fn put(&mut self, kind: ReferenceKind, code: &Code, document: Option<Document>) {
        let Some(document) = document else { return };
        self.retire(kind, code);
        if let (Document::Cell(c), Ok(id)) = (&document, code.as_str().parse()) {
            self.cells_of_line.entry(c.line.clone()).or_default().insert(id);
        }
        self.references.entry(kind).or_default().insert(code.clone(), Reference { document, retired: false });
    }

    fn retire(&mut self, kind: ReferenceKind, code: &Code) {
        let Some(r) = self.references.get_mut(&kind).and_then(|m| m.get_mut(code)) else { return };
        r.retired = true;
        if let Document::Cell(c) = &r.document
            && let Some(cells) = self.cells_of_line.get_mut(&c.line)
        {
            cells.remove(code.as_str());
        }
    }

    fn take_number(&mut self, number: &Text<20>) {
        let Some((year, n)) = series_number(number.as_str()) else {
            self.other_numbers.insert(number.clone());
            return;
        };
        self.series_numbers.insert((year, n));
        let below = self.series.entry(year).or_default();
        // Each step is paid for by one number that was taken before.
        while self.series_numbers.contains(&(year, below.saturating_add(1))) && *below < u32::MAX - 1 {
            *below += 1;
        }
    }

    fn enter(&mut self, id: AggregateId, state: WorkOrderState) {
        if let Some(o) = self.orders.get_mut(&id) {
            o.state = state;
        }
    }

    fn plan(&mut self, id: AggregateId, line: &LineId, span: Span) {
        self.load.add(line, span);
        if let Some(o) = self.orders.get_mut(&id) {
            o.planned = Some(Box::new((line.clone(), span)));
        }
    }

    /// Plans it again with the work that it is now.
    fn weigh(&mut self, id: AggregateId) {
        let Some(o) = self.orders.get_mut(&id) else { return };
        let work = o.work.total(o.planned_qty);
        if let Some(p) = o.planned.take() {
            self.load.remove(&p.0, p.1);
            self.plan(id, &p.0, Span { work, ..p.1 });
        }
    }

    fn unplan(&mut self, id: AggregateId) {
        if let Some(p) = self.orders.get_mut(&id).and_then(|o| o.planned.take()) {
            self.load.remove(&p.0, p.1);
        }
    }

    fn begin(&mut self, order: AggregateId, session: EntityId, operator: &AccountName, cell: &CellId) {
        if self.open_sessions.insert((order, session), (operator.clone(), cell.clone())).is_none() {
            *self.sessions_of.entry(operator.clone()).or_default() += 1;
            self.cells.begin(cell);
        }
    }

    fn end(&mut self, order: AggregateId, session: EntityId) {
        let Some((operator, cell)) = self.open_sessions.remove(&(order, session)) else { return };
        self.cells.end(&cell);
        if let Some(n) = self.sessions_of.get_mut(&operator) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.sessions_of.remove(&operator);
            }
        }
    }
}

/// What a routing asks for, apart from how many pieces there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StandardWork {
    /// Seconds, all operations.
    setup: u64,
    /// Seconds a piece, all operations.
    run: Qty,
}

impl StandardWork {
    /// Of all operations of a routing.
    pub(crate) fn of(routing: &[RoutingOperationV1]) -> Self {
        let mut work = StandardWork { setup: 0, run: Qty::ZERO };
        routing.iter().for_each(|s| work.add(s));
        work
    }

    /// One operation more.
    fn add(&mut self, s: &RoutingOperationV1) {
        self.setup = self.setup.saturating_add(s.setup_time.0);
        self.run += s.run_time_per_unit;
    }

    /// For so many pieces, in milliseconds. More than can be counted weighs nothing, so that a plan
    /// is never refused for it.
    pub(crate) fn total(self, pieces: Qty) -> u64 {
        let run = self.run.times(pieces).map_or(0, |q| q.decimal().trunc().mantissa());
        u64::try_from(run).unwrap_or(0).saturating_add(self.setup).saturating_mul(1000)
    }
}

/// `WO-2026-000001` as year and number. Only the written form of [`series_text`] counts, so that
/// no number is known under two spellings.
fn series_number(text: &str) -> Option<(u16, u32)> {
    let (year, n) = text.strip_prefix("WO-")?.split_once('-')?;
    let parsed = (year.parse().ok()?, n.parse().ok()?);
    (series_text(parsed) == text).then_some(parsed)
}

/// A number of a series as it is written.
pub(crate) fn series_text((year, n): (u16, u32)) -> String {
    format!("WO-{year:04}-{n:06}")
}

/// 128 bits of product and serial: two serials of one context meet by chance once in 10^19 pairs
/// of millions, and then one is refused, never accepted twice.
fn serial_key<const N: usize>(product: &ProductId, serial: &Text<N>) -> [u8; 16] {
    let half = |salt: u8| {
        let mut h = DefaultHasher::new();
        (salt, product, serial).hash(&mut h);
        h.finish().to_le_bytes()
    };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&half(1));
    key[8..].copy_from_slice(&half(2));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_written_form_is_a_number_of_the_series() {
        assert_eq!(series_number("WO-2026-000007"), Some((2026, 7)));
        for other in ["WO-2026-7", "WO-2026-0000007", "WO-26-000007", "WO-2026-+00007", "X-2026-000007", "WO-2026"] {
            assert_eq!(series_number(other), None, "{other}");
        }
        assert_eq!(series_text((2026, 1_234_567)), "WO-2026-1234567");
    }

    #[test]
    fn the_series_steps_over_what_was_taken_and_over_nothing_else() {
        let mut facts = Production::new();
        let mut take = |n: u32| {
            facts.take_number(&Text::new(&series_text((2026, n))).unwrap());
            facts.next_number(2026).1
        };
        for (taken, next) in [(3, 1), (1, 2), (2, 4), (4, 5), (6, 5)] {
            assert_eq!(take(taken), next, "after {taken}");
        }
    }

    #[test]
    fn a_product_is_known_by_one_number() {
        let mut i = Interner::default();
        assert_eq!(["a", "b", "a"].map(|t| i.intern(&t)), [0, 1, 0]);
        assert_eq!(i.all, ["a", "b"]);
    }

    #[test]
    fn standard_work_is_setup_and_run_of_all_pieces() {
        let step = |op: u16, setup: u64, run: &str| -> RoutingOperationV1 {
            let text = format!(r#"{{"op":{op},"name":"a","setup_time":{setup},"run_time_per_unit":"{run}"}}"#);
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(StandardWork::of(&[]).total(Qty::whole(5)), 0);
        // 300 + 5 * 60 and, with the half second of the whole batch left out, 5 * 30.1.
        let two = StandardWork::of(&[step(10, 300, "60"), step(20, 0, "30.1")]);
        assert_eq!(two.total(Qty::whole(5)), 750_000);
        // More than can be counted weighs nothing, so that a plan is never refused for it.
        let endless = StandardWork::of(&[step(10, 1, "999999999999999999")]);
        assert_eq!(endless.total(Qty::whole(1000)), 1000);
    }

    #[test]
    fn a_cell_belongs_to_the_site_of_its_line() {
        let mut w = crate::fixture::World::new();
        w.put("line", "line-b", serde_json::json!({"site": "plant-2"})).unwrap();
        w.put("cell", "cell-b", serde_json::json!({"line": "line-b"})).unwrap();
        let at = |site: &str| w.facts.cell_at(&site.parse().unwrap(), &"cell-b".parse().unwrap()).is_some();
        assert!(at("plant-2") && !at("plant-1"));
        assert_eq!(w.facts.cells_on(&"line-9".parse().unwrap()), 0);
    }

    #[test]
    fn a_serial_is_told_apart_by_its_product_too() {
        let (a, b): (ProductId, ProductId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let s = Text::<60>::new("1").unwrap();
        assert_ne!(serial_key(&a, &s), serial_key(&b, &s));
        assert_ne!(serial_key(&a, &s)[..8], serial_key(&a, &s)[8..]);
    }
}
