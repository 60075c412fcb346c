//! Format strings: what stands in them, for writing records and for reading them.

use std::fmt;
use std::str::FromStr;

/// A format string, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormatParts(pub(crate) Vec<Part>);

/// A piece of a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// These bytes.
    Literal(Vec<u8>),
    Field(Field),
}

/// Something of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Key(Encoding),
    Value(Encoding),
    Topic,
    Partition,
    Offset,
    /// Milliseconds since 1970.
    Timestamp,
    Header(String),
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Raw,
    Hex,
    Base64,
    /// A JSON string, or `null` where there are none.
    Json,
}

/// A format string that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FormatError {
    /// It is empty.
    Empty,
    /// `%` and something that is no field.
    Field { text: String },
    /// An encoding that does not exist.
    Encoding { text: String },
    /// A `{` without its `}`.
    Open { text: String },
    /// `%h` without a name.
    HeaderName,
    /// `\` and something that is no character.
    Escape { text: String },
    /// The field is the broker's to give.
    NotForInput { field: &'static str },
    /// A field that may stand once stands twice.
    Twice { field: &'static str },
    /// Nothing tells where one field ends and the next begins.
    Adjacent,
}

impl FromStr for FormatParts {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        if text.is_empty() {
            return Err(FormatError::Empty);
        }
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\\' => literal.push(escape(&mut rest)?),
                '%' if rest.starts_with('%') => {
                    literal.push(b'%');
                    rest = &rest[1..];
                }
                '%' => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Field(field(&mut rest)?));
                }
                c => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }
}

/// Reads what stands behind a `\`.
fn escape(rest: &mut &str) -> Result<u8, FormatError> {
    let refused = |rest: &str| FormatError::Escape { text: rest.chars().take(3).collect() };
    let Some(c) = rest.chars().next() else { return Err(refused(rest)) };
    let byte = match c {
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        '0' => 0,
        '\\' => b'\\',
        'x' => {
            let digits = rest.get(1..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(|| refused(rest))?;
            *rest = &rest[3..];
            return Ok(byte);
        }
        _ => return Err(refused(rest)),
    };
    *rest = &rest[1..];
    Ok(byte)
}

/// Reads what stands behind a `%`.
fn field(rest: &mut &str) -> Result<Field, FormatError> {
    let letter = rest.chars().next();
    let Some(letter @ ('k' | 'v' | 't' | 'p' | 'o' | 'T' | 'h')) = letter else {
        return Err(FormatError::Field { text: letter.map_or_else(String::new, String::from) });
    };
    *rest = &rest[1..];
    // Other fields are numbers and names: a brace behind them is a character as any.
    let option = if matches!(letter, 'k' | 'v' | 'h') { braces(rest)? } else { None };
    Ok(match letter {
        'k' => Field::Key(encoding(option)?),
        'v' => Field::Value(encoding(option)?),
        't' => Field::Topic,
        'p' => Field::Partition,
        'o' => Field::Offset,
        'T' => Field::Timestamp,
        _ => Field::Header(option.filter(|name| !name.is_empty()).ok_or(FormatError::HeaderName)?.to_owned()),
    })
}

fn braces<'a>(rest: &mut &'a str) -> Result<Option<&'a str>, FormatError> {
    let Some(inner) = rest.strip_prefix('{') else { return Ok(None) };
    let (option, after) = inner.split_once('}').ok_or_else(|| FormatError::Open { text: inner.to_owned() })?;
    *rest = after;
    Ok(Some(option))
}

fn encoding(option: Option<&str>) -> Result<Encoding, FormatError> {
    match option {
        None => Ok(Encoding::Raw),
        Some("hex") => Ok(Encoding::Hex),
        Some("base64") => Ok(Encoding::Base64),
        Some("json") => Ok(Encoding::Json),
        Some(other) => Err(FormatError::Encoding { text: other.to_owned() }),
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the format is empty; '%k %v\\n' is an example"),
            Self::Field { text } => write!(
                f,
                "%{text} is no field; there are %k key, %v value, %t topic, %p partition, %o offset, %T timestamp, \
                 %h{{name}} header, and %% for a percent sign"
            ),
            Self::Encoding { text } => write!(f, "{{{text}}} is no encoding; hex, base64 and json are"),
            Self::Open { text } => write!(f, "there is no }} behind {{{text}"),
            Self::HeaderName => f.write_str("%h needs the name of a header, as in %h{trace-id}"),
            Self::Escape { text } => write!(f, "\\{text} is no character; \\n, \\t, \\r, \\0, \\\\ and \\xHH are"),
            Self::NotForInput { field } => write!(f, "{field} cannot be given to a record, leave it out"),
            Self::Twice { field } => write!(f, "{field} stands twice"),
            Self::Adjacent => {
                f.write_str("nothing tells where one field ends and the next begins; put a character between them")
            }
        }
    }
}

impl std::error::Error for FormatError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_and_escape_is_read() {
        let field = Part::Field;
        let literal = |bytes: &[u8]| Part::Literal(bytes.to_vec());
        for (text, expected) in [
            ("%v", vec![field(Field::Value(Encoding::Raw))]),
            (
                "%k\\t%v\\n",
                vec![
                    field(Field::Key(Encoding::Raw)),
                    literal(b"\t"),
                    field(Field::Value(Encoding::Raw)),
                    literal(b"\n"),
                ],
            ),
            (
                "%t/%p@%o %T",
                vec![
                    field(Field::Topic),
                    literal(b"/"),
                    field(Field::Partition),
                    literal(b"@"),
                    field(Field::Offset),
                    literal(b" "),
                    field(Field::Timestamp),
                ],
            ),
            (
                "%v{hex}%k{base64}%v{json}",
                vec![
                    field(Field::Value(Encoding::Hex)),
                    field(Field::Key(Encoding::Base64)),
                    field(Field::Value(Encoding::Json)),
                ],
            ),
            ("%h{a b}", vec![field(Field::Header("a b".to_owned()))]),
            ("100%% \\\\\\r\\0\\xfFé", vec![literal(b"100% \\\r\0\xff\xc3\xa9")]),
            ("%o{x}", vec![field(Field::Offset), literal(b"{x}")]),
        ] {
            assert_eq!(text.parse(), Ok(FormatParts(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for (text, expected) in [
            ("", "the format is empty"),
            ("%", "% is no field"),
            ("%x", "%x is no field; there are %k"),
            ("%é", "%é is no field"),
            ("%v{xml}", "{xml} is no encoding"),
            ("%v{hex", "there is no } behind {hex"),
            ("%h", "%h needs the name"),
            ("%h{}", "%h needs the name"),
            ("\\q", "\\q is no character"),
            ("\\", "\\ is no character"),
            ("\\x1", "\\x1 is no character"),
            ("\\x+1", "\\x+1 is no character"),
        ] {
            let error = text.parse::<FormatParts>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
