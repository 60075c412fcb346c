//! Numbers and ids of messages as the types of this crate, within their bounds.

use super::{FieldError, v1};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId};

/// Reads an offset.
///
/// # Errors
/// If it is above [`Offset::MAX`].
pub fn offset(field: &'static str, value: u64) -> Result<Offset, FieldError> {
    at_most(field, value, Offset::MAX.get()).map(Offset::new)
}

/// Reads a leader epoch.
///
/// # Errors
/// If it is above `i32::MAX`.
pub fn leader_epoch(field: &'static str, value: u32) -> Result<LeaderEpoch, FieldError> {
    at_most(field, u64::from(value), u64::from(i32::MAX.unsigned_abs())).map(|_| LeaderEpoch::new(value))
}

/// Reads a topic id.
///
/// # Errors
/// If it does not have 16 bytes.
pub fn topic_id(field: &'static str, id: &[u8]) -> Result<TopicId, FieldError> {
    id.try_into().map(TopicId::new).map_err(|_| FieldError::TopicIdLength { field, bytes: id.len() })
}

/// Reads a producer's identity.
///
/// # Errors
/// If the id is above `i64::MAX` or the epoch above `i16::MAX`.
pub fn producer(identity: &v1::ProducerIdentity) -> Result<(ProducerId, ProducerEpoch), FieldError> {
    let id = at_most("producer_id", identity.producer_id, i64::MAX.unsigned_abs())?;
    let allowed = i16::MAX.unsigned_abs();
    let epoch = u16::try_from(identity.producer_epoch).ok().filter(|epoch| *epoch <= allowed);
    let epoch = epoch.ok_or_else(|| FieldError::TooLarge {
        field: "producer_epoch",
        value: u64::from(identity.producer_epoch),
        allowed: u64::from(allowed),
    })?;
    Ok((ProducerId::new(id), ProducerEpoch::new(epoch)))
}

fn at_most(field: &'static str, value: u64, allowed: u64) -> Result<u64, FieldError> {
    if value <= allowed { Ok(value) } else { Err(FieldError::TooLarge { field, value, allowed }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_are_inclusive() {
        let (last, past) = (i64::MAX.unsigned_abs(), 1 << 63);
        assert_eq!(offset("offset", last), Ok(Offset::MAX));
        assert_eq!(offset("offset", past), Err(FieldError::TooLarge { field: "offset", value: past, allowed: last }));

        assert_eq!(leader_epoch("leader_epoch", 0x7fff_ffff), Ok(LeaderEpoch::new(0x7fff_ffff)));
        assert!(leader_epoch("leader_epoch", 0x8000_0000).is_err());

        let newest = v1::ProducerIdentity { producer_id: last, producer_epoch: 0x7fff };
        assert_eq!(producer(&newest), Ok((ProducerId::new(last), ProducerEpoch::new(0x7fff))));
        assert!(producer(&v1::ProducerIdentity { producer_id: past, ..newest }).is_err());
        assert!(producer(&v1::ProducerIdentity { producer_epoch: 0x8000, ..newest }).is_err());
        assert!(producer(&v1::ProducerIdentity { producer_epoch: 0x1_0000, ..newest }).is_err());
    }

    proptest! {
        #[test]
        fn what_is_taken_keeps_its_value(value: u64, epoch: u32, id in proptest::collection::vec(any::<u8>(), 0..33)) {
            prop_assert!(offset("offset", value).is_ok_and(|taken| taken.get() == value) || value > Offset::MAX.get());
            prop_assert!(leader_epoch("epoch", epoch).is_ok_and(|taken| taken.get() == epoch) || epoch > i32::MAX.unsigned_abs());
            prop_assert!(topic_id("id", &id).is_ok_and(|taken| taken.as_bytes()[..] == id[..]) || id.len() != 16);
            let identity = v1::ProducerIdentity { producer_id: value, producer_epoch: epoch };
            if let Ok((producer_id, producer_epoch)) = producer(&identity) {
                prop_assert_eq!((producer_id.get(), u32::from(producer_epoch.get())), (value, epoch));
            }
        }
    }
}
