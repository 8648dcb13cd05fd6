//! Quantities and percentages: exact decimals, never floats.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use bincode::error::{DecodeError, EncodeError};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A quantity: at most 18 digits, at most 6 after the point, zero or more. JSON shows a decimal
/// string; a JSON number is accepted on input. In a frame: mantissa (i64) and scale (u8),
/// without trailing zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Qty(Decimal);

/// Not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a quantity: a decimal of at most 18 digits, at most 6 after the point, not negative")]
pub struct BadQty;

impl Qty {
    /// Nothing.
    pub const ZERO: Qty = Qty(Decimal::ZERO);

    /// Checks digits, scale and sign.
    pub fn new(d: Decimal) -> Result<Self, BadQty> {
        let d = d.normalize();
        if d.is_sign_negative() && !d.is_zero() || d.scale() > 6 || d.mantissa().unsigned_abs() >= 10u128.pow(18) {
            return Err(BadQty);
        }
        Ok(Qty(d))
    }

    /// A whole quantity.
    pub fn whole(n: u32) -> Self {
        Qty(Decimal::from(n))
    }

    /// Is it nothing?
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Has it no digits after the point?
    pub fn is_whole(self) -> bool {
        self.0.is_integer()
    }

    /// The exact decimal.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// This times `(1 + percent / 100)`, exact up to 6 digits after the point, rounded down.
    #[must_use]
    pub fn plus_percent(self, p: Percent) -> Qty {
        let d = self.0 + self.0 * p.0 / Decimal::ONE_HUNDRED;
        Qty(d.trunc_with_scale(6).normalize())
    }

    /// `percent` of this, exact up to 6 digits after the point, rounded down.
    #[must_use]
    pub fn percent(self, p: Percent) -> Qty {
        Qty((self.0 * p.0 / Decimal::ONE_HUNDRED).trunc_with_scale(6).normalize())
    }

    /// This times another, rounded to 6 digits after the point; `None` when it does not fit.
    pub fn times(self, other: Qty) -> Option<Qty> {
        self.0.checked_mul(other.0).and_then(|d| Qty::new(d.round_dp(6)).ok())
    }

    /// This less another, never below zero.
    #[must_use]
    pub fn less(self, other: Qty) -> Qty {
        if other >= self { Qty::ZERO } else { Qty((self.0 - other.0).normalize()) }
    }
}

/// The difference of two quantities: a decimal string, `-4` or `2.5`. In a frame as in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change(Decimal);

impl Change {
    /// From old to new.
    pub fn between(old: Qty, new: Qty) -> Self {
        Change((new.0 - old.0).normalize())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl bincode::Encode for Change {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), EncodeError> {
        bincode::Encode::encode(&self.to_string(), e)
    }
}

impl<C> bincode::Decode<C> for Change {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        let text: String = bincode::Decode::decode(d)?;
        text.parse().map(Change).map_err(|_| DecodeError::Other("not a decimal"))
    }
}
bincode::impl_borrow_decode!(Change);

impl schemars::JsonSchema for Change {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Change".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^-?[0-9]+([.][0-9]+)?$"})
    }
}

/// A measured value or a counter: a decimal of at most 18 digits, 6 after the point, of either
/// sign. JSON shows a decimal string; a number is accepted on input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Number(Decimal);

impl Number {
    /// Nothing.
    pub const ZERO: Number = Number(Decimal::ZERO);

    /// Checks digits and scale.
    pub fn new(d: Decimal) -> Option<Self> {
        let d = d.normalize();
        (d.scale() <= 6 && d.mantissa().unsigned_abs() < 10u128.pow(18)).then_some(Number(d))
    }

    /// The exact decimal.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// This less another; `None` when it does not fit.
    pub fn minus(self, other: Number) -> Option<Number> {
        Number::new(self.0 - other.0)
    }

    /// This and another; `None` when it does not fit.
    pub fn plus(self, other: Number) -> Option<Number> {
        Number::new(self.0 + other.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Number {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "not a decimal of at most 18 digits, at most 6 after the point";
        let digits = s.strip_prefix('-').unwrap_or(s);
        let plain = !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !plain || digits.ends_with('.') {
            return Err(BAD);
        }
        Decimal::from_str_exact(s).ok().and_then(Number::new).ok_or(BAD)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(DecimalVisitor)?.parse().map_err(de::Error::custom)
    }
}

impl bincode::Encode for Number {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), EncodeError> {
        encode_decimal(self.0, e)
    }
}

impl<C> bincode::Decode<C> for Number {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        decode_decimal(d).map(Number)
    }
}
bincode::impl_borrow_decode!(Number);

impl schemars::JsonSchema for Number {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Decimal string, at most 18 digits, at most 6 after the point; a number is accepted on input.",
            "anyOf": [{"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,6})?$"}, {"type": "number"}]
        })
    }
}

impl Add for Qty {
    type Output = Qty;
    fn add(self, o: Qty) -> Qty {
        Qty((self.0 + o.0).normalize())
    }
}

impl AddAssign for Qty {
    fn add_assign(&mut self, o: Qty) {
        *self = *self + o;
    }
}

impl Sub for Qty {
    type Output = Qty;
    /// Saturates at zero: a quantity is never negative.
    fn sub(self, o: Qty) -> Qty {
        self.less(o)
    }
}

