//! Days, weeks, months and shifts, in the time zone of the site: a day may have 23 or 25 hours.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use mw_contract::reference::catalogues::TEAM;
use mw_contract::reference::{Document, ShiftCalendar, Site};
use mw_contract::{LineId, ReferenceKind, SiteId};
use rusqlite::Connection;

use crate::documents::{Version, documents};
use crate::spans::{Span, millis, minus, union};

/// What of reference data figures need, every version of it.
#[derive(Default)]
pub struct Documents {
    sites: BTreeMap<String, Vec<Version>>,
    shifts: Vec<Vec<(Version, ShiftCalendar)>>,
    teams: Vec<Version>,
}

/// A stretch of time that a figure is asked for, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Such as `2026-03-02`, `2026-W10`, `2026-03`, `2026-03-02 early`; `None`: the asked interval.
    pub label: Option<String>,
    /// From, until.
    pub span: Span,
}

/// How time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// By shift.
    Shift,
    /// By calendar day.
    Day,
    /// By ISO week, from Monday.
    Week,
    /// By calendar month.
    Month,
}

/// One shift on one day.
struct Turn {
    day: Date,
    code: String,
    span: Span,
    breaks: Vec<Span>,
}

fn date_of(ms: i64, zone: &TimeZone) -> Date {
    let t = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    t.to_zoned_datetime(zone.clone()).date()
}

/// The moment of a local time. One that the clock leaps over is as much later as it leaps.
fn moment(day: Date, time: Time, zone: &TimeZone) -> i64 {
    let local = day.to_datetime(time);
    local.to_zoned_datetime(zone.clone()).map_or(i64::MAX, |z| z.timestamp().as_millisecond())
}

fn day_start(day: Date, zone: &TimeZone) -> i64 {
    moment(day, Time::midnight(), zone)
}

fn time(text: &str) -> Option<Time> {
    let (h, m) = text.split_once(':')?;
    Time::new(h.parse().ok()?, m.parse().ok()?, 0, 0).ok()
}

fn next(day: Date) -> Option<Date> {
    day.tomorrow().ok()
}

/// The version in force at a moment, of those known at a recorded time. Before the first one was
/// put, the first one: a plant ran before somebody wrote down how.
fn in_force<T>(versions: &[T], of: impl Fn(&T) -> &Version, known: i64, at: i64) -> Option<&T> {
    let seen = || versions.iter().filter(|v| of(v).recorded <= known);
    let held = seen().rev().find(|v| of(v).put_at <= at).or_else(|| seen().next())?;
    (!of(held).retired).then_some(held)
}

impl Documents {
    /// Reads them.
    pub fn load(conn: &Connection) -> rusqlite::Result<Documents> {
        let mut shifts = Vec::new();
        for (_, versions) in documents(conn, ReferenceKind::ShiftCalendar)? {
            let one = |v: Version| match Document::stored(ReferenceKind::ShiftCalendar, &v.doc) {
                Some(Document::ShiftCalendar(c)) => Some((v, c)),
                _ => None,
            };
            shifts.push(versions.into_iter().filter_map(one).collect());
        }
        let catalogues = documents(conn, ReferenceKind::Catalogue)?;
        let teams = catalogues.into_iter().find(|(code, _)| code == TEAM).map(|(_, v)| v).unwrap_or_default();
        Ok(Documents { sites: documents(conn, ReferenceKind::Site)?.into_iter().collect(), shifts, teams })
    }

    /// The hours that each team can work in a week, by the catalogue of teams known at a recorded time.
    pub fn weekly_hours(&self, known: i64) -> BTreeMap<String, u16> {
        let newest = in_force(&self.teams, |v| v, known, i64::MAX);
        let entries = match newest.and_then(|v| Document::stored(ReferenceKind::Catalogue, &v.doc)) {
            Some(Document::Catalogue(c)) => c.entries,
            _ => Vec::new(),
        };
        let active = entries.into_iter().filter(|e| e.active);
        active.filter_map(|e| Some((e.code.as_str().to_owned(), e.weekly_hours?))).collect()
    }

    /// A site as it is known at a recorded time.
    pub fn site(&self, site: Option<&SiteId>, known: i64) -> Option<Site> {
        let versions = self.sites.get(site?.as_str())?;
        let newest = in_force(versions, |v| v, known, i64::MAX)?;
        match Document::stored(ReferenceKind::Site, &newest.doc) {
            Some(Document::Site(s)) => Some(s),
            _ => None,
        }
    }

    /// The zone of a site; UTC where nobody knows.
    pub fn zone(&self, site: Option<&SiteId>, known: i64) -> TimeZone {
        let name = self.site(site, known).map(|s| s.time_zone);
        name.and_then(|n| TimeZone::get(&n).ok()).unwrap_or(TimeZone::UTC)
    }

    /// Does the site count failures as ISO 22400-2 does?
    pub fn mtbf_iso(&self, site: Option<&SiteId>, known: i64) -> bool {
        self.site(site, known).is_some_and(|s| s.settings.mtbf_iso)
    }

