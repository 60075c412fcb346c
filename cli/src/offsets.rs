//! The offsets grammar: which records of a partition are meant by `-o`, `--from` and `--to`.

use std::fmt;
use std::str::FromStr;

use crate::time_text::TimeText;

/// The largest offset that there can be.
const OFFSET_MAX: u64 = i64::MAX.unsigned_abs();

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first record kept.
    Start,
    /// Behind the last record.
    End,
    /// This offset.
    Offset(u64),
    /// So many records after the start.
    AfterStart(u64),
    /// So many records before the end.
    BeforeEnd(u64),
    /// The first record of this time or later.
    Time(TimeText),
}

/// A range of offsets: from a place, inclusive, to a place, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetRange {
    pub(crate) from: Place,
    /// `None`: without an end.
    pub(crate) to: Option<Place>,
}

/// A text that names no offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OffsetsError {
    /// There is nothing.
    Empty,
    /// It is none of the forms.
    Form { text: String },
    /// A number is no offset.
    Number { text: String },
    /// There is no such time.
    Time { text: String },
    /// The end of a range is none of what may stand there.
    RangeEnd { text: String },
    /// A range ends before it starts.
    Backwards { from: String, to: String },
}

impl FromStr for Place {
    type Err = OffsetsError;

    fn from_str(text: &str) -> Result<Self, OffsetsError> {
        match text {
            "" => Err(OffsetsError::Empty),
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            _ => match text.split_at(first_length(text)) {
                ("@", time) => {
                    TimeText::parse(time).map(Self::Time).ok_or_else(|| OffsetsError::Time { text: time.to_owned() })
                }
                ("+", count) => number(count, text).map(Self::AfterStart),
                ("-", count) => number(count, text).map(Self::BeforeEnd),
                (first, _) if first.bytes().all(|byte| byte.is_ascii_digit()) => number(text, text).map(Self::Offset),
                _ => Err(OffsetsError::Form { text: text.to_owned() }),
            },
        }
    }
}

impl FromStr for OffsetRange {
    type Err = OffsetsError;

    fn from_str(text: &str) -> Result<Self, OffsetsError> {
        if let Some(times) = text.strip_prefix('@') {
            return times_range(times);
        }
        let Some((from, to)) = text.split_once(':') else {
            return Ok(Self { from: text.parse()?, to: None });
        };
        let from_place = if from.is_empty() { Place::Start } else { from.parse()? };
        let to_place = match to.parse() {
            Ok(place @ (Place::End | Place::Offset(_) | Place::BeforeEnd(_) | Place::Time(_))) => place,
            Err(error @ (OffsetsError::Number { .. } | OffsetsError::Time { .. })) => return Err(error),
            Ok(Place::Start | Place::AfterStart(_)) | Err(_) => {
                return Err(OffsetsError::RangeEnd { text: to.to_owned() });
            }
        };
        if from_place.is_behind(to_place) {
            return Err(OffsetsError::Backwards { from: from.to_owned(), to: to.to_owned() });
        }
        Ok(Self { from: from_place, to: Some(to_place) })
    }
}

/// Reads what stands behind the first `@`. Times have colons too, so the range is split at the first one that leaves a time
/// before it.
fn times_range(text: &str) -> Result<OffsetRange, OffsetsError> {
    if let Some(time) = TimeText::parse(text) {
        return Ok(OffsetRange { from: Place::Time(time), to: None });
    }
    let split = text.match_indices(':').find_map(|(at, _)| Some((TimeText::parse(&text[..at])?, at)));
    let Some((from, at)) = split else { return Err(OffsetsError::Time { text: text.to_owned() }) };
    let to = &text[at + 1..];
    let to_place = match to {
        "end" => Place::End,
        _ => match TimeText::parse(to.strip_prefix('@').unwrap_or(to)) {
            Some(time) => Place::Time(time),
            None => return Err(OffsetsError::RangeEnd { text: to.to_owned() }),
        },
    };
    if Place::Time(from).is_behind(to_place) {
        return Err(OffsetsError::Backwards { from: text[..at].to_owned(), to: to.to_owned() });
    }
    Ok(OffsetRange { from: Place::Time(from), to: Some(to_place) })
}

fn first_length(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

fn number(digits: &str, text: &str) -> Result<u64, OffsetsError> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain { digits.parse().ok().filter(|number| *number <= OFFSET_MAX) } else { None };
    number.ok_or_else(|| OffsetsError::Number { text: text.to_owned() })
}

impl Place {
    /// Tells whether this is behind another place, as far as that can be told without the log and the clock.
    pub(crate) const fn is_behind(self, other: Self) -> bool {
        match (self, other) {
            (Self::Offset(high), Self::Offset(low)) | (Self::BeforeEnd(low), Self::BeforeEnd(high)) => high > low,
            (Self::Time(TimeText::At(high)), Self::Time(TimeText::At(low)))
            | (Self::Time(TimeText::Ago(low)), Self::Time(TimeText::Ago(high))) => high > low,
            _ => false,
        }
    }
}

