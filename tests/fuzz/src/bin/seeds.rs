//! Writes the checked-in corpus: inputs that lead each target deep into what it checks, the same at every run.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use tidelog_fuzz::checksums::{BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use tidelog_fuzz::compressed::{gzip, lz4};
use tidelog_fuzz::sample_logs::{SAMPLES, pick, sample_batch, sample_frame};
use tidelog_proto::batch::Compression;
use tidelog_proto::ids::{Offset, RaftIndex};

/// Batches of other encoders and of ours, in every codec.
const VECTORS: [&str; 2] = ["../interop/from-kafka-python", "../interop/from-tidelog"];

/// Larger vectors are left out: the fuzzer's own inputs are not larger either.
const VECTOR_BYTES_MAX: u64 = 1024;

/// What most batches are tried with: wide limits, records walked, every other record kept.
const CHOICES: [u8; 8] = [255, 31, 0b1011, 0x55, 1, 0, 0, 0];

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = std::env::args_os().nth(1).map(PathBuf::from).ok_or("the folder of the corpus is missing")?;
    Seeds::new(&corpus, "batch_decode")?.write_batches()?;
    Seeds::new(&corpus, "frame_scan")?.write_frames()?;
    Seeds::new(&corpus, "index_load")?.write_indexes()?;
    Seeds::new(&corpus, "segment_recovery")?.write_segments()
}

/// The corpus of one target.
struct Seeds {
    folder: PathBuf,
}

impl Seeds {
    /// Starts an empty folder.
    fn new(corpus: &Path, target: &str) -> Result<Self, Box<dyn Error>> {
        let folder = corpus.join(target);
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), Box<dyn Error>> {
        Ok(fs::write(self.folder.join(name), parts.concat())?)
    }

