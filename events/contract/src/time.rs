//! Instants and durations. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in UTC, to the millisecond. JSON: `2026-03-02T09:00:00.000Z`. In a frame:
/// milliseconds since 1970 (i64).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// Not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an instant: write it as 2026-03-02T09:00:00.000Z, year 1970 to 9999")]
pub struct BadInstant;

/// 9999-12-31T23:59:59.999Z, the last one that fits the written form.
const LAST: i64 = 253_402_300_799_999;

impl Instant {
    /// The moment this many milliseconds after 1970-01-01T00:00Z; the range ends with year 9999.
    pub const fn from_millis(ms: i64) -> Result<Self, BadInstant> {
        if ms < 0 || ms > LAST { Err(BadInstant) } else { Ok(Instant(ms)) }
    }

    /// Like [`Instant::from_millis`], held inside the range instead of refused.
    pub const fn clamped(ms: i64) -> Self {
        if ms < 0 {
            Instant(0)
        } else if ms > LAST {
            Instant(LAST)
        } else {
            Instant(ms)
        }
    }

    /// Milliseconds since 1970-01-01T00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This much later (or earlier, when negative), held inside the range.
    #[must_use]
    pub const fn plus_millis(self, ms: i64) -> Self {
        Instant::clamped(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this; negative when it is the other way round.
    pub const fn since(self, earlier: Instant) -> i64 {
        self.0 - earlier.0
    }

    /// The calendar year in UTC.
    pub fn year(self) -> i16 {
        self.timestamp().to_zoned_datetime(jiff::tz::TimeZone::UTC).year()
    }

    /// The calendar day in an IANA time zone, such as `2026-03-02`; in UTC where nobody knows the zone.
    pub fn day_in(self, time_zone: &str) -> String {
        self.date_in(time_zone).to_string()
    }

    /// The same as a [`Date`].
    pub fn date_in(self, time_zone: &str) -> Date {
        let zone = jiff::tz::TimeZone::get(time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let day = self.timestamp().to_zoned_datetime(zone).date();
        // West of Greenwich the first instant of all lies on the day before the first day of all.
        Date(day.max(EPOCH))
    }

    fn timestamp(self) -> jiff::Timestamp {
        // The range is checked where an `Instant` is made, so this cannot miss.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Instant {
    type Err = BadInstant;
    fn from_str(s: &str) -> Result<Self, BadInstant> {
        let t: jiff::Timestamp = s.parse().map_err(|_| BadInstant)?;
        Instant::from_millis(t.as_millisecond())
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl bincode::Encode for Instant {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), bincode::error::EncodeError> {
        bincode::Encode::encode(&self.0, e)
    }
}

impl<C> bincode::Decode<C> for Instant {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        Instant::from_millis(bincode::Decode::decode(d)?)
            .map_err(|_| bincode::error::DecodeError::Other("instant out of range"))
    }
}
bincode::impl_borrow_decode!(Instant);

impl schemars::JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time", "examples": ["2026-03-02T09:00:00.000Z"]})
    }
}

/// A duration in whole seconds.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    bincode::Encode,
    bincode::Decode,
)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl Seconds {
    /// The whole seconds from `start` to `end`, zero when `end` is not after `start`.
    pub const fn between(start: Instant, end: Instant) -> Self {
        let ms = end.since(start);
        Seconds(if ms > 0 { (ms / 1000) as u64 } else { 0 })
    }
}

/// Is it the name of an IANA time zone?
pub fn is_time_zone(name: &str) -> bool {
    jiff::tz::TimeZone::get(name).is_ok()
}

/// A calendar day in a site's time zone. JSON: `2026-03-02`. In a frame: days since 1970 (i32).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date(jiff::civil::Date);

/// Not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a day: write it as 2026-03-02, year 1970 to 9999")]
pub struct BadDate;

const EPOCH: jiff::civil::Date = jiff::civil::Date::constant(1970, 1, 1);

impl Date {
    /// The same day so many months later; the last day of a shorter month. Held inside the range.
    #[must_use]
    pub fn plus_months(self, months: u16) -> Self {
        let span = jiff::Span::new().try_months(months).unwrap_or_default();
        Date(self.0.saturating_add(span))
    }

    /// Whole days from an earlier day to this; negative when it is the other way round.
    pub fn days_since(self, earlier: Date) -> i32 {
        self.days() - earlier.days()
    }

