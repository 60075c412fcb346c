//! Damage that the header checksum of a frame does not show, in a log that was closed and so is not read at opening.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord};
use tidelog_proto::frame::{FRAME_HEADER_BYTES, Frame, FrameStamp};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use crate::environment::simulated::SimulatedEnvironment;
use crate::{Log, LogConfig, LogIdentity, ReadError};

const IDENTITY: LogIdentity = LogIdentity { topic_id: TopicId::new([8; 16]), partition: PartitionId::new(0) };
const LOG_FILE: &str = "/log/00000000000000000000-0.log";
/// Where fields of a batch stand in it.
const LAST_OFFSET_DELTA_AT: usize = 23;
const RECORD_COUNT_AT: usize = 57;
const MAX_TIMESTAMP_AT: usize = 35;

fn open(machine: &SimulatedEnvironment) -> Log {
    Log::open(Arc::new(machine.clone()), Path::new("/log"), IDENTITY, LogConfig::default()).unwrap()
}

/// Closes a log of five equally long frames of three records, whose timestamps are their offsets, and lets `damage`
/// change the segment file, given with the length of a frame.
fn damaged(damage: impl Fn(&mut [u8], usize)) -> Log {
    let machine = SimulatedEnvironment::new(1);
    let mut log = open(&machine);
    let mut frame_bytes = 0;
    for index in 0..5 {
        let base_offset = log.writer.end_offset();
        let mut builder = BatchBuilder::new(Compression::None);
        for offset in base_offset.get()..base_offset.get() + 3 {
            builder.push(&NewRecord { timestamp: offset.cast_signed(), ..NewRecord::default() }).unwrap();
        }
        let batch = builder.finish().unwrap().assigned(base_offset, LeaderEpoch::new(1)).unwrap();
        let index = RaftIndex::new(index);
        let stamp = FrameStamp { term: RaftTerm::new(1), index, commit_lag: 1, append_time_ms: 0 };
        let frame = Frame::data(IDENTITY.seed(), stamp, batch);
        frame_bytes = frame.frame_bytes();
        log.writer.append(&[frame]).unwrap();
    }
    log.writer.close().unwrap();
    let mut image = machine.read_contents(Path::new(LOG_FILE)).unwrap();
    damage(&mut image, frame_bytes);
    machine.set_contents(Path::new(LOG_FILE), &image);
    let log = open(&machine);
    assert!(log.report.clean);
    log
}

fn frame_at(number: usize, frame_bytes: usize) -> std::ops::Range<usize> {
    let start = SEGMENT_HEADER_BYTES + number * frame_bytes;
    start..start + frame_bytes
}

fn body_at(number: usize, frame_bytes: usize) -> usize {
    frame_at(number, frame_bytes).start + FRAME_HEADER_BYTES
}

#[track_caller]
fn assert_damaged_at<T>(outcome: Result<T, ReadError>, index: u64) {
    match outcome {
        Err(ReadError::Damaged(damage)) => assert_eq!(damage.index, RaftIndex::new(index), "{damage}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("damage was passed over"),
    }
}

/// A frame that a disk wrote to the wrong place was returned, and those that it overwrote were passed over: reading
/// asked only that indexes rise, as after compaction. Found by fuzzing.
#[test]
fn a_frame_in_the_place_of_an_earlier_one_is_damage() {
    let log = damaged(|image, frame_bytes| image.copy_within(frame_at(3, frame_bytes), frame_at(1, frame_bytes).start));
    assert_damaged_at(log.reader.read_entries(RaftIndex::new(1), RaftIndex::new(5), 1), 1);
    assert_damaged_at(log.reader.read(Offset::new(4), Offset::MAX, 1), 1);
    assert_eq!(log.reader.read(Offset::new(0), Offset::MAX, 1).unwrap().batches.len(), 1);
}

/// A batch was passed over because of a last offset that its checksum did not vouch for, and the next one was returned.
#[test]
fn a_batch_whose_last_offset_is_damaged_is_not_passed_over() {
    let shortened = |number| {
        damaged(move |image, frame_bytes| {
            let body = body_at(number, frame_bytes);
            image[body + LAST_OFFSET_DELTA_AT + 3] = 0;
            image[body + RECORD_COUNT_AT + 3] = 1;
        })
    };
    assert_damaged_at(shortened(1).reader.read(Offset::new(5), Offset::MAX, 1), 1);
    assert_damaged_at(shortened(4).reader.read(Offset::new(14), Offset::MAX, 1), 4);
}

/// As with the last offset above.
#[test]
fn a_batch_whose_largest_timestamp_is_damaged_is_not_passed_over() {
    let log = damaged(|image, frame_bytes| image[body_at(1, frame_bytes) + MAX_TIMESTAMP_AT + 7] = 0);
    assert_damaged_at(log.reader.offset_for_timestamp(5, Offset::MAX, DecodeLimits::DEFAULT), 1);
    let found = log.reader.offset_for_timestamp(1, Offset::MAX, DecodeLimits::DEFAULT).unwrap();
    assert_eq!(found.map(|found| found.offset), Some(Offset::new(1)));
}

/// A read that met damage behind what it had found returned nothing of it. Found by fuzzing.
#[test]
fn what_lies_before_damage_is_served() {
    let log = damaged(|image, frame_bytes| image[body_at(3, frame_bytes)] ^= 1);
    let read = log.reader.read(Offset::new(1), Offset::MAX, u64::MAX).unwrap();
    assert_eq!((read.batches.len(), read.next_offset), (3, Offset::new(9)));
    assert_damaged_at(log.reader.read(read.next_offset, Offset::MAX, u64::MAX), 3);
    let entries = log.reader.read_entries(RaftIndex::new(1), RaftIndex::new(5), u64::MAX).unwrap();
    assert_eq!(entries.len(), 2);
    assert_damaged_at(log.reader.read_entries(RaftIndex::new(3), RaftIndex::new(5), u64::MAX), 3);
}
