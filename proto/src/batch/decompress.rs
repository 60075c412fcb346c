//! Compressed records to plain ones, never past a cap.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::GzDecoder;

use super::{BATCH_BYTES_MAX, Compression, lz4};

/// How much a decoder may make of what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The most bytes that the records of one batch may decompress to.
    pub decompressed_bytes_max: u32,
    /// The most bytes that one compressed byte may become.
    pub ratio_max: u32,
}

impl DecodeLimits {
    /// 64 MiB and 1000:1. What [`BatchBuilder`](super::BatchBuilder) writes stays within them.
    pub const DEFAULT: Self = Self { decompressed_bytes_max: BATCH_BYTES_MAX, ratio_max: 1000 };

    /// Returns the cap for this many compressed bytes.
    fn output_bytes_max(self, compressed_bytes: usize) -> usize {
        let by_ratio = compressed_bytes.saturating_mul(self.ratio_max as usize);
        by_ratio.min(self.decompressed_bytes_max as usize)
    }

    /// Tells whether records of `plain_bytes` may be stored as `compressed_bytes`.
    pub(super) fn allow(self, plain_bytes: usize, compressed_bytes: usize) -> bool {
        plain_bytes <= self.output_bytes_max(compressed_bytes)
    }
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Compressed records cannot be made plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecompressError {
    /// The codec is known by number only.
    UnsupportedCodec(Compression),
    /// The records would be larger than the limits allow for their compressed size.
    OutputLimit {
        /// The limit that they pass.
        output_bytes_max: u64,
    },
    /// Bytes follow the end of the compressed stream.
    TrailingBytes(u64),
    /// The stream is not well-formed gzip, fails its own check or ends too soon.
    Gzip,
    /// The stream is not a well-formed LZ4 frame.
    Lz4(Lz4Fault),
}

/// What is wrong with an LZ4 frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lz4Fault {
    /// It ends too soon.
    Truncated,
    /// It does not start with the magic of a frame.
    Magic,
    /// It is of another version, or has reserved bits set.
    Descriptor,
    /// It needs a dictionary.
    Dictionary,
    /// The checksum of its header does not fit.
    HeaderChecksum,
    /// A block is longer than the frame's header allows.
    BlockBytes,
    /// A block is not well-formed.
    Block,
    /// The checksum of a block does not fit.
    BlockChecksum,
    /// The content is not as long as the frame's header says.
    ContentBytes,
    /// The checksum of the content does not fit.
    ContentChecksum,
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedCodec(codec) => write!(f, "codec {codec} is not supported"),
            Self::OutputLimit { output_bytes_max } => {
                write!(f, "records decompress to more than the limit of {output_bytes_max} bytes")
            }
            Self::TrailingBytes(bytes) => write!(f, "{bytes} bytes follow the compressed records"),
            Self::Gzip => f.write_str("gzip stream is damaged or ends too soon"),
            Self::Lz4(fault) => write!(f, "lz4 frame {fault}"),
        }
    }
}

impl fmt::Display for Lz4Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "ends too soon",
            Self::Magic => "has another magic",
            Self::Descriptor => "has an unknown version or reserved bits",
            Self::Dictionary => "needs a dictionary",
            Self::HeaderChecksum => "fails its header checksum",
            Self::BlockBytes => "has a block above its declared block size",
            Self::Block => "has a damaged block",
            Self::BlockChecksum => "fails a block checksum",
            Self::ContentBytes => "differs from its declared content size",
            Self::ContentChecksum => "fails its content checksum",
        })
    }
}

impl std::error::Error for DecompressError {}

/// Makes the records of a batch plain; uncompressed ones are returned as they are.
pub(super) fn decompress(codec: Compression, stored: Bytes, limits: DecodeLimits) -> Result<Bytes, DecompressError> {
    let output_bytes_max = limits.output_bytes_max(stored.len());
    match codec {
        Compression::None => Ok(stored),
        Compression::Gzip => gunzip(&stored, output_bytes_max).map(Bytes::from),
        Compression::Lz4 => lz4::decode(&stored, output_bytes_max).map(Bytes::from),
        Compression::Snappy | Compression::Zstd => Err(DecompressError::UnsupportedCodec(codec)),
    }
}

/// Reads one gzip member. No Kafka client writes a second one, so it is refused as trailing bytes.
fn gunzip(stored: &[u8], output_bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let mut output = Vec::new();
    let mut decoder = GzDecoder::new(stored);
    // One byte more than allowed tells a stream that is too long from one that just fits.
    let capped = output_bytes_max as u64 + 1;
    let read = decoder.by_ref().take(capped).read_to_end(&mut output);
    // Its only other error is a failed allocation, which cannot be told from damage here.
    read.map_err(|_: io::Error| DecompressError::Gzip)?;
    if output.len() > output_bytes_max {
        return Err(DecompressError::OutputLimit { output_bytes_max: output_bytes_max as u64 });
    }
    match decoder.into_inner().len() {
        0 => Ok(output),
        trailing => Err(DecompressError::TrailingBytes(trailing as u64)),
    }
}
