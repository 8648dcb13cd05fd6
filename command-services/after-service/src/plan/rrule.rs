//! The calendar of a plan: a recurrence rule of RFC 5545, counted in whole days of the site.
//!
//! Owns which rules a plan may have and the days that follow from one. The first day of a grid is
//! the first instance of its rule (RFC 5545, 3.8.5.3), days that a month does not have are left
//! out (3.3.10). It must never be asked by `evolve`: events carry the days that were found.

use mw_contract::{Date, Instant};
use rrule::RRuleSet;

/// The most days that are counted from the first one: 100 years of days.
const MOST_DAYS: usize = 36_525;

/// A rule that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    freq: Freq,
    interval: u16,
    /// The rule without UNTIL, in capitals.
    text: String,
    until: Option<Date>,
    /// Nothing but FREQ, INTERVAL and UNTIL.
    bare: bool,
    counted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Freq {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Rule {
    /// Reads a rule: `FREQ=MONTHLY;INTERVAL=3`, in capitals or not, `RRULE:` before it or not.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(text: &str) -> Result<Rule, String> {
        let text = text.to_ascii_uppercase();
        let text = text.strip_prefix("RRULE:").unwrap_or(&text);
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"=;,+-".contains(&b)) {
            return Err("is a recurrence rule of RFC 5545 such as FREQ=MONTHLY;INTERVAL=3".into());
        }
        let mut freq = None;
        let (mut interval, mut until, mut bare, mut counted) = (1, None, true, false);
        let mut kept = Vec::new();
        for part in text.split(';') {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not NAME=VALUE"))?;
            match name {
                "FREQ" => {
                    freq = Some(match value {
                        "DAILY" => Freq::Daily,
                        "WEEKLY" => Freq::Weekly,
                        "MONTHLY" => Freq::Monthly,
                        "YEARLY" => Freq::Yearly,
                        _ => return Err("FREQ is one of DAILY, WEEKLY, MONTHLY, YEARLY".into()),
                    });
                }
                "INTERVAL" => {
                    let n: Option<u16> = value.parse().ok().filter(|n| (1..=1000).contains(n));
                    interval = n.ok_or("INTERVAL is a number from 1 to 1000")?;
                }
                "UNTIL" => {
                    until = Some(until_day(value).ok_or("UNTIL is a day such as 20301231")?);
                    // Compared as a day: a rule in UTC would need a time of day here.
                    continue;
                }
                "BYHOUR" | "BYMINUTE" | "BYSECOND" => {
                    return Err(format!("{name} is not possible: a plan counts whole days"));
                }
                "COUNT" => counted = true,
                "WKST" => {}
                _ => bare = false,
            }
            kept.push(part);
        }
        let freq = freq.ok_or("FREQ is missing")?;
        if counted && until.is_some() {
            return Err("COUNT and UNTIL exclude each other".into());
        }
        let rule = Rule { freq, interval, text: kept.join(";"), until, bare: bare && !counted, counted };
        rule.set(anchor()).map(|_| rule)
    }

    /// Does it end after a number of times?
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// The first of its days from `from` on, in the grid that begins with `starts_on`.
    pub fn first_from(&self, starts_on: Date, from: Date) -> Option<Date> {
        let set = self.set(starts_on).ok()?;
        let days = set.limit().into_iter().take(MOST_DAYS).map(|d| day(d.timestamp()));
        let found = days.map_while(|d| d).find(|d| *d >= from)?;
        self.allows(found)
    }

    /// The first of its days after `day`.
    pub fn first_after(&self, starts_on: Date, day: Date) -> Option<Date> {
        self.first_from(starts_on, tomorrow(day)?)
    }

    /// The next time counted from the day on which it was done, for plans that float. Months and
    /// years without more words end in the last day of a shorter month: whoever finishes on the 31st
    /// did not ask for months of 31 days.
    pub fn after_completion(&self, done_on: Date) -> Option<Date> {
        let months = match (self.bare, self.freq) {
            (true, Freq::Monthly) => self.interval,
            (true, Freq::Yearly) => self.interval.saturating_mul(12),
            _ => return self.first_after(done_on, done_on),
        };
        // The last day of all is where days that can't be written end too.
        self.allows(done_on.plus_months(months)).filter(|d| tomorrow(*d).is_some())
    }

    fn allows(&self, day: Date) -> Option<Date> {
        self.until.is_none_or(|last| day <= last).then_some(day)
    }

    fn set(&self, starts_on: Date) -> Result<RRuleSet, String> {
        let start = starts_on.to_string().replace('-', "");
        let text = format!("DTSTART:{start}T000000Z\nRRULE:{}", self.text);
        text.parse::<RRuleSet>().map_err(|e| format!("is no recurrence rule of RFC 5545: {e}"))
    }
}

/// Any day: what is well formed on one is on all.
fn anchor() -> Date {
    Instant::clamped(0).date_in("UTC")
}

fn day(seconds: i64) -> Option<Date> {
    Some(Instant::from_millis(seconds.checked_mul(1000)?).ok()?.date_in("UTC"))
}

fn tomorrow(day: Date) -> Option<Date> {
    let next = day.span_in("UTC").1.date_in("UTC");
    (next > day).then_some(next)
}

