//! Who votes in a group.

use std::fmt;

use tidelog_proto::ids::BrokerId;

/// One replica of a Raft group: a broker, and which of its lives in the group it is.
///
/// A replica that lost its disk comes back under a new incarnation, so a vote that it forgot is never asked for twice.
/// As a number it is `broker_id << 32 | incarnation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(u64);

impl ReplicaId {
    /// Names a broker's replica.
    #[must_use]
    pub const fn new(broker: BrokerId, incarnation: u32) -> Self {
        Self((broker.get() as u64) << 32 | incarnation as u64)
    }

    /// Reads the number that [`ReplicaId::get`] gives. Every number is one.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Gives it as one number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Gives the broker.
    #[must_use]
    pub const fn broker(self) -> BrokerId {
        BrokerId::new((self.0 >> 32) as u32)
    }

    /// Gives the incarnation.
    #[must_use]
    pub const fn incarnation(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
        let incarnation = self.0 as u32;
        incarnation
    }
}

impl From<u64> for ReplicaId {
    fn from(number: u64) -> Self {
        Self::from_number(number)
    }
}

impl fmt::Display for ReplicaId {
    /// Writes `broker.incarnation`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.broker(), self.incarnation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_read_back() {
        let replica = ReplicaId::new(BrokerId::new(u32::MAX), 7);
        assert_eq!(replica.get(), 0xffff_ffff_0000_0007);
        assert_eq!((replica.broker(), replica.incarnation()), (BrokerId::new(u32::MAX), 7));
        assert_eq!(ReplicaId::from_number(replica.get()), replica);
        assert_eq!(replica.to_string(), "4294967295.7");
    }
}
