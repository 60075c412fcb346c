//! How frames and records look.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};
use tidelog_log::inspect::{Finding, Reason};
use tidelog_proto::batch::{BatchError, BatchHeader, DecodeLimits, Record, RecordBatch, RecordHeader, TimestampType};
use tidelog_proto::frame::{Frame, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, RaftIndex, Sequence};

use crate::byte_text::{Counted, Quoted, put_bytes};
use crate::command_error::CommandError;
use crate::output::Output;
use crate::timestamp::Timestamp;

/// A frame and its place.
pub(super) struct FrameLine<'a> {
    pub(super) position_bytes: u64,
    pub(super) frame: &'a Frame,
}

impl FrameLine<'_> {
    /// What stands above the columns of frames.
    pub(super) const HEADING: &'static str = "    position    raft index  term  committed                   offsets  \
                                              appended                  type         bytes  content";

    /// Makes an object of the frame, its batch included.
    pub(super) fn object(&self) -> Value {
        let frame = self.frame;
        let stamp = frame.stamp();
        json!({
            "type": "frame",
            "frame_type": type_name(frame.frame_type()),
            "position": self.position_bytes,
            "frame_bytes": frame.frame_bytes(),
            "raft_index": stamp.index.get(),
            "term": stamp.term.get(),
            "committed_index": stamp.committed_index().map(RaftIndex::get),
            "append_time": stamp.append_time_ms,
            "base_offset": frame.base_offset().get(),
            "next_offset": frame.next_offset().get(),
            "batch": frame.batch().map(|batch| batch_object(batch.header())),
            "log_start_offset": frame.view().log_start_offset().map(Offset::get),
            "payload_bytes": frame.payload().map(|payload| payload.len()),
        })
    }

    /// Makes a finding of records that cannot be read.
    pub(super) fn unreadable_records(&self, file: &Path, error: BatchError) -> Finding {
        Finding {
            path: file.to_owned(),
            position_bytes: self.position_bytes,
            index: Some(self.frame.stamp().index),
            offset: Some(self.frame.base_offset()),
            reason: Reason::Records(error),
        }
    }
}

impl fmt::Display for FrameLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.frame;
        let stamp = frame.stamp();
        let committed = stamp.committed_index().map_or("-".to_owned(), |index| index.to_string());
        let offsets = match frame.batch() {
            Some(batch) => format!("{} to {}", frame.base_offset(), batch.header().last_offset()),
            None => format!("at {}", frame.base_offset()),
        };
        write!(
            f,
            "{:>12}  {:>12}  {:>4}  {committed:>9}  {offsets:>24}  {:<24}  {:<9}  {:>8}  ",
            self.position_bytes,
            stamp.index.get(),
            stamp.term.get(),
            Timestamp(stamp.append_time_ms),
            type_name(frame.frame_type()),
            frame.frame_bytes(),
        )?;
        match (frame.batch(), frame.view().log_start_offset(), frame.payload()) {
            (Some(batch), ..) => write_batch(f, batch.header()),
            (None, Some(offset), _) => write!(f, "log start offset {offset}"),
            (None, None, payload) => write!(f, "{} bytes", payload.map_or(0, |payload| payload.len())),
        }
    }
}

fn type_name(frame_type: FrameType) -> &'static str {
    match frame_type {
        FrameType::Data => "data",
        FrameType::TransactionMarker => "marker",
        FrameType::NoOp => "no-op",
        FrameType::Membership => "members",
        FrameType::LogStart => "log start",
        FrameType::CoordinatorCommand => "command",
    }
}

fn write_batch(f: &mut fmt::Formatter<'_>, batch: BatchHeader<'_>) -> fmt::Result {
    let records = Counted(batch.record_count().into(), "record", "records");
    write!(f, "{records}, {}, max timestamp {}", batch.compression(), Timestamp(batch.max_timestamp()))?;
    if batch.attributes().timestamp_type() == TimestampType::LogAppendTime {
        f.write_str(" set at append")?;
    }
    if let Some(epoch) = batch.leader_epoch() {
        write!(f, ", leader epoch {epoch}")?;
    }
    if let Some(producer) = batch.producer() {
        write!(f, ", producer {} epoch {}", producer.id, producer.epoch)?;
        if let Some(sequence) = producer.base_sequence {
            write!(f, " sequence {sequence}")?;
        }
    }
    let flags = [
        (batch.is_transactional(), ", transactional"),
        (batch.is_control(), ", control"),
        (batch.has_delete_horizon(), ", delete horizon"),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).try_for_each(|(_, name)| f.write_str(name))
}

fn batch_object(batch: BatchHeader<'_>) -> Value {
    let producer = batch.producer().map(|producer| {
        json!({
            "id": producer.id.get(),
            "epoch": producer.epoch.get(),
            "base_sequence": producer.base_sequence.map(Sequence::get),
        })
    });
    json!({
        "bytes": batch.total_bytes(),
        "records": batch.record_count(),
        "last_offset": batch.last_offset().get(),
        "compression": batch.compression().name(),
        "base_timestamp": batch.base_timestamp(),
        "max_timestamp": batch.max_timestamp(),
        "is_log_append_time": batch.attributes().timestamp_type() == TimestampType::LogAppendTime,
        "leader_epoch": batch.leader_epoch().map(LeaderEpoch::get),
        "crc": batch.crc(),
        "producer": producer,
        "is_transactional": batch.is_transactional(),
        "is_control": batch.is_control(),
        "has_delete_horizon": batch.has_delete_horizon(),
    })
}

/// Writes the records of a batch; gives what is wrong with them, if anything is.
///
/// # Errors
/// They could not be written.
pub(super) fn write_records(output: &mut Output, batch: &RecordBatch) -> Result<Option<BatchError>, CommandError> {
    let records = match batch.records(DecodeLimits::default()) {
        Ok(records) => records,
        Err(error) => return Ok(Some(error)),
    };
    for record in records {
        match record {
            Ok(record) if !output.is_closed() => {
                output.line(RecordLine(&record), || record_object(&record))?;
            }
            Ok(_) => break,
            Err(error) => return Ok(Some(error)),
        }
    }
    Ok(None)
}

struct RecordLine<'a>(&'a Record);

impl fmt::Display for RecordLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { offset, timestamp, key, value, headers } = self.0;
        let (key, value) = (Quoted(key.as_deref()), Quoted(value.as_deref()));
        write!(f, "{:>26}  {}  key {key}  value {value}", format!("offset {offset}"), Timestamp(*timestamp))?;
        headers.iter().try_for_each(|header| {
            write!(f, "  header {}={}", Quoted(Some(header.key.as_bytes())), Quoted(header.value))
        })
    }
}

fn record_object(record: &Record) -> Value {
    let mut object = Map::new();
    object.insert("type".to_owned(), "record".into());
    object.insert("offset".to_owned(), record.offset.get().into());
    object.insert("timestamp".to_owned(), record.timestamp.into());
    put_bytes(&mut object, "key", record.key.as_deref());
    put_bytes(&mut object, "value", record.value.as_deref());
    let header_object = |header: RecordHeader<'_>| {
        let mut object = Map::new();
        object.insert("key".to_owned(), header.key.into());
        put_bytes(&mut object, "value", header.value);
        Value::Object(object)
    };
    object.insert("headers".to_owned(), record.headers.iter().map(header_object).collect());
    Value::Object(object)
}