impl fmt::Display for OffsetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nothing; give start, end, an offset, +N, -N or @TIME"),
            Self::Form { text } => {
                write!(
                    f,
                    "{text:?} is no offset; allowed are start, end, N, N:M, +N, -N, @TIME, @TIME:TIME, @TIME:end and :end"
                )
            }
            Self::Number { text } => write!(f, "{text:?} is no offset; a whole number from 0 to {OFFSET_MAX} is"),
            Self::Time { text } => write!(
                f,
                "{text:?} is no time; allowed are RFC 3339 such as 2026-01-31T12:00:00Z, a date such as 2026-01-31, \
                 milliseconds since 1970, and a duration ago such as -90s or -1h30m"
            ),
            Self::RangeEnd { text } => {
                write!(
                    f,
                    "a range cannot end at {text:?}; allowed are end, an offset, -N, or behind a time another time"
                )
            }
            Self::Backwards { from, to } => write!(f, "the range ends at {to} before it starts at {from}"),
        }
    }
}

impl std::error::Error for OffsetsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: Place, to: Option<Place>) -> OffsetRange {
        OffsetRange { from, to }
    }

    #[test]
    fn every_form_is_read() {
        let (at, ago) = (|ms| Place::Time(TimeText::At(ms)), |ms| Place::Time(TimeText::Ago(ms)));
        for (text, expected) in [
            ("start", range(Place::Start, None)),
            ("end", range(Place::End, None)),
            ("0", range(Place::Offset(0), None)),
            ("42", range(Place::Offset(42), None)),
            ("9223372036854775807", range(Place::Offset(OFFSET_MAX), None)),
            ("5:10", range(Place::Offset(5), Some(Place::Offset(10)))),
            ("5:5", range(Place::Offset(5), Some(Place::Offset(5)))),
            ("5:end", range(Place::Offset(5), Some(Place::End))),
            ("start:10", range(Place::Start, Some(Place::Offset(10)))),
            (":10", range(Place::Start, Some(Place::Offset(10)))),
            (":end", range(Place::Start, Some(Place::End))),
            ("+3", range(Place::AfterStart(3), None)),
            ("-3", range(Place::BeforeEnd(3), None)),
            ("-3:end", range(Place::BeforeEnd(3), Some(Place::End))),
            ("-5:-3", range(Place::BeforeEnd(5), Some(Place::BeforeEnd(3)))),
            ("+3:@1000", range(Place::AfterStart(3), Some(at(1000)))),
            ("@1000", range(at(1000), None)),
            ("@1970-01-01", range(at(0), None)),
            ("@1970-01-01T00:00:01Z", range(at(1000), None)),
            ("@-1h", range(ago(3_600_000), None)),
            ("@-1h30m", range(ago(5_400_000), None)),
            ("@-48h:-24h", range(ago(172_800_000), Some(ago(86_400_000)))),
            ("@-48h:@-24h", range(ago(172_800_000), Some(ago(86_400_000)))),
            ("@1000:end", range(at(1000), Some(Place::End))),
            ("@1000:2000", range(at(1000), Some(at(2000)))),
            ("@1970-01-01T00:00:01Z:1970-01-01T00:00:02+00:00", range(at(1000), Some(at(2000)))),
            ("@1970-01-01T00:00:01Z:end", range(at(1000), Some(Place::End))),
            ("@1970-01-01T00:00:01+00:00:-1s", range(at(1000), Some(ago(1000)))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_would_be_right() {
        for (text, expected) in [
            ("", "there is nothing; give start"),
            ("begin", "\"begin\" is no offset; allowed are start, end"),
            ("START", "\"START\" is no offset; allowed are"),
            ("1x", "\"1x\" is no offset; a whole number from 0"),
            ("1.5", "\"1.5\" is no offset; a whole number"),
            ("+", "\"+\" is no offset; a whole number"),
            ("-", "\"-\" is no offset; a whole number"),
            ("+-3", "\"+-3\" is no offset; a whole number"),
            ("-1h", "\"-1h\" is no offset; a whole number"),
            ("9223372036854775808", "is no offset; a whole number from 0 to 9223372036854775807 is"),
            ("99999999999999999999999", "is no offset; a whole number"),
            ("é", "\"é\" is no offset; allowed are"),
            ("10:5", "the range ends at 5 before it starts at 10"),
            ("-3:-5", "the range ends at -5 before it starts at -3"),
            ("5:", "a range cannot end at \"\""),
            (":", "a range cannot end at \"\""),
            ("1:2:3", "\"2:3\" is no offset"),
            ("5:start", "a range cannot end at \"start\""),
            ("5:+3", "a range cannot end at \"+3\""),
            ("5:x", "a range cannot end at \"x\""),
            ("x:5", "\"x\" is no offset"),
            ("@", "\"\" is no time; allowed are RFC 3339"),
            ("@yesterday", "\"yesterday\" is no time"),
            ("@-5", "\"-5\" is no time"),
            ("@2026-13-01", "\"2026-13-01\" is no time"),
            ("@2026-01-01T10:00", "is no time"),
            ("@-1h:", "a range cannot end at \"\""),
            ("@-1h:5x", "a range cannot end at \"5x\""),
            ("@-1h:start", "a range cannot end at \"start\""),
            ("@-24h:-48h", "the range ends at -48h before it starts at -24h"),
            ("@2000:1000", "the range ends at 1000 before it starts at 2000"),
            ("5:@x", "\"x\" is no time"),
        ] {
            let error = text.parse::<OffsetRange>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_single_place_is_no_range() {
        assert_eq!("@-1h".parse(), Ok(Place::Time(TimeText::Ago(3_600_000))));
        for text in ["1:2", "@-2h:-1h", ":end", ""] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
