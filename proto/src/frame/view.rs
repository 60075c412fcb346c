//! A frame read in place, without allocation: what the recovery scan is made of.

use super::header::{BASE_OFFSET_BYTES, MAX_FRAME_BODY_BYTES};
use super::{FRAME_HEADER_BYTES, FrameError, FrameHeader, FrameType};
use crate::batch::{self, BATCH_PREFIX_BYTES, BatchHeader};
use crate::ids::{Offset, PartitionId, TopicId};

/// The start value of every header checksum of one partition, so that bytes of another partition
/// (a recycled or misplaced file) never pass as its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSeed(u32);

impl FrameSeed {
    /// Computes the seed: crc32fast of the topic id's 16 bytes and the partition, u32 little-endian.
    #[must_use]
    pub fn new(topic_id: TopicId, partition: PartitionId) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(topic_id.as_bytes());
        hasher.update(&partition.get().to_le_bytes());
        Self(hasher.finalize())
    }

    /// Tells whether `bytes` start with a frame of this partition whose checksum holds, whatever its type, version and
    /// flags are: of a release that knows more than this one. Every version keeps the checksum and the body's length in
    /// their places, and covers the body's first [`BATCH_PREFIX_BYTES`] or all of it.
    #[must_use]
    pub fn vouches_for(self, bytes: &[u8]) -> bool {
        let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else { return false };
        let [c0, c1, c2, c3, _, _, _, _, l0, l1, l2, l3, ..] = *header;
        let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]).min(MAX_FRAME_BODY_BYTES) as usize;
        let Some(body) = rest.get(..body_bytes) else { return false };
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&header[size_of::<u32>()..]);
        let (prefix, others) = body.split_at(BATCH_PREFIX_BYTES.min(body_bytes));
        hasher.update(prefix);
        let of_prefix = hasher.clone().finalize();
        hasher.update(others);
        let stored = u32::from_le_bytes([c0, c1, c2, c3]);
        stored == of_prefix || stored == hasher.finalize()
    }

    /// Computes a header checksum.
    ///
    /// `header` is the encoded header, of which the first four bytes are left out; `body` is the
    /// body or, if it is a batch, at least its first [`BATCH_PREFIX_BYTES`].
    pub(super) fn header_crc(self, frame_type: FrameType, header: &[u8; FRAME_HEADER_BYTES], body: &[u8]) -> u32 {
        let covered = if frame_type.carries_batch() { &body[..BATCH_PREFIX_BYTES] } else { body };
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&header[size_of::<u32>()..]);
        hasher.update(covered);
        hasher.finalize()
    }
}

/// A frame whose header checksum fits, borrowed from the bytes around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView<'a> {
    /// The header.
    pub header: FrameHeader,
    /// The body, exactly as long as the header says.
    pub body: &'a [u8],
}

impl<'a> FrameView<'a> {
    /// Reads the frame at the start of `bytes`; what follows it is not looked at.
    ///
    /// Costs one checksum of 57 bytes for a frame that carries a batch. The checksum is tried before
    /// the length is believed, so `Truncated` with a `needed` beyond the fixed part means a true
    /// frame whose end is missing (of a frame without a batch: one whose fields are sane).
    ///
    /// # Errors
    /// If there is no frame of this partition, whole and with a sane body, at the start of `bytes`.
    pub fn parse(seed: FrameSeed, bytes: &'a [u8]) -> Result<Self, FrameError> {
        let header = FrameHeader::decode(bytes)?;
        let Some((header_bytes, rest)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return Err(truncated(FRAME_HEADER_BYTES, bytes));
        };
        let body_bytes = header.body_bytes as usize;
        let covered_bytes = if header.frame_type.carries_batch() { BATCH_PREFIX_BYTES } else { body_bytes };
        let Some(covered) = rest.get(..covered_bytes) else {
            return Err(truncated(FRAME_HEADER_BYTES + covered_bytes, bytes));
        };
        let computed = seed.header_crc(header.frame_type, header_bytes, covered);
        if computed != header.header_crc {
            return Err(FrameError::HeaderChecksum { stored: header.header_crc, computed });
        }
        let Some(body) = rest.get(..body_bytes) else {
            return Err(truncated(FRAME_HEADER_BYTES + body_bytes, bytes));
        };
        let view = Self { header, body };
        view.check_body()?;
        Ok(view)
    }

    fn check_body(&self) -> Result<(), FrameError> {
        if !self.header.frame_type.carries_batch() {
            let base_offset = self.internal_base_offset();
            if base_offset > Offset::MAX {
                return Err(FrameError::BaseOffset(base_offset));
            }
            return Ok(());
        }
        let batch_bytes = BatchHeader::parse(self.body)?.total_bytes();
        if batch_bytes != self.header.body_bytes {
            return Err(FrameError::LengthMismatch { frame: self.header.body_bytes, batch: batch_bytes });
        }
        Ok(())
    }

    /// Checks the part of the body that the header checksum leaves out: the batch's own CRC-32C.
    ///
    /// # Errors
    /// [`FrameError::Batch`] if it does not fit. Bodies without a batch always pass.
    pub fn verify_body(&self) -> Result<(), FrameError> {
        match self.batch() {
            Some(batch) => Ok(batch::verify_crc(self.body, batch)?),
            None => Ok(()),
        }
    }

    /// Returns the length of the whole frame.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.body.len()
    }

    /// Returns the first offset that the frame takes, or the log end offset if it takes none.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        match self.batch() {
            Some(batch) => batch.base_offset(),
            None => self.internal_base_offset(),
        }
    }

    /// Returns the offset after the frame; equal to the base offset if it takes none.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        match self.batch() {
            Some(batch) => batch.next_offset(),
            None => self.internal_base_offset(),
        }
    }

    /// Returns the header of the batch, if the frame carries one.
    ///
    /// # Panics
    /// Never on a view that `parse` made.
    #[must_use]
    pub fn batch(&self) -> Option<BatchHeader<'a>> {
        if !self.header.frame_type.carries_batch() {
            return None;
        }
        Some(BatchHeader::parse(self.body).expect("checked when the frame was parsed"))
    }

    /// Returns the body after the base offset, if the frame carries no batch.
    #[must_use]
    pub fn payload(&self) -> Option<&'a [u8]> {
        if self.header.frame_type.carries_batch() { None } else { self.body.get(BASE_OFFSET_BYTES as usize..) }
    }

    /// Returns the log start offset that the frame sets, if it is a log start entry.
    #[must_use]
    pub fn log_start_offset(&self) -> Option<Offset> {
        if self.header.frame_type != FrameType::LogStart {
            return None;
        }
        let payload = self.payload()?.first_chunk()?;
        Some(Offset::new(u64::from_le_bytes(*payload)))
    }

    /// Reads the base offset of a body without a batch, whose least length the header guarantees.
    fn internal_base_offset(&self) -> Offset {
        let bytes = self.body.first_chunk().expect("body is as long as its type needs");
        Offset::new(u64::from_le_bytes(*bytes))
    }
}

fn truncated(needed: usize, bytes: &[u8]) -> FrameError {
    FrameError::Truncated { needed: needed as u64, available: bytes.len() as u64 }
}
