//! The LZ4 frame format around `lz4_flex`'s blocks.
//!
//! `lz4_flex` has a frame codec of its own, but its decoder takes a frame that ends before its end
//! mark for a whole one, allocates by the block size that the frame declares, and goes on into a
//! second frame; its encoder copies every byte once more.
//!
//! Frame: magic u32 | flags u8 | block size u8 | content size u64, if flagged | dictionary id u32,
//! if flagged | header checksum u8 | blocks | end mark u32 = 0 | content checksum u32, if flagged.
//! Block: length u32, whose top bit says "stored plain" | bytes | checksum u32, if flagged.
//! All little-endian; checksums are xxHash32
//! (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>).

use lz4_flex::block::{
    CompressTable, DecompressError as BlockError, compress_into_with_table, decompress_into, decompress_into_with_dict,
    get_maximum_output_size,
};
use twox_hash::XxHash32;

use super::{DecompressError, Lz4Fault};

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();

const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const RESERVED: u8 = 1 << 1;
const DICTIONARY: u8 = 1;

/// The length of a block and this bit share one u32.
const STORED_PLAIN: u32 = 1 << 31;
const END_MARK: [u8; 4] = [0; 4];

/// How far back a match may reach, across blocks if they are linked.
const WINDOW_BYTES: usize = 64 * 1024;

/// No byte of a compressed block stands for more than this many plain bytes.
const BLOCK_RATIO_MAX: usize = 255;

/// Logs and JSON shrink about this much or less: a first guess at the output that is seldom too small.
const USUAL_RATIO: usize = 4;

/// The blocks that we write: Java reads them, and the Go clients that fail at block checksums too.
const WRITTEN_BLOCK_BYTES: usize = 64 * 1024;

/// The header that we write: version 1, independent blocks of 64 KiB, no sizes, no checksums.
const WRITTEN_HEADER: [u8; 7] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION | INDEPENDENT_BLOCKS, 4 << 4, 0x82];

/// Appends `plain` to `output` as one frame.
pub(super) fn encode(plain: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&WRITTEN_HEADER);
    let mut table = CompressTable::default();
    let mut scratch = vec![0; get_maximum_output_size(plain.len().min(WRITTEN_BLOCK_BYTES))];
    for block in plain.chunks(WRITTEN_BLOCK_BYTES) {
        let compressed_bytes = compress_into_with_table(block, &mut scratch, &mut table)
            .expect("scratch has room for the worst case of a block");
        if compressed_bytes < block.len() {
            put_block(output, &scratch[..compressed_bytes], 0);
        } else {
            put_block(output, block, STORED_PLAIN);
        }
    }
    output.extend_from_slice(&END_MARK);
}

fn put_block(output: &mut Vec<u8>, bytes: &[u8], stored_plain: u32) {
    let length = u32::try_from(bytes.len()).expect("a block has at most 64 KiB");
    output.extend_from_slice(&(length | stored_plain).to_le_bytes());
    output.extend_from_slice(bytes);
}

/// Decodes the one frame that `input` must be, to at most `output_bytes_max` bytes.
///
/// Memory grows with what the blocks can hold, not with what the frame declares.
pub(super) fn decode(input: &[u8], output_bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let mut input = Input { rest: input };
    let header = FrameHeader::read(&mut input)?;
    let mut output = Vec::with_capacity(input.rest.len().saturating_mul(USUAL_RATIO).min(output_bytes_max));
    while let Some(block) = Block::read(&mut input, &header)? {
        if block.is_plain {
            if block.bytes.len() > output_bytes_max - output.len() {
                return Err(DecompressError::OutputLimit { output_bytes_max: output_bytes_max as u64 });
            }
            output.extend_from_slice(block.bytes);
        } else {
            decode_block(block.bytes, &header, &mut output, output_bytes_max)?;
        }
    }
    if header.content_bytes.is_some_and(|declared| declared != output.len() as u64) {
        return Err(Lz4Fault::ContentBytes.into());
    }
    if header.has_content_checksum && input.u32()? != XxHash32::oneshot(0, &output) {
        return Err(Lz4Fault::ContentChecksum.into());
    }
    match input.rest.len() {
        0 => Ok(output),
        trailing => Err(DecompressError::TrailingBytes(trailing as u64)),
    }
}

