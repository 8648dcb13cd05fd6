//! The documents of reference data, one struct a kind. They are stored as canonical JSON inside
//! `ReferencePut` and read again where a decision needs one, so a field can be added without a
//! new event version; deciders copy (snapshot) what they use into their own events.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::enums::{HoldKind, LossCategory, ReferenceKind, SlaClock, Tracking};
use crate::event::parts::{BomLineV1, RoutingOperationV1};
use crate::ids::{AccountName, Code, ItemId, LineId, ProductId, ReasonCode, SiteId};
use crate::money::Money;
use crate::qty::{Number, Percent};
use crate::reply::FieldError;
use crate::text::Text;
use crate::time::{Date, Instant};

/// A unit of measure: UNECE Rec. 20 common code, such as `H87` (piece) or `KGM`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Uom(Box<str>);

impl Uom {
    /// Checks the form: 2 or 3 of A-Z and 0-9.
    pub fn new(s: &str) -> Result<Self, String> {
        if (2..=3).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            Ok(Uom(s.into()))
        } else {
            Err("is a UNECE Rec. 20 code such as H87 or KGM".into())
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Are quantities of it whole (`C62` one, `H87` piece)?
    pub fn is_piece(&self) -> bool {
        matches!(&*self.0, "C62" | "H87")
    }
}

impl<'de> Deserialize<'de> for Uom {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Uom::new(&std::borrow::Cow::<'de, str>::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

impl bincode::Encode for Uom {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), bincode::error::EncodeError> {
        bincode::Encode::encode(&*self.0, e)
    }
}

impl<C> bincode::Decode<C> for Uom {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        let s: String = bincode::Decode::decode(d)?;
        Uom::new(&s).map_err(bincode::error::DecodeError::OtherString)
    }
}
bincode::impl_borrow_decode!(Uom);

impl JsonSchema for Uom {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Uom".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Z0-9]{2,3}$", "examples": ["H87"]})
    }
}

