//! Appends the lines of some files to a log, reads them back, and leaves real files to look at.
//!
//! ```text
//! cargo run -p tidelog-log --example append_and_read -- DIRECTORY [FILE...]
//! ```
//!
//! Without a file, the lines are those of `README.md`. Every run appends once more to the same log.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_log::data_dir::DataDir;
use tidelog_log::environment::{Environment, RealEnvironment};
use tidelog_log::{Log, LogConfig, LogIdentity};
use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord, RecordHeader};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

/// Partition 0 of a topic that nobody else has.
const IDENTITY: LogIdentity =
    LogIdentity { topic_id: TopicId::new(*b"append-and-read!"), partition: PartitionId::new(0) };

/// A batch is finished when its lines have as many bytes as this, before compression; in small segments earlier.
const BATCH_BYTES: u64 = 64 * 1024;

/// Batches that are made durable together.
const SYNC_BATCHES: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let data_dir = arguments.next().ok_or("usage: append_and_read DIRECTORY [FILE...]")?;
    let mut files: Vec<_> = arguments.collect();
    if files.is_empty() {
        files.push("README.md".into());
    }

    // The directory is ours as long as `_held` lives.
    let environment: Arc<dyn Environment> = Arc::new(RealEnvironment::new());
    let _held = DataDir::open(environment.as_ref(), &data_dir)?;
    let dir = IDENTITY.dir(&data_dir);
    let log = Log::open(Arc::clone(&environment), &dir, IDENTITY, config(&files)?)?;
    println!("opened {}: offsets up to {}", dir.display(), log.reader.log_end_offset());

    let mut leader = Leader::begin(environment, log)?;
    for file in &files {
        leader.append_lines(file)?;
    }
    leader.commit()?;
    let segments = leader.log.reader.segments();
    println!("now there are {} segments, offsets up to {}", segments.len(), leader.log.reader.log_end_offset());
    read_back(&leader.log)?;
    leader.log.writer.close()?;

    let first = dir.join(format!("{}.log", segments[0].name));
    println!("\nlook at what is on disk:");
    println!("  cargo run -- log dump {} --records", first.display());
    println!("  cargo run -- log verify {}", data_dir.display());
    println!("  cargo run -- log export {} {}", dir.display(), data_dir.join("exported.log").display());
    Ok(())
}

/// Makes segments so small that the files fill a few of them, with entries in their indexes.
fn config(files: &[PathBuf]) -> Result<LogConfig, Box<dyn Error>> {
    let mut bytes = 0;
    for file in files {
        bytes += fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    }
    let segment_bytes = (bytes / 8).clamp(1536, 64 * 1024 * 1024);
    Ok(LogConfig { segment_bytes, index_interval_bytes: 512, ..LogConfig::default() })
}

/// What the leader of a partition does on one machine alone: it gives entries their places, and what is durable is
/// committed.
struct Leader {
    environment: Arc<dyn Environment>,
    log: Log,
    term: RaftTerm,
    uncommitted_batches: usize,
}

impl Leader {
    /// Starts a new term, with an entry that says so.
    fn begin(environment: Arc<dyn Environment>, log: Log) -> Result<Self, Box<dyn Error>> {
        let end = log.reader.end_index();
        // Opening made durable whatever it found.
        log.reader.advance_committed(end)?;
        let last = match end.get().checked_sub(1) {
            Some(last) => log.reader.read_entries(RaftIndex::new(last), end, 1)?,
            None => Vec::new(),
        };
        let term = last.first().map_or(RaftTerm::new(0), |frame| frame.stamp().term);
        let term = RaftTerm::new(term.get() + 1);
        let mut leader = Self { environment, log, term, uncommitted_batches: 0 };
        let offset = leader.log.writer.end_offset();
        let no_op = Frame::internal(IDENTITY.seed(), FrameType::NoOp, leader.stamp(), offset, &[])?;
        leader.log.writer.append(&[no_op])?;
        Ok(leader)
    }

    fn stamp(&self) -> FrameStamp {
        let index = self.log.writer.end_index();
        let committed = self.log.reader.committed_end().get().checked_sub(1);
        let lag = committed.and_then(|committed| u32::try_from(index.get() - committed).ok());
        let last_ms = self.log.writer.last_append_time_ms().unwrap_or(0);
        FrameStamp {
            term: self.term,
            index,
            commit_lag: lag.unwrap_or(u32::MAX),
            append_time_ms: self.environment.now_ms().max(last_ms),
        }
    }

    /// Appends each line of a file as a record: the file's name is its key, its number a header.
    fn append_lines(&mut self, file: &Path) -> Result<(), Box<dyn Error>> {
        let text = fs::read(file)?;
        let key = file.to_string_lossy();
        let from = self.log.writer.end_offset();
        let batch_bytes = BATCH_BYTES.min(self.log.writer.config().segment_bytes / 2);
        let mut builder = BatchBuilder::new(Compression::Lz4);
        for (number, line) in text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n').enumerate() {
            if builder.encoded_bytes() as u64 >= batch_bytes {
                self.append(std::mem::replace(&mut builder, BatchBuilder::new(Compression::Lz4)))?;
            }
            let line_number = (number + 1).to_string();
            let headers = [RecordHeader { key: "line", value: Some(line_number.as_bytes()) }];
            let timestamp = self.environment.now_ms();
            builder.push(&NewRecord { timestamp, key: Some(key.as_bytes()), value: Some(line), headers: &headers })?;
        }
        self.append(builder)?;
        println!("appended the lines of {key} as offsets {from} up to {}", self.log.writer.end_offset());
        Ok(())
    }

    /// Gives a batch its place in the log.
    fn append(&mut self, builder: BatchBuilder) -> Result<(), Box<dyn Error>> {
        let epoch = LeaderEpoch::new(u32::try_from(self.term.get())?);
        let batch = builder.finish()?.assigned(self.log.writer.end_offset(), epoch)?;
        self.log.writer.append(&[Frame::data(IDENTITY.seed(), self.stamp(), batch)])?;
        self.uncommitted_batches += 1;
        if self.uncommitted_batches == SYNC_BATCHES {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes durable what was appended; only now might anybody be told.
    fn commit(&mut self) -> Result<(), Box<dyn Error>> {
        self.log.writer.sync()?;
        self.log.reader.advance_committed(self.log.writer.end_index())?;
        self.uncommitted_batches = 0;
        Ok(())
    }
}

/// Reads all records and shows the last.
fn read_back(log: &Log) -> Result<(), Box<dyn Error>> {
    let (mut next, end) = (log.reader.log_start_offset(), log.reader.log_end_offset());
    let (mut records, mut last) = (0_u64, None);
    while next < end {
        let read = log.reader.read(next, end, 1024 * 1024)?;
        for batch in &read.batches {
            for record in batch.records(DecodeLimits::default())? {
                let record = record?;
                records += 1;
                last = Some((record.offset, record.value.unwrap_or_default()));
            }
        }
        next = read.next_offset;
    }
    let (offset, value) = last.unwrap_or((Offset::ZERO, Default::default()));
    println!("read {records} records back; the one at offset {offset} is {:?}", String::from_utf8_lossy(&value));
    Ok(())
}
