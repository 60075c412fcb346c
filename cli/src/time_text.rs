//! Times as users write them: RFC 3339, a date, milliseconds since 1970, or a duration ago.

use crate::timestamp::days_since_1970;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeText {
    /// Milliseconds since the start of 1970 UTC.
    At(i64),
    /// So many milliseconds before now.
    Ago(i64),
}

impl TimeText {
    /// Reads a time; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(duration) = text.strip_prefix('-') {
            return duration_ms(duration).map(Self::Ago);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Self::At);
        }
        let Some((date, time)) = text.split_once(['T', 't', ' ']) else {
            return date_ms(text).map(Self::At);
        };
        let (time, zone_ms) = split_zone(time)?;
        Some(Self::At(date_ms(date)? + time_ms(time)? - zone_ms))
    }

    /// Gives the milliseconds since the start of 1970 UTC.
    pub(crate) const fn resolve(self, now_ms: i64) -> i64 {
        match self {
            Self::At(ms) => ms,
            Self::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

/// Reads a duration of numbers with units, `1h30m`, in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 5] = [("ms", 1), ("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS)];
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, unit_ms) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total = total.checked_add(number.checked_mul(*unit_ms)?)?;
    }
    (!text.is_empty()).then_some(total)
}

/// Reads a number of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn date_ms(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    let is_date = parts.next().is_none() && (1..=days_of_month).contains(&day);
    is_date.then(|| days_since_1970(year, month, day) * DAY_MS)
}

/// Reads `hh:mm:ss` with a fraction or without; what is finer than milliseconds is dropped.
fn time_ms(text: &str) -> Option<i64> {
    let (text, fraction) = text.split_once('.').map_or((text, None), |(text, fraction)| (text, Some(fraction)));
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_time = parts.next().is_none() && hours < 24 && minutes < 60 && seconds <= 60;
    let ms = match fraction {
        None => 0,
        Some(fraction) => {
            digits(fraction, fraction.len())?;
            digits(&format!("{fraction:0<3}")[..3], 3)?
        }
    };
    is_time.then_some(hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS + ms)
}

/// Cuts off `Z`, `+hh:mm` or `-hh:mm`.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (time, zone) = text.split_at(at);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let zone_ms = hours * HOUR_MS + minutes * MINUTE_MS;
    (hours < 24 && minutes < 60).then_some((time, if zone.starts_with('-') { -zone_ms } else { zone_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("0", TimeText::At(0)),
            ("1700000000123", TimeText::At(1_700_000_000_123)),
            ("1970-01-02", TimeText::At(DAY_MS)),
            ("2000-02-29", TimeText::At(951_782_400_000)),
            ("2023-11-14T22:13:20Z", TimeText::At(1_700_000_000_000)),
            ("2023-11-14T22:13:20.123Z", TimeText::At(1_700_000_000_123)),
            ("2023-11-14t22:13:20.1z", TimeText::At(1_700_000_000_100)),
            ("2023-11-14 22:13:20.1239Z", TimeText::At(1_700_000_000_123)),
            ("2023-11-15T00:13:20+02:00", TimeText::At(1_700_000_000_000)),
            ("2023-11-14T16:43:20-05:30", TimeText::At(1_700_000_000_000)),
            ("-90s", TimeText::Ago(90_000)),
            ("-1h30m", TimeText::Ago(5_400_000)),
            ("-2d", TimeText::Ago(2 * DAY_MS)),
            ("-250ms", TimeText::Ago(250)),
            ("-1m1ms", TimeText::Ago(60_001)),
        ] {
            assert_eq!(TimeText::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            "now",
            "-5",
            "-h",
            "-1y",
            "-1h30",
            "1h",
            "2023-02-29",
            "2023-13-01",
            "2023-1-1",
            "2023-01-00",
            "2023-01-01T10:00",
            "2023-01-01T10:00:00",
            "2023-01-01T24:00:00Z",
            "2023-01-01T10:60:00Z",
            "2023-01-01T",
            "2023-01-01T10:00:00.Z",
            "2023-01-01T10:00:00+2",
            "2023-01-01T10:00:00.-1Z",
            "99999999999999999999",
            "-99999999999999d",
            "+1",
            "2023-01-01-01",
        ] {
            assert_eq!(TimeText::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_ago_counts_from_now() {
        assert_eq!((TimeText::Ago(5).resolve(100), TimeText::At(5).resolve(100)), (95, 5));
    }
}