macro_rules! documents {
    ($($(#[$m:meta])* $name:ident { $($(#[$fm:meta])* $field:ident : $ty:ty),* $(,)? })+) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$fm])* pub $field: $ty),* }
    )+};
}

fn yes() -> bool {
    true
}

fn utc() -> String {
    "UTC".to_owned()
}

documents! {
    /// A site (plant) with its settings.
    Site {
        #[serde(default)]
        name: Option<Text<120>>,
        /// IANA time zone.
        #[serde(default = "utc")]
        time_zone: String,
        #[serde(default)]
        settings: SiteSettings,
    }

    /// An area of a site.
    Area {
        site: SiteId,
        #[serde(default)]
        name: Option<Text<120>>,
    }

    /// A line.
    Line {
        site: SiteId,
        #[serde(default)]
        area: Option<Code>,
        #[serde(default)]
        name: Option<Text<120>>,
    }

    /// A cell.
    Cell {
        line: LineId,
        #[serde(default)]
        name: Option<Text<120>>,
        /// The class of operations that it can do.
        #[serde(default)]
        class: Option<Code>,
        /// In maintenance: no operation may start.
        #[serde(default)]
        maintenance: bool,
        /// What an operator must be able to do to work here: a code of catalogue `skills`.
        #[serde(default)]
        skill: Option<ReasonCode>,
    }

    /// A revision of a product.
    ProductRevision {
        rev: Text<20>,
        /// Only approved revisions are released.
        #[serde(default = "yes")]
        approved: bool,
    }

    /// What inspections of a product demand.
    InspectionRules {
        /// The inspector is not an operator of the same pieces.
        #[serde(default)]
        independent: bool,
        /// A failed inspection raises a nonconformance by itself.
        #[serde(default)]
        auto_nonconformance: bool,
        /// Characteristics without which an inspection can't pass.
        #[serde(default)]
        critical: Vec<Text<60>>,
    }

    /// A product.
    Product {
        #[serde(default)]
        name: Option<Text<120>>,
        uom: Uom,
        #[serde(default = "tracking_none")]
        tracking: Tracking,
        /// May orders be made for it?
        #[serde(default = "yes")]
        producible: bool,
        /// None listed: any revision will do.
        #[serde(default)]
        revisions: Vec<ProductRevision>,
        /// The routing that orders use unless they name one.
        #[serde(default)]
        routing: Option<Code>,
        /// The bill of materials that orders use unless they name one.
        #[serde(default)]
        bom: Option<Code>,
        #[serde(default)]
        family: Option<Code>,
        /// Months from shipping.
        #[serde(default)]
        warranty_months: Option<u16>,
        /// What serial numbers look like: literal text with `#` for a digit.
        #[serde(default)]
        serial_pattern: Option<Text<60>>,
        #[serde(default)]
        inspection: Option<InspectionRules>,
        /// The warranty also ends when a counter of the unit reaches this.
        #[serde(default)]
        warranty_counter: Option<WarrantyCounter>,
        /// The SLA policy of its tickets, where the customer has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sla_policy: Option<Code>,
    }

    /// The counter that ends a warranty.
    WarrantyCounter {
        name: Code,
        limit: Number,
    }

    /// A routing.
    Routing {
        #[serde(default)]
        product: Option<ProductId>,
        operations: Vec<RoutingOperationV1>,
    }

    /// A bill of materials.
    Bom {
        #[serde(default)]
        product: Option<ProductId>,
        lines: Vec<BomLineV1>,
    }

    /// One entry of a catalogue; which fields count depends on the catalogue.
    CatalogueEntry {
        code: ReasonCode,
        #[serde(default)]
        name: Option<Text<120>>,
        #[serde(default = "yes")]
        active: bool,
        #[serde(default)]
        loss_category: Option<LossCategory>,
        #[serde(default)]
        is_downtime: Option<bool>,
        #[serde(default)]
        planned: Option<bool>,
        #[serde(default)]
        opens_ticket: Option<bool>,
        #[serde(default)]
        pauses_labour: Option<bool>,
        /// Order hold reasons: what kind of hold it is.
        #[serde(default)]
        kind: Option<HoldKind>,
        /// Ticket hold reasons.
        #[serde(default)]
        pauses_sla: Option<bool>,
        #[serde(default)]
        max_days: Option<u16>,
        #[serde(default)]
        family: Option<Code>,
        /// Instruments: the last day on which their calibration is valid.
        #[serde(default)]
        calibrated_until: Option<Date>,
        /// Skills: who has it.
        #[serde(default)]
        accounts: Vec<AccountName>,
        /// Fault codes: the code above it in the tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<ReasonCode>,
        /// Causes: no warranty covers it (misuse, consumable, unauthorised change).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        excludes_warranty: Option<bool>,
        /// Ticket categories: what has to be done before the ticket is resolved.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checklist: Vec<Text<120>>,
        /// Alarm rules: the symptom, severity and team of the ticket that the alarm opens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        symptom: Option<ReasonCode>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        severity: Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        team: Option<Code>,
        /// Alarm rules: does it open a ticket at all? None: its severity decides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<bool>,
        /// Equipment classes: work begins with a safety check.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        safety_check: Option<bool>,
        /// Teams: hours that it can work in a week, for the backlog in weeks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weekly_hours: Option<u16>,
    }

    /// A catalogue: its code says which (`stop_reasons`, `scrap_reasons` …).
    Catalogue {
        #[serde(default)]
        name: Option<Text<120>>,
        entries: Vec<CatalogueEntry>,
    }

    /// Opening hours of one weekday, local time `HH:MM`.
    OpeningHours { from: Text<5>, to: Text<5> }

    /// A business calendar.
    Calendar {
        /// IANA time zone.
        time_zone: String,
        /// `mon` … `sun`.
        hours: BTreeMap<String, Vec<OpeningHours>>,
        /// Dates `YYYY-MM-DD`.
        #[serde(default)]
        holidays: Vec<Text<10>>,
    }

    /// One shift of a shift calendar.
    Shift {
        code: Code,
        from: Text<5>,
        to: Text<5>,
        /// `mon` … `sun`.
        days: Vec<Text<3>>,
        #[serde(default)]
        breaks: Vec<OpeningHours>,
    }

    /// Planned working time of lines.
    ShiftCalendar {
        site: SiteId,
        #[serde(default)]
        lines: Vec<LineId>,
        shifts: Vec<Shift>,
    }

    /// One target of an SLA policy.
    SlaTarget {
        clock: SlaClock,
        /// Working minutes.
        minutes: u32,
        /// Only for tickets of this priority; a target without one is for all others.
        #[serde(default)]
        priority: Option<u8>,
        /// At which shares of the target somebody is warned.
        #[serde(default = "warnings", skip_serializing_if = "usual_warnings")]
        warn_pct: Vec<u8>,
    }

    /// An SLA policy.
    SlaPolicy {
        calendar: Code,
        targets: Vec<SlaTarget>,
        /// An assignment counts as the first response.
        #[serde(default, skip_serializing_if = "is_no")]
        response_by_assignment: bool,
        /// A quote that is with the customer stops the clock.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        approval_pauses: bool,
        /// The resolution clock of a workshop repair begins with the unit's arrival.
        #[serde(default, skip_serializing_if = "is_no")]
        workshop_from_receipt: bool,
        /// Do holds pause the clock whose reason leaves it to the policy (`pauses_sla` absent)?
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        hold_pauses: bool,
    }

    /// What a customer has agreed to beyond the warranty.
    ServiceContract {
        code: Code,
        /// None listed: every product.
        #[serde(default)]
        products: Vec<ProductId>,
        /// None listed: every unit.
        #[serde(default)]
        serials: Vec<Text<60>>,
        from: Date,
        to: Date,
        #[serde(default)]
        sla_policy: Option<Code>,
        /// The customer signs for what was done.
        #[serde(default)]
        signature_required: bool,
    }

    /// A customer: codes and terms only; contacts are personal data and live elsewhere.
    Customer {
        /// The company's name; not personal data, and shown to everybody in scope.
        #[serde(default)]
        name: Option<Text<120>>,
        #[serde(default)]
        tier: Option<Code>,
        #[serde(default)]
        sla_policy: Option<Code>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contracts: Vec<ServiceContract>,
        /// The calendar of the hours in which a technician may come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access_calendar: Option<Code>,
    }

    /// A person's attendance or absence.
    Availability {
        account: AccountName,
        from: Instant,
        to: Instant,
        /// Here, or away?
        #[serde(default = "yes")]
        present: bool,
    }
}

// What is as usual is left out of a stored document, so that a program from before the field was there
// still reads it.

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_no(b: &bool) -> bool {
    !*b
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_yes(b: &bool) -> bool {
    *b
}

fn usual_warnings(w: &[u8]) -> bool {
    *w == warnings()
}

/// Settings of a site that are as usual.
mod usual {
    macro_rules! usual {
        ($($name:ident: $ty:ty),+) => {$(
            #[allow(clippy::trivially_copy_pass_by_ref)]
            pub fn $name(v: &$ty) -> bool {
                *v == super::SiteSettings::default().$name
            }
        )+};
    }
    usual!(
        ticket_auto_close_days: u16,
        ticket_reopen_days: u16,
        replacement_warranty_days: u16,
        alarm_ticket_severity: u16,
        alarm_debounce_s: u32
    );
}

fn warnings() -> Vec<u8> {
    vec![75, 90]
}

fn tracking_none() -> Tracking {
    Tracking::None
}

/// Settings of a site. Each default is the careful choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SiteSettings {
    /// May line leads release orders?
    pub line_lead_releases: bool,
    /// May operators complete orders?
    pub operator_completes: bool,
    /// May operators issue and return material?
    pub operator_issues: bool,
    /// At most one open session per operator, anywhere.
    pub one_session_per_operator: bool,
    /// May operators and line leads record inspections?
    pub self_inspection: bool,
    /// Hours after completion in which late reports come in.
    pub late_window_hours: u32,
    /// How much more than required may be requested and set aside.
    pub over_issue_pct: Percent,
    /// An operation that needs a skill refuses operators without it; else they get a warning.
    pub skills_required: bool,
    /// Days from shipping within which an installation begins the warranty anew.
    pub warranty_registration_days: u16,
    /// Days after which completed orders are closed by themselves; none: never.
    pub auto_close_days: Option<u16>,
    /// K-18 by ISO 22400-2: failures count one more.
    pub mtbf_iso: bool,
    /// May technicians triage, take and schedule tickets for themselves?
    #[serde(skip_serializing_if = "is_no")]
    pub technician_self_assigns: bool,
    /// May technicians send quotes?
    #[serde(skip_serializing_if = "is_no")]
    pub technician_quotes: bool,
    /// May technicians verify what others repaired?
    #[serde(skip_serializing_if = "is_no")]
    pub technician_verifies: bool,
    /// Somebody has to verify each repair before it is confirmed.
    #[serde(skip_serializing_if = "is_no")]
    pub verify_repairs: bool,
    /// What a goodwill repair may cost before a second person has to agree; none: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodwill_limit: Option<Money>,
    /// The SLA policy of tickets whose customer and product name none; default `standard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sla_policy: Option<Code>,
    /// Working days (of the ticket's calendar) after which a resolved ticket is closed by itself.
    #[serde(skip_serializing_if = "usual::ticket_auto_close_days")]
    pub ticket_auto_close_days: u16,
    /// Days after closing within which a ticket may be reopened.
    #[serde(skip_serializing_if = "usual::ticket_reopen_days")]
    pub ticket_reopen_days: u16,
    /// Days of warranty that a replaced unit has at least.
    #[serde(skip_serializing_if = "usual::replacement_warranty_days")]
    pub replacement_warranty_days: u16,
    /// From which severity an alarm opens a ticket.
    #[serde(skip_serializing_if = "usual::alarm_ticket_severity")]
    pub alarm_ticket_severity: u16,
    /// Seconds that an alarm must last before it opens a ticket; from severity 900 on none.
    #[serde(skip_serializing_if = "usual::alarm_debounce_s")]
    pub alarm_debounce_s: u32,
    /// A ticket whose alarm cleared before anybody looked at it is cancelled.
    #[serde(skip_serializing_if = "is_no")]
    pub alarm_clear_cancels: bool,
    /// A ticket that waits for a replacement order goes on hold.
    #[serde(skip_serializing_if = "is_yes")]
    pub replacement_holds: bool,
    /// What an hour of a technician costs, for the cost of warranty and of faults; none: nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labour_rate: Option<Money>,
}

impl Default for SiteSettings {
    fn default() -> Self {
        SiteSettings {
            line_lead_releases: false,
            operator_completes: false,
            operator_issues: false,
            one_session_per_operator: false,
            self_inspection: false,
            late_window_hours: 24,
            over_issue_pct: Percent::ZERO,
            skills_required: false,
            warranty_registration_days: 90,
            auto_close_days: None,
            mtbf_iso: false,
            technician_self_assigns: false,
            technician_quotes: false,
            technician_verifies: false,
            verify_repairs: false,
            goodwill_limit: None,
            sla_policy: None,
            ticket_auto_close_days: 5,
            ticket_reopen_days: 14,
            replacement_warranty_days: 90,
            alarm_ticket_severity: 700,
            alarm_debounce_s: 60,
            alarm_clear_cancels: false,
            replacement_holds: true,
            labour_rate: None,
        }
    }
}

/// The codes of the catalogues that decisions use.
pub mod catalogues {
    /// Why an operation stopped.
    pub const STOP: &str = "stop_reasons";
    /// Why pieces were scrapped.
    pub const SCRAP: &str = "scrap_reasons";
    /// Why pieces need rework.
    pub const REWORK: &str = "rework_reasons";
    /// Why an order is on hold.
    pub const ORDER_HOLD: &str = "order_hold_reasons";
    /// Why a ticket is on hold.
    pub const TICKET_HOLD: &str = "ticket_hold_reasons";
    /// Defects of inspections and nonconformances.
    pub const DEFECT: &str = "defect_codes";
    /// Causes of nonconformances.
    pub const CAUSE: &str = "cause_codes";
    /// What people can do.
    pub const SKILL: &str = "skills";
    /// Measuring instruments with their calibration.
    pub const INSTRUMENT: &str = "instruments";
    /// Why material was issued beyond need, returned, replaced or counted differently.
    pub const MATERIAL: &str = "material_reasons";
    /// Why a unit's warranty ended, a unit was scrapped or recalled, its components corrected.
    pub const UNIT: &str = "unit_reasons";
    /// Why something in the inbox needs no more doing.
    pub const DISMISS: &str = "dismiss_reasons";
    /// Why an order was planned otherwise: dates, line, quantity, priority, release taken back.
    pub const CHANGE: &str = "change_reasons";
    /// Why an order or ticket was cancelled, short-closed or reopened.
    pub const CANCEL: &str = "cancel_reasons";
    /// What is seen of a fault.
    pub const SYMPTOM: &str = "fault_symptoms";
    /// Why it is there.
    pub const FAULT_CAUSE: &str = "fault_causes";
    /// What was done about it.
    pub const REMEDY: &str = "fault_remedies";
    /// What tickets are about, with their checklists.
    pub const CATEGORY: &str = "ticket_categories";
    /// Why a ticket went another way: priority, warranty, technician, visit, work log, unit, return.
    pub const TICKET: &str = "ticket_reasons";
    /// Why a quote was rejected.
    pub const QUOTE: &str = "quote_reasons";
    /// Which ticket an alarm opens; its entries are alarm codes.
    pub const ALARM: &str = "alarm_rules";
    /// Classes of machines.
    pub const EQUIPMENT_CLASS: &str = "equipment_classes";
    /// The priority of a ticket: entries `s1` to `s4` or, for a tier, `s1-gold`; `severity` of the
    /// entry is the priority.
    pub const PRIORITY: &str = "priority_matrix";
    /// Teams with what they can do in a week.
    pub const TEAM: &str = "teams";
}

/// A document of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    Site(Site),
    Area(Area),
    Line(Line),
    Cell(Cell),
    Product(Product),
    Routing(Routing),
    Bom(Bom),
    Catalogue(Catalogue),
    Calendar(Calendar),
    ShiftCalendar(ShiftCalendar),
    SlaPolicy(SlaPolicy),
    Customer(Customer),
    Availability(Availability),
}

