//! A whole batch, owned.

use bytes::Bytes;

use super::{BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, BatchError, BatchHeader};

/// One record batch: a sane header and exactly the bytes that it declares.
///
/// The CRC is not part of the guarantee: [`RecordBatch::verify_crc`] reads every byte, and its
/// caller knows whether that has been done before. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    bytes: Bytes,
}

impl RecordBatch {
    /// Takes `bytes` as one batch.
    ///
    /// # Errors
    /// If the header is not sane or the bytes are fewer or more than it declares.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let declared = u64::from(BatchHeader::parse(&bytes)?.total_bytes());
        let available = bytes.len() as u64;
        if available < declared {
            return Err(BatchError::Truncated { needed: declared, available });
        }
        if available > declared {
            return Err(BatchError::TrailingBytes { declared, available });
        }
        Ok(Self { bytes })
    }

    /// Returns the header.
    ///
    /// # Panics
    /// Never: it was checked when the batch was parsed.
    #[must_use]
    pub fn header(&self) -> BatchHeader<'_> {
        BatchHeader::parse(&self.bytes).expect("checked when the batch was parsed")
    }

    /// Returns all bytes, header included.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns all bytes, header included.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Returns the bytes after the header, compressed if the batch is.
    #[must_use]
    pub fn records_bytes(&self) -> Bytes {
        self.bytes.slice(BATCH_HEADER_BYTES..)
    }

    /// Checks the CRC-32C, which covers everything from the attributes on.
    ///
    /// # Errors
    /// [`BatchError::Checksum`] if it does not fit.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        verify_crc(&self.bytes, self.header())
    }
}

/// Checks the CRC-32C of the batch `bytes`, whose header is `header`.
pub(crate) fn verify_crc(bytes: &[u8], header: BatchHeader<'_>) -> Result<(), BatchError> {
    let stored = header.crc();
    let computed = compute_crc(bytes);
    if stored == computed { Ok(()) } else { Err(BatchError::Checksum { stored, computed }) }
}

/// Computes the CRC-32C of a whole batch, of which there are at least the prefix bytes.
pub(crate) fn compute_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(&bytes[BATCH_PREFIX_BYTES..])
}