    /// The calendars of a line in force at a moment: those that name it, else those of its site.
    fn calendars(&self, site: Option<&SiteId>, line: Option<&LineId>, known: i64, at: i64) -> Vec<&ShiftCalendar> {
        let held = self.shifts.iter().filter_map(|v| in_force(v, |(v, _)| v, known, at));
        let all: Vec<_> = held.map(|(_, c)| c).filter(|c| Some(&c.site) == site).collect();
        let named: Vec<_> = all.iter().copied().filter(|c| line.is_some_and(|l| c.lines.contains(l))).collect();
        if named.is_empty() { all.into_iter().filter(|c| c.lines.is_empty()).collect() } else { named }
    }

    /// The shifts that touch a span; `None` for a line without a calendar on any of its days.
    fn turns(&self, site: Option<&SiteId>, line: Option<&LineId>, known: i64, span: Span) -> Option<Vec<Turn>> {
        let zone = self.zone(site, known);
        let last = date_of(span.until - 1, &zone);
        let first = date_of(span.from, &zone);
        // A shift may begin the day before.
        let mut day = first.yesterday().ok();
        let (mut any, mut turns) = (false, Vec::new());
        while let Some(d) = day.filter(|d| *d <= last) {
            let calendars = self.calendars(site, line, known, day_start(d, &zone));
            // The day before counts only for what reaches over midnight.
            any |= !calendars.is_empty() && d >= first;
            for shift in calendars.iter().flat_map(|c| &c.shifts) {
                turns.extend(turn(d, shift, &zone).filter(|t| t.span.within(span).is_some()));
            }
            day = next(d);
        }
        any.then_some(turns)
    }

    /// Planned busy time of a line before planned stops: its shifts without their breaks. Without a
    /// shift calendar all of the span.
    pub fn working(&self, site: Option<&SiteId>, line: Option<&LineId>, known: i64, span: Span) -> Vec<Span> {
        let Some(turns) = self.turns(site, line, known, span) else { return vec![span] };
        let shifts = turns.iter().filter_map(|t| t.span.within(span)).collect();
        let breaks = turns.iter().flat_map(|t| t.breaks.iter().copied()).collect();
        minus(&union(shifts), &union(breaks))
    }

    /// The shifts of a line that touch a span, without breaks; none without a shift calendar.
    pub fn shifts(&self, site: Option<&SiteId>, line: Option<&LineId>, known: i64, span: Span) -> Vec<Vec<Span>> {
        let turns = self.turns(site, line, known, span).unwrap_or_default();
        turns.iter().filter_map(|t| Some(minus(&[t.span.within(span)?], &union(t.breaks.clone())))).collect()
    }

    /// The windows into which a span is cut at a place. Without a shift calendar a line has one
    /// nameless shift: the span.
    pub fn windows(
        &self,
        cut: Option<Cut>,
        site: Option<&SiteId>,
        line: Option<&LineId>,
        known: i64,
        span: Span,
    ) -> Vec<Window> {
        let whole = || vec![Window { label: None, span }];
        let Some(cut) = cut else { return whole() };
        if cut == Cut::Shift {
            let Some(turns) = self.turns(site, line, known, span) else { return whole() };
            let one =
                |t: &Turn| Some(Window { label: Some(format!("{} {}", t.day, t.code)), span: t.span.within(span)? });
            return turns.iter().filter_map(one).collect();
        }
        let zone = self.zone(site, known);
        let first = date_of(span.from, &zone);
        let mut begin = match cut {
            Cut::Week => {
                let back = i64::from(first.weekday().to_monday_zero_offset());
                first.checked_sub(back.days()).unwrap_or(first)
            }
            Cut::Month => first.first_of_month(),
            Cut::Day | Cut::Shift => first,
        };
        let mut out = Vec::new();
        while day_start(begin, &zone) < span.until {
            let end = match cut {
                Cut::Week => begin.checked_add(1.week()),
                Cut::Month => begin.checked_add(1.month()),
                Cut::Day | Cut::Shift => begin.tomorrow(),
            };
            let Ok(end) = end else { break };
            let label = match cut {
                Cut::Week => {
                    let w = begin.iso_week_date();
                    format!("{:04}-W{:02}", w.year(), w.week())
                }
                Cut::Month => format!("{:04}-{:02}", begin.year(), begin.month()),
                Cut::Day | Cut::Shift => begin.to_string(),
            };
            if let Some(span) = Span::new(day_start(begin, &zone), day_start(end, &zone)).within(span) {
                out.push(Window { label: Some(label), span });
            }
            begin = end;
        }
        out
    }
}

