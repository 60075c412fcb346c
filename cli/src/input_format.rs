//! Records read from bytes, by a format string.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::byte_codec::{read_base64, read_hex};
use crate::format_parts::{Encoding, Field, FormatError, FormatParts, Part};
use crate::time_text::TimeText;

/// How the fields of a record stand in the input, and what ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputFormat {
    /// What stands before the first field.
    prefix: Vec<u8>,
    /// Each field, and what ends it; the last one's is what ends the record.
    fields: Vec<(Field, Vec<u8>)>,
}

/// What the input says of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputRecord {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) partition: Option<u32>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) headers: Vec<(String, Bytes)>,
}

/// A record that is not as the format says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputError {
    /// What must stand before or behind a field does not.
    Separator { expected: Vec<u8> },
    /// A field cannot be read.
    Field { field: &'static str, expected: &'static str },
}

impl InputFormat {
    /// Each line is a value.
    pub(crate) fn value_line() -> Self {
        Self { prefix: Vec::new(), fields: vec![(Field::Value(Encoding::Raw), b"\n".to_vec())] }
    }

    /// Gives what ends a record.
    pub(crate) fn record_end(&self) -> &[u8] {
        self.fields.last().map_or(b"\n", |(_, end)| end)
    }

    /// Tells whether records say which partition they belong to.
    pub(crate) fn has_partition(&self) -> bool {
        self.fields.iter().any(|(field, _)| *field == Field::Partition)
    }

    /// Reads a record, without what ends it.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<InputRecord, InputError> {
        let separator = |expected: &[u8]| InputError::Separator { expected: expected.to_vec() };
        let mut rest = bytes.strip_prefix(self.prefix.as_slice()).ok_or_else(|| separator(&self.prefix))?;
        let mut record = InputRecord::default();
        for (place, (field, end)) in self.fields.iter().enumerate() {
            let (text, after) = if place + 1 == self.fields.len() {
                (rest, &rest[rest.len()..])
            } else {
                let at = find(rest, end).ok_or_else(|| separator(end))?;
                (&rest[..at], &rest[at + end.len()..])
            };
            rest = after;
            record.set(field, text)?;
        }
        Ok(record)
    }
}

impl InputRecord {
    fn set(&mut self, field: &Field, text: &[u8]) -> Result<(), InputError> {
        let refused = |field, expected| InputError::Field { field, expected };
        let as_text = || std::str::from_utf8(text).ok();
        match field {
            Field::Key(encoding) => {
                let key = decoded(text, *encoding).map_err(|expected| refused("key", expected))?;
                self.key = key.filter(|key| !key.is_empty());
            }
            Field::Value(encoding) => {
                self.value = decoded(text, *encoding).map_err(|expected| refused("value", expected))?;
            }
            Field::Partition => {
                let partition = as_text().and_then(|text| text.parse().ok());
                self.partition = Some(partition.ok_or(refused("partition", "a whole number"))?);
            }
            Field::Timestamp => {
                let at = as_text().and_then(TimeText::parse).and_then(|time| match time {
                    TimeText::At(ms) => Some(ms),
                    TimeText::Ago(_) => None,
                });
                self.timestamp_ms = Some(at.ok_or(refused("timestamp", "milliseconds since 1970, or RFC 3339"))?);
            }
            Field::Header(name) => self.headers.push((name.clone(), Bytes::copy_from_slice(text))),
            // Refused when the format was read.
            Field::Topic | Field::Offset => {}
        }
        Ok(())
    }
}

/// Undoes an encoding; the error is what would be right.
fn decoded(text: &[u8], encoding: Encoding) -> Result<Option<Bytes>, &'static str> {
    match encoding {
        Encoding::Raw => Ok(Some(Bytes::copy_from_slice(text))),
        Encoding::Hex => read_hex(text).map(|bytes| Some(bytes.into())).ok_or("two hexadecimal digits for each byte"),
        Encoding::Base64 => read_base64(text).map(|bytes| Some(bytes.into())).ok_or("base64 with its padding"),
        Encoding::Json => match serde_json::from_slice(text) {
            Ok(serde_json::Value::String(string)) => Ok(Some(string.into())),
            Ok(serde_json::Value::Null) => Ok(None),
            _ => Err("a JSON string, or null"),
        },
    }
}

/// Finds where `part` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    match part {
        [byte] => bytes.iter().position(|other| other == byte),
        part => bytes.windows(part.len()).position(|window| window == part),
    }
}

