//! When a batch counts as appended.

use super::{FieldError, v1};

/// What a producer waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acks {
    /// Nothing.
    None,
    /// The leader's sync.
    Leader,
    /// The commit: a majority's sync.
    #[default]
    All,
}

impl Acks {
    /// Reads the field `acks`; unspecified is [`Acks::All`].
    ///
    /// # Errors
    /// If the number is none of the enum's.
    pub fn from_field(number: i32) -> Result<Self, FieldError> {
        match v1::Acks::try_from(number) {
            Ok(v1::Acks::Unspecified | v1::Acks::All) => Ok(Self::All),
            Ok(v1::Acks::Leader) => Ok(Self::Leader),
            Ok(v1::Acks::None) => Ok(Self::None),
            Err(_) => Err(FieldError::UnknownNumber { field: "acks", number }),
        }
    }
}

impl From<Acks> for v1::Acks {
    fn from(acks: Acks) -> Self {
        match acks {
            Acks::None => Self::None,
            Acks::Leader => Self::Leader,
            Acks::All => Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_round_trip_and_the_default_is_the_safest() {
        for acks in [Acks::None, Acks::Leader, Acks::All] {
            assert_eq!(Acks::from_field(v1::Acks::from(acks).into()), Ok(acks));
        }
        assert_eq!(Acks::from_field(0), Ok(Acks::All));
        assert_eq!(Acks::from_field(-1), Err(FieldError::UnknownNumber { field: "acks", number: -1 }));
        assert_eq!(Acks::from_field(4), Err(FieldError::UnknownNumber { field: "acks", number: 4 }));
    }
}