    fn write_batches(&self) -> Result<(), Box<dyn Error>> {
        for folder in VECTORS {
            let origin = folder.rsplit('/').next().unwrap_or(folder);
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let is_small = path.metadata()?.len() <= VECTOR_BYTES_MAX;
                if is_small && path.extension().is_some_and(|ending| ending == "bin") {
                    let name = path.file_stem().ok_or("a vector has a name")?.to_string_lossy().into_owned();
                    self.write(&format!("{origin}-{name}"), &[&[1], &CHOICES, &fs::read(&path)?])?;
                }
            }
        }
        // Numbers whose batches are not compressed.
        for number in [9, 6, 3] {
            let batch = sample_batch(number);
            assert_eq!(batch.header().compression(), Compression::None);
            let (header, plain) = batch.bytes().split_at(BATCH_HEADER_BYTES);
            self.write(&format!("as-it-is-{number}"), &[&[0], &CHOICES, batch.bytes()])?;
            self.write(&format!("gzip-{number}"), &[&[3], &CHOICES, header, plain])?;
            for descriptor in [0, 63] {
                let name = format!("lz4-{number}-{descriptor}");
                self.write(&name, &[&[4], &CHOICES, header, &[descriptor], plain])?;
            }
            let stream = gzip(plain);
            self.write(&format!("deflate-{number}"), &[&[5], &CHOICES, header, &stream[10..stream.len() - 8]])?;
            self.write_lz4_blocks(number, header, plain)?;
        }
        Ok(())
    }

    /// Writes the blocks that an encoder made, a block that is stored plain, and a match that reaches into another block.
    fn write_lz4_blocks(&self, number: u64, header: &[u8], plain: &[u8]) -> Result<(), Box<dyn Error>> {
        let block_word = |len: usize, stored: u16| u16::try_from(len).map(|len| (len | stored).to_le_bytes());
        let frame = lz4(plain, 0);
        let block = &frame[11..frame.len() - 4];
        let (flags, largest) = ([[0b0010_0000], [0b0001_1100]], [3]);
        for (name, flags) in ["independent", "linked"].iter().zip(&flags) {
            let word = block_word(block.len(), 0)?;
            self.write(&format!("blocks-{name}-{number}"), &[&[6], &CHOICES, header, flags, &largest, &word, block])?;
        }
        let (stored, matched) = (block_word(plain.len(), 0x8000)?, [0x04, 0, 4, 0, 0x10, b'x']);
        let matched_word = block_word(matched.len(), 0)?;
        let parts: [&[u8]; 9] = [&[6], &CHOICES, header, &flags[1], &largest, &stored, plain, &matched_word, &matched];
        self.write(&format!("blocks-stored-{number}"), &parts)
    }

    fn write_frames(&self) -> Result<(), Box<dyn Error>> {
        let change = 300_u16.to_le_bytes();
        for number in 0..12 {
            let mut frame = Vec::new();
            sample_frame(RaftIndex::new(number), Offset::new(7)).encode_into(&mut frame);
            self.write(&format!("frame-{number}"), &[&[0], &change, &frame])?;
            self.write(&format!("sealed-{number}"), &[&[1], &change, &frame])?;
        }
        for (number, sample) in SAMPLES.iter().enumerate() {
            let segment = sample.segments.last().ok_or("a log has segments")?;
            let used = segment.frames.last().map_or(SEGMENT_HEADER_BYTES, |(at, frame)| at + frame.frame_bytes());
            self.write(&format!("segment-{number}"), &[&[2], &change, &segment.image[..used]])?;
            let frames: Vec<u8> = segment.frames.iter().take(7).fold(Vec::new(), |mut script, (at, frame)| {
                let frame_bytes = (frame.frame_bytes()).min(40 + 255);
                script.push(u8::try_from(frame_bytes - 40).unwrap_or(u8::MAX));
                script.extend_from_slice(&segment.image[*at..at + frame_bytes]);
                script
            });
            let header = &segment.image[..SEGMENT_HEADER_BYTES];
            self.write(&format!("sealed-segment-{number}"), &[&[3], &change, header, &[7], &frames])?;
        }
        Ok(())
    }

    /// One edit of every kind, in each file of each log.
    fn write_indexes(&self) -> Result<(), Box<dyn Error>> {
        for sample in 0..SAMPLES.len() {
            let sample_byte = u8::try_from(sample)?;
            for file in 0..=u16::try_from(pick(sample_byte).others.len())? {
                let kind = u8::try_from((usize::from(file) + sample) % EDITS.len())?;
                let how = if file % 2 == 0 { 1 } else { 129 };
                let start = [&[sample_byte, 0], &file.to_le_bytes()[..], &[how]].concat();
                self.write(&format!("log-{sample}-file-{file}"), &[&start, EDITS[usize::from(kind)], &REST])?;
            }
            self.write(&format!("log-{sample}-removed"), &[&[sample_byte, 0, 0, 0, 0], &REST])?;
        }
        Ok(())
    }

    /// One edit of every kind, and every kind of seal, in the last segment of each log and in one before it.
    fn write_segments(&self) -> Result<(), Box<dyn Error>> {
        for sample in 0..SAMPLES.len() {
            let sample_byte = u8::try_from(sample)?;
            let last = u16::try_from(pick(sample_byte).segments.len() - 1)?;
            self.write(&format!("log-{sample}-sound"), &[&[sample_byte], &last.to_le_bytes(), &[0], &REST])?;
            for (kind, edit) in EDITS.iter().enumerate() {
                let segment = if kind % 3 == 0 { 0 } else { last };
                let start = [&[sample_byte], &segment.to_le_bytes()[..], &[1, 4, 0, 0]].concat();
                self.write(&format!("log-{sample}-edit-{kind}"), &[&start, edit, &REST])?;
            }
            for how in 0..4 {
                // A flip in the body of the third frame, and then a seal over it or a cut behind it.
                let edits = [2, 3, 2, 0, 30, 0, how, 2, 0, 60, 0];
                let name = format!("log-{sample}-seal-{how}");
                self.write(&name, &[&[sample_byte], &last.to_le_bytes(), &edits, &REST])?;
            }
        }
        Ok(())
    }
}

/// One of every kind, as `edits::edit` reads them.
const EDITS: [&[u8]; 9] = [
    &[0, 116, 0, 3],
    &[1, 120, 0, 4, 1, 2, 3, 4],
    &[2, 0, 1, 64, 0],
    &[3, 0, 1],
    &[4, 16, 0, 3, 7, 7, 7],
    &[5, 1, 0, 64, 0, 100, 0, 64, 0],
    &[6, 0, 0, 0, 0],
    &[7, 200, 0, 48, 0],
    &[8, 64, 0, 5, 1, 2, 3, 4, 5],
];

/// What is done with a log that opens: its end is committed, it is read, cut, rolled, appended to, and loses its power.
const REST: [u8; 40] = [
    0b10110, 200, 0, 3, 0, 20, 0, 4, 0, 9, 0, 0, 4, 30, 0, 0, 2, 10, 0, 40, 0, 0, 0, 50, 0, 0, 8, 15, 0, 3, 10, 0, 1,
    2, 3, 4, 5, 6, 7, 8,
];