impl FromStr for InputFormat {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let mut format = Self { prefix: Vec::new(), fields: Vec::new() };
        for part in text.parse::<FormatParts>()?.0 {
            match part {
                Part::Literal(bytes) => match format.fields.last_mut() {
                    None => format.prefix = bytes,
                    Some((_, end)) => *end = bytes,
                },
                Part::Field(field) => {
                    if format.fields.last().is_some_and(|(_, end)| end.is_empty()) {
                        return Err(FormatError::Adjacent);
                    }
                    format.check(&field)?;
                    format.fields.push((field, Vec::new()));
                }
            }
        }
        match format.fields.last_mut() {
            None => return Err(FormatError::Empty),
            Some((_, end)) if end.is_empty() => end.push(b'\n'),
            Some(_) => {}
        }
        Ok(format)
    }
}

impl InputFormat {
    fn check(&self, field: &Field) -> Result<(), FormatError> {
        let name = match field {
            Field::Topic => return Err(FormatError::NotForInput { field: "%t" }),
            Field::Offset => return Err(FormatError::NotForInput { field: "%o" }),
            Field::Header(_) => return Ok(()),
            Field::Key(_) => "%k",
            Field::Value(_) => "%v",
            Field::Partition => "%p",
            Field::Timestamp => "%T",
        };
        let same = |(other, _): &(Field, Vec<u8>)| std::mem::discriminant(other) == std::mem::discriminant(field);
        if self.fields.iter().any(same) { Err(FormatError::Twice { field: name }) } else { Ok(()) }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Separator { expected } => {
                write!(f, "there is no {:?} where the format has it", String::from_utf8_lossy(expected))
            }
            Self::Field { field, expected } => write!(f, "the {field} is not {expected}"),
        }
    }
}

impl std::error::Error for InputError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn records_are_read_as_the_format_says() {
        for (format, input, key, value) in [
            ("%v", "a:b", None, bytes("a:b")),
            ("%v\\n", "", None, bytes("")),
            ("%k:%v", "k:v:w", bytes("k"), bytes("v:w")),
            ("%k\\t%v\\n", "\tv", None, bytes("v")),
            ("<%k, %v>\\0", "<a, b", bytes("a"), bytes("b")),
            ("%k{hex} %v{base64}", "6b31 Zm9v", bytes("k1"), bytes("foo")),
            ("%v{json}", r#""a\nb""#, None, bytes("a\nb")),
            ("%v{json}", "null", None, None),
        ] {
            let record = format.parse::<InputFormat>().unwrap().read(input.as_bytes()).unwrap();
            assert_eq!((record.key, record.value), (key, value), "{format} {input}");
        }
        let record = "%p %T %h{a}=%v".parse::<InputFormat>().unwrap().read(b"3 1000 x=\xff").unwrap();
        let expected = InputRecord {
            key: None,
            value: Some(Bytes::from_static(b"\xff")),
            partition: Some(3),
            timestamp_ms: Some(1000),
            headers: vec![("a".to_owned(), Bytes::from_static(b"x"))],
        };
        assert_eq!(record, expected);
    }

    #[test]
    fn what_ends_a_record_is_the_last_literal_or_a_line_break() {
        for (format, end) in [("%v", &b"\n"[..]), ("%v\\0", b"\0"), ("%k %v\\r\\n", b"\r\n"), ("%k %v", b"\n")] {
            assert_eq!(format.parse::<InputFormat>().unwrap().record_end(), end, "{format}");
        }
        assert_eq!("%v\\n".parse(), Ok(InputFormat::value_line()));
    }

    #[test]
    fn formats_that_cannot_be_read_are_refused() {
        for (format, expected) in [
            ("%k%v", "nothing tells where one field ends"),
            ("%t %v", "%t cannot be given"),
            ("%o %v", "%o cannot be given"),
            ("%v %v{hex}", "%v stands twice"),
            ("text", "the format is empty"),
            ("", "the format is empty"),
            ("%q", "%q is no field"),
        ] {
            let error = format.parse::<InputFormat>().unwrap_err().to_string();
            assert!(error.contains(expected), "{format}: {error}");
        }
    }

    #[test]
    fn records_that_break_the_format_are_refused() {
        for (format, input, expected) in [
            ("%k:%v", "no separator", "there is no \":\" where"),
            ("<%v", "v", "there is no \"<\" where"),
            ("%v{hex}", "abc", "the value is not two hexadecimal digits"),
            ("%k{base64} %v", "? v", "the key is not base64"),
            ("%v{json}", "{}", "the value is not a JSON string"),
            ("%p %v", "-1 v", "the partition is not a whole number"),
            ("%T %v", "-1h v", "the timestamp is not milliseconds"),
        ] {
            let error = format.parse::<InputFormat>().unwrap().read(input.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{format} {input}: {error}");
        }
    }
}
