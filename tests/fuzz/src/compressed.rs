//! Compressed streams made by other means than ours.

use std::io::{Read, Write};

use flate2::bufread::DeflateDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use crate::input::Input;

const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

const LZ4_MAGIC: u32 = 0x184d_2204;
const LZ4_VERSION: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const STORED_PLAIN: u32 = 1 << 31;
const WINDOW_BYTES: usize = 64 * 1024;

/// Compresses as gzip, fast.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// Compresses as an LZ4 frame of the kind that `descriptor` chooses.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn lz4(plain: &[u8], descriptor: u8) -> Vec<u8> {
    // No larger ones: the encoder would clear megabytes in every run.
    let sizes = [BlockSize::Max64KB, BlockSize::Max64KB, BlockSize::Max64KB, BlockSize::Max256KB];
    let mode = if descriptor & 4 == 0 { BlockMode::Independent } else { BlockMode::Linked };
    let info = FrameInfo::new()
        .block_size(sizes[usize::from(descriptor % 4)])
        .block_mode(mode)
        .block_checksums(descriptor & 8 != 0)
        .content_checksum(descriptor & 16 != 0)
        .content_size((descriptor & 32 != 0).then_some(plain.len() as u64));
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(plain).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// Puts a gzip header before a raw deflate stream and a true trailer behind its end; what follows the end is dropped.
/// Gives what it stands for too, if it is whole and at most `bytes_max` long.
#[must_use]
pub fn deflate_stream(raw: &[u8], bytes_max: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut plain = Vec::new();
    let mut decoder = DeflateDecoder::new(raw);
    let read = decoder.by_ref().take(bytes_max as u64 + 1).read_to_end(&mut plain);
    let is_whole = read.is_ok() && plain.len() <= bytes_max;
    let used = usize::try_from(decoder.total_in()).map_or(raw.len(), |used| used.min(raw.len()));
    let length = u32::try_from(plain.len() % (1 << 32)).expect("it is below 2^32");
    let trailer = [crc32fast::hash(&plain).to_le_bytes(), length.to_le_bytes()].concat();
    let stream = [&GZIP_HEADER, &raw[..used], &trailer].concat();
    (stream, is_whole.then_some(plain))
}

/// Makes an LZ4 frame of raw blocks, its lengths and checksums true. Gives what it stands for too, if that can be told
/// and is at most `bytes_max` long.
pub fn lz4_blocks(input: &mut Input<'_>, bytes_max: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let flags = LZ4_VERSION | input.byte() & (INDEPENDENT_BLOCKS | BLOCK_CHECKSUMS | CONTENT_SIZE | CONTENT_CHECKSUM);
    let block_size = 0x40 | (input.byte() & 3) << 4;
    let mut plain = Some(Vec::new());
    let mut blocks = Vec::new();
    while !input.is_empty() {
        let word = u32::from(input.u16());
        let block = input.take((word & 0x3fff) as usize);
        let length = u32::try_from(block.len()).expect("it has 14 bits");
        let is_plain = word & 0x8000 != 0;
        if length == 0 && !is_plain {
            break;
        }
        let window_bytes = if flags & INDEPENDENT_BLOCKS == 0 { WINDOW_BYTES } else { 0 };
        plain = plain.and_then(|plain| decode_block(block, is_plain, plain, window_bytes, bytes_max));
        blocks.extend_from_slice(&(length | if is_plain { STORED_PLAIN } else { 0 }).to_le_bytes());
        blocks.extend_from_slice(block);
        if flags & BLOCK_CHECKSUMS != 0 {
            blocks.extend_from_slice(&XxHash32::oneshot(0, block).to_le_bytes());
        }
    }
    let content = plain.as_deref().unwrap_or(&[]);
    let mut frame = LZ4_MAGIC.to_le_bytes().to_vec();
    frame.extend_from_slice(&[flags, block_size]);
    if flags & CONTENT_SIZE != 0 {
        frame.extend_from_slice(&(content.len() as u64).to_le_bytes());
    }
    let [_, header_checksum, ..] = XxHash32::oneshot(0, &frame[4..]).to_le_bytes();
    frame.push(header_checksum);
    frame.extend_from_slice(&blocks);
    frame.extend_from_slice(&[0; 4]);
    if flags & CONTENT_CHECKSUM != 0 {
        frame.extend_from_slice(&XxHash32::oneshot(0, content).to_le_bytes());
    }
    (frame, plain)
}

/// Decodes one block behind `plain`, byte by byte as the format's description says; `None` where that is not possible.
fn decode_block(
    mut block: &[u8],
    is_plain: bool,
    mut plain: Vec<u8>,
    window_bytes: usize,
    bytes_max: usize,
) -> Option<Vec<u8>> {
    let window_start = plain.len().saturating_sub(window_bytes);
    if is_plain {
        plain.extend_from_slice(block);
        return (plain.len() <= bytes_max).then_some(plain);
    }
    loop {
        let token = take_byte(&mut block)?;
        let literals = length(&mut block, token >> 4)?;
        let (taken, rest) = block.split_at_checked(literals)?;
        plain.extend_from_slice(taken);
        block = rest;
        if block.is_empty() {
            return (plain.len() <= bytes_max).then_some(plain);
        }
        let offset = usize::from(u16::from_le_bytes([take_byte(&mut block)?, take_byte(&mut block)?]));
        let match_bytes = length(&mut block, token & 15)? + 4;
        let from = plain.len().checked_sub(offset).filter(|from| offset > 0 && *from >= window_start)?;
        if plain.len() + match_bytes > bytes_max {
            return None;
        }
        for at in from..from + match_bytes {
            plain.push(plain[at]);
        }
    }
}

/// Reads the rest of a length whose first four bits are `nibble`.
fn length(block: &mut &[u8], nibble: u8) -> Option<usize> {
    let mut length = usize::from(nibble);
    if nibble == 15 {
        loop {
            let byte = take_byte(block)?;
            length += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    Some(length)
}

fn take_byte(block: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = block.split_first()?;
    *block = rest;
    Some(*byte)
}
