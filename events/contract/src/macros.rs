//! Small macros that keep the newtypes and closed lists of this crate alike.

/// A UUID newtype: lower case with hyphens in JSON, 16 bytes in a frame.
macro_rules! uuid_id {
    ($($(#[$m:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// The 16 bytes of the UUID.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map($name)
            }
        }
        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), bincode::error::EncodeError> {
                bincode::Encode::encode(self.0.as_bytes(), e)
            }
        }
        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
                let b: [u8; 16] = bincode::Decode::decode(d)?;
                Ok($name(uuid::Uuid::from_bytes(b)))
            }
        }
        bincode::impl_borrow_decode!($name);
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "format": "uuid"})
            }
        }
    )+};
}

/// A reference code newtype: `^[a-z0-9][a-z0-9_-]{0,39}$`, checked where it is made.
macro_rules! code_id {
    ($($(#[$m:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$m])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks the pattern; the error says what a code looks like.
            pub fn new(s: &str) -> Result<Self, crate::ids::BadCode> {
                crate::ids::check_code(s).map(|()| $name(s.into()))
            }
            /// The code as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = crate::ids::BadCode;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                $name::new(s)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let s = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                $name::new(&s).map_err(serde::de::Error::custom)
            }
        }
        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), bincode::error::EncodeError> {
                bincode::Encode::encode(&*self.0, e)
            }
        }
        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
                let s: String = bincode::Decode::decode(d)?;
                $name::new(&s).map_err(|e| bincode::error::DecodeError::OtherString(e.to_string()))
            }
        }
        bincode::impl_borrow_decode!($name);
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": crate::ids::CODE_PATTERN})
            }
        }
    )+};
}

/// A closed list of words. The number is what a frame holds, so it never changes and is never
/// used again; the word is what JSON shows.
macro_rules! closed_list {
    ($($(#[$m:meta])* $name:ident { $($(#[$vm:meta])* $variant:ident = $num:literal $word:literal),+ $(,)? })+) => {$(
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name { $($(#[$vm])* $variant),+ }

        impl $name {
            /// Every value, in the order of the list.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The word in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
            /// The number in a frame.
            pub const fn number(self) -> u8 {
                match self { $($name::$variant => $num),+ }
            }
            /// The value of a frame's number.
            pub const fn from_number(n: u8) -> Option<Self> {
                match n { $($num => Some($name::$variant),)+ _ => None }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s {
                    $($word => Ok($name::$variant),)+
                    other => Err(format!("{other:?} is not one of {}", [$($word),+].join(", "))),
                }
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let s = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                s.parse().map_err(serde::de::Error::custom)
            }
        }
        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), bincode::error::EncodeError> {
                bincode::Encode::encode(&self.number(), e)
            }
        }
        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
                let n: u8 = bincode::Decode::decode(d)?;
                $name::from_number(n).ok_or_else(|| {
                    bincode::error::DecodeError::OtherString(format!("unknown {} number {n}", stringify!($name)))
                })
            }
        }
        bincode::impl_borrow_decode!($name);
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<&str> = Self::ALL.iter().map(|x| x.as_str()).collect();
                schemars::json_schema!({"type": "string", "enum": words})
            }
        }
    )+};
}

/// Declares the payload of a command: a struct with a JSON Schema and a reader that reports all
/// failing fields. A field that may be absent is an `Option`.
macro_rules! payload {
    ($($(#[$m:meta])* $name:ident { $($(#[$fm:meta])* $field:ident : $ty:ty),* $(,)? })+) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
        pub struct $name { $($(#[$fm])* pub $field: $ty),* }

        impl $name {
            /// Reads the payload; the errors name every failing field, `ignored` gets those that are unknown.
            pub fn read(
                map: &serde_json::Map<String, serde_json::Value>,
                ignored: &mut Vec<String>,
            ) -> Result<Self, Vec<crate::reply::FieldError>> {
                #[allow(unused_mut)]
                let mut f = crate::wire::Fields::new(map, "payload.");
                $(let $field: Option<$ty> = f.take(stringify!($field));)*
                let (errors, unknown) = f.finish();
                ignored.extend(unknown);
                if !errors.is_empty() {
                    return Err(errors);
                }
                match ($($field,)*) {
                    ($(Some($field),)*) => Ok($name { $($field),* }),
                    #[allow(unreachable_patterns)]
                    _ => Err(errors),
                }
            }
        }
    )+};
}