macro_rules! kinds {
    ($($kind:ident),+) => {
        impl Document {
            /// Reads a document of a kind; the error names the field at fault.
            pub fn read(kind: ReferenceKind, value: &Value) -> Result<Document, FieldError> {
                match kind {
                    $(ReferenceKind::$kind => serde_path_to_error::deserialize::<_, $kind>(value)
                        .map(Document::$kind)
                        .map_err(|e| {
                            let path = e.path().to_string();
                            let field = if path == "." { "payload.document".into() } else { format!("payload.document.{path}") };
                            FieldError::new(field, e.into_inner().to_string())
                        })),+
                }
            }
            /// Its kind.
            pub const fn kind(&self) -> ReferenceKind {
                match self { $(Document::$kind(_) => ReferenceKind::$kind),+ }
            }
            /// Canonical JSON: defaults filled in, but of fields that came later only what is not usual; keys sorted.
            pub fn canonical(&self) -> String {
                let v = match self { $(Document::$kind(d) => serde_json::to_value(d)),+ };
                v.unwrap_or(Value::Null).to_string()
            }
        }
        impl ReferenceKind {
            /// The JSON Schema of its documents and the name it has in `/openapi.json`.
            pub fn schema(self, g: &mut schemars::SchemaGenerator) -> (&'static str, schemars::Schema) {
                match self { $(ReferenceKind::$kind => (concat!("Reference", stringify!($kind)), g.subschema_for::<$kind>())),+ }
            }
        }
    };
}
kinds!(
    Site,
    Area,
    Line,
    Cell,
    Product,
    Routing,
    Bom,
    Catalogue,
    Calendar,
    ShiftCalendar,
    SlaPolicy,
    Customer,
    Availability
);

