//! The scrubber meets every damage in sealed, committed segments, and nothing else disturbs it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord};
use tidelog_proto::frame::{Frame, FrameStamp};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

use crate::environment::Environment;
use crate::environment::simulated::{FaultTarget, Rng, SimulatedEnvironment};
use crate::{CleanupPolicy, Fault, Log, LogConfig, LogIdentity, ScrubStep, Scrubbed, Scrubber};

const IDENTITY: LogIdentity = LogIdentity { topic_id: TopicId::new([4; 16]), partition: PartitionId::new(0) };

fn open(machine: &SimulatedEnvironment) -> Log {
    let config = LogConfig {
        segment_bytes: 1024,
        index_interval_bytes: 100,
        cleanup_policy: CleanupPolicy::Compact,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    };
    Log::open(Arc::new(machine.clone()), Path::new("/log"), IDENTITY, config).unwrap()
}

fn append(log: &mut Log, count: u64) {
    for _ in 0..count {
        let index = log.writer.end_index();
        let mut builder = BatchBuilder::new(Compression::None);
        let key = [u8::try_from(index.get() % 7).unwrap()];
        builder.push(&NewRecord { key: Some(&key), value: Some(&[7; 30]), ..NewRecord::default() }).unwrap();
        let batch = builder.finish().unwrap().assigned(log.writer.end_offset(), LeaderEpoch::new(1)).unwrap();
        let stamp = FrameStamp { term: RaftTerm::new(1), index, commit_lag: u32::MAX, append_time_ms: 0 };
        log.writer.append(&[Frame::data(IDENTITY.seed(), stamp, batch)]).unwrap();
    }
}

fn commit(log: &mut Log) {
    log.writer.sync().unwrap();
    log.reader.advance_committed(log.writer.end_index()).unwrap();
}

/// Steps to the end of a pass; gives the places of the damages.
fn run(scrubber: &mut Scrubber, max_bytes: u64) -> (Scrubbed, Vec<(PathBuf, u64, Fault)>) {
    let mut damages = Vec::new();
    loop {
        match scrubber.step(max_bytes).unwrap() {
            ScrubStep::Read { .. } => {}
            ScrubStep::Damaged { damage, .. } => damages.push((damage.path, damage.position_bytes, damage.fault)),
            ScrubStep::Finished(scrubbed) => return (scrubbed, damages),
        }
    }
}

/// A log with some sealed and committed segments, opened anew so that nothing of them is known but their seals.
fn sealed() -> (SimulatedEnvironment, Log) {
    let machine = SimulatedEnvironment::new(1);
    let mut log = open(&machine);
    append(&mut log, 40);
    log.writer.close().unwrap();
    let mut log = open(&machine);
    commit(&mut log);
    (machine, log)
}

#[test]
fn a_pass_reads_every_sealed_segment_in_steps_of_the_asked_size() {
    let (_machine, log) = sealed();
    let segments = log.reader.segments();
    let sealed = &segments[..segments.len() - 1];
    let bytes = sealed.iter().map(|segment| segment.log_bytes - 64).sum();
    let mut scrubber = log.reader.scrubber();
    for max_bytes in [1, 300, u64::MAX] {
        let (scrubbed, damages) = run(&mut scrubber, max_bytes);
        assert_eq!(damages, []);
        assert_eq!(scrubbed, Scrubbed { segments: sealed.len() as u64, bytes, damaged: 0 });
    }
    let mut steps = 0;
    while let ScrubStep::Read { bytes } = scrubber.step(300).unwrap() {
        assert!(bytes <= 300, "{bytes}");
        steps += 1;
    }
    assert!(steps > sealed.len(), "{steps}");
}

#[test]
fn every_flipped_bit_is_found_at_its_frame() {
    let (machine, log) = sealed();
    let name = log.reader.segments()[0].name;
    let path = PathBuf::from(format!("/log/{name}.log"));
    let frame_bytes = (log.reader.segments()[0].log_bytes - 64) / (log.reader.segments()[1].name.base_index.get());
    let len = log.reader.segments()[0].log_bytes;
    for bit in 0..len * 8 {
        machine.flip_bit(&path, bit / 8, u8::try_from(bit % 8).unwrap());
        let log = open(&machine.duplicate());
        log.reader.advance_committed(log.reader.end_index()).unwrap();
        let (scrubbed, damages) = run(&mut log.reader.scrubber(), u64::MAX);
        assert_eq!((scrubbed.damaged, damages.len()), (1, 1), "bit {bit}");
        let place = (bit / 8).checked_sub(64).map_or(0, |behind| 64 + behind / frame_bytes * frame_bytes);
        assert_eq!((&damages[0].0, damages[0].1), (&path, place), "bit {bit}");
        machine.flip_bit(&path, bit / 8, u8::try_from(bit % 8).unwrap());
    }
}

