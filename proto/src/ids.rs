//! Newtypes for the ids and numbers that would otherwise be confused.
//!
//! Inside Tidelog an absent number is an `Option`; the wire's -1 exists only in the codecs.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Add;
use std::str::FromStr;
use std::sync::Arc;

/// Defines a number newtype with a private field.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the number.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// Returns the number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// Gives a number newtype the arithmetic of a place in a sequence.
macro_rules! place {
    ($name:ident) => {
        impl $name {
            /// The first place there is.
            pub const ZERO: Self = Self(0);

            /// Returns the place after this one.
            ///
            /// # Panics
            /// At `u64::MAX`, which no log reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("place in a log overflows u64"))
            }

            /// Returns the place `count` further on, or `None` past `u64::MAX`.
            #[must_use]
            pub const fn checked_add(self, count: u64) -> Option<Self> {
                match self.0.checked_add(count) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// Returns how far this place is past `earlier`, or `None` if it lies before it.
            #[must_use]
            pub const fn distance_from(self, earlier: Self) -> Option<u64> {
                self.0.checked_sub(earlier.0)
            }
        }

        impl Add<u64> for $name {
            type Output = Self;

            /// # Panics
            /// If the sum passes `u64::MAX`; numbers from outside go through `checked_add`.
            fn add(self, count: u64) -> Self {
                self.checked_add(count).expect("place in a log overflows u64")
            }
        }
    };
}

number! {
    /// A record's place in its partition. At most `i64::MAX` in a batch, where it is signed.
    Offset(u64)
}
place!(Offset);

impl Offset {
    /// The last offset that a record batch can name.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());
}

number! {
    /// An entry's place in the Raft log of its partition.
    RaftIndex(u64)
}
place!(RaftIndex);

impl RaftIndex {
    /// The last index that a frame or a segment may name: places near it still add up without overflowing.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());
}

number! {
    /// The Raft term under which an entry was proposed.
    RaftTerm(u64)
}

number! {
    /// The Raft term as stamped in batches; at most `i32::MAX` there.
    LeaderEpoch(u32)
}

number! {
    /// A partition's number within its topic.
    PartitionId(u32)
}

number! {
    /// A broker of the cluster.
    BrokerId(u32)
}

number! {
    /// The identity under which a producer numbers its batches; at most `i64::MAX` in a batch.
    ProducerId(u64)
}

number! {
    /// The incarnation of a producer id; at most `i16::MAX` in a batch.
    ProducerEpoch(u16)
}

number! {
    /// The number of a record within its producer's stream to one partition; at most `i32::MAX`.
    Sequence(u32)
}

impl Sequence {
    /// The largest sequence; the one after it is 0.
    pub const MAX: Self = Self(i32::MAX.unsigned_abs());

    /// Returns the sequence `count` records further on, wrapping from `i32::MAX` to 0 as Kafka's
    /// clients do.
    #[must_use]
    pub const fn advanced_by(self, count: u32) -> Self {
        let modulus = Self::MAX.0 as u64 + 1;
        let sum = (self.0 as u64 + count as u64) % modulus;
        #[expect(clippy::cast_possible_truncation, reason = "below 2^31 by the modulus")]
        let wrapped = sum as u32;
        Self(wrapped)
    }
}

/// The identity of a topic: a re-created topic of the same name has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// Wraps the 16 bytes of a UUID.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes.
    #[must_use]
    pub const fn get(self) -> [u8; 16] {
        self.0
    }

    /// Returns the 16 bytes by reference.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Byte positions before which the hyphenated form of a UUID has its hyphens.
const HYPHEN_BEFORE_BYTE: [usize; 4] = [4, 6, 8, 10];

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            if HYPHEN_BEFORE_BYTE.contains(&position) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A text is not a topic id: not 32 hexadecimal digits in the form 8-4-4-4-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicIdError;

impl fmt::Display for TopicIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("topic id is not a hyphenated UUID of 36 characters")
    }
}

impl std::error::Error for TopicIdError {}

impl FromStr for TopicId {
    type Err = TopicIdError;

    /// Reads the form that `Display` writes; hexadecimal digits may be of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text.as_bytes();
        let mut id = [0; 16];
        for (position, byte) in id.iter_mut().enumerate() {
            if HYPHEN_BEFORE_BYTE.contains(&position) {
                rest = rest.strip_prefix(b"-").ok_or(TopicIdError)?;
            }
            let (digits, tail) = rest.split_first_chunk::<2>().ok_or(TopicIdError)?;
            *byte = hex_digit(digits[0])? << 4 | hex_digit(digits[1])?;
            rest = tail;
        }
        if rest.is_empty() { Ok(Self(id)) } else { Err(TopicIdError) }
    }
}

