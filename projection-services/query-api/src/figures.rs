//! `/v1/kpis` and `/v1/pareto/{kind}`.

use axum::extract::{Path, RawQuery, State as Ax};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mw_contract::reference::Document;
use mw_contract::{CellId, Context, Instant, LineId, ReferenceKind, SiteId};
use mw_policy::{Route, Scope, Sites};
use mw_production_views::figures::calendar::Cut;
use mw_production_views::figures::fact::documents;
use mw_production_views::figures::report::{CSV, GROUPS, Group, Question, kpis as compute};
use mw_production_views::figures::spans::Span;
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
    ("min_position", "Wait up to 5 s until this position (N or production:N) can be read"),
];

/// The parameters of a pareto.
pub const PARETO_PARAMS: &[(&str, &str)] = &[
    ("from", "From this time, RFC 3339; needed"),
    ("to", "Until just before this time, RFC 3339; needed"),
    ("site", "Of this site only"),
    ("line", "Of this line only"),
    ("cell", "Of this cell only"),
    ("product", "Of this product only"),
    ("format", "json or csv"),
    ("min_position", "Wait up to 5 s until this position (N or production:N) can be read"),
];

/// The longest interval: ten years with their leap days.
const LONGEST_MS: i64 = 3_653 * DAY_MS;
/// The most groups of time.
const MOST_GROUPS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

fn read(query: Option<&str>, known: &[(&str, &str)]) -> Result<Params, Problem> {
    let names: Vec<&str> = known.iter().map(|k| k.0).collect();
    Params::read(query, &names)
}

fn span(params: &Params) -> Result<Span, Problem> {
    let form = "an instant such as 2026-03-02T09:00:00Z (a + in the zone is written %2B)";
    let one = |name: &str| -> Result<i64, Problem> {
        let needed = || Problem::parameter(name, &format!("is needed: {form}"), &[]);
        Ok(params.parsed::<Instant>(name, form)?.ok_or_else(needed)?.millis())
    };
    let span = Span::new(one("from")?, one("to")?);
    if span.from >= span.until {
        return Err(Problem::parameter("to", "must be after from", &[]));
    }
    if span.millis() > LONGEST_MS {
        return Err(Problem::parameter("to", "is more than ten years after from: ask for a shorter time", &[]));
    }
    Ok(span)
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
}

impl About {
    fn read(params: &Params) -> Result<About, Problem> {
        Ok(About {
            site: code(params, "site")?,
            line: code(params, "line")?,
            cell: code(params, "cell")?,
            product: code(params, "product")?,
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
                let last: Option<&mw_production_views::figures::fact::Version> = v.last();
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

/// The answer: items with the position of what they are computed from, or lines of CSV.
fn answer(csv: bool, name: &str, columns: &[&str], items: Vec<Value>, position: u64) -> Response {
    if !csv {
        let body = json!({"items": items, "position": position, "positions": {"production": position}});
        return json_text(body.to_string());
    }
    csv_of(name, columns, &items)
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

/// `GET /v1/kpis`.
pub async fn kpis(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let params = read(query.as_deref(), KPI_PARAMS)?;
    let scope = caller.scope(Route::Figures)?;
    let span = span(&params)?;
    let ids = kpi::ids();
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
    let model = &state.models.figures;
    model.reach(params.min_position(Context::Production)?).await?;
    let found = model.query(move |conn, head| {
        if let Err(p) = about.check(conn, &scope)? {
            return Ok(Err(p));
        }
        Ok(Ok((compute(conn, &scope, &q, &[], head.position.0)?, head)))
    });
    let (items, head) = found.await??;
    let items = items.into_iter().map(|i| Value::Object(i.fields)).collect();
    Ok(answer(csv, "kpis", &CSV, items, head.position.0))
}

/// `GET /v1/pareto/{kind}`.
pub async fn pareto(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = read(query.as_deref(), PARETO_PARAMS)?;
    let scope = caller.scope(Route::Figures)?;
    let Some((name, kind)) = pareto::KINDS.iter().find(|(n, _)| *n == kind) else {
        let names = pareto::KINDS.map(|k| k.0).join(", ");
        return Err(Problem::not_found(format!("there is no pareto {kind:?}; there are {names}")));
    };
    let about = About::read(&params)?;
    let q = pareto::Query {
        kind: *kind,
        span: span(&params)?,
        site: about.site.clone(),
        line: about.line.clone(),
        cell: about.cell.clone(),
        product: about.product.clone(),
        now: (state.now)(),
    };
    let csv = params.csv()?;
    let model = &state.models.figures;
    model.reach(params.min_position(Context::Production)?).await?;
    let found = model.query(move |conn, head| {
        if let Err(p) = about.check(conn, &scope)? {
            return Ok(Err(p));
        }
        Ok(Ok((pareto::pareto(conn, &scope, &q)?, head)))
    });
    let (items, head) = found.await??;
    let items = items.iter().map(|i| json!(i)).collect();
    let columns = ["reason", "count", "hours", "quantity", "percent", "cumulative_percent", "vital"];
    Ok(answer(csv, name, &columns, items, head.position.0))
}
