use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use proptest::prelude::*;

use super::decompress::decompress;
use super::{Compression, DecodeLimits, DecompressError, Lz4Fault, lz4};

const WIDE: DecodeLimits = DecodeLimits { decompressed_bytes_max: 64 << 20, ratio_max: 2000 };

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A frame by the other codec, which knows all the options.
fn lz4_frame(plain: &[u8], info: FrameInfo) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn lz4_ours(plain: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    lz4::encode(plain, &mut frame);
    frame
}

fn unpack(codec: Compression, stored: &[u8], limits: DecodeLimits) -> Result<Vec<u8>, DecompressError> {
    decompress(codec, Bytes::copy_from_slice(stored), limits).map(|plain| plain.to_vec())
}

/// Compressible, but not of one byte only.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * at / 7) % 61).unwrap()).collect()
}

#[test]
fn golden_lz4_frame() {
    let mut expected = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
    expected.extend([3, 0, 0, 0x80, b'a', b'b', b'c']);
    expected.extend([0, 0, 0, 0]);
    assert_eq!(lz4_ours(b"abc"), expected);
}

#[test]
fn our_frames_are_read_by_the_other_codec() {
    for length in [0, 1, 12, 13, 65_535, 65_536, 65_537, 200_000] {
        let plain = text(length);
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut FrameDecoder::new(&lz4_ours(&plain)[..]), &mut read).unwrap();
        assert_eq!(read, plain);
    }
}

#[test]
fn frames_of_all_options_are_read() {
    let plain = text(300_000);
    for block_size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        for options in 0..16 {
            let info = FrameInfo::new()
                .block_size(block_size)
                .block_mode(if options & 1 == 0 { BlockMode::Independent } else { BlockMode::Linked })
                .block_checksums(options & 2 != 0)
                .content_checksum(options & 4 != 0)
                .content_size((options & 8 != 0).then_some(plain.len() as u64));
            let frame = lz4_frame(&plain, info);
            assert_eq!(unpack(Compression::Lz4, &frame, WIDE).unwrap(), plain, "{block_size:?} {options}");
        }
    }
}

#[test]
fn output_is_capped_by_size() {
    let plain = text(100_000);
    for (codec, stored) in [(Compression::Gzip, gzip(&plain)), (Compression::Lz4, lz4_ours(&plain))] {
        let fits = DecodeLimits { decompressed_bytes_max: 100_000, ..WIDE };
        assert_eq!(unpack(codec, &stored, fits).unwrap(), plain);
        let short = DecodeLimits { decompressed_bytes_max: 99_999, ..WIDE };
        let error = unpack(codec, &stored, short).unwrap_err();
        assert_eq!(error, DecompressError::OutputLimit { output_bytes_max: 99_999 }, "{codec}");
    }
}

#[test]
fn a_plain_block_of_an_lz4_frame_is_capped_too() {
    let stored = lz4_ours(b"abcdef");
    let limits = DecodeLimits { decompressed_bytes_max: 5, ..WIDE };
    let error = unpack(Compression::Lz4, &stored, limits).unwrap_err();
    assert_eq!(error, DecompressError::OutputLimit { output_bytes_max: 5 });
}

#[test]
fn bombs_are_refused() {
    // 64 MiB of zeros are about 65 kB of gzip, a ratio just above 1000.
    let stored = gzip(&vec![0; 64 << 20]);
    let error = unpack(Compression::Gzip, &stored, DecodeLimits::DEFAULT).unwrap_err();
    assert_eq!(error, DecompressError::OutputLimit { output_bytes_max: stored.len() as u64 * 1000 });
    // LZ4 does not reach that ratio: the absolute cap is its bound.
    let stored = lz4_ours(&vec![0; (64 << 20) + 1]);
    let error = unpack(Compression::Lz4, &stored, DecodeLimits::DEFAULT).unwrap_err();
    assert_eq!(error, DecompressError::OutputLimit { output_bytes_max: 64 << 20 });
}

#[test]
fn declared_sizes_are_not_believed() {
    // Blocks of up to 4 MiB and a content of 2^60 bytes, in a frame of a few bytes.
    let mut frame = lz4_frame(b"abc", FrameInfo::new().block_size(BlockSize::Max4MB).content_size(Some(3)));
    let plain = lz4::decode(&frame, 64 << 20).unwrap();
    assert_eq!(plain, b"abc");
    assert!(plain.capacity() <= frame.len() * 255, "{} bytes allocated", plain.capacity());
    frame[6..14].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    frame[14] = twox_hash::XxHash32::oneshot(0, &frame[4..14]).to_le_bytes()[1];
    let error = unpack(Compression::Lz4, &frame, WIDE).unwrap_err();
    assert_eq!(error, DecompressError::Lz4(Lz4Fault::ContentBytes));
}

#[test]
fn trailing_bytes_are_refused() {
    for (codec, mut stored) in [(Compression::Gzip, gzip(b"abc")), (Compression::Lz4, lz4_ours(b"abc"))] {
        stored.push(0);
        assert_eq!(unpack(codec, &stored, WIDE), Err(DecompressError::TrailingBytes(1)), "{codec}");
    }
}