const fn hex_digit(digit: u8) -> Result<u8, TopicIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(TopicIdError),
    }
}

/// A topic's name: `[A-Za-z0-9._-]{1,249}`, not `.` or `..`. Cheap to clone: clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The longest name, as in Kafka.
    pub const BYTES_MAX: usize = 249;

    /// Checks and wraps a name.
    ///
    /// # Errors
    /// If the name breaks the rule above.
    pub fn new(name: impl Into<String>) -> Result<Self, TopicNameError> {
        let name = name.into();
        if name.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if name.len() > Self::BYTES_MAX {
            return Err(TopicNameError::TooLong { bytes: name.len() });
        }
        if name == "." || name == ".." {
            return Err(TopicNameError::Dots);
        }
        let forbidden = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
        match forbidden {
            Some(character) => Err(TopicNameError::Character(character)),
            None => Ok(Self(name.into())),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names are looked up by their text, which they are ordered, compared and hashed by.
impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

/// A text is not a topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicNameError {
    /// There are no characters.
    Empty,
    /// There are more than [`TopicName::BYTES_MAX`] bytes.
    TooLong {
        /// The name's length.
        bytes: usize,
    },
    /// The name is `.` or `..`, which a file system reserves.
    Dots,
    /// The name holds a character outside `[A-Za-z0-9._-]`.
    Character(char),
}

impl fmt::Display for TopicNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("topic name is empty"),
            Self::TooLong { bytes } => {
                write!(f, "topic name has {bytes} bytes, at most {} are allowed", TopicName::BYTES_MAX)
            }
            Self::Dots => f.write_str("topic name is . or .."),
            Self::Character(character) => {
                write!(f, "topic name holds {character:?}, allowed are A-Z a-z 0-9 . _ -")
            }
        }
    }
}

impl std::error::Error for TopicNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_round_trips_through_its_hyphenated_form() {
        let id = TopicId::new(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x11\x22\x33\x44\x55\x66\x77");
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0011-223344556677");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("01234567-89AB-CDEF-0011-223344556677".parse(), Ok(id));
    }

    #[test]
    fn malformed_topic_ids_are_refused() {
        for text in [
            "",
            "01234567-89ab-cdef-0011-22334455667",
            "01234567-89ab-cdef-0011-2233445566777",
            "0123456789abcdef0011223344556677",
            "0123456-789ab-cdef-0011-223344556677",
            "g1234567-89ab-cdef-0011-223344556677",
            "é1234567-89ab-cdef-0011-22334455667",
        ] {
            assert_eq!(text.parse::<TopicId>(), Err(TopicIdError), "{text:?}");
        }
    }

    #[test]
    fn topic_names_follow_the_rule() {
        for name in ["a", "A.b_c-9", "...", &"x".repeat(249)] {
            assert_eq!(TopicName::new(name).unwrap().as_str(), name);
        }
        assert_eq!(TopicName::new(""), Err(TopicNameError::Empty));
        assert_eq!(TopicName::new("."), Err(TopicNameError::Dots));
        assert_eq!(TopicName::new(".."), Err(TopicNameError::Dots));
        assert_eq!(TopicName::new("a/b"), Err(TopicNameError::Character('/')));
        assert_eq!(TopicName::new("ä"), Err(TopicNameError::Character('ä')));
        assert_eq!(TopicName::new("x".repeat(250)), Err(TopicNameError::TooLong { bytes: 250 }));
    }

    #[test]
    fn sequences_wrap_to_zero_after_the_largest() {
        assert_eq!(Sequence::new(5).advanced_by(3), Sequence::new(8));
        assert_eq!(Sequence::MAX.advanced_by(1), Sequence::new(0));
        assert_eq!(Sequence::MAX.advanced_by(u32::MAX), Sequence::MAX.advanced_by(i32::MAX.unsigned_abs()));
    }

    #[test]
    fn places_count_forward_only() {
        assert_eq!(Offset::new(4).next(), Offset::new(5));
        assert_eq!(Offset::new(4) + 6, Offset::new(10));
        assert_eq!(Offset::new(u64::MAX).checked_add(1), None);
        assert_eq!(RaftIndex::new(9).distance_from(RaftIndex::new(4)), Some(5));
        assert_eq!(RaftIndex::new(4).distance_from(RaftIndex::new(9)), None);
    }
}
