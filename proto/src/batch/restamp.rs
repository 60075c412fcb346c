//! Another producer's place on a batch that was built before.

use bytes::BytesMut;

use super::builder::producer_fields;
use super::header::at;
use super::header_fields::HeaderFields;
use super::{BuildError, ProducerStamp, RecordBatch};

impl RecordBatch {
    /// Returns the batch with another producer and sequence, its CRC computed anew and everything else as it was.
    ///
    /// Copies the batch only if its bytes are shared.
    ///
    /// # Errors
    /// If the producer's numbers are out of the ranges that a batch can hold.
    pub fn with_producer(self, producer: ProducerStamp) -> Result<Self, BuildError> {
        let (id, epoch, base_sequence) = producer_fields(producer).ok_or(BuildError::Producer(producer))?;
        let mut bytes = self.into_bytes().try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let mut fields = HeaderFields::new(&mut bytes);
        fields.put(at::PRODUCER_ID, id.to_be_bytes());
        fields.put(at::PRODUCER_EPOCH, epoch.to_be_bytes());
        fields.put(at::BASE_SEQUENCE, base_sequence.to_be_bytes());
        fields.seal();
        Ok(Self::parse_verified(bytes.freeze())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord};
    use crate::ids::{ProducerEpoch, ProducerId, Sequence};

    #[test]
    fn another_producer_is_all_that_changes() {
        let mut builder = BatchBuilder::new(Compression::Lz4);
        builder.push(&NewRecord { timestamp: 5, value: Some(b"v"), ..NewRecord::default() }).unwrap();
        let batch = builder.finish().unwrap();
        let stamp = ProducerStamp {
            id: ProducerId::new(9),
            epoch: ProducerEpoch::new(2),
            base_sequence: Some(Sequence::new(40)),
        };
        let shared = batch.clone();
        let stamped = batch.with_producer(stamp).unwrap();
        assert_eq!(stamped.header().producer(), Some(stamp));
        assert_eq!(shared.header().producer(), None);
        assert_eq!(RecordBatch::parse(stamped.bytes().clone()).unwrap().verify_crc(), Ok(()));
        assert_eq!(
            stamped.records(DecodeLimits::default()).unwrap().collect::<Vec<_>>(),
            shared.records(DecodeLimits::default()).unwrap().collect::<Vec<_>>()
        );
    }

    #[test]
    fn numbers_that_a_batch_cannot_hold_are_refused() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord::default()).unwrap();
        let stamp = ProducerStamp { id: ProducerId::new(0), epoch: ProducerEpoch::new(u16::MAX), base_sequence: None };
        assert_eq!(builder.finish().unwrap().with_producer(stamp), Err(BuildError::Producer(stamp)));
    }
}
