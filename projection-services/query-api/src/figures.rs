//! `/v1/kpis` and `/v1/pareto/{kind}`.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, RawQuery, State as Ax};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mw_after_service_views::figures::fact::down_since;
use mw_after_service_views::figures::report::{kpis as service_kpis, wants_units};
use mw_after_service_views::figures::{kpi as service_kpi, pareto as faults};
use mw_contract::reference::Document;
use mw_contract::{CellId, CustomerId, Instant, LineId, Position, ReferenceKind, SiteId};
use mw_figures::calendar::Cut;
use mw_figures::documents::documents;
use mw_figures::question::{CSV, GROUPS, Group, Item, Key, Kpi, Question, Revision};
use mw_figures::spans::Span;
use mw_policy::{Route, Scope, Sites};
use mw_production_views::figures::beside::given;
use mw_production_views::figures::report::kpis as compute;
use mw_production_views::figures::{kpi, pareto};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::identity::Caller;
use crate::params::Params;
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::json_text;

/// The parameters of KPIs, and what they do.
pub const KPI_PARAMS: &[(&str, &str)] = &[
    ("from", "From this time, RFC 3339; needed"),
    ("to", "Until just before this time, RFC 3339; needed"),
    ("group_by", "line, cell, product, team, shift, day, week or month; everything together unless given"),
    ("kpi", "These KPIs, such as K-01,K-03; all unless given"),
    ("site", "Of this site only"),
    ("line", "Of this line only"),
    ("cell", "Of this cell only"),
    ("product", "Of this product only"),
    ("revision", "This revision, 1 or more; the newest unless given"),
    ("format", "json or csv"),
    ("min_position", JOINED),
];

/// The parameters of a pareto.
pub const PARETO_PARAMS: &[(&str, &str)] = &[
    ("from", "From this time, RFC 3339; 30 days before `to` unless given"),
    ("to", "Until just before this time, RFC 3339; now unless given"),
    ("site", "Of this site only"),
    ("line", "Of this line only"),
    ("cell", "Of this cell only"),
    ("product", "Of this product only"),
    ("customer", "Of this customer only; of faults"),
    ("format", "json or csv"),
    ("min_position", JOINED),
];

/// What `min_position` takes where contexts are joined.
const JOINED: &str =
    "Wait up to 5 s until these positions (production:N,after-service:M, or N of production) can be read";

/// The longest interval: ten years with their leap days.
const LONGEST_MS: i64 = 3_653 * DAY_MS;
/// The most groups of time.
const MOST_GROUPS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

fn read(query: Option<&str>, known: &[(&str, &str)]) -> Result<Params, Problem> {
    let names: Vec<&str> = known.iter().map(|k| k.0).collect();
    Params::read(query, &names)
}

/// The interval that was asked for; `default` stands for what was left out.
fn span(params: &Params, default: Option<Span>) -> Result<Span, Problem> {
    let form = "an instant such as 2026-03-02T09:00:00Z (a + in the zone is written %2B)";
    let given =
        |name: &str| -> Result<Option<i64>, Problem> { Ok(params.parsed::<Instant>(name, form)?.map(Instant::millis)) };
    let needed = |name: &str| Problem::parameter(name, &format!("is needed: {form}"), &[]);
    let (from, to) = (given("from")?, given("to")?);
    let span = match default {
        None => Span::new(from.ok_or_else(|| needed("from"))?, to.ok_or_else(|| needed("to"))?),
        Some(d) => {
            let until = to.unwrap_or(d.until);
            Span::new(from.unwrap_or(until - d.millis()), until)
        }
    };
    if span.from >= span.until {
        return Err(Problem::parameter("to", "must be after from", &[]));
    }
    if span.millis() > LONGEST_MS {
        return Err(Problem::parameter("to", "is more than ten years after from: ask for a shorter time", &[]));
    }
    Ok(span)
}

/// The last 30 days, the moment of the question included.
fn lately(now: Instant) -> Span {
    Span::new(now.millis() + 1 - 30 * DAY_MS, now.millis() + 1)
}

