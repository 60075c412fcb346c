//! Damage to a log whose process died. What later entries or the checkpoint show to have been durable is refused with its
//! place; what nobody knows of is a torn tail, cut exactly there.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tidelog_log::environment::simulated::{Rng, SimulatedEnvironment};
use tidelog_log::{Damage, Log};
use tidelog_proto::ids::RaftIndex;
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use super::sample::{FramePlace, Sample, born, config, path_of};
use super::verdict::{Place, Verdict, judge, judge_exact};
use crate::log_fixture::ORIGIN;
use crate::log_fixture::model::LogModel;
use crate::log_fixture::seeds::SeededTest;
use crate::log_fixture::tracked_log::{Ending, Step};

/// A log that nobody closed, its last segment the only one.
struct Unclosed {
    sample: Sample,
    path: PathBuf,
    frames: Vec<FramePlace>,
    /// First byte behind the frames; zeros from there on.
    end_bytes: u64,
    /// Everything below is durable, as the checkpoint says.
    checkpointed_end: RaftIndex,
}

impl Unclosed {
    /// Makes one that is small, so that every bit has its turn soon.
    fn new() -> Self {
        (0..).map(Self::of).find(|log| log.end_bytes < 3_000).expect("one of all seeds will do")
    }

    fn of(seed: u64) -> Self {
        let mut tracked = born(seed, config(8_000));
        let mut checkpointed_end = RaftIndex::ZERO;
        for round in 0..7 {
            for step in [Step::Append(2), Step::Sync, Step::Commit] {
                tracked.take(step).expect("nothing fails");
            }
            if round == 1 {
                tracked.take(Step::Checkpoint).expect("nothing fails");
                checkpointed_end = tracked.model.durable_end;
            }
        }
        tracked.take(Step::Append(3)).expect("nothing fails");
        tracked.end_life(Ending::Killed);
        let sample = Sample::of(&tracked);
        let frames = sample.frames_of(ORIGIN);
        let end_bytes = frames.last().expect("there are entries").bytes.end;
        Self { path: path_of(ORIGIN, "log"), frames, end_bytes, checkpointed_end, sample }
    }

    /// Gives the first index that the checkpoint and the frames that `is_sound` do not show to be committed or durable.
    fn known_end(&self, first_damaged: usize, is_sound: impl Fn(&FramePlace) -> bool) -> RaftIndex {
        let behind = self.frames[first_damaged..].iter().filter(|frame| is_sound(frame));
        let marks = behind.filter_map(|frame| {
            let stamp = self.sample.model.entries[self.sample.model.number_of(frame.index)].frame.stamp();
            let committed = stamp.index.get().checked_sub(u64::from(stamp.commit_lag))?;
            Some(RaftIndex::new(committed).next())
        });
        marks.max().unwrap_or(RaftIndex::ZERO).max(self.checkpointed_end)
    }

    /// Opens the log with `damaged` bytes that are not what they were, and checks that it does what it should. Gives what
    /// is left where it was cut; `None` where it was refused.
    fn check(&self, machine: &SimulatedEnvironment, damaged: &Range<u64>) -> Option<LogModel> {
        let meets = |bytes: &Range<u64>| bytes.start < damaged.end && damaged.start < bytes.end;
        if damaged.start < SEGMENT_HEADER_BYTES as u64 {
            self.check_refused(machine, 0);
            return None;
        }
        let Some(first) = self.frames.iter().position(|frame| meets(&frame.bytes)) else {
            return Some(self.check_cut(machine, self.sample.model.end_index(), self.end_bytes));
        };
        let place = &self.frames[first];
        if place.index < self.known_end(first, |frame| !meets(&frame.bytes)) {
            self.check_refused(machine, place.bytes.start);
            return None;
        }
        Some(self.check_cut(machine, place.index, place.bytes.start))
    }

    fn check_refused(&self, machine: &SimulatedEnvironment, position_bytes: u64) {
        let before = machine.read_contents(&self.path);
        let verdict = judge(machine, &self.sample.model, &[Place::at(&self.path, position_bytes)]);
        assert!(matches!(verdict, Verdict::Refused), "damage at {position_bytes} is cut");
        assert!(machine.read_contents(&self.path) == before, "a refused log was changed");
    }

    /// Checks that a log ends before entry `end`, and that what stood there is zeroed. Gives what is left.
    fn check_cut(&self, machine: &SimulatedEnvironment, end: RaftIndex, position_bytes: u64) -> LogModel {
        let mut model = self.sample.model.clone();
        model.cut(end);
        let Log { writer, report, .. } = judge_exact(machine, &model);
        let torn_tail = report.torn_tail.expect("something stood there");
        let Damage { path, position_bytes: position, index, .. } = torn_tail;
        assert_eq!((path, position, index), (self.path.clone(), position_bytes, end));
        let bytes = machine.read_contents(&self.path).expect("it is there");
        let behind = &bytes[usize::try_from(position_bytes).expect("a position in memory")..];
        assert!(behind.iter().all(|byte| *byte == 0), "what was cut is still there");
        drop(writer);
        model
    }
}

#[test]
fn every_flipped_bit_of_an_unclosed_log_is_refused_below_the_durable_mark_and_cut_above_it() {
    let log = Unclosed::new();
    let test = SeededTest {
        name: "log_damage::unclean::every_flipped_bit_of_an_unclosed_log_is_refused_below_the_durable_mark_and_cut_above_it",
        seeds: log.end_bytes * 8,
        count_variable: None,
    };
    test.run(|bit| {
        let machine = log.sample.machine.duplicate();
        machine.flip_bit(&log.path, bit / 8, u8::try_from(bit % 8).expect("below 8"));
        log.check(&machine, &(bit / 8..bit / 8 + 1));
    });
}