impl std::iter::Sum for Qty {
    fn sum<I: Iterator<Item = Qty>>(iter: I) -> Qty {
        iter.fold(Qty::ZERO, Add::add)
    }
}

impl fmt::Display for Qty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.normalize().fmt(f)
    }
}

impl fmt::Debug for Qty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Qty {
    type Err = BadQty;
    fn from_str(s: &str) -> Result<Self, BadQty> {
        // `Decimal` would take underscores and a leading '+'; a quantity has neither.
        if s.is_empty() || s.len() > 20 || !s.bytes().all(|b| b.is_ascii_digit() || b == b'.') || s.ends_with('.') {
            return Err(BadQty);
        }
        Qty::new(Decimal::from_str_exact(s).map_err(|_| BadQty)?)
    }
}

impl Serialize for Qty {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

struct DecimalVisitor;

impl de::Visitor<'_> for DecimalVisitor {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal string such as \"12.5\"")
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<String, E> {
        Ok(v.to_owned())
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<String, E> {
        Ok(v.to_string())
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<String, E> {
        Ok(v.to_string())
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<String, E> {
        Ok(v.to_string())
    }
}

impl<'de> Deserialize<'de> for Qty {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(DecimalVisitor)?.parse().map_err(de::Error::custom)
    }
}

fn encode_decimal<E: bincode::enc::Encoder>(d: Decimal, e: &mut E) -> Result<(), EncodeError> {
    let d = d.normalize();
    let m = i64::try_from(d.mantissa()).map_err(|_| EncodeError::Other("decimal has more than 18 digits"))?;
    let scale = d.scale() as u8;
    bincode::Encode::encode(&m, e)?;
    bincode::Encode::encode(&scale, e)
}

fn decode_decimal<C, D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Decimal, DecodeError> {
    let m: i64 = bincode::Decode::decode(d)?;
    let scale: u8 = bincode::Decode::decode(d)?;
    if scale > 6 {
        return Err(DecodeError::Other("decimal scale over 6"));
    }
    Ok(Decimal::new(m, u32::from(scale)))
}

impl bincode::Encode for Qty {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), EncodeError> {
        encode_decimal(self.0, e)
    }
}

impl<C> bincode::Decode<C> for Qty {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        Qty::new(decode_decimal(d)?).map_err(|_| DecodeError::Other("not a quantity"))
    }
}
bincode::impl_borrow_decode!(Qty);

impl schemars::JsonSchema for Qty {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Qty".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Decimal string, at most 18 digits, at most 6 after the point; a number is accepted on input.",
            "anyOf": [{"type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,6})?$"}, {"type": "number", "minimum": 0}],
            "examples": ["12.5"]
        })
    }
}

/// A percentage of 0 to 100, a decimal string in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(Decimal);

impl Percent {
    /// 0 %.
    pub const ZERO: Percent = Percent(Decimal::ZERO);

    /// The exact decimal.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// What is missing to 100 %.
    #[must_use]
    pub fn rest(self) -> Percent {
        Percent((Decimal::ONE_HUNDRED - self.0).normalize())
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.normalize().fmt(f)
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}%")
    }
}

impl FromStr for Percent {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let q: Qty = s.parse().map_err(|_| "not a percentage: a decimal of 0 to 100".to_owned())?;
        if q.0 > Decimal::ONE_HUNDRED {
            return Err("not a percentage: a decimal of 0 to 100".into());
        }
        Ok(Percent(q.0))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(DecimalVisitor)?.parse().map_err(de::Error::custom)
    }
}

impl bincode::Encode for Percent {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), EncodeError> {
        encode_decimal(self.0, e)
    }
}

impl<C> bincode::Decode<C> for Percent {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        decode_decimal(d).map(Percent)
    }
}
bincode::impl_borrow_decode!(Percent);

impl schemars::JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Decimal string of 0 to 100; a number is accepted on input.",
            "anyOf": [{"type": "string"}, {"type": "number", "minimum": 0, "maximum": 100}]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strings_and_numbers_and_refuses_the_rest() {
        for (json, shown) in [("\"12.5\"", "12.5"), ("5", "5"), ("0.25", "0.25"), ("\"5.000000\"", "5"), ("0", "0")] {
            assert_eq!(serde_json::from_str::<Qty>(json).unwrap().to_string(), shown);
        }
        for bad in [
            "\"-1\"",
            "-1",
            "\"1e3\"",
            "\"\"",
            "\"1.0000001\"",
            "\"1234567890123456789\"",
            "true",
            "\"1_0\"",
            "\".\"",
            "\"5.\"",
        ] {
            assert!(serde_json::from_str::<Qty>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percentages_are_exact() {
        let q: Qty = "10".parse().unwrap();
        assert_eq!(q.plus_percent("5".parse().unwrap()).to_string(), "10.5");
        assert_eq!(q.percent("33.3".parse().unwrap()).to_string(), "3.33");
        assert!("100.1".parse::<Percent>().is_err());
    }

    #[test]
    fn equal_quantities_have_equal_bytes() {
        let a: Qty = "5".parse().unwrap();
        let b: Qty = "5.00".parse().unwrap();
        let enc = |q: Qty| bincode::encode_to_vec(q, bincode::config::standard()).unwrap();
        assert_eq!(enc(a), enc(b));
        assert_eq!(a - "7".parse().unwrap(), Qty::ZERO);
    }
}
