//! Writing single fields of a header in place.

use super::header::{LENGTH_OVERHEAD_BYTES, at};
use super::record_batch::compute_crc;
use super::{Attributes, BATCH_HEADER_BYTES, BatchError, RecordBatch};

/// The fields of a batch under construction or correction: at least a header's bytes.
pub(super) struct HeaderFields<'a> {
    bytes: &'a mut [u8],
}

impl<'a> HeaderFields<'a> {
    /// # Panics
    /// If there are fewer bytes than a header has.
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        assert!(bytes.len() >= BATCH_HEADER_BYTES, "the caller has a header's bytes");
        Self { bytes }
    }

    pub(super) fn set_attributes(&mut self, attributes: Attributes) {
        self.put(at::ATTRIBUTES, attributes.bits().to_be_bytes());
    }

    /// Writes the big-endian bytes of the field that begins at `at`, a constant of the layout.
    pub(super) fn put<const N: usize>(&mut self, at: usize, field: [u8; N]) {
        self.bytes[at..at + N].copy_from_slice(&field);
    }

    /// Computes the CRC over everything from the attributes on; the last step of any change.
    pub(super) fn seal(mut self) {
        let crc = compute_crc(self.bytes);
        self.put(at::CRC, crc.to_be_bytes());
    }
}

/// Makes a batch of a header, whose length and CRC are not filled in yet, and its stored records.
///
/// # Errors
/// If the batch would be larger than any decoder takes, or a field of the header is out of range.
pub(super) fn seal_batch(mut bytes: Vec<u8>) -> Result<RecordBatch, BatchError> {
    let total = i32::try_from(bytes.len()).map_err(|_| BatchError::LengthField(i32::MAX))?;
    let length = total - LENGTH_OVERHEAD_BYTES.cast_signed();
    let mut fields = HeaderFields::new(&mut bytes);
    fields.put(at::LENGTH, length.to_be_bytes());
    fields.seal();
    RecordBatch::parse_verified(bytes.into())
}
