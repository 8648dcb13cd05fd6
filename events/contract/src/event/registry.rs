//! The registry: (type, version) → decoder → upcasters → current struct.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

/// The most bytes of one event's payload. A command whose event would be over this is refused.
pub const MAX_EVENT_BYTES: usize = 16 * 1024;

/// A payload that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nobody knows this pair: the log was written by a newer program.
    #[error("unknown event type {event_type} version {schema}: was this log written by a newer program?")]
    Unknown {
        /// The type's name.
        event_type: String,
        /// Its version.
        schema: u16,
    },
    /// The bytes don't fit the struct.
    #[error("{event_type} version {schema}: {reason}")]
    Malformed {
        /// The type's name.
        event_type: &'static str,
        /// Its version.
        schema: u16,
        /// What bincode says.
        reason: String,
    },
}

type Config = Configuration<LittleEndian, Varint, Limit<MAX_EVENT_BYTES>>;

/// The one bincode configuration of payloads: little endian, variable-length integers, bounded.
const CONFIG: Config = bincode::config::standard().with_limit::<MAX_EVENT_BYTES>();

/// Decodes one struct; every byte must be used.
pub(crate) fn decode_struct<T: bincode::Decode<()>>(
    event_type: &'static str,
    schema: u16,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    let malformed = |reason: String| DecodeError::Malformed { event_type, schema, reason };
    let (value, used) = bincode::decode_from_slice(bytes, CONFIG).map_err(|e| malformed(e.to_string()))?;
    if used != bytes.len() {
        return Err(malformed(format!("{} bytes are left over", bytes.len() - used)));
    }
    Ok(value)
}

/// Encodes one struct.
pub(crate) fn encode_struct<T: bincode::Encode>(value: &T) -> Result<Vec<u8>, bincode::error::EncodeError> {
    bincode::encode_to_vec(value, CONFIG)
}

/// Declares event types. The versions of a type stand in order; each old one needs `From` into
/// the next, and the last one is the current struct.
macro_rules! registry {
    (
        $(#[$tm:meta])* $types:ident
        $(#[$em:meta])* $events:ident {
            $($name:ident : $kind:ident { $($old:literal => $oldty:ident),+ }),+ $(,)?
        }
    ) => {
        $(#[$tm])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $types { $($name),+ }

        impl $types {
            /// Every type.
            pub const ALL: &'static [$types] = &[$($types::$name),+];
            /// Its name, PascalCase.
            pub const fn as_str(self) -> &'static str {
                match self { $($types::$name => stringify!($name)),+ }
            }
            /// The kind of aggregate whose stream it stands in.
            pub const fn aggregate(self) -> $crate::enums::AggregateKind {
                match self { $($types::$name => $crate::enums::AggregateKind::$kind),+ }
            }
        }
        impl std::str::FromStr for $types {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|t| t.as_str() == s).ok_or_else(|| format!("no event is called {s:?}"))
            }
        }
        impl std::fmt::Display for $types {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        $(#[$em])*
        #[derive(Clone, PartialEq, Debug)]
        pub enum $events { $($name(registry!(@current $($oldty),+))),+ }

        $(impl From<registry!(@current $($oldty),+)> for $events {
            fn from(e: registry!(@current $($oldty),+)) -> Self {
                $events::$name(e)
            }
        })+

        impl $events {
            /// Every (type, version) that can be read.
            pub const REGISTERED: &'static [(&'static str, u16)] = &[$($((stringify!($name), $old)),+),+];

            /// Its type.
            pub const fn event_type(&self) -> $types {
                match self { $($events::$name(_) => $types::$name),+ }
            }
            /// Type name, version and bytes of the current struct.
            pub fn encode(&self) -> Result<(&'static str, u16, Vec<u8>), bincode::error::EncodeError> {
                match self {
                    $($events::$name(e) => {
                        let versions: &[u16] = &[$($old),+];
                        let bytes = $crate::event::registry::encode_struct(e)?;
                        Ok((stringify!($name), versions[versions.len() - 1], bytes))
                    }),+
                }
            }
            /// Reads a stored payload of any version and lifts it to the current struct.
            pub fn decode(event_type: &str, schema: u16, bytes: &[u8]) -> Result<Self, $crate::event::DecodeError> {
                match event_type {
                    $(stringify!($name) => {
                        registry!(@versions $events $name schema bytes; $($old => $oldty),+);
                    })+
                    _ => {}
                }
                Err($crate::event::DecodeError::Unknown { event_type: event_type.to_owned(), schema })
            }
            /// The event's `data` in JSON. Sealed text shows only that it is sealed.
            pub fn data(&self) -> serde_json::Value {
                match self {
                    $($events::$name(e) => serde_json::to_value(e).unwrap_or(serde_json::Value::Null)),+
                }
            }
            /// Shows every sealed text to `f`.
            pub fn sealed_fields(&mut self, f: &mut dyn FnMut(&mut $crate::text::Sealed)) {
                match self { $($events::$name(e) => $crate::event::SealedFields::sealed_fields(e, f)),+ }
            }
        }

        /// As [`Self::data`], without building the value first.
        impl serde::Serialize for $events {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self { $($events::$name(e) => e.serialize(s)),+ }
            }
        }

        impl $types {
            /// The JSON Schema of its data, current version.
            pub fn schema(self, g: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $($types::$name => g.subschema_for::<registry!(@current $($oldty),+)>()),+ }
            }
        }
    };
    (@current $last:ident) => { $last };
    (@current $first:ident, $($rest:ident),+) => { registry!(@current $($rest),+) };
    (@versions $events:ident $name:ident $schema:ident $bytes:ident;) => {};
    (@versions $events:ident $name:ident $schema:ident $bytes:ident; $old:literal => $ty:ident $(, $later:literal => $laterty:ident)*) => {
        if $schema == $old {
            let v: $ty = $crate::event::registry::decode_struct(stringify!($name), $old, $bytes)?;
            $(let v = <$laterty>::from(v);)*
            return Ok($events::$name(v));
        }
        registry!(@versions $events $name $schema $bytes; $($later => $laterty),*);
    };
}
