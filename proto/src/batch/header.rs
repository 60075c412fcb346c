//! The 61-byte header of a batch, read in place.

use super::{Attributes, BatchError, Compression};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

/// The length of a batch's header; the records follow it.
pub const BATCH_HEADER_BYTES: usize = 61;

/// The first bytes of the header, which the batch's own CRC does not cover.
pub const BATCH_PREFIX_BYTES: usize = 21;

/// The largest batch that any decoder takes, header included.
///
/// Far above any topic's `max_message_bytes`: it only bounds what a damaged length can claim.
pub const BATCH_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// The length field counts the bytes after itself: base offset and length field are not in it.
pub(super) const LENGTH_OVERHEAD_BYTES: u32 = 12;

/// The smallest batch: a header without records.
pub const BATCH_BYTES_MIN: u32 = 61;

pub(super) const MAGIC: i8 = 2;

/// Where each field begins.
pub(super) mod at {
    pub(in crate::batch) const BASE_OFFSET: usize = 0;
    pub(in crate::batch) const LENGTH: usize = 8;
    pub(in crate::batch) const LEADER_EPOCH: usize = 12;
    pub(in crate::batch) const MAGIC: usize = 16;
    pub(in crate::batch) const CRC: usize = 17;
    pub(in crate::batch) const ATTRIBUTES: usize = 21;
    pub(in crate::batch) const LAST_OFFSET_DELTA: usize = 23;
    pub(in crate::batch) const BASE_TIMESTAMP: usize = 27;
    pub(in crate::batch) const MAX_TIMESTAMP: usize = 35;
    pub(in crate::batch) const PRODUCER_ID: usize = 43;
    pub(in crate::batch) const PRODUCER_EPOCH: usize = 51;
    pub(in crate::batch) const BASE_SEQUENCE: usize = 53;
    pub(in crate::batch) const RECORD_COUNT: usize = 57;
}

const _: () = assert!(at::RECORD_COUNT + size_of::<i32>() == BATCH_HEADER_BYTES);
const _: () = assert!(at::ATTRIBUTES == BATCH_PREFIX_BYTES);
const _: () = assert!(at::LEADER_EPOCH == LENGTH_OVERHEAD_BYTES as usize);
const _: () = assert!(BATCH_HEADER_BYTES == BATCH_BYTES_MIN as usize);

/// A checked view of a batch's header.
///
/// Big-endian (Kafka: `DefaultRecordBatch`). The CRC-32C covers everything from the attributes to
/// the end of the batch, so that a broker can stamp base offset and leader epoch:
/// ```text
///  0  base offset i64         23  last offset delta i32    51  producer epoch i16, -1 none
///  8  length i32, total - 12  27  base timestamp i64, ms   53  base sequence i32, -1 none
/// 12  leader epoch i32        35  max timestamp i64, ms    57  record count i32
/// 16  magic i8 = 2            43  producer id i64,         61  records; if compressed, one
/// 17  crc u32                     -1 none                      blob of all of them
/// 21  attributes i16
/// ```
///
/// Guarantees: every accessor's value is in range, `last_offset()` does not overflow, and
/// `record_count()` is at most the number of offsets (fewer after compaction). The CRC is not
/// checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader<'a> {
    bytes: &'a [u8; BATCH_HEADER_BYTES],
    /// The attributes in `bytes`, checked.
    attributes: Attributes,
}

/// The producer's identity and place, as stamped in an idempotent batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first offset; transaction markers have none.
    pub base_sequence: Option<Sequence>,
}

