//! Where reading starts.

use super::{FieldError, offset, v1};
use crate::ids::Offset;

/// A place in a partition, before it was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// This offset.
    Offset(Offset),
    /// The log start offset.
    Earliest,
    /// The high watermark, or the last stable offset for a reader of committed records.
    Latest,
    /// The first record of this timestamp, in milliseconds, or a later one.
    Timestamp(i64),
}

impl Position {
    /// Reads the field `named` of any message.
    fn from_named(number: i32) -> Result<Self, FieldError> {
        match v1::NamedOffset::try_from(number) {
            Ok(v1::NamedOffset::Earliest) => Ok(Self::Earliest),
            Ok(v1::NamedOffset::Latest) => Ok(Self::Latest),
            Ok(v1::NamedOffset::Unspecified) => Err(FieldError::Missing { field: "named" }),
            Err(_) => Err(FieldError::UnknownNumber { field: "named", number }),
        }
    }
}

/// Defines both directions for a message whose place may also be an offset.
macro_rules! positions {
    ($($wire:ty,)*) => {
        $(
            impl TryFrom<Option<$wire>> for Position {
                type Error = FieldError;

                fn try_from(position: Option<$wire>) -> Result<Self, FieldError> {
                    type Wire = $wire;
                    match position {
                        None => Err(FieldError::Missing { field: "position" }),
                        Some(Wire::Offset(value)) => offset("offset", value).map(Self::Offset),
                        Some(Wire::Named(number)) => Self::from_named(number),
                        Some(Wire::TimestampMs(timestamp_ms)) => Ok(Self::Timestamp(timestamp_ms)),
                    }
                }
            }

            impl From<Position> for $wire {
                fn from(position: Position) -> Self {
                    match position {
                        Position::Offset(offset) => Self::Offset(offset.get()),
                        Position::Earliest => Self::Named(v1::NamedOffset::Earliest.into()),
                        Position::Latest => Self::Named(v1::NamedOffset::Latest.into()),
                        Position::Timestamp(timestamp_ms) => Self::TimestampMs(timestamp_ms),
                    }
                }
            }
        )*
    };
}

positions! {
    v1::fetch_open::Position,
    v1::fetch_seek::Position,
    v1::fetch_records_request::Position,
}

impl TryFrom<Option<v1::list_offsets_query::Place>> for Position {
    type Error = FieldError;

    /// Never gives [`Position::Offset`], which needs no looking up.
    fn try_from(place: Option<v1::list_offsets_query::Place>) -> Result<Self, FieldError> {
        match place {
            None => Err(FieldError::Missing { field: "place" }),
            Some(v1::list_offsets_query::Place::Named(number)) => Self::from_named(number),
            Some(v1::list_offsets_query::Place::TimestampMs(timestamp_ms)) => Ok(Self::Timestamp(timestamp_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_place_is_refused() {
        let missing = Err(FieldError::Missing { field: "position" });
        assert_eq!(Position::try_from(None::<v1::fetch_open::Position>), missing);
        assert_eq!(Position::try_from(None::<v1::fetch_seek::Position>), missing);
        assert_eq!(Position::try_from(None::<v1::fetch_records_request::Position>), missing);
        let place = Position::try_from(None::<v1::list_offsets_query::Place>);
        assert_eq!(place, Err(FieldError::Missing { field: "place" }));
    }

    #[test]
    fn unknown_names_and_offsets_past_the_last_are_refused() {
        use v1::fetch_open::Position as Wire;
        let refused = |wire| Position::try_from(Some(wire)).unwrap_err();
        assert_eq!(refused(Wire::Named(0)), FieldError::Missing { field: "named" });
        assert_eq!(refused(Wire::Named(7)), FieldError::UnknownNumber { field: "named", number: 7 });
        let allowed = Offset::MAX.get();
        assert_eq!(refused(Wire::Offset(1 << 63)), FieldError::TooLarge { field: "offset", value: 1 << 63, allowed });
    }

    proptest! {
        #[test]
        fn positions_round_trip(value in 0..=Offset::MAX.get(), timestamp_ms: i64) {
            let offset = Position::Offset(Offset::new(value));
            for position in [offset, Position::Earliest, Position::Latest, Position::Timestamp(timestamp_ms)] {
                prop_assert_eq!(Position::try_from(Some(v1::fetch_open::Position::from(position))), Ok(position));
                prop_assert_eq!(Position::try_from(Some(v1::fetch_seek::Position::from(position))), Ok(position));
                let records = v1::fetch_records_request::Position::from(position);
                prop_assert_eq!(Position::try_from(Some(records)), Ok(position));
            }
        }
    }
}
