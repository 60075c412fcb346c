//! A whole batch, owned.

use bytes::Bytes;

use super::{BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, BatchError, BatchHeader};

/// One record batch: a sane header and exactly the bytes that it declares.
///
/// The CRC is not part of the guarantee, since checking it reads every byte. Whether that has been done goes with the
/// batch, so that it is done once: [`RecordBatch::is_verified`]. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct RecordBatch {
    bytes: Bytes,
    /// The bytes fit their CRC. Says nothing about which batch it is: equal bytes are equal batches.
    is_verified: bool,
}

impl PartialEq for RecordBatch {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for RecordBatch {}

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
        Ok(Self { bytes, is_verified: false })
    }

    /// Takes bytes whose CRC was just computed, or checked.
    pub(crate) fn parse_verified(bytes: Bytes) -> Result<Self, BatchError> {
        Ok(Self { is_verified: true, ..Self::parse(bytes)? })
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

    /// Returns the batch with its CRC-32C checked, if that has not been done yet.
    ///
    /// # Errors
    /// [`BatchError::Checksum`] if it does not fit.
    pub fn verified(self) -> Result<Self, BatchError> {
        if !self.is_verified {
            self.verify_crc()?;
        }
        Ok(Self { is_verified: true, ..self })
    }

    /// Tells whether the bytes are known to fit their CRC: they were built or verified in this process.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.is_verified
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
