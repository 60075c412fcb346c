//! Blocks of a disk that come back as zeros, as what they were once, or in the place of others.

use std::ops::Range;

use tidelog_log::environment::simulated::{Rng, SimulatedEnvironment};

use super::sample::{Sample, SampleFile, born, close, config};
use super::verdict::{Place, judge};
use crate::log_fixture::tracked_log::{Step, TrackedLog};

/// What a disk writes as one, and what a page cache does.
const BLOCK_BYTES: [usize; 2] = [512, 4_096];

/// Makes a log of some pages, and what its files were a third of the way.
fn aged() -> (Sample, Sample) {
    let mut tracked = born(3, config(10_000));
    let grow = |tracked: &mut TrackedLog| {
        for step in [Step::Append(14), Step::Sync, Step::Commit, Step::Append(14), Step::Sync] {
            tracked.take(step).expect("nothing fails");
        }
    };
    grow(&mut tracked);
    let earlier = Sample::of(&tracked);
    grow(&mut tracked);
    grow(&mut tracked);
    close(&mut tracked);
    let sample = Sample::of(&tracked);
    assert!(sample.segments().len() > 1 && sample.files.iter().any(|file| file.bytes.len() > 8_192));
    (sample, earlier)
}

#[test]
fn lost_stale_and_misplaced_blocks_are_never_taken_for_records() {
    let (sample, earlier) = aged();
    let mut rng = Rng::new(1);
    let mut damaged = 0;
    for file in &sample.files {
        for block_bytes in BLOCK_BYTES {
            for start in (0..file.bytes.len()).step_by(block_bytes) {
                let block = start..file.bytes.len().min(start + block_bytes);
                let mut garbage = vec![0; block.len()];
                rng.fill(&mut garbage);
                let stale = earlier.machine.read_contents(&file.path).unwrap_or_default();
                let next = rng.index(sample.files.len());
                for content in [
                    vec![0; block.len()],
                    garbage,
                    at_block(&stale, &block),
                    at_block(&sample.files[next].bytes, &block),
                    at_block(&file.bytes, &(block.end..block.end + block.len())),
                ] {
                    damaged += usize::from(check(&sample, file, &block, &content));
                }
            }
        }
    }
    assert!(damaged > 250, "{damaged} damaged blocks are too few to be proof");
}

#[test]
fn two_blocks_that_changed_places_are_never_taken_for_records() {
    let (sample, _) = aged();
    for file in sample.files.iter().filter(|file| sample.segment_at(&file.path).is_some()) {
        for block_bytes in BLOCK_BYTES {
            let blocks: Vec<Range<usize>> =
                (0..file.bytes.len() / block_bytes).map(|at| at * block_bytes..(at + 1) * block_bytes).collect();
            for (number, first) in blocks.iter().enumerate() {
                for second in &blocks[number + 1..] {
                    let mut bytes = file.bytes.clone();
                    bytes[first.clone()].copy_from_slice(&file.bytes[second.clone()]);
                    bytes[second.clone()].copy_from_slice(&file.bytes[first.clone()]);
                    let machine = sample.machine.duplicate();
                    machine.set_contents(&file.path, &bytes);
                    judge_blocks(&sample, &machine, file, &[first.clone(), second.clone()]);
                }
            }
        }
    }
}

/// Gives what stands at a block of other bytes, zeros where they end.
fn at_block(bytes: &[u8], block: &Range<usize>) -> Vec<u8> {
    let mut content = vec![0; block.len()];
    let there = bytes.get(block.start..bytes.len().min(block.end)).unwrap_or(&[]);
    content[..there.len()].copy_from_slice(there);
    content
}

/// Puts `content` in the place of a block; tells whether that changed anything.
fn check(sample: &Sample, file: &SampleFile, block: &Range<usize>, content: &[u8]) -> bool {
    if file.bytes[block.clone()] == *content {
        return false;
    }
    let machine = sample.machine.duplicate();
    let mut bytes = file.bytes.clone();
    bytes[block.clone()].copy_from_slice(content);
    machine.set_contents(&file.path, &bytes);
    judge_blocks(sample, &machine, file, std::slice::from_ref(block));
    true
}

fn judge_blocks(sample: &Sample, machine: &SimulatedEnvironment, file: &SampleFile, blocks: &[Range<usize>]) {
    let places = match sample.segment_at(&file.path) {
        Some(segment) => {
            blocks.iter().flat_map(|block| sample.places_in(segment, &(block.start as u64..block.end as u64))).collect()
        }
        None if file.path.ends_with("checkpoint") => vec![Place::whole(&file.path)],
        None => Vec::new(),
    };
    judge(machine, &sample.model, &places);
}
