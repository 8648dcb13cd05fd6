//! Money: an exact amount in a currency.

use std::fmt;
use std::str::FromStr;

use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::qty::{Number, Percent, Qty};

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The code.
    pub fn as_str(&self) -> &str {
        // Only capital letters are ever in it.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many digits after the point its smallest amount has (ISO 4217): 2 for most.
    pub fn digits(&self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|x| x.is_ascii_uppercase()) => Ok(Currency([*a, *b, *c])),
            _ => Err("not a currency: an ISO 4217 code such as EUR"),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Encode for Currency {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), EncodeError> {
        self.0.encode(e)
    }
}

impl<C> Decode<C> for Currency {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        let b: [u8; 3] = Decode::decode(d)?;
        let text = std::str::from_utf8(&b).map_err(|_| DecodeError::Other("not a currency"))?;
        text.parse().map_err(DecodeError::Other)
    }
}
bincode::impl_borrow_decode!(Currency);

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]})
    }
}

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct Money {
    /// How much.
    pub amount: Number,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Money { amount: Number::ZERO, currency }
    }

    /// So many of it, computed exactly, then rounded half up to the digits of the currency; `None` when
    /// that does not fit.
    pub fn times(self, qty: Qty) -> Option<Money> {
        self.rounded_product(qty.decimal(), 0)
    }

    /// So many percent of it, computed exactly, then rounded half up to the digits of the currency;
    /// `None` when that does not fit.
    pub fn percent(self, p: Percent) -> Option<Money> {
        self.rounded_product(p.decimal(), 2)
    }

    /// This and another of the same currency; `None` when it is of another one, or does not fit.
    pub fn plus(self, other: Money) -> Option<Money> {
        let amount = self.amount.plus(other.amount)?;
        (self.currency == other.currency).then_some(Money { amount, ..self })
    }

    /// In whole numbers, so that nothing is rounded before the end; half up is away from zero.
    fn rounded_product(self, by: Decimal, shift: u32) -> Option<Money> {
        let a = self.amount.decimal();
        let digits = self.currency.digits();
        let product = a.mantissa().checked_mul(by.mantissa())?;
        let scale = a.scale() + by.scale() + shift;
        let mantissa = if scale > digits {
            let unit = 10i128.checked_pow(scale - digits)?;
            (product + product.signum() * (unit / 2)) / unit
        } else {
            product.checked_mul(10i128.checked_pow(digits - scale)?)?
        };
        let amount = Number::new(Decimal::try_from_i128_with_scale(mantissa, digits).ok()?)?;
        Some(Money { amount, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("EUR".parse::<Currency>().unwrap().as_str(), "EUR");
        for bad in ["eur", "EU", "EURO", "E1R", ""] {
            assert!(bad.parse::<Currency>().is_err(), "{bad}");
        }
    }

    #[test]
    fn money_takes_a_number_and_shows_a_string() {
        let m: Money = serde_json::from_str(r#"{"amount":12.5,"currency":"EUR"}"#).unwrap();
        assert_eq!(serde_json::to_string(&m).unwrap(), r#"{"amount":"12.5","currency":"EUR"}"#);
    }

    fn money(text: &str) -> Money {
        let (amount, currency) = text.split_once(' ').unwrap();
        Money { amount: amount.parse().unwrap(), currency: currency.parse().unwrap() }
    }

    #[test]
    fn a_product_is_rounded_half_up_to_the_digits_of_its_currency() {
        let times = |m: &str, q: &str| money(m).times(q.parse().unwrap()).map(|m| m.amount.to_string());
        for (m, q, is) in [
            ("10.005 EUR", "1", "10.01"),
            ("10.004999 EUR", "1", "10"),
            ("0.333333 EUR", "3", "1"),
            ("-10.005 EUR", "1", "-10.01"),
            ("19.5 JPY", "1", "20"),
            ("1.2345 KWD", "1", "1.235"),
            ("999999999999 EUR", "999.5", "999499999999000.5"),
            ("0.000001 EUR", "123456789012.345678", "123456.79"),
        ] {
            assert_eq!(times(m, q).as_deref(), Some(is), "{m} x {q}");
        }
        assert_eq!(times("99999999999999999 EUR", "1000000000"), None);
    }

    #[test]
    fn a_share_is_exact_to_the_digits_of_its_currency() {
        let share = |m: &str, p: &str| money(m).percent(p.parse().unwrap()).unwrap().amount.to_string();
        assert_eq!(share("0.50 EUR", "19"), "0.1");
        assert_eq!(share("0.55 EUR", "19"), "0.1");
        assert_eq!(share("1.50 EUR", "33.333333"), "0.5");
        assert_eq!(share("0.25 EUR", "50"), "0.13");
        let sum = money("1.1 EUR").plus(money("2.2 EUR")).unwrap();
        assert_eq!(sum, money("3.3 EUR"));
        assert_eq!(money("1 EUR").plus(money("1 USD")), None);
    }
}