#[test]
fn damaged_blocks_of_an_unclosed_log_are_refused_below_the_durable_mark_and_cut_above_it() {
    let log = Unclosed::new();
    let bytes = log.sample.file(&log.path).bytes.clone();
    let mut rng = Rng::new(1);
    let (mut refused, mut cut) = (0, 0);
    for block_bytes in [1_u64, 40, 512, 4_096] {
        let starts_end = (log.end_bytes + 2 * block_bytes).min(bytes.len() as u64);
        for start in (0..starts_end).step_by(usize::try_from(block_bytes.max(7)).expect("small")) {
            let block = start..(start + block_bytes).min(bytes.len() as u64);
            let mut garbage = vec![0; usize::try_from(block.end - block.start).expect("small")];
            rng.fill(&mut garbage);
            for content in [vec![0; garbage.len()], garbage] {
                let Some(damaged) = put(&bytes, block.start, &content) else { continue };
                let machine = log.sample.machine.duplicate();
                machine.set_contents(&log.path, &damaged);
                // A block of zeros may hold zeros that were there before; what has changed is what is damaged.
                let changed = changed_range(&bytes, &damaged);
                match log.check(&machine, &changed) {
                    Some(left) => {
                        cut += 1;
                        // Cut for good: the power may fail now.
                        judge_exact(&machine.crash(start), &left);
                    }
                    None => refused += 1,
                }
            }
        }
    }
    assert!(refused > 300 && cut > 100, "{refused} refused and {cut} cut are too few to be proof");
}

#[test]
fn every_length_of_an_unclosed_log_is_refused_below_the_checkpoint_and_cut_above_it() {
    let log = Unclosed::new();
    let bytes = &log.sample.file(&log.path).bytes;
    let lengths = (0..=log.end_bytes + 10).chain([log.end_bytes + 500]);
    for len in lengths {
        let machine = log.sample.machine.duplicate();
        machine.set_contents(&log.path, &bytes[..usize::try_from(len).expect("a length in memory")]);
        if len < SEGMENT_HEADER_BYTES as u64 {
            log.check_refused(&machine, 0);
            continue;
        }
        let whole = log.frames.iter().take_while(|frame| frame.bytes.end <= len).count();
        let end = log.frames.get(whole).map_or(log.sample.model.end_index(), |frame| frame.index);
        let position_bytes = log.frames.get(whole).map_or(log.end_bytes, |frame| frame.bytes.start);
        if end < log.checkpointed_end {
            log.check_refused(&machine, position_bytes);
        } else {
            let mut model = log.sample.model.clone();
            model.cut(end);
            let opened = judge_exact(&machine, &model);
            let torn_at = opened.report.torn_tail.map(|torn_tail| torn_tail.position_bytes);
            let is_torn = whole < log.frames.len() && len > position_bytes;
            assert_eq!(torn_at, is_torn.then_some(position_bytes), "length {len}");
        }
    }
}

/// A sealed segment is read only when it is asked for, whatever became of the log.
#[test]
fn every_damaged_byte_of_a_sealed_segment_of_an_unclosed_log_is_refused_at_its_place() {
    let mut tracked = born(4, config(1_500));
    for step in [Step::Append(5), Step::Roll, Step::Append(2), Step::Sync, Step::Commit, Step::Append(1)] {
        tracked.take(step).expect("nothing fails");
    }
    tracked.end_life(Ending::Killed);
    let sample = Sample::of(&tracked);
    let sealed = sample.segments()[0];
    let path = path_of(sealed, "log");
    for position_bytes in 0..sample.file(&path).bytes.len() as u64 {
        let machine = sample.machine.duplicate();
        machine.flip_bit(&path, position_bytes, u8::try_from(position_bytes % 8).expect("below 8"));
        let place = Place::at(&path, sample.place_of(sealed, position_bytes));
        let verdict = judge(&machine, &sample.model, &[place]);
        let is_missed = match &verdict {
            Verdict::Opened { refusals, .. } => *refusals > 0,
            Verdict::Refused => false,
        };
        assert_eq!(is_missed, position_bytes >= SEGMENT_HEADER_BYTES as u64, "byte {position_bytes}: {verdict:?}");
    }
}

/// Puts `content` at a position; `None` where it is there already.
fn put(bytes: &[u8], position_bytes: u64, content: &[u8]) -> Option<Vec<u8>> {
    let start = usize::try_from(position_bytes).expect("a position in memory");
    let mut damaged = bytes.to_vec();
    damaged[start..start + content.len()].copy_from_slice(content);
    (damaged != bytes).then_some(damaged)
}

/// Gives the first to the last byte that differ.
fn changed_range(before: &[u8], after: &[u8]) -> Range<u64> {
    let differs = |at: &usize| before[*at] != after[*at];
    let first = (0..before.len()).find(differs).expect("something has changed");
    let last = (0..before.len()).rev().find(differs).expect("something has changed");
    first as u64..last as u64 + 1
}

/// The path of the one segment is what the tests take it for.
#[test]
fn the_log_that_is_damaged_here_has_one_segment() {
    let log = Unclosed::new();
    assert_eq!(log.sample.segments(), [ORIGIN]);
    assert!(Path::new(&log.path).ends_with("00000000000000000000-0.log"));
    let known = log.known_end(0, |_| true);
    let unknown = log.sample.model.end_index().distance_from(known).expect("the mark is below the end");
    assert!((1..=5).contains(&unknown), "{unknown} entries are above the mark");
}