/// A code in a parameter.
fn code<T: std::str::FromStr>(params: &Params, name: &str) -> Result<Option<T>, Problem> {
    params.parsed(name, "a code such as cell-1")
}

/// `group_by`, with a bound on how many groups of time there can be.
fn group(params: &Params, span: Span) -> Result<Option<Group>, Problem> {
    let Some(text) = params.text("group_by") else { return Ok(None) };
    let Some((_, group)) = GROUPS.iter().find(|(n, _)| *n == text) else {
        let names: Vec<String> = GROUPS.iter().map(|(n, _)| (*n).to_owned()).collect();
        return Err(Problem::parameter("group_by", &format!("{text:?} is not one of its values"), &names));
    };
    let shortest = match group {
        Group::Time(Cut::Shift) => DAY_MS / 3,
        Group::Time(_) => DAY_MS,
        _ => return Ok(Some(*group)),
    };
    if span.millis() / shortest > MOST_GROUPS && !matches!(group, Group::Time(Cut::Week | Cut::Month)) {
        let message = format!("would give more than {MOST_GROUPS} groups: ask for a shorter time or for week or month");
        return Err(Problem::parameter("group_by", &message, &[]));
    }
    Ok(Some(*group))
}

/// What was asked about, beside time.
#[derive(Clone)]
struct About {
    site: Option<SiteId>,
    line: Option<LineId>,
    cell: Option<CellId>,
    product: Option<mw_contract::ProductId>,
    customer: Option<CustomerId>,
}

impl About {
    fn read(params: &Params) -> Result<About, Problem> {
        Ok(About {
            site: code(params, "site")?,
            line: code(params, "line")?,
            cell: code(params, "cell")?,
            product: code(params, "product")?,
            customer: code(params, "customer")?,
        })
    }

    /// Is all of it there, and in scope? What belongs to a site that the caller does not see is
    /// as good as not there.
    fn check(&self, conn: &Connection, scope: &Scope) -> rusqlite::Result<Result<(), Problem>> {
        let sees = |s: &SiteId| scope.sites.contains(s);
        let hidden = |what: &str, code: &str| {
            Err(Problem::not_found(format!("there is no {what} {code:?}, or it is not yours to see")))
        };
        let known = |kind| -> rusqlite::Result<Vec<(String, Option<Document>)>> {
            let newest = |(code, v): (String, Vec<_>)| {
                let last: Option<&mw_figures::documents::Version> = v.last();
                (code, last.and_then(|v| Document::stored(kind, &v.doc)))
            };
            Ok(documents(conn, kind)?.into_iter().map(newest).collect())
        };
        if let Some(site) = &self.site {
            let there = known(ReferenceKind::Site)?.iter().any(|(c, _)| c == site.as_str());
            if !sees(site) || (!there && scope.sites == Sites::All) {
                return Ok(hidden("site", site.as_str()));
            }
        }
        let lines: Vec<(String, SiteId)> = known(ReferenceKind::Line)?
            .into_iter()
            .filter_map(|(c, d)| if let Some(Document::Line(l)) = d { Some((c, l.site)) } else { None })
            .collect();
        let site_of = |line: &str| lines.iter().find(|(c, _)| c == line).map(|(_, s)| s);
        if let Some(line) = &self.line {
            match site_of(line.as_str()) {
                Some(site) if !sees(site) => return Ok(hidden("line", line.as_str())),
                Some(_) => {}
                None => {
                    let mine = lines.iter().filter(|(_, s)| sees(s)).map(|(c, _)| c.clone()).collect::<Vec<_>>();
                    return Ok(Err(unknown("line", line.as_str(), &mine)));
                }
            }
        }
        if let Some(cell) = &self.cell {
            let cells: Vec<(String, LineId)> = known(ReferenceKind::Cell)?
                .into_iter()
                .filter_map(|(c, d)| if let Some(Document::Cell(x)) = d { Some((c, x.line)) } else { None })
                .collect();
            let seen = |line: &LineId| site_of(line.as_str()).is_none_or(sees);
            match cells.iter().find(|(c, _)| c == cell.as_str()) {
                Some((_, line)) if !seen(line) => return Ok(hidden("cell", cell.as_str())),
                Some(_) => {}
                None => {
                    let mine = cells.iter().filter(|(_, l)| seen(l)).map(|(c, _)| c.clone()).collect::<Vec<_>>();
                    return Ok(Err(unknown("cell", cell.as_str(), &mine)));
                }
            }
        }
        if let Some(customer) = &self.customer {
            let all: Vec<String> = known(ReferenceKind::Customer)?.into_iter().map(|(c, _)| c).collect();
            if !all.iter().any(|c| c == customer.as_str()) {
                return Ok(Err(unknown("customer", customer.as_str(), &all)));
            }
        }
        if let Some(product) = &self.product {
            let all: Vec<String> = known(ReferenceKind::Product)?.into_iter().map(|(c, _)| c).collect();
            if !all.iter().any(|c| c == product.as_str()) {
                return Ok(Err(unknown("product", product.as_str(), &all)));
            }
        }
        Ok(Ok(()))
    }
}