#[test]
fn sound_frames_that_are_not_those_that_were_sealed_are_found_by_the_seal() {
    let (machine, log) = sealed();
    // The same entries, of a leader that gave them another time.
    let path = PathBuf::from(format!("/log/{}.log", log.reader.segments()[0].name));
    let entries = log.reader.read_entries(RaftIndex::ZERO, log.reader.segments()[1].name.base_index, u64::MAX).unwrap();
    let mut contents = machine.read_contents(&path).unwrap();
    contents.truncate(64);
    for frame in entries {
        let stamp = FrameStamp { append_time_ms: 1, ..frame.stamp() };
        Frame::data(IDENTITY.seed(), stamp, frame.batch().unwrap()).encode_into(&mut contents);
    }
    drop(log);
    machine.set_contents(&path, &contents);
    let mut log = open(&machine);
    commit(&mut log);
    let (_, damages) = run(&mut log.reader.scrubber(), 500);
    assert!(matches!(damages[..], [(_, 0, Fault::SealedChecksum { .. })]), "{damages:?}");
}

#[test]
fn a_bad_sector_is_told_with_its_place_and_the_next_segment_comes_next() {
    let (machine, log) = sealed();
    let sealed = log.reader.segments().len() as u64 - 1;
    let mut scrubber = log.reader.scrubber();
    machine.fail(FaultTarget::Read, 1..2);
    assert!(matches!(scrubber.step(u64::MAX), Ok(ScrubStep::Read { .. })), "the first segment is read at once");
    let error = scrubber.step(u64::MAX).unwrap_err();
    let second = log.reader.segments()[1].name;
    assert_eq!((error.position_bytes, error.index, error.offset), (0, second.base_index, second.base_offset));
    let (scrubbed, damages) = run(&mut scrubber, u64::MAX);
    assert_eq!((scrubbed.segments, damages.len()), (sealed - 1, 0));
}

#[test]
fn a_segment_that_was_cut_is_found_where_it_ends() {
    let (machine, log) = sealed();
    let segment = log.reader.segments()[1];
    let path = PathBuf::from(format!("/log/{}.log", segment.name));
    let contents = machine.read_contents(&path).unwrap();
    machine.set_contents(&path, &contents[..64]);
    let (_, damages) = run(&mut log.reader.scrubber(), 500);
    assert!(matches!(&damages[..], [(found, 64, Fault::EndsEarly { .. })] if *found == path), "{damages:?}");
    machine.set_contents(&path, &[&contents[..64], &vec![0; contents.len() - 64]].concat());
    let (_, damages) = run(&mut log.reader.scrubber(), 500);
    assert!(matches!(&damages[..], [(found, 64, Fault::EndsEarly { .. })] if *found == path), "{damages:?}");
}

#[test]
fn nothing_above_the_committed_mark_is_read() {
    let machine = SimulatedEnvironment::new(1);
    let mut log = open(&machine);
    append(&mut log, 40);
    let mut scrubber = log.reader.scrubber();
    assert_eq!(run(&mut scrubber, u64::MAX).0, Scrubbed::default());
    log.reader.advance_committed(log.reader.segments()[2].name.base_index).unwrap();
    assert_eq!(run(&mut scrubber, u64::MAX).0.segments, 2);
}

#[test]
fn appending_truncation_retention_and_compaction_go_on_meanwhile() {
    for seed in 0..60 {
        let machine = SimulatedEnvironment::new(seed);
        let mut rng = Rng::new(seed);
        let mut log = open(&machine);
        let mut scrubber = log.reader.scrubber();
        let mut passes = 0;
        for _ in 0..300 {
            match rng.below(8) {
                0 => append(&mut log, 5),
                1 => commit(&mut log),
                2 => {
                    let committed = log.reader.committed_end();
                    let uncommitted = log.reader.end_index().distance_from(committed).unwrap();
                    log.writer.truncate_suffix(committed + rng.below(uncommitted + 1)).unwrap();
                }
                3 if rng.percent(20) => {
                    let segments = log.reader.segments();
                    let start = segments[rng.index(segments.len().min(3))].name;
                    if start.base_index <= log.reader.committed_end() {
                        log.writer.advance_start(start.base_offset, start.base_index).unwrap();
                    }
                }
                4 if rng.percent(20) => {
                    commit(&mut log);
                    log.writer.advance_start(Offset::ZERO, log.writer.end_index()).unwrap();
                    if let Some(plan) = log.writer.plan_compaction(machine.now_ms(), DecodeLimits::default()) {
                        log.writer.install_compaction(plan.run().unwrap()).unwrap();
                    }
                }
                _ => match scrubber.step(rng.below(900)).unwrap() {
                    ScrubStep::Damaged { damage, .. } => panic!("seed {seed}: {damage}"),
                    ScrubStep::Read { .. } => {}
                    ScrubStep::Finished(_) => passes += 1,
                },
            }
        }
        assert!(passes > 2, "seed {seed}: {passes} passes");
    }
}
