//! A document's body: kept as a sub-document, so that operators can query it, wherever its JSON text can be told from it
//! byte for byte; as that text otherwise.
//!
//! Whether it can is not reasoned but tried: the sub-document is written as JSON again and compared. What fails is, for example,
//! text with white space, a number past 64 bits, or one written `1e3`.

use std::{fmt, io};

use ::mongodb::bson::raw::CStr;
use ::mongodb::bson::{RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use cabildo_events::limits::{BODY_DEPTH_MAX, BODY_KEYS_MAX};
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};

/// The sub-document that stands for a JSON text, if there is one.
pub(super) fn to_bson(json: &str) -> Option<RawDocumentBuf> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let Ok(RawBson::Document(body)) = (Value { depth: 0 }).deserialize(&mut reader) else { return None };
    let mut rest = Expected(json.as_bytes());
    let same = serde_json::to_writer(&mut rest, &Json(RawBsonRef::Document(&body))).is_ok() && rest.0.is_empty();
    same.then_some(body)
}

/// Takes what is written only as long as it is this.
struct Expected<'a>(&'a [u8]);

impl io::Write for Expected<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(written).ok_or(io::ErrorKind::InvalidData)?;
        Ok(written.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The JSON text of a sub-document; `None` if it holds what JSON has not.
pub(super) fn to_json(body: &RawDocument) -> Option<String> {
    serde_json::to_string(&Json(RawBsonRef::Document(body))).ok()
}

#[derive(Clone, Copy)]
struct Value {
    depth: usize,
}

impl Value {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == BODY_DEPTH_MAX { Err(E::custom("too deep")) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = RawBson;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawBson, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = RawBson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<RawBson, E> {
        Ok(RawBson::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<RawBson, E> {
        Ok(RawBson::Boolean(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<RawBson, E> {
        Ok(RawBson::Int64(value))
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<RawBson, E> {
        i64::try_from(value).map(RawBson::Int64).map_err(E::custom)
    }
    fn visit_f64<E>(self, value: f64) -> Result<RawBson, E> {
        Ok(RawBson::Double(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<RawBson, E> {
        Ok(RawBson::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<RawBson, E> {
        Ok(RawBson::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<RawBson, A::Error> {
        let inner = self.deeper()?;
        let mut array = RawArrayBuf::new();
        while let Some(value) = values.next_element_seed(inner)? {
            array.push(value);
        }
        Ok(RawBson::Array(array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawBson, A::Error> {
        let inner = self.deeper()?;
        let mut document = RawDocumentBuf::new();
        let mut names: Vec<String> = Vec::new();
        while let Some(name) = fields.next_key::<String>()? {
            // MongoDB gives a meaning of its own to dollars and dots in names, and none to a name that comes twice.
            let special = name.starts_with('$') || name.contains('.') || names.contains(&name);
            if special || names.len() == BODY_KEYS_MAX {
                return Err(A::Error::custom("no name for a field"));
            }
            let value = fields.next_value_seed(inner)?;
            let key: &CStr = name.as_str().try_into().map_err(A::Error::custom)?;
            document.append(key, value);
            names.push(name);
        }
        Ok(RawBson::Document(document))
    }
}

struct Json<'a>(RawBsonRef<'a>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            RawBsonRef::Null => serializer.serialize_unit(),
            RawBsonRef::Boolean(value) => serializer.serialize_bool(value),
            RawBsonRef::Int32(value) => serializer.serialize_i32(value),
            RawBsonRef::Int64(value) => serializer.serialize_i64(value),
            RawBsonRef::Double(value) => serializer.serialize_f64(value),
            RawBsonRef::String(value) => serializer.serialize_str(value),
            RawBsonRef::Array(array) => serialize_array(array, serializer),
            RawBsonRef::Document(document) => {
                let mut map = serializer.serialize_map(None)?;
                for element in document.iter() {
                    let (name, value) = element.map_err(S::Error::custom)?;
                    map.serialize_entry(name.as_str(), &Json(value))?;
                }
                map.end()
            }
            _ => Err(S::Error::custom("not a JSON value")),
        }
    }
}

fn serialize_array<S: Serializer>(array: &RawArray, serializer: S) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(None)?;
    for value in array {
        seq.serialize_element(&Json(value.map_err(S::Error::custom)?))?;
    }
    seq.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_json_wrote_is_kept_as_a_sub_document() {
        for json in [
            "{}",
            r#"{"b":1,"a":[1,-2,0.5,1.0,1e+100,true,null,"ñ\n\"\\",{"x":{}},[]],"":"empty name"}"#,
            r#"{"max":9223372036854775807,"min":-9223372036854775808}"#,
        ] {
            let body = to_bson(json).unwrap_or_else(|| panic!("{json}"));
            assert_eq!(to_json(&body).as_deref(), Some(json));
        }
    }

    #[test]
    fn what_a_sub_document_cannot_give_back_stays_text() {
        let deep = format!("{}1{}", "{\"a\":".repeat(80), "}".repeat(80));
        for json in [
            r#"{"a": 1}"#,
            r#"{"a":1}x"#,
            r#"{"a":1e3}"#,
            r#"{"a":-0}"#,
            r#"{"a":18446744073709551615}"#,
            r#"{"a":123456789012345678901234567890}"#,
            r#"{"a":"\u00f1"}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"$ref":1}"#,
            r#"{"a.b":1}"#,
            r#"{"a\u0000b":1}"#,
            "[1]",
            "no JSON",
            "",
            &deep,
        ] {
            assert!(to_bson(json).is_none(), "{json}");
        }
    }
}