fn unknown(name: &str, code: &str, known: &[String]) -> Problem {
    Problem::parameter(name, &format!("there is no {name} {code:?}"), known)
}

/// Where the contexts stood that items are computed from.
struct Positions {
    production: Position,
    service: Position,
}

/// The answer: items with the positions of what they are computed from, or lines of CSV.
fn answer(csv: bool, name: &str, columns: &[&str], items: Vec<Value>, at: &Positions) -> Response {
    if !csv {
        let positions = json!({"production": at.production, "after-service": at.service});
        return json_text(json!({"items": items, "position": at.production, "positions": positions}).to_string());
    }
    csv_of(name, columns, &items)
}

/// What of figures a caller sees: those of production, and those of after-service. Who works with
/// tickets sees the latter also without the former.
struct Sight {
    production: Option<Scope>,
    service: Option<Scope>,
}

impl Sight {
    fn of(caller: &Caller) -> Result<Sight, Problem> {
        let production = caller.scope(Route::Figures);
        let service = caller.scope(Route::Backlog).ok();
        match (production, service) {
            (Err(refused), None) => Err(refused),
            (production, service) => Ok(Sight { production: production.ok(), service }),
        }
    }

    /// Which sites count for what was asked about.
    fn any(&self) -> Scope {
        let one = self.production.as_ref().or(self.service.as_ref());
        one.cloned().unwrap_or_else(|| Scope { sites: Sites::Some(Default::default()), ..Scope::everything() })
    }
}

