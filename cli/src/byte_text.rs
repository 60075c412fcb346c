//! Bytes, and how many there are of something, as people and programs read them.

use std::fmt;

use serde_json::{Map, Value};

/// Shows bytes in quotes, what is UTF-8 as it is, control characters and all else escaped; `null` where there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a>(pub(crate) Option<&'a [u8]>);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.write_str("null") };
        f.write_str("\"")?;
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' | '\\' => write!(f, "\\{character}")?,
                    _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                    _ => write!(f, "{character}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

/// Puts bytes into an object under `name`: as a string, as null, or, where they are not UTF-8, as a string with
/// replacement characters, and exactly under `{name}_hex`.
pub(crate) fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        object.insert(name.to_owned(), Value::Null);
        return;
    };
    object.insert(name.to_owned(), String::from_utf8_lossy(bytes).into());
    if std::str::from_utf8(bytes).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        object.insert(format!("{name}_hex"), hex.into());
    }
}

/// Shows a number of bytes with a unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByteCount(pub(crate) u64);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let power = (self.0.ilog2() / 10) as usize;
        let tenths = u128::from(self.0) * 10 / (1_u128 << (10 * power));
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[power - 1])
    }
}

/// Shows how many there are of something, with the word for one or that for more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted(pub(crate) u64, pub(crate) &'static str, pub(crate) &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, one, more) = self;
        write!(f, "{number} {}", if *number == 1 { one } else { more })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_quoted_and_what_is_no_text_is_escaped() {
        assert_eq!(Quoted(None).to_string(), "null");
        assert_eq!(Quoted(Some(b"")).to_string(), "\"\"");
        assert_eq!(Quoted(Some("Grüße \"a\\b\"\n\x1b[31m".as_bytes())).to_string(), r#""Grüße \"a\\b\"\n\u{1b}[31m""#);
        assert_eq!(Quoted(Some(b"a\xff\xfeb")).to_string(), r#""a\xff\xfeb""#);
    }

    #[test]
    fn bytes_in_objects_can_be_read_back() {
        let mut object = Map::new();
        put_bytes(&mut object, "key", None);
        put_bytes(&mut object, "value", Some(b"text"));
        put_bytes(&mut object, "other", Some(b"a\xff"));
        let expected = json!({ "key": null, "value": "text", "other": "a\u{fffd}", "other_hex": "61ff" });
        assert_eq!(Value::Object(object), expected);
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(Counted(1, "batch", "batches").to_string(), "1 batch");
        assert_eq!(Counted(0, "batch", "batches").to_string(), "0 batches");
    }

    #[test]
    fn byte_counts_have_units() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (5 * 1024 * 1024 + 500 * 1024, "5.4 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(ByteCount(bytes).to_string(), expected);
        }
    }
}
