//! What is asked about KPIs, and how an item of the answer looks.
//!
//! The figures of an interval are provisional until 24 hours after its end. Then they are final:
//! revision 1 is what was recorded by then, and each later recorded time at which something of
//! them changed is one revision more. So a revision follows from recorded times alone, and is the
//! same whenever and wherever it is computed.

use mw_contract::{CellId, Instant, LineId, ProductId, SiteId};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::calendar::Cut;
use crate::number::{Figure, shown};
use crate::spans::Span;

/// How long figures are provisional after the end of their interval.
pub const PROVISIONAL_MS: i64 = 24 * 3_600_000;

/// What a group is called; `None` for everything together and for what belongs to no group.
pub type Key = Option<String>;

/// What figures are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// By line.
    Line,
    /// By cell.
    Cell,
    /// By product.
    Product,
    /// By the crew that an operation was given to, or the team of a ticket.
    Team,
    /// By time.
    Time(Cut),
}

/// Every grouping by its name.
pub const GROUPS: [(&str, Group); 8] = [
    ("line", Group::Line),
    ("cell", Group::Cell),
    ("product", Group::Product),
    ("team", Group::Team),
    ("shift", Group::Time(Cut::Shift)),
    ("day", Group::Time(Cut::Day)),
    ("week", Group::Time(Cut::Week)),
    ("month", Group::Time(Cut::Month)),
];

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// From, until.
    pub span: Span,
    /// How to group.
    pub group: Option<Group>,
    /// Which KPIs; none named: all.
    pub kpis: Vec<String>,
    /// Of this site only.
    pub site: Option<SiteId>,
    /// Of this line only.
    pub line: Option<LineId>,
    /// Of this cell only.
    pub cell: Option<CellId>,
    /// Of this product only.
    pub product: Option<ProductId>,
    /// This revision; none: the newest.
    pub revision: Option<u32>,
    /// The moment of asking.
    pub now: Instant,
}

impl Question {
    /// Do only the cells count that the product or team worked on?
    pub fn by_activity(&self) -> bool {
        self.product.is_some() || matches!(self.group, Some(Group::Product | Group::Team))
    }

    /// Is this KPI asked for?
    pub fn wants(&self, kpi: &str) -> bool {
        self.kpis.is_empty() || self.kpis.iter().any(|k| k == kpi)
    }
}

/// A KPI's id, the name of one of its figures, and the unit of that.
pub type Kpi = (&'static str, &'static str, &'static str);

/// One item of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Such as `K-03`.
    pub kpi: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Everything that is shown, `kpi` and `name` too.
    pub fields: Map<String, Value>,
}

impl Item {
    /// An item of a group as a revision shows it.
    pub fn of(kpi: &Kpi, key: &Key, figure: Figure, revision: &Revision, position: u64, now: Instant) -> Item {
        let text = |d: Option<Decimal>| json!(d.map(|d| d.to_string()));
        let mut fields = Map::new();
        let mut set = |name: &str, v: Value| fields.insert(name.to_owned(), v);
        set("kpi", json!(kpi.0));
        set("name", json!(kpi.1));
        set("value", json!(figure.value.map(|v| shown(v, 4))));
        set("unit", json!(kpi.2));
        set("numerator", text(figure.numerator));
        set("denominator", text(figure.denominator));
        set("group", json!(key));
        set("revision", json!(revision.number));
        set("provisional", json!(revision.provisional));
        set("computed_at", json!(now));
        set("event_position", json!(position));
        set("late_events_after", json!(revision.later));
        fields.extend(figure.more);
        Item { kpi: kpi.0, name: kpi.1, fields }
    }
}

/// The columns of the CSV form.
pub const CSV: [&str; 14] = [
    "kpi",
    "name",
    "value",
    "unit",
    "numerator",
    "denominator",
    "group",
    "revision",
    "provisional",
    "computed_at",
    "event_position",
    "late_events_after",
    "median",
    "p90",
];

/// Which revision of a group is shown, and what it is made of.
pub struct Revision {
    /// 1 or more.
    pub number: u32,
    /// May it still change without becoming another one?
    pub provisional: bool,
    /// Facts as recorded until then.
    pub at: i64,
    /// How many later ones there are.
    pub later: usize,
}

impl Revision {
    /// The asked one, or the newest. `times` are those at which something changed after it was
    /// final, in order; `None` when there is no such revision.
    pub fn chosen(asked: Option<u32>, times: &[i64], provisional: bool, final_at: i64) -> Option<Revision> {
        let newest = times.len() + 1;
        let number = asked.map_or(newest, |n| n as usize);
        if number > newest || number == 0 {
            return None;
        }
        let at = if number == 1 { final_at } else { *times.get(number - 2)? };
        Some(Revision { number: number as u32, provisional, at, later: newest - number })
    }
}