/// Items as lines of CSV under their heading.
pub(crate) fn csv_of(name: &str, columns: &[&str], items: &[Value]) -> Response {
    let mut text = columns.join(",") + "\r\n";
    for item in items {
        let cell = |c: &&str| match &item[*c] {
            Value::Null => String::new(),
            Value::String(s) if s.contains([',', '"', '\r', '\n']) => format!("\"{}\"", s.replace('"', "\"\"")),
            // A spreadsheet would run text that begins so as a formula.
            Value::String(s) if s.starts_with(['=', '+', '-', '@']) && s.parse::<f64>().is_err() => format!("'{s}"),
            Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        text.push_str(&columns.iter().map(cell).collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    let mut r = ([(header::CONTENT_TYPE, kind)], text).into_response();
    if let Ok(v) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\"")) {
        r.headers_mut().insert(header::CONTENT_DISPOSITION, v);
    }
    r
}

/// The ids of all KPIs, in order.
fn ids() -> Vec<String> {
    kpi::ids().into_iter().chain(service_kpi::ids()).collect()
}

/// `GET /v1/kpis`: those of production and of after-service together.
pub async fn kpis(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let params = read(query.as_deref(), KPI_PARAMS)?;
    let sight = Sight::of(&caller)?;
    let span = span(&params, None)?;
    let ids = ids();
    let wanted: Vec<String> = params.several("kpi", &ids)?;
    if let Some(bad) = wanted.iter().find(|k| !ids.contains(k)) {
        return Err(Problem::parameter("kpi", &format!("{bad:?} is not one of its values"), &ids));
    }
    let revision = params.parsed::<u32>("revision", "a number, 1 or more")?;
    if revision == Some(0) {
        return Err(Problem::parameter("revision", "0 is not a number, 1 or more", &[]));
    }
    let about = About::read(&params)?;
    let q = Question {
        span,
        group: group(&params, span)?,
        kpis: wanted,
        site: about.site.clone(),
        line: about.line.clone(),
        cell: about.cell.clone(),
        product: about.product.clone(),
        revision,
        now: (state.now)(),
    };
    let csv = params.csv()?;
    reach(&state, &params).await?;
    let (production, service) = (&state.models.figures, &state.models.service_figures);
    // Since when a machine is down tickets know better than its downtime.
    let down = service.query(move |conn, _| down_since(conn, span)).await?;
    let (whole, seen) = (q.clone(), (sight.production.is_some(), sight.service.is_some()));
    let (asked, any, own, theirs) = (q.clone(), sight.any(), sight.production, sight.service.clone());
    let found = production.query(move |conn, head| {
        if let Err(p) = about.check(conn, &any)? {
            return Ok(Err(p));
        }
        let items = match &own {
            Some(scope) => compute(conn, scope, &asked, &down, head.position.0)?,
            None => Vec::new(),
        };
        let given = match &theirs {
            // Units are of customers.
            Some(scope) => Some(given(conn, scope, asked.span, wants_units(&asked) && !scope.internal_only)?),
            None => None,
        };
        Ok(Ok((items, given, head)))
    });
    let (mut items, given, head) = found.await??;
    let found = service.query(move |conn, head| {
        let (Some(scope), Some(given)) = (&sight.service, &given) else { return Ok((Vec::new(), head)) };
        Ok((service_kpis(conn, scope, &q, given, head.position.0)?, head))
    });
    let (more, service_head) = found.await?;
    items.extend(more);
    fill(&mut items, &whole, &seen, (head.position, service_head.position));
    // What belongs to a group stands together, in the order of the KPIs.
    let group = |i: &Item| i.fields.get("group").and_then(Value::as_str).map(str::to_owned);
    items.sort_by_key(group);
    let items = items.into_iter().map(|i| Value::Object(i.fields)).collect();
    let at = Positions { production: head.position, service: service_head.position };
    Ok(answer(csv, "kpis", &CSV, items, &at))
}

/// A group in which only one of both systems has something has the KPIs of the other too: of nothing.
fn fill(items: &mut Vec<Item>, q: &Question, seen: &(bool, bool), at: (Position, Position)) {
    if q.revision.is_some_and(|r| r > 1) {
        return;
    }
    let mut groups: BTreeMap<Key, (bool, BTreeSet<&'static str>)> = BTreeMap::new();
    for i in items.iter() {
        let key = i.fields.get("group").and_then(Value::as_str).map(str::to_owned);
        let provisional = i.fields.get("provisional") == Some(&json!(true));
        groups.entry(key).or_insert_with(|| (provisional, BTreeSet::new())).1.insert(i.name);
    }
    for (key, (provisional, there)) in groups {
        let r = Revision { number: 1, provisional, at: 0, later: 0 };
        let missing = |k: &&Kpi| q.wants(k.0) && !there.contains(k.1);
        if seen.0 {
            let none = Default::default();
            let one = |k: &Kpi| Item::of(k, &key, kpi::figure(k.1, &none), &r, at.0.0, q.now);
            items.extend(kpi::KPIS.iter().filter(missing).map(one));
        }
        if seen.1 {
            let none = Default::default();
            let one = |k: &Kpi| Item::of(k, &key, service_kpi::nothing(k.1, &none), &r, at.1.0, q.now);
            items.extend(service_kpi::KPIS.iter().filter(missing).map(one));
        }
    }
    // In a group by the number of the KPI; the sort of groups that follows keeps it.
    items.sort_by_key(|i| i.kpi);
}

/// Waits for what `min_position` asks of both contexts.
async fn reach(state: &State, params: &Params) -> Result<(), Problem> {
    let (production, service) = params.min_positions()?;
    state.models.figures.reach(production).await?;
    state.models.service_figures.reach(service).await
}

/// `GET /v1/pareto/{kind}`.
pub async fn pareto(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = read(query.as_deref(), PARETO_PARAMS)?;
    if let Some((name, fault)) = faults::KINDS.iter().find(|(n, _)| *n == kind) {
        return faults_of(&state, &caller, &params, name, *fault).await;
    }
    let Some((name, kind)) = pareto::KINDS.iter().find(|(n, _)| *n == kind) else {
        let names: Vec<&str> = pareto::KINDS.iter().map(|k| k.0).chain(faults::KINDS.iter().map(|k| k.0)).collect();
        return Err(Problem::not_found(format!("there is no pareto {kind:?}; there are {}", names.join(", "))));
    };
    let scope = caller.scope(Route::Figures)?;
    let about = About::read(&params)?;
    if about.customer.is_some() {
        return Err(Problem::parameter("customer", "is known of faults only, not of what happens in production", &[]));
    }
    let q = pareto::Query {
        kind: *kind,
        span: span(&params, Some(lately((state.now)())))?,
        site: about.site.clone(),
        line: about.line.clone(),
        cell: about.cell.clone(),
        product: about.product.clone(),
        now: (state.now)(),
    };
    let csv = params.csv()?;
    reach(&state, &params).await?;
    let found = state.models.figures.query(move |conn, head| {
        if let Err(p) = about.check(conn, &scope)? {
            return Ok(Err(p));
        }
        Ok(Ok((pareto::pareto(conn, &scope, &q)?, head)))
    });
    let (items, head) = found.await??;
    let service = state.models.service_figures.query(|_, head| Ok(head.position)).await?;
    let items = items.iter().map(|i| json!(i)).collect();
    let columns = ["reason", "count", "hours", "quantity", "percent", "cumulative_percent", "vital"];
    Ok(answer(csv, name, &columns, items, &Positions { production: head.position, service }))
}

/// Symptoms and causes of faults, from tickets.
async fn faults_of(
    state: &State,
    caller: &Caller,
    params: &Params,
    name: &str,
    fault: faults::Fault,
) -> Result<Response, Problem> {
    let scope = caller.scope(Route::Backlog)?;
    let about = About::read(params)?;
    let q = faults::Query {
        fault,
        span: span(params, Some(lately((state.now)())))?,
        site: about.site.clone(),
        line: about.line.clone(),
        cell: about.cell.clone(),
        product: about.product.clone(),
        customer: about.customer.clone(),
        now: (state.now)(),
    };
    let csv = params.csv()?;
    reach(state, params).await?;
    let (asked, any) = (q.span, scope.clone());
    let found = state.models.figures.query(move |conn, head| {
        if let Err(p) = about.check(conn, &any)? {
            return Ok(Err(p));
        }
        Ok(Ok((given(conn, &any, asked, false)?, head)))
    });
    let (given, head) = found.await??;
    let found = state
        .models
        .service_figures
        .query(move |conn, service| Ok((faults::pareto(conn, &scope, &q, &given)?, service.position)));
    let (items, service) = found.await?;
    let one = |i: &faults::Item| {
        let mut item = json!(i);
        if csv {
            // A line has one cell for it.
            let costs: Vec<String> = i.cost.iter().map(|c| format!("{} {}", c.amount, c.currency)).collect();
            item["cost"] = json!(costs.join("; "));
        }
        item
    };
    let items = items.iter().map(one).collect();
    let columns = ["reason", "count", "hours", "cost", "percent", "cumulative_percent", "vital"];
    Ok(answer(csv, name, &columns, items, &Positions { production: head.position, service }))
}