#[test]
fn a_second_stream_is_refused_as_trailing_bytes() {
    for (codec, one) in [(Compression::Gzip, gzip(b"abc")), (Compression::Lz4, lz4_ours(b"abc"))] {
        let two = [one.clone(), one.clone()].concat();
        assert_eq!(unpack(codec, &two, WIDE), Err(DecompressError::TrailingBytes(one.len() as u64)), "{codec}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let plain = text(150_000);
    let checked = FrameInfo::new().block_checksums(true).content_checksum(true);
    for (codec, stored) in [
        (Compression::Gzip, gzip(&plain)),
        (Compression::Lz4, lz4_ours(&plain)),
        (Compression::Lz4, lz4_frame(&plain, checked)),
    ] {
        for length in (0..stored.len()).step_by(97).chain(stored.len().saturating_sub(20)..stored.len()) {
            assert!(unpack(codec, &stored[..length], WIDE).is_err(), "{codec} cut to {length}");
        }
    }
}

#[test]
fn faults_of_an_lz4_frame_are_told_apart() {
    let info = || FrameInfo::new().block_size(BlockSize::Max64KB).block_checksums(true).content_checksum(true);
    let plain = text(1000);
    let frame = lz4_frame(&plain, info());
    let fault_at = |at: usize, byte: u8| {
        let mut damaged = frame.clone();
        damaged[at] = byte;
        match unpack(Compression::Lz4, &damaged, WIDE) {
            Err(DecompressError::Lz4(fault)) => fault,
            result => panic!("byte {at}: {result:?}"),
        }
    };
    assert_eq!(fault_at(0, 5), Lz4Fault::Magic);
    // The legacy frame and skippable frames have magics of their own.
    assert_eq!(fault_at(0, 0x02), Lz4Fault::Magic);
    assert_eq!(fault_at(4, 0xb4), Lz4Fault::Descriptor);
    assert_eq!(fault_at(4, frame[4] | 2), Lz4Fault::Descriptor);
    assert_eq!(fault_at(4, frame[4] | 1), Lz4Fault::Dictionary);
    assert_eq!(fault_at(5, 0x30), Lz4Fault::Descriptor);
    assert_eq!(fault_at(5, 0x41), Lz4Fault::Descriptor);
    assert_eq!(fault_at(6, !frame[6]), Lz4Fault::HeaderChecksum);
    assert_eq!(fault_at(9, 2), Lz4Fault::BlockBytes);
    assert_eq!(fault_at(20, !frame[20]), Lz4Fault::BlockChecksum);
    assert_eq!(fault_at(frame.len() - 1, !frame[frame.len() - 1]), Lz4Fault::ContentChecksum);
    // Without block checksums, a match that reaches before the content.
    let mut block = lz4_ours(&[]);
    block.truncate(7);
    block.extend([4, 0, 0, 0, 0x10, b'a', 9, 0, 0, 0, 0, 0]);
    assert_eq!(unpack(Compression::Lz4, &block, WIDE), Err(DecompressError::Lz4(Lz4Fault::Block)));
}

#[test]
fn damage_to_gzip_is_refused() {
    let stored = gzip(&text(1000));
    let check = stored.len() - 8;
    for at in [0, 1, 2, check, stored.len() - 1] {
        let mut damaged = stored.clone();
        damaged[at] ^= 0x40;
        assert_eq!(unpack(Compression::Gzip, &damaged, WIDE), Err(DecompressError::Gzip), "byte {at}");
    }
    assert_eq!(unpack(Compression::Gzip, &[], WIDE), Err(DecompressError::Gzip));
}

#[test]
fn a_batch_that_would_pass_the_ratio_limit_stays_plain() {
    use super::samples::{Sample, build, read};
    let zeros = [Sample::of_value(&vec![0; 8 << 20])];
    let batch = build(Compression::Gzip, &zeros);
    assert_eq!(batch.header().compression(), Compression::None);
    assert_eq!(read(&batch), zeros);
    let batch = build(Compression::Lz4, &zeros);
    assert_eq!(batch.header().compression(), Compression::Lz4);
    assert_eq!(read(&batch), zeros);
}

proptest! {
    #[test]
    fn lz4_frames_round_trip(plain in prop::collection::vec(0_u8..3, 0..200_000)) {
        prop_assert_eq!(unpack(Compression::Lz4, &lz4_ours(&plain), WIDE).unwrap(), plain);
    }

    #[test]
    fn any_bytes_behind_a_true_lz4_header_are_read_or_refused(
        flags in prop::sample::select(vec![0x40_u8, 0x60, 0x50, 0x44]),
        blocks in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut frame = vec![0x04, 0x22, 0x4d, 0x18, flags, 0x40];
        frame.push(twox_hash::XxHash32::oneshot(0, &frame[4..6]).to_le_bytes()[1]);
        let length = u32::try_from(blocks.len()).unwrap();
        frame.extend(length.to_le_bytes());
        frame.extend(&blocks);
        frame.extend([0; 4]);
        if let Ok(plain) = unpack(Compression::Lz4, &frame, WIDE) {
            prop_assert!(plain.len() <= blocks.len() * 255);
        }
    }

    #[test]
    fn what_is_read_of_a_damaged_frame_is_what_the_other_codec_reads(
        plain in prop::collection::vec(0_u8..3, 1..2000),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = lz4_ours(&plain);
        for (index, byte) in damage {
            // Behind the header and the first block's length.
            let at = 11 + index.index(frame.len() - 11);
            frame[at] = byte;
        }
        if let Ok(ours) = unpack(Compression::Lz4, &frame, WIDE) {
            let mut theirs = Vec::new();
            std::io::Read::read_to_end(&mut FrameDecoder::new(&frame[..]), &mut theirs).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_bytes_behind_a_gzip_header_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut stored = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        stored.extend(&body);
        let _ = unpack(Compression::Gzip, &stored, WIDE);
    }
}
