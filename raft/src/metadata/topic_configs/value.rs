//! What values a config takes, and how they are written.

use std::fmt;

/// Parts of 1 in which shares are counted: six decimals.
const MILLION: u32 = 1_000_000;

/// Digits behind the point of a share.
const DECIMALS: usize = 6;

/// What values a config takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// A whole number.
    Number {
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// A whole number, or no limit.
    NumberOrNone {
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// A share from 0 to 1, of at most six decimals.
    Share,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// The value of a config.
///
/// A share is counted in millionths, so that equal texts are equal values on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigValue {
    /// A whole number.
    Number(u64),
    /// No limit.
    Unlimited,
    /// A share, in millionths: at most a million.
    Millionths(u32),
    /// One of the words that the config takes.
    Word(&'static str),
}

impl ConfigKind {
    /// Reads a value; `None` if it is not allowed.
    ///
    /// Numbers are decimal digits and nothing else. No limit is `none`, or `-1` as Kafka writes it. The words of
    /// `cleanup_policy` may come in either order.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<ConfigValue> {
        match self {
            Self::Number { min, max } => {
                number(text).filter(|number| (min..=max).contains(number)).map(ConfigValue::Number)
            }
            Self::NumberOrNone { .. } if matches!(text, "none" | "-1") => Some(ConfigValue::Unlimited),
            Self::NumberOrNone { min, max } => Self::Number { min, max }.parse(text),
            Self::Share => millionths(text).map(ConfigValue::Millionths),
            Self::Word(words) => {
                let swapped = text.split_once(',').map(|(first, second)| format!("{second},{first}"));
                let is_meant = |word: &&&str| **word == text || Some(**word) == swapped.as_deref();
                words.iter().find(is_meant).map(|word| ConfigValue::Word(word))
            }
        }
    }
}

/// Reads decimal digits. No sign, no blanks.
fn number(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

/// Reads `0`, `1`, `0.25`, as millionths.
fn millionths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.is_empty() || decimals.len() > DECIMALS {
        return None;
    }
    let whole = number(whole)?;
    let padded = number(&format!("{decimals:0<DECIMALS$}"))?;
    let sum = whole.checked_mul(u64::from(MILLION))?.checked_add(padded)?;
    u32::try_from(sum).ok().filter(|sum| *sum <= MILLION)
}

impl fmt::Display for ConfigKind {
    /// Says what is allowed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::NumberOrNone { min, max } => write!(f, "a whole number from {min} to {max}, or none"),
            Self::Share => write!(f, "a number from 0 to 1 of at most {DECIMALS} decimals"),
            Self::Word(words) => write!(f, "one of {}", words.join(" | ")),
        }
    }
}

impl fmt::Display for ConfigValue {
    /// Writes the one text for this value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Unlimited => f.write_str("none"),
            Self::Millionths(0) => f.write_str("0"),
            Self::Millionths(MILLION) => f.write_str("1"),
            Self::Millionths(millionths) => {
                let decimals = format!("{millionths:0DECIMALS$}");
                write!(f, "0.{}", decimals.trim_end_matches('0'))
            }
            Self::Word(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_shortly_and_read_back() {
        for (text, millionths, shortest) in [
            ("0", 0, "0"),
            ("0.0", 0, "0"),
            ("1", 1_000_000, "1"),
            ("1.000000", 1_000_000, "1"),
            ("0.5", 500_000, "0.5"),
            ("0.050", 50_000, "0.05"),
            ("0.000001", 1, "0.000001"),
            ("0.999999", 999_999, "0.999999"),
        ] {
            let value = ConfigKind::Share.parse(text);
            assert_eq!(value, Some(ConfigValue::Millionths(millionths)), "{text}");
            assert_eq!(value.unwrap().to_string(), shortest);
            assert_eq!(ConfigKind::Share.parse(shortest), value);
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in
            ["", ".", ".5", "0.", "1.000001", "2", "-0", "-0.5", "+1", "NaN", "inf", "1e-1", "0.0000001", "0.5.5"]
        {
            assert_eq!(ConfigKind::Share.parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let kind = ConfigKind::Number { min: 0, max: u64::MAX };
        for text in ["", " 1", "1 ", "+1", "-1", "1_000", "0x10", "1.0", "18446744073709551616", "١"] {
            assert_eq!(kind.parse(text), None, "{text}");
        }
        assert_eq!(kind.parse("007"), Some(ConfigValue::Number(7)));
        assert_eq!(kind.parse("18446744073709551615"), Some(ConfigValue::Number(u64::MAX)));
    }

    #[test]
    fn no_limit_is_allowed_only_where_it_has_a_meaning() {
        for text in ["none", "-1"] {
            assert_eq!(ConfigKind::NumberOrNone { min: 0, max: 9 }.parse(text), Some(ConfigValue::Unlimited));
            assert_eq!(ConfigKind::Number { min: 0, max: 9 }.parse(text), None);
        }
    }
}
