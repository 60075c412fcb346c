//! Bytes as a record batch, through everything that reads or rewrites one.
//!
//! Compressed records are made in four ways: as they come, by encoders other than ours, as a raw deflate stream under a
//! true gzip trailer, and as raw LZ4 blocks under true frame checksums. Where a second decoder reads them too, both must
//! find the same records.

#![no_main]
#![forbid(unsafe_code)]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidelog_fuzz::batch_checks::{LIMITS, check_batch, read};
use tidelog_fuzz::checksums::{BATCH_HEADER_BYTES, seal_batch};
use tidelog_fuzz::compressed::{deflate_stream, gzip, lz4, lz4_blocks};
use tidelog_fuzz::input::Input;
use tidelog_proto::batch::{BatchError, DecompressError, RecordBatch};

const GZIP: u8 = 1;
const LZ4: u8 = 3;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let choices = input.array();
    match mode % 8 {
        0 => check_batch(Bytes::copy_from_slice(input.take_rest()), choices),
        1 | 2 => {
            let mut batch = input.take_rest().to_vec();
            seal_batch(&mut batch);
            check_batch(batch.into(), choices);
        }
        3 => {
            let header = input.array();
            let plain = input.take_rest();
            check_same(header, GZIP, &gzip(plain), Some(plain), choices);
        }
        4 => {
            let (header, descriptor) = (input.array(), input.byte());
            let plain = input.take_rest();
            check_same(header, LZ4, &lz4(plain, descriptor), Some(plain), choices);
        }
        5 => {
            let header = input.array();
            let (stream, plain) = deflate_stream(input.take_rest(), LIMITS.decompressed_bytes_max as usize);
            check_same(header, GZIP, &stream, plain.as_deref(), choices);
        }
        _ => {
            let header = input.array();
            let (frame, plain) = lz4_blocks(&mut input, LIMITS.decompressed_bytes_max as usize);
            check_same(header, LZ4, &frame, plain.as_deref(), choices);
        }
    }
});

/// Checks that compressed records are the same as `plain`, if our decoder takes them and another one could, too.
fn check_same(header: [u8; BATCH_HEADER_BYTES], codec: u8, compressed: &[u8], plain: Option<&[u8]>, choices: [u8; 8]) {
    let batch_of = |codec: u8, records: &[u8]| {
        let mut batch = [&header, records].concat();
        batch[16] = 2;
        batch[22] = batch[22] & !7 | codec;
        seal_batch(&mut batch);
        RecordBatch::parse(batch.into())
    };
    let compressed = match (batch_of(codec, compressed), batch_of(0, plain.unwrap_or(&[]))) {
        (Ok(compressed), Ok(uncompressed)) => {
            let (records, error) = read(&compressed, LIMITS);
            match (error, plain) {
                (Some(BatchError::Decompress(error)), Some(plain)) => check_refusal(error, plain, codec),
                (Some(BatchError::Decompress(_)), None) => {}
                (error, Some(_)) => assert_eq!((records, error), read(&uncompressed, LIMITS)),
                (_, None) => panic!("our decoder reads what no other does"),
            }
            compressed
        }
        // The same but for the codec.
        (Err(_), Err(_)) => return,
        (compressed, uncompressed) => panic!("one header is sane: {compressed:?} {uncompressed:?}"),
    };
    check_batch(compressed.into_bytes(), choices);
}

/// Our decoder refuses what another one reads only for its size, or LZ4 blocks for rules that not all decoders have.
fn check_refusal(error: DecompressError, plain: &[u8], codec: u8) {
    let is_large = matches!(error, DecompressError::OutputLimit { .. }) && !plain.is_empty();
    assert!(is_large || (codec == LZ4 && matches!(error, DecompressError::Lz4(_))), "{error}");
}