impl Document {
    /// Reads a document that was stored; it was checked when it was put.
    pub fn stored(kind: ReferenceKind, text: &str) -> Option<Document> {
        serde_json::from_str(text).ok().and_then(|v| Document::read(kind, &v).ok())
    }

    /// Reads the document of a command.
    pub fn from_command(kind: ReferenceKind, map: &Map<String, Value>) -> Result<Document, FieldError> {
        Document::read(kind, &Value::Object(map.clone()))
    }
}

/// An item or product by its code: products are items too.
pub fn item_of(p: &ProductId) -> Option<ItemId> {
    ItemId::new(p.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_document_reads_back() {
        let v = serde_json::json!({"uom": "H87", "tracking": "serial", "routing": "pump-200"});
        let d = Document::read(ReferenceKind::Product, &v).unwrap();
        let text = d.canonical();
        assert_eq!(Document::stored(ReferenceKind::Product, &text).unwrap(), d);
        assert!(text.contains(r#""producible":true"#));
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path() {
        let v = serde_json::json!({"operations": [{"op": 10, "name": "assemble", "run_time_per_unit": "-1"}]});
        let e = Document::read(ReferenceKind::Routing, &v).unwrap_err();
        assert_eq!(e.field, "payload.document.operations[0].run_time_per_unit");
        // What a newer program knows beside is left out.
        let d = Document::read(ReferenceKind::Cell, &serde_json::json!({"line": "line-1", "speed": 3})).unwrap();
        assert!(!d.canonical().contains("speed"));
    }
}