fn decode_block(
    block: &[u8],
    header: &FrameHeader,
    output: &mut Vec<u8>,
    output_bytes_max: usize,
) -> Result<(), DecompressError> {
    let start = output.len();
    let block_bytes_max = header.block_bytes_max.min(block.len().saturating_mul(BLOCK_RATIO_MAX));
    let room = block_bytes_max.min(output_bytes_max - start);
    output.resize(start + room, 0);
    let (before, target) = output.split_at_mut(start);
    let decoded = if header.has_independent_blocks {
        decompress_into(block, target)
    } else {
        decompress_into_with_dict(block, target, &before[start.saturating_sub(WINDOW_BYTES)..])
    };
    match decoded {
        Ok(written) => {
            output.truncate(start + written);
            Ok(())
        }
        Err(BlockError::OutputTooSmall { .. }) if room < block_bytes_max => {
            Err(DecompressError::OutputLimit { output_bytes_max: output_bytes_max as u64 })
        }
        Err(_) => Err(Lz4Fault::Block.into()),
    }
}

/// What a frame says of itself.
struct FrameHeader {
    block_bytes_max: usize,
    has_independent_blocks: bool,
    has_block_checksums: bool,
    has_content_checksum: bool,
    /// Checked against the content at the end; nothing is allocated by it.
    content_bytes: Option<u64>,
}

impl FrameHeader {
    fn read(input: &mut Input<'_>) -> Result<Self, Lz4Fault> {
        if input.array::<4>()? != MAGIC {
            return Err(Lz4Fault::Magic);
        }
        let descriptor = input.rest;
        let [flags, block_size] = input.array()?;
        if flags & VERSION_MASK != VERSION || flags & RESERVED != 0 {
            return Err(Lz4Fault::Descriptor);
        }
        let block_bytes_max = match block_size {
            0x40 => 64 * 1024,
            0x50 => 256 * 1024,
            0x60 => 1024 * 1024,
            0x70 => 4 * 1024 * 1024,
            _ => return Err(Lz4Fault::Descriptor),
        };
        let content_bytes = match flags & CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(input.array()?)),
        };
        if flags & DICTIONARY != 0 {
            return Err(Lz4Fault::Dictionary);
        }
        let descriptor = &descriptor[..descriptor.len() - input.rest.len()];
        let [checksum] = input.array()?;
        let [_, computed, ..] = XxHash32::oneshot(0, descriptor).to_le_bytes();
        if checksum != computed {
            return Err(Lz4Fault::HeaderChecksum);
        }
        Ok(Self {
            block_bytes_max,
            has_independent_blocks: flags & INDEPENDENT_BLOCKS != 0,
            has_block_checksums: flags & BLOCK_CHECKSUMS != 0,
            has_content_checksum: flags & CONTENT_CHECKSUM != 0,
            content_bytes,
        })
    }
}

/// One block as stored.
struct Block<'a> {
    bytes: &'a [u8],
    is_plain: bool,
}

impl<'a> Block<'a> {
    /// Reads the next block, or the end mark.
    fn read(input: &mut Input<'a>, header: &FrameHeader) -> Result<Option<Self>, Lz4Fault> {
        let word = input.u32()?;
        if word == 0 {
            return Ok(None);
        }
        let length = (word & !STORED_PLAIN) as usize;
        if length > header.block_bytes_max {
            return Err(Lz4Fault::BlockBytes);
        }
        let bytes = input.take(length)?;
        if header.has_block_checksums && input.u32()? != XxHash32::oneshot(0, bytes) {
            return Err(Lz4Fault::BlockChecksum);
        }
        Ok(Some(Self { bytes, is_plain: word & STORED_PLAIN != 0 }))
    }
}

/// What of the frame has not been read.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Lz4Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Lz4Fault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Lz4Fault> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Lz4Fault::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, Lz4Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }
}

impl From<Lz4Fault> for DecompressError {
    fn from(fault: Lz4Fault) -> Self {
        Self::Lz4(fault)
    }
}