/// How long each line works in a span, in milliseconds, by its code: its shifts without their breaks.
/// A line without a shift calendar is not among them.
///
/// # Errors
/// SQLite's.
pub fn working_time(conn: &Connection, span: Span) -> rusqlite::Result<BTreeMap<String, i64>> {
    let docs = Documents::load(conn)?;
    let mut all = BTreeMap::new();
    for (code, versions) in documents(conn, ReferenceKind::Line)? {
        let newest = versions.last().and_then(|v| Document::stored(ReferenceKind::Line, &v.doc));
        let (Some(Document::Line(line)), Ok(id)) = (newest, code.parse::<LineId>()) else { continue };
        if docs.turns(Some(&line.site), Some(&id), i64::MAX, span).is_some() {
            all.insert(code, millis(&docs.working(Some(&line.site), Some(&id), i64::MAX, span)));
        }
    }
    Ok(all)
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A shift as it falls on a day; one that ends before it begins ends the day after.
fn turn(day: Date, shift: &mw_contract::reference::Shift, zone: &TimeZone) -> Option<Turn> {
    let name = DAYS.get(usize::try_from(day.weekday().to_monday_zero_offset()).ok()?)?;
    if !shift.days.iter().any(|d| d.as_str() == *name) {
        return None;
    }
    let (from, to) = (time(shift.from.as_str())?, time(shift.to.as_str())?);
    let after = |base: Date, t: Time, since: Time, strictly: bool| {
        let rolls = t < since || (strictly && t == since);
        if rolls { next(base).map(|d| (d, t)) } else { Some((base, t)) }
    };
    let (end_day, _) = after(day, to, from, true)?;
    let span = Span::new(moment(day, from, zone), moment(end_day, to, zone));
    let mut breaks = Vec::new();
    for b in &shift.breaks {
        let (start, end) = (time(b.from.as_str())?, time(b.to.as_str())?);
        let (start_day, _) = after(day, start, from, false)?;
        let (end_day, _) = after(start_day, end, start, true)?;
        breaks.push(Span::new(moment(start_day, start, zone), moment(end_day, end, zone)));
    }
    Some(Turn { day, code: shift.code.to_string(), span, breaks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(t: &str) -> i64 {
        t.parse::<mw_contract::Instant>().unwrap().millis()
    }

    fn version(put_at: i64, doc: &str) -> Version {
        Version { put_at, recorded: put_at, retired: false, doc: doc.into() }
    }

    fn plant(shifts: &[&str]) -> Documents {
        let calendars = shifts.iter().map(|s| {
            let Some(Document::ShiftCalendar(c)) = Document::stored(ReferenceKind::ShiftCalendar, s) else {
                panic!("{s}")
            };
            vec![(version(0, s), c)]
        });
        let site = version(0, r#"{"time_zone":"Europe/Berlin"}"#);
        Documents { sites: [("plant-1".to_owned(), vec![site])].into(), shifts: calendars.collect(), teams: vec![] }
    }

    fn site() -> SiteId {
        SiteId::new("plant-1").unwrap()
    }

    #[test]
    fn days_are_as_long_as_the_site_has_them() {
        let d = plant(&[]);
        let span = Span::new(at("2026-03-28T11:00:00Z"), at("2026-03-30T11:00:00Z"));
        let days = d.windows(Some(Cut::Day), Some(&site()), None, i64::MAX, span);
        let hours: Vec<_> = days.iter().map(|w| (w.label.clone().unwrap(), w.span.millis() / 3_600_000)).collect();
        let expected = [("2026-03-28", 12), ("2026-03-29", 23), ("2026-03-30", 13)];
        assert_eq!(hours, expected.map(|(l, h)| (l.to_owned(), h)));
        let span = Span::new(at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"));
        let autumn = d.windows(Some(Cut::Day), Some(&site()), None, i64::MAX, span);
        assert_eq!(autumn.len(), 1, "{autumn:?}");
        assert_eq!(autumn[0].span.millis(), 25 * 3_600_000);
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let d = plant(&[]);
        let span = Span::new(at("2026-12-31T12:00:00Z"), at("2027-01-05T12:00:00Z"));
        let labels = |cut| -> Vec<String> {
            d.windows(Some(cut), Some(&site()), None, i64::MAX, span).into_iter().filter_map(|w| w.label).collect()
        };
        assert_eq!(labels(Cut::Week), ["2026-W53", "2027-W01"]);
        assert_eq!(labels(Cut::Month), ["2026-12", "2027-01"]);
    }

    #[test]
    fn a_night_shift_over_the_change_of_the_clock_is_an_hour_shorter_and_breaks_are_out() {
        let night = r#"{"site":"plant-1","shifts":[{"code":"night","from":"22:00","to":"06:00","days":["sat"],
            "breaks":[{"from":"01:00","to":"01:30"}]}]}"#;
        let d = plant(&[night]);
        let span = Span::new(at("2026-03-28T00:00:00Z"), at("2026-03-30T00:00:00Z"));
        let shifts = d.windows(Some(Cut::Shift), Some(&site()), None, i64::MAX, span);
        assert_eq!(shifts.len(), 1);
        assert_eq!(shifts[0].label.as_deref(), Some("2026-03-28 night"));
        assert_eq!(shifts[0].span.millis(), 7 * 3_600_000);
        let busy = d.working(Some(&site()), None, i64::MAX, span);
        assert_eq!(crate::spans::millis(&busy), 6 * 3_600_000 + 1_800_000);
        // A line of another site has no calendar: all of the span.
        let other = SiteId::new("plant-2").unwrap();
        assert_eq!(d.working(Some(&other), None, i64::MAX, span), [span]);
    }
}
