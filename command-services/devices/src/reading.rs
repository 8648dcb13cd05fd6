//! The payload of a device topic.
//!
//! Owns its forms: a bare value, or an object with the value (`v`), unit (`u`), time (`ts`) and
//! count (`seq`). Fields that are not known are ignored, as devices send more than is needed.

use mw_contract::topics::DeviceChannel;
use mw_contract::{Code, EntityId, Instant, MachineState, Number, Text};
use serde_json::{Map, Value};

/// Severity of an alarm that names none, of 1 to 1000.
const SEVERITY: u16 = 500;

/// What a machine says.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What.
    pub reading: Reading,
    /// When it was so, by the device's clock.
    pub at: Option<Instant>,
    /// The device's own count of its messages.
    pub seq: Option<u64>,
}

/// What a machine says, by channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It does this now.
    State(MachineState),
    /// A counter shows this.
    Counter {
        /// Which.
        name: Code,
        /// What it shows.
        value: Number,
        /// UCUM unit.
        unit: Option<Text<20>>,
        /// It began again from a lower value.
        reset: bool,
    },
    /// It complains, or does no longer.
    Alarm {
        /// Of what.
        code: Code,
        /// 1 to 1000.
        severity: u16,
        /// In words.
        text: Option<Text<500>>,
        /// False: it is over.
        active: bool,
        /// The device's id of it.
        alarm_id: Option<EntityId>,
    },
    /// Telemetry: a sign of life and nothing more.
    Alive,
}

/// Reads a message of `dev/{cell}/{channel}/{name}`.
///
/// # Errors
/// What is wrong with it, for the log.
pub fn read(channel: DeviceChannel, name: &str, payload: &[u8]) -> Result<Message, String> {
    if channel == DeviceChannel::Telemetry {
        return Ok(Message { reading: Reading::Alive, at: None, seq: None });
    }
    let value: Value = match serde_json::from_slice(payload) {
        Ok(v) => v,
        // A bare word is what simple devices send.
        Err(_) => Value::String(std::str::from_utf8(payload).map_err(|_| "is not text")?.trim().to_owned()),
    };
    let object = match value {
        Value::Object(o) => o,
        bare => Map::from_iter([("v".to_owned(), bare)]),
    };
    let at = field(&object, &["ts"])?;
    let seq = field(&object, &["seq", "sequence"])?;
    let reading = match channel {
        DeviceChannel::State => Reading::State(needed(&object, &["v", "state"])?),
        DeviceChannel::Counter => Reading::Counter {
            name: code(name)?,
            value: needed(&object, &["v", "value"])?,
            unit: field(&object, &["u", "unit"])?,
            reset: field(&object, &["reset"])?.unwrap_or(false),
        },
        DeviceChannel::Alarm => alarm(&object, name)?,
        DeviceChannel::Telemetry => Reading::Alive,
    };
    let at = match &reading {
        Reading::Alarm { active: true, .. } => field(&object, &["raised_at"])?.or(at),
        Reading::Alarm { active: false, .. } => field(&object, &["cleared_at"])?.or(at),
        _ => at,
    };
    Ok(Message { reading, at, seq })
}

fn alarm(object: &Map<String, Value>, name: &str) -> Result<Reading, String> {
    let state: Option<String> = field(object, &["state", "v"])?;
    let active = match state.as_deref() {
        None | Some("active") => true,
        Some("cleared") => false,
        Some(other) => return Err(format!("state: {other:?} is neither active nor cleared")),
    };
    Ok(Reading::Alarm {
        code: match field(object, &["code"])? {
            Some(c) => c,
            None => code(name)?,
        },
        severity: field(object, &["severity"])?.unwrap_or(SEVERITY),
        text: field(object, &["text"])?,
        active,
        alarm_id: field(object, &["alarm_id"])?,
    })
}

fn code(name: &str) -> Result<Code, String> {
    name.parse().map_err(|_| format!("{name:?} is not a code: lower case, digits, - and _"))
}

/// The first of the fields that is there.
fn field<T: serde::de::DeserializeOwned>(object: &Map<String, Value>, names: &[&str]) -> Result<Option<T>, String> {
    let Some((name, v)) = names.iter().find_map(|n| object.get(*n).filter(|v| !v.is_null()).map(|v| (n, v))) else {
        return Ok(None);
    };
    serde_json::from_value(v.clone()).map(Some).map_err(|e| format!("{name}: {e}"))
}

fn needed<T: serde::de::DeserializeOwned>(object: &Map<String, Value>, names: &[&str]) -> Result<T, String> {
    field(object, names)?.ok_or_else(|| format!("{} is missing", names.first().unwrap_or(&"value")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(payload: &str) -> Result<Message, String> {
        read(DeviceChannel::State, "machine", payload.as_bytes())
    }

    #[test]
    fn a_state_is_a_word_or_an_object() {
        for text in ["running", "\"running\"", r#"{"v":"running"}"#, r#"{"state":"running","more":[1]}"#] {
            assert_eq!(state(text).unwrap().reading, Reading::State(MachineState::Running), "{text}");
        }
        let m = state(r#"{"v":"down","ts":"2026-03-02T09:00:00Z","seq":7}"#).unwrap();
        assert_eq!((m.at, m.seq), (Some("2026-03-02T09:00:00.000Z".parse().unwrap()), Some(7)));
        for bad in ["", "flying", r#"{"v":7}"#, "{}", r#"{"v":"down","ts":"noon"}"#, r#"{"v":"down","seq":-1}"#] {
            assert!(state(bad).is_err(), "{bad}");
        }
        assert!(read(DeviceChannel::State, "machine", &[0xff, 0xfe]).is_err());
    }

    #[test]
    fn a_counter_bears_the_name_of_its_topic() {
        let counter = |p: &str| read(DeviceChannel::Counter, "pieces", p.as_bytes());
        for text in ["120", "\"120\"", r#"{"v":120,"u":"1"}"#, r#"{"value":"120","unit":"1"}"#] {
            let Reading::Counter { name, value, reset, .. } = counter(text).unwrap().reading else { panic!() };
            assert_eq!((name.as_str(), value.to_string().as_str(), reset), ("pieces", "120", false), "{text}");
        }
        assert!(counter("many").is_err());
        assert!(read(DeviceChannel::Counter, "Pieces", b"1").is_err());
    }

    #[test]
    fn an_alarm_takes_code_and_state_where_it_names_none() {
        let alarm = |p: &str| read(DeviceChannel::Alarm, "overheat", p.as_bytes()).map(|m| (m.at, m.reading));
        let (at, r) = alarm(r#"{"severity":900,"text":"hot","raised_at":"2026-03-02T09:00:00Z"}"#).unwrap();
        let Reading::Alarm { code, severity, active, .. } = r else { panic!() };
        assert_eq!((code.as_str(), severity, active, at.is_some()), ("overheat", 900, true, true));
        let (_, r) = alarm(r#"{"state":"cleared","code":"other"}"#).unwrap();
        assert!(matches!(r, Reading::Alarm { code, active: false, severity: 500, .. } if code.as_str() == "other"));
        assert!(alarm("cleared").is_ok());
        assert!(alarm(r#"{"state":"perhaps"}"#).is_err());
    }

    #[test]
    fn telemetry_is_never_read() {
        assert_eq!(read(DeviceChannel::Telemetry, "x", &[0xff]).unwrap().reading, Reading::Alive);
    }
}
