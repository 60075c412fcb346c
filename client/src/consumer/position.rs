//! Where reading starts, and what to do where that place is gone.

use tidelog_proto::ids::Offset;

/// Where reading of a partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The first record kept.
    Start,
    /// Behind the last record there is when the partition is opened.
    End,
    /// This offset, inclusive. Where it was compacted away, the next one there is.
    Offset(Offset),
    /// The first record whose timestamp is this or later, in milliseconds since the start of 1970 UTC; as `End` if there is
    /// none yet.
    Timestamp(i64),
}

impl From<Position> for tidelog_proto::api::Position {
    fn from(position: Position) -> Self {
        match position {
            Position::Start => Self::Earliest,
            Position::End => Self::Latest,
            Position::Offset(offset) => Self::Offset(offset),
            Position::Timestamp(timestamp_ms) => Self::Timestamp(timestamp_ms),
        }
    }
}

/// What to do where the position is not in the log (any more): retention deleted it, or it is past the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutOfRange {
    /// Go on at the first record kept: what was deleted is skipped.
    Earliest,
    /// Go on behind the last record: everything until then is skipped.
    Latest,
    /// Stop the partition with [`ConsumeError::OffsetOutOfRange`](crate::ConsumeError::OffsetOutOfRange).
    #[default]
    Error,
}
