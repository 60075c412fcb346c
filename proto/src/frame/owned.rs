//! A frame that owns its body: what the log appends and returns.

use bytes::{BufMut, Bytes};

use super::header::{BASE_OFFSET_BYTES, FRAME_HEADER_BYTES, MAX_FRAME_BODY_BYTES};
use super::{FrameError, FrameHeader, FrameSeed, FrameStamp, FrameType, FrameView};
use crate::batch::RecordBatch;
use crate::ids::Offset;

/// One whole frame, valid by construction, except that the CRC of a batch in it may not have been checked yet
/// ([`Frame::verify`]). Cloning shares the body.
#[derive(Clone, Debug)]
pub struct Frame {
    header: FrameHeader,
    body: Bytes,
    /// A batch in the body fits its CRC. Says nothing about which frame it is: equal bytes are equal frames.
    is_verified: bool,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.body == other.body
    }
}

impl Eq for Frame {}

impl Frame {
    /// Frames a producer's batch, which has its base offset and leader epoch by now.
    #[must_use]
    pub fn data(seed: FrameSeed, stamp: FrameStamp, batch: RecordBatch) -> Self {
        let is_verified = batch.is_verified();
        Self { is_verified, ..Self::seal(seed, FrameType::Data, stamp, batch.into_bytes()) }
    }

    /// Frames the control batch that ends a transaction.
    #[must_use]
    pub fn transaction_marker(seed: FrameSeed, stamp: FrameStamp, batch: RecordBatch) -> Self {
        let is_verified = batch.is_verified();
        Self { is_verified, ..Self::seal(seed, FrameType::TransactionMarker, stamp, batch.into_bytes()) }
    }

    /// Frames an entry that takes no offset; `base_offset` is the log end offset where it stands.
    ///
    /// # Errors
    /// [`FrameError::BodyTooLarge`] if the payload does not fit, [`FrameError::BodyTooShort`] if the
    /// type needs more, [`FrameError::BaseOffset`] if the offset is out of range.
    ///
    /// # Panics
    /// If the type is one that carries a batch.
    pub fn internal(
        seed: FrameSeed,
        frame_type: FrameType,
        stamp: FrameStamp,
        base_offset: Offset,
        payload: &[u8],
    ) -> Result<Self, FrameError> {
        assert!(!frame_type.carries_batch(), "{frame_type:?} frames are made from a batch");
        if base_offset > Offset::MAX {
            return Err(FrameError::BaseOffset(base_offset));
        }
        let body_bytes = u64::from(BASE_OFFSET_BYTES).saturating_add(payload.len() as u64);
        if body_bytes > u64::from(MAX_FRAME_BODY_BYTES) {
            return Err(FrameError::BodyTooLarge { body_bytes, limit: MAX_FRAME_BODY_BYTES });
        }
        let mut body = Vec::with_capacity(BASE_OFFSET_BYTES as usize + payload.len());
        body.put_u64_le(base_offset.get());
        body.put_slice(payload);
        let frame = Self::seal(seed, frame_type, stamp, body.into());
        FrameHeader::decode(&frame.header.encode())?;
        Ok(frame)
    }

    /// Frames an advance of the log start offset.
    ///
    /// # Errors
    /// [`FrameError::BaseOffset`] if either offset is out of range.
    pub fn log_start(
        seed: FrameSeed,
        stamp: FrameStamp,
        base_offset: Offset,
        log_start_offset: Offset,
    ) -> Result<Self, FrameError> {
        if log_start_offset > Offset::MAX {
            return Err(FrameError::BaseOffset(log_start_offset));
        }
        let payload = log_start_offset.get().to_le_bytes();
        Self::internal(seed, FrameType::LogStart, stamp, base_offset, &payload)
    }

    /// Puts a header with a true checksum before `body`, whose length is in bounds.
    fn seal(seed: FrameSeed, frame_type: FrameType, stamp: FrameStamp, body: Bytes) -> Self {
        let body_bytes = u32::try_from(body.len()).expect("bounded by the caller");
        let mut header = FrameHeader { frame_type, body_bytes, stamp, header_crc: 0 };
        header.header_crc = seed.header_crc(frame_type, &header.encode(), &body);
        Self { header, body, is_verified: !frame_type.carries_batch() }
    }

    /// Takes the frame at the start of `bytes`, sharing them, with both checksums verified.
    ///
    /// # Errors
    /// If there is no whole and undamaged frame of this partition at the start of `bytes`.
    pub fn decode(seed: FrameSeed, bytes: &Bytes) -> Result<Self, FrameError> {
        let view = FrameView::parse(seed, bytes)?;
        view.verify_body()?;
        Ok(Self { header: view.header, body: bytes.slice_ref(view.body), is_verified: true })
    }

    /// Returns the same entry with what another copy of the log knows of durability.
    ///
    /// # Panics
    /// If the frame was made for another partition than that of `seed`.
    #[must_use]
    pub fn with_commit_lag(self, seed: FrameSeed, commit_lag: u32) -> Self {
        assert!(self.is_sealed_with(seed), "a frame is stamped anew for its own partition only");
        let stamp = FrameStamp { commit_lag, ..self.stamp() };
        Self { is_verified: self.is_verified, ..Self::seal(seed, self.frame_type(), stamp, self.body) }
    }

    /// Checks the CRC of the batch, if the frame carries one and that has not been done yet.
    ///
    /// # Errors
    /// [`FrameError::Batch`] if it does not fit.
    pub fn verify(&self) -> Result<(), FrameError> {
        if self.is_verified { Ok(()) } else { self.view().verify_body() }
    }

    /// Tells whether the frame was made for the partition of `seed`.
    #[must_use]
    pub fn is_sealed_with(&self, seed: FrameSeed) -> bool {
        seed.header_crc(self.header.frame_type, &self.header.encode(), &self.body) == self.header.header_crc
    }

    /// Returns the header.
    #[must_use]
    pub const fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Returns the body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns what the body is.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        self.header.frame_type
    }

    /// Returns what the leader stamped.
    #[must_use]
    pub const fn stamp(&self) -> FrameStamp {
        self.header.stamp
    }

    /// Returns the first offset that the frame takes, or the log end offset if it takes none.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.view().base_offset()
    }

    /// Returns the offset after the frame; equal to the base offset if it takes none.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.view().next_offset()
    }

    /// Returns the length of the whole frame.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.body.len()
    }

    /// Returns the frame as a borrowed view.
    #[must_use]
    pub fn view(&self) -> FrameView<'_> {
        FrameView { header: self.header, body: &self.body }
    }

    /// Returns the batch, if the frame carries one, sharing its bytes.
    ///
    /// # Panics
    /// Never: the batch was checked when the frame was made.
    #[must_use]
    pub fn batch(&self) -> Option<RecordBatch> {
        if !self.frame_type().carries_batch() {
            return None;
        }
        let body = self.body.clone();
        let batch = if self.is_verified { RecordBatch::parse_verified(body) } else { RecordBatch::parse(body) };
        Some(batch.expect("checked when the frame was made"))
    }

    /// Returns the body after the base offset, sharing it, if the frame carries no batch.
    #[must_use]
    pub fn payload(&self) -> Option<Bytes> {
        let payload = self.view().payload()?;
        Some(self.body.slice_ref(payload))
    }

    /// Appends the frame's bytes to `buffer`.
    pub fn encode_into(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.header.encode());
        buffer.put_slice(&self.body);
    }
}
