//! Reads JSON objects of other servers, field by field.
//!
//! Own code, because each value is read on its own, when it is needed. Derived code, also that of `serde_with`,
//! accepts an array for an object, `["id", "etag"]` for `{"id": …, "etag": …}`, and one unreadable value makes
//! the whole text unreadable. A `serde_json::Value` keeps the last of two members of the same name, and cannot
//! hold a number like `1e999`, a lone surrogate or deep nesting, which would hide all other values.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserializer as _,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// An object whose values are not read yet.
#[derive(Default)]
pub(crate) struct Object<'a>(Vec<(String, &'a RawValue)>);

/// The text is no JSON object. The error quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON object: {category:?} error at line {line}, column {column}")]
pub(crate) struct NotAnObject {
    category: serde_json::error::Category,
    line: usize,
    column: usize,
}

impl<'a> Object<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, NotAnObject> {
        // Some servers send a byte order mark.
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
        let mut reader = serde_json::Deserializer::from_slice(json);
        let object = reader.deserialize_map(ObjectVisitor).and_then(|object| reader.end().map(|()| object));
        object.map_err(|error| NotAnObject {
            category: error.classify(),
            line: error.line(),
            column: error.column(),
        })
    }

    /// Whether it has a member of this name that is not `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.named(name).any(|value| value.get() != "null")
    }

    /// Whether it has a member of this name, also one that is `null`.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Whether a name occurs more than once.
    pub(crate) fn has_duplicates(&self) -> bool {
        let names: BTreeSet<_> = self.0.iter().map(|(name, _)| name).collect();
        names.len() < self.0.len()
    }

    /// The value of this name, unless the name occurs twice.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        let mut values = self.named(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// The value of this name, if it has this type. Not for structures: see [`Self::object`].
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.value(name)?.get()).ok()
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.read(name)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.read(name)
    }

    /// A finite number, which may also be written as a string.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let number: f64 = self.digits(name)?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// An integer, which may also be written as a string, or with a fraction of zero.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        if let Ok(integer) = self.digits(name)?.parse() {
            return Some(integer);
        }
        // Larger integers are not exact.
        const EXACT: f64 = (1_i64 << 53) as f64;
        let number = self.number(name).filter(|number| number.fract() == 0.0 && number.abs() <= EXACT)?;
        #[expect(clippy::cast_possible_truncation, reason = "it is an integer within the limits")]
        Some(number as i64)
    }

    /// The text of a number.
    fn digits(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.text(name) {
            Some(text) => Some(Cow::Owned(text.trim().to_owned())),
            None => Some(Cow::Borrowed(self.value(name)?.get())),
        }
    }

    /// An object within this one.
    pub(crate) fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.value(name)?.get().as_bytes()).ok()
    }

    /// An array, whose values are not read yet.
    pub(crate) fn array(&self, name: &str) -> Option<Vec<&'a RawValue>> {
        serde_json::from_str(self.value(name)?.get()).ok()
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every member with its value, in their order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &'a RawValue> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| *value)
    }
}

/// The values may be secrets.
impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").finish_non_exhaustive()
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(json: &str) -> Object<'_> {
        Object::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn only_an_object_is_read_as_one() {
        for json in [
            "",
            " ",
            "null",
            "[]",
            "[[]]",
            r#"[["a", 1]]"#,
            "1",
            r#""{}""#,
            "{",
            r#"{"a":1"#,
            "{}{}",
            "{a:1}",
        ] {
            assert!(Object::parse(json.as_bytes()).is_err(), "{json}");
        }
        for json in ["{}", " {} ", "\u{feff}{}"] {
            assert!(!object(json).has("a"), "{json}");
        }
        assert!(Object::parse(b"{\"a\": \"\xff\"}").is_err());
    }

    #[test]
    fn a_value_is_read_as_its_type() {
        let object = object(
            r#"{"t": "\u00e9", "n": 5, "f": true, "o": {"t": "x"}, "a": [1, {}], "z": null, "\u0061b": 1}"#,
        );
        assert_eq!(object.text("t").as_deref(), Some("é"));
        assert_eq!(
            (object.integer("n"), object.number("n"), object.flag("f")),
            (Some(5), Some(5.0), Some(true))
        );
        assert_eq!(object.object("o").and_then(|object| object.text("t")).as_deref(), Some("x"));
        assert_eq!(object.array("a").map(|array| array.len()), Some(2));
        assert!(object.has("ab") && !object.has("z") && !object.has("absent"));
        for name in ["n", "f", "o", "a", "z", "absent"] {
            assert_eq!(object.text(name), None, "{name}");
        }
        for name in ["t", "n", "f", "a", "z", "absent"] {
            assert!(object.object(name).is_none(), "{name}");
        }
        for name in ["t", "n", "f", "o", "z", "absent"] {
            assert!(object.array(name).is_none(), "{name}");
        }
    }

    #[test]
    fn an_integer_may_be_written_in_several_ways() {
        for (json, integer) in [
            ("1597973312000", Some(1_597_973_312_000)),
            ("1597973312000.0", Some(1_597_973_312_000)),
            ("1.597973312e12", Some(1_597_973_312_000)),
            (r#"" 1597973312000 ""#, Some(1_597_973_312_000)),
            (r#""1597973312000.0""#, Some(1_597_973_312_000)),
            ("-0", Some(0)),
            ("-1", Some(-1)),
            ("1.5", None),
            ("18446744073709551616", None),
            ("1e17", None),
            ("1e999", None),
            (r#""""#, None),
            (r#""NaN""#, None),
            (r#""inf""#, None),
            ("true", None),
            ("[5]", None),
            (r#"{"a": 5}"#, None),
        ] {
            assert_eq!(object(&format!(r#"{{"a": {json}}}"#)).integer("a"), integer, "{json}");
        }
    }

    #[test]
    fn a_member_that_occurs_twice_has_no_value() {
        let object = object(r#"{"a": 1, "b": 2, "a": 1}"#);
        assert!(object.has("a") && object.value("a").is_none());
        assert!(object.has_duplicates() && !self::object(r#"{"a": {"b": 1}, "b": null}"#).has_duplicates());
        assert!(self::object(r#"{"a": 1, "\u0061": 2}"#).has_duplicates());
        assert_eq!((object.integer("a"), object.integer("b")), (None, Some(2)));
    }

    #[test]
    fn an_unreadable_value_does_not_affect_others() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let json = format!(r#"{{"a": "\ud800", "b": 1e999, "c": {deep}, "d": "fine"}}"#);
        let object = object(&json);
        assert_eq!((object.text("a"), object.number("b"), object.text("c")), (None, None, None));
        assert_eq!(object.text("d").as_deref(), Some("fine"));
    }

    #[test]
    fn neither_an_object_nor_an_error_shows_a_value() {
        assert!(!format!("{:?}", object(r#"{"canary": "canary"}"#)).contains("canary"));
        for json in [r#"["canary"]"#, r#""canary""#, r#"{"canary": canary}"#] {
            let error = Object::parse(json.as_bytes()).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("canary"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(json: Vec<u8>, name: String) {
            if let Ok(object) = Object::parse(&json) {
                let _ = (object.integer(&name), object.object(&name), object.array(&name), object.text(&name));
            }
        }
    }
}
