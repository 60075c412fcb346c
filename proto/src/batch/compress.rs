//! Plain records to compressed ones.

use std::io::Write;

use flate2::GzBuilder;

use super::{BATCH_HEADER_BYTES, Compression, DecodeLimits, lz4};

/// Kafka's default, a balance of size and time.
const GZIP_LEVEL: u32 = 6;

/// A codec is known by number only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnsupportedCodec(pub(super) Compression);

/// Compresses a batch that has room for its header and then its plain records.
///
/// Returns the batch as it is to be stored, its header still to be filled in, and the codec that was
/// used: what does not shrink, or shrinks beyond the ratio that decoders take by default, stays plain.
pub(super) fn compress(codec: Compression, plain: Vec<u8>) -> Result<(Vec<u8>, Compression), UnsupportedCodec> {
    let records = &plain[BATCH_HEADER_BYTES..];
    let mut compressed = vec![0; BATCH_HEADER_BYTES];
    match codec {
        Compression::None => return Ok((plain, codec)),
        Compression::Gzip => gzip(records, &mut compressed),
        Compression::Lz4 => lz4::encode(records, &mut compressed),
        Compression::Snappy | Compression::Zstd => return Err(UnsupportedCodec(codec)),
    }
    let compressed_bytes = compressed.len() - BATCH_HEADER_BYTES;
    if compressed_bytes < records.len() && DecodeLimits::DEFAULT.allow(records.len(), compressed_bytes) {
        Ok((compressed, codec))
    } else {
        Ok((plain, Compression::None))
    }
}

fn gzip(plain: &[u8], output: &mut Vec<u8>) {
    let level = flate2::Compression::new(GZIP_LEVEL);
    let mut encoder = GzBuilder::new().write(output, level);
    encoder.write_all(plain).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail");
}