impl<'a> BatchHeader<'a> {
    /// Checks the header at the start of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// If there are fewer than [`BATCH_HEADER_BYTES`] bytes or a field is out of its range.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let Some(bytes) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else {
            return Err(BatchError::Truncated { needed: BATCH_HEADER_BYTES as u64, available: bytes.len() as u64 });
        };
        let attributes = u16::from_be_bytes([bytes[at::ATTRIBUTES], bytes[at::ATTRIBUTES + 1]]);
        check_magic_and_length(bytes)?;
        let header = Self { bytes, attributes: Attributes::from_bits(attributes)? };
        header.check_offsets()?;
        header.check_producer()?;
        Ok(header)
    }

    fn check_offsets(&self) -> Result<(), BatchError> {
        let leader_epoch = self.i32_at(at::LEADER_EPOCH);
        if leader_epoch < -1 {
            return Err(BatchError::LeaderEpoch(leader_epoch));
        }
        let base_offset = self.i64_at(at::BASE_OFFSET);
        if base_offset < 0 {
            return Err(BatchError::BaseOffset(base_offset));
        }
        let last_offset_delta = self.i32_at(at::LAST_OFFSET_DELTA);
        if last_offset_delta < 0 || base_offset.checked_add(last_offset_delta.into()).is_none() {
            return Err(BatchError::LastOffsetDelta { base_offset, last_offset_delta });
        }
        let record_count = self.i32_at(at::RECORD_COUNT);
        if record_count < 0 || i64::from(record_count) > i64::from(last_offset_delta) + 1 {
            return Err(BatchError::RecordCount { record_count, last_offset_delta });
        }
        Ok(())
    }

    fn check_producer(&self) -> Result<(), BatchError> {
        let id = self.i64_at(at::PRODUCER_ID);
        let epoch = i16::from_be_bytes(self.field(at::PRODUCER_EPOCH));
        let base_sequence = self.i32_at(at::BASE_SEQUENCE);
        // Without a producer id the other two mean nothing: some clients leave a sequence of 0.
        let in_range = match id {
            -1 => true,
            0.. => epoch >= 0 && base_sequence >= -1,
            _ => false,
        };
        if in_range { Ok(()) } else { Err(BatchError::Producer { id, epoch, base_sequence }) }
    }

    /// Returns the 61 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8; BATCH_HEADER_BYTES] {
        self.bytes
    }

    /// Returns the offset of the batch's first place, whether or not its record is still there.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset::new(self.i64_at(at::BASE_OFFSET).cast_unsigned())
    }

    /// Returns the length of the whole batch, from [`BATCH_HEADER_BYTES`] to [`BATCH_BYTES_MAX`].
    #[must_use]
    pub fn total_bytes(&self) -> u32 {
        self.u32_at(at::LENGTH) + LENGTH_OVERHEAD_BYTES
    }

    /// Returns the epoch of the leader that appended the batch, if one has stamped it.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        u32::try_from(self.i32_at(at::LEADER_EPOCH)).ok().map(LeaderEpoch::new)
    }

    /// Returns the CRC-32C as stored.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.u32_at(at::CRC)
    }

    /// Returns the attributes.
    #[must_use]
    pub const fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Returns the codec of the records.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.attributes().compression()
    }

    /// Tells whether the records belong to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes().is_transactional()
    }

    /// Tells whether the batch holds a control record, which applications never see.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes().is_control()
    }

    /// Tells whether the base timestamp is reused as the time from which tombstones may go.
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes().has_delete_horizon()
    }

    /// Returns the distance from the base offset to the last offset.
    #[must_use]
    pub fn last_offset_delta(&self) -> u32 {
        self.u32_at(at::LAST_OFFSET_DELTA)
    }

    /// Returns the last offset that the batch takes, inclusive.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset() + u64::from(self.last_offset_delta())
    }

    /// Returns the offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Returns the timestamp in milliseconds to which the records' deltas are added.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        self.i64_at(at::BASE_TIMESTAMP)
    }

    /// Returns the largest timestamp in milliseconds, or the append time if the broker set it.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        self.i64_at(at::MAX_TIMESTAMP)
    }

    /// Returns who produced the batch, if it was an idempotent producer.
    #[must_use]
    pub fn producer(&self) -> Option<ProducerStamp> {
        let id = u64::try_from(self.i64_at(at::PRODUCER_ID)).ok()?;
        let epoch = u16::from_be_bytes(self.field(at::PRODUCER_EPOCH));
        let base_sequence = u32::try_from(self.i32_at(at::BASE_SEQUENCE)).ok();
        Some(ProducerStamp {
            id: ProducerId::new(id),
            epoch: ProducerEpoch::new(epoch),
            base_sequence: base_sequence.map(Sequence::new),
        })
    }

    /// Returns the number of records, at most `last_offset_delta() + 1`.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.u32_at(at::RECORD_COUNT)
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        field(self.bytes, at)
    }

    fn i64_at(&self, at: usize) -> i64 {
        i64::from_be_bytes(self.field(at))
    }

    fn i32_at(&self, at: usize) -> i32 {
        i32::from_be_bytes(self.field(at))
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.field(at))
    }
}

fn check_magic_and_length(bytes: &[u8; BATCH_HEADER_BYTES]) -> Result<(), BatchError> {
    let magic = i8::from_be_bytes(field(bytes, at::MAGIC));
    if magic != MAGIC {
        return Err(BatchError::Magic(magic));
    }
    let length = i32::from_be_bytes(field(bytes, at::LENGTH));
    let total = u32::try_from(length).ok().and_then(|length| length.checked_add(LENGTH_OVERHEAD_BYTES));
    match total {
        Some(BATCH_BYTES_MIN..=BATCH_BYTES_MAX) => Ok(()),
        _ => Err(BatchError::LengthField(length)),
    }
}

/// Copies a field out; `at` is one of the constants above.
fn field<const N: usize>(bytes: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