/// `20301231`, or the day of `20301231T235959Z`.
fn until_day(value: &str) -> Option<Date> {
    let (day, time) = value.split_at_checked(8)?;
    if !time.is_empty() && (!time.starts_with('T') || !(7..=8).contains(&time.len())) {
        return None;
    }
    format!("{}-{}-{}", day.get(..4)?, day.get(4..6)?, day.get(6..)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(s: &str) -> Date {
        s.parse().unwrap()
    }

    fn days(rule: &str, start: &str, n: usize) -> Vec<String> {
        let (rule, start) = (Rule::read(rule).unwrap(), date(start));
        let first = rule.first_from(start, start);
        let all = std::iter::successors(first, |d| rule.first_after(start, *d));
        all.take(n).map(|d| d.to_string()).collect()
    }

    #[test]
    fn a_rule_gives_its_days() {
        for (rule, start, expected) in [
            ("FREQ=MONTHLY;INTERVAL=3", "2026-03-10", ["2026-03-10", "2026-06-10", "2026-09-10"]),
            ("freq=daily", "2026-03-28", ["2026-03-28", "2026-03-29", "2026-03-30"]),
            ("RRULE:FREQ=WEEKLY;BYDAY=MO,TH", "2026-03-03", ["2026-03-05", "2026-03-09", "2026-03-12"]),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31"]),
            ("FREQ=MONTHLY", "2026-01-31", ["2026-01-31", "2026-03-31", "2026-05-31"]),
            ("FREQ=MONTHLY;BYDAY=1MO", "2026-01-31", ["2026-02-02", "2026-03-02", "2026-04-06"]),
            ("FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=1", "2026-11-01", ["2026-11-01", "2027-11-01", "2028-11-01"]),
            ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", "2026-03-02", ["2026-03-02", "2026-03-16", "2026-03-30"]),
        ] {
            assert_eq!(days(rule, start, 3), expected, "{rule}");
        }
    }

    #[test]
    fn a_rule_may_end() {
        assert_eq!(days("FREQ=DAILY;COUNT=2", "2026-03-02", 9), ["2026-03-02", "2026-03-03"]);
        assert_eq!(days("FREQ=DAILY;UNTIL=20260303", "2026-03-02", 9), ["2026-03-02", "2026-03-03"]);
        assert_eq!(days("FREQ=DAILY;UNTIL=20260303T120000Z", "2026-03-02", 9), ["2026-03-02", "2026-03-03"]);
        // It ended before it began, and it never comes.
        assert!(days("FREQ=DAILY;UNTIL=20200101", "2026-03-02", 9).is_empty());
        assert!(days("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "2026-03-02", 9).is_empty());
        assert_eq!(days("FREQ=YEARLY", "9998-01-01", 9), ["9998-01-01", "9999-01-01"]);
    }

    #[test]
    fn a_floating_plan_counts_from_its_completion() {
        for (rule, done, next) in [
            ("FREQ=MONTHLY;INTERVAL=3", "2026-03-12", Some("2026-06-12")),
            ("FREQ=MONTHLY", "2026-01-31", Some("2026-02-28")),
            ("FREQ=YEARLY", "2028-02-29", Some("2029-02-28")),
            ("FREQ=DAILY;INTERVAL=10", "2026-03-12", Some("2026-03-22")),
            ("FREQ=WEEKLY;BYDAY=MO", "2026-03-12", Some("2026-03-16")),
            ("FREQ=MONTHLY;UNTIL=20260411", "2026-03-12", None),
            ("FREQ=MONTHLY;UNTIL=20260412", "2026-03-12", Some("2026-04-12")),
            ("FREQ=YEARLY", "9998-01-01", Some("9999-01-01")),
            ("FREQ=YEARLY", "9999-01-01", None),
        ] {
            let found = Rule::read(rule).unwrap().after_completion(date(done));
            assert_eq!(found.map(|d| d.to_string()).as_deref(), next, "{rule}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_in_words() {
        for (bad, why) in [
            ("", "NAME=VALUE"),
            ("monthly", "NAME=VALUE"),
            ("FREQ=HOURLY", "FREQ is one of"),
            ("INTERVAL=2", "FREQ is missing"),
            ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
            ("FREQ=DAILY;INTERVAL=1001", "INTERVAL"),
            ("FREQ=DAILY;BYHOUR=9", "BYHOUR"),
            ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL"),
            ("FREQ=DAILY;UNTIL=20260230", "UNTIL"),
            ("FREQ=DAILY;UNTIL=20260303X", "UNTIL"),
            ("FREQ=DAILY;COUNT=3;UNTIL=20260303", "exclude"),
            ("FREQ=DAILY;COUNT=x", "RFC 5545"),
            ("FREQ=MONTHLY;BYDAY=XX", "RFC 5545"),
            ("FREQ=DAILY;FREQ=WEEKLY", "RFC 5545"),
            ("FREQ=YEARLY;BYEASTER=0", "RFC 5545"),
            ("FREQ=DAILY\nRDATE:20260101T000000Z", "RFC 5545"),
        ] {
            let e = Rule::read(bad).unwrap_err();
            assert!(e.contains(why), "{bad}: {e}");
        }
    }
}
