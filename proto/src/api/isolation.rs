//! Which records a reader sees.

use super::{FieldError, v1};

/// Up to where a reader sees records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IsolationLevel {
    /// Below the high watermark.
    #[default]
    ReadUncommitted,
    /// Below the last stable offset.
    ReadCommitted,
}

impl IsolationLevel {
    /// Reads the field `isolation_level`; unspecified is [`IsolationLevel::ReadUncommitted`].
    ///
    /// # Errors
    /// If the number is none of the enum's.
    pub fn from_field(number: i32) -> Result<Self, FieldError> {
        match v1::IsolationLevel::try_from(number) {
            Ok(v1::IsolationLevel::Unspecified | v1::IsolationLevel::ReadUncommitted) => Ok(Self::ReadUncommitted),
            Ok(v1::IsolationLevel::ReadCommitted) => Ok(Self::ReadCommitted),
            Err(_) => Err(FieldError::UnknownNumber { field: "isolation_level", number }),
        }
    }
}

impl From<IsolationLevel> for v1::IsolationLevel {
    fn from(level: IsolationLevel) -> Self {
        match level {
            IsolationLevel::ReadUncommitted => Self::ReadUncommitted,
            IsolationLevel::ReadCommitted => Self::ReadCommitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_round_trip_and_unknown_ones_are_refused() {
        for level in [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted] {
            assert_eq!(IsolationLevel::from_field(v1::IsolationLevel::from(level).into()), Ok(level));
        }
        assert_eq!(IsolationLevel::from_field(0), Ok(IsolationLevel::ReadUncommitted));
        let unknown = FieldError::UnknownNumber { field: "isolation_level", number: 3 };
        assert_eq!(IsolationLevel::from_field(3), Err(unknown));
    }
}