    /// The first moment of the day in an IANA time zone, and the first of the next one; in UTC
    /// where nobody knows the zone.
    pub fn span_in(self, time_zone: &str) -> (Instant, Instant) {
        let zone = jiff::tz::TimeZone::get(time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let first = |d: jiff::civil::Date| {
            d.to_zoned_datetime(zone.clone())
                .map_or(Instant(LAST), |z| Instant::clamped(z.timestamp().as_millisecond()))
        };
        (first(self.0), self.0.tomorrow().map_or(Instant(LAST), first))
    }

    fn days(self) -> i32 {
        // A span between two days of the range is whole days, far below what an i32 holds.
        (self.0 - EPOCH).get_days()
    }

    fn from_days(days: i32) -> Result<Self, BadDate> {
        let day = EPOCH.checked_add(jiff::Span::new().try_days(days).map_err(|_| BadDate)?).map_err(|_| BadDate)?;
        if days < 0 { Err(BadDate) } else { Ok(Date(day)) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Date {
    type Err = BadDate;
    fn from_str(s: &str) -> Result<Self, BadDate> {
        let day: jiff::civil::Date = s.parse().map_err(|_| BadDate)?;
        // Only the one form: the parser takes others too.
        if day < EPOCH || s.len() != 10 { Err(BadDate) } else { Ok(Date(day)) }
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl bincode::Encode for Date {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), bincode::error::EncodeError> {
        bincode::Encode::encode(&self.days(), e)
    }
}

impl<C> bincode::Decode<C> for Date {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        Date::from_days(bincode::Decode::decode(d)?).map_err(|_| bincode::error::DecodeError::Other("day out of range"))
    }
}
bincode::impl_borrow_decode!(Date);

impl schemars::JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339_with_milliseconds() {
        let t: Instant = "2026-03-02T09:00:00.000Z".parse().unwrap();
        assert_eq!(t.to_string(), "2026-03-02T09:00:00.000Z");
        assert_eq!("2026-03-02T10:00:00+01:00".parse::<Instant>().unwrap(), t);
        assert_eq!(t.year(), 2026);
        for bad in ["", "2026-03-02", "2026-13-02T09:00:00Z", "1969-12-31T23:59:59Z", "now"] {
            assert!(bad.parse::<Instant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_reads_back_from_text_and_frame() {
        let config = bincode::config::standard();
        for text in ["1970-01-01", "2024-02-29", "9999-12-31"] {
            let day: Date = text.parse().unwrap();
            assert_eq!(day.to_string(), text);
            let bytes = bincode::encode_to_vec(day, config).unwrap();
            assert_eq!(bincode::decode_from_slice::<Date, _>(&bytes, config).unwrap().0, day);
        }
        for bad in ["2026-02-29", "1969-12-31", "2026-3-2", "20260302", "2026-03-02T00:00", ""] {
            assert_eq!(bad.parse::<Date>(), Err(BadDate), "{bad}");
        }
        for days in [-1, i32::MAX] {
            let bytes = bincode::encode_to_vec(days, config).unwrap();
            assert!(bincode::decode_from_slice::<Date, _>(&bytes, config).is_err());
        }
    }

    #[test]
    fn months_later_is_the_same_day_or_the_last_of_the_month() {
        let later = |d: &str, n: u16| d.parse::<Date>().unwrap().plus_months(n).to_string();
        assert_eq!(later("2025-03-01", 24), "2027-03-01");
        assert_eq!(later("2026-01-31", 1), "2026-02-28");
        assert_eq!(later("9999-12-01", 24), "9999-12-31");
        let day = |d: &str| d.parse::<Date>().unwrap();
        assert_eq!(
            (day("2025-03-01").days_since(day("2025-01-10")), day("2025-01-10").days_since(day("2025-01-11"))),
            (50, -1)
        );
    }

    #[test]
    fn a_day_lasts_as_long_as_its_time_zone_says() {
        let span = |d: &str, z: &str| {
            let (a, b) = d.parse::<Date>().unwrap().span_in(z);
            format!("{a} {b}")
        };
        let summer = "2026-03-28T23:00:00.000Z 2026-03-29T22:00:00.000Z";
        assert_eq!(span("2026-03-29", "Europe/Berlin"), summer);
        assert_eq!(span("2026-03-29", "Moon/Crater"), "2026-03-29T00:00:00.000Z 2026-03-30T00:00:00.000Z");
    }

    #[test]
    fn the_day_is_that_of_the_zone() {
        let t: Instant = "2026-03-02T23:30:00.000Z".parse().unwrap();
        assert_eq!((t.day_in("UTC"), t.day_in("Europe/Berlin")), ("2026-03-02".into(), "2026-03-03".into()));
        assert_eq!(t.day_in("Nowhere/Else"), "2026-03-02");
    }
}
