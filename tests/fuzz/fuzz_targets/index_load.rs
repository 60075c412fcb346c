//! Damage to the files beside the segments: indexes, the checkpoint, the manifest of a compaction.
//!
//! The segments themselves are sound, so a damaged index changes nothing that is read. A checkpoint or manifest that was
//! damaged is refused, and no segment is touched. Where checksums are made true over other bytes, opening may do as
//! these say, but ends, and returns whole batches or a typed error.

#![no_main]
#![forbid(unsafe_code)]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tidelog_fuzz::afterlife::go_on;
use tidelog_fuzz::checksums::{
    INDEX_HEADER_BYTES, is_sealed_index, is_sealed_index_header, is_sealed_small_file, seal_index, seal_small_file,
};
use tidelog_fuzz::edits::{EDITS_MAX, edit};
use tidelog_fuzz::input::Input;
use tidelog_fuzz::readback::Trust;
use tidelog_fuzz::sample_logs::{DIR, SampleLog, pick};
use tidelog_log::OpenError;
use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::SimulatedEnvironment;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let sample = pick(input.byte());
    let machine = sample.machine();
    for _ in 0..=input.byte() % 3 {
        damage(sample, &machine, &mut input);
    }
    let state = state_of(sample, &machine);
    match sample.open(&machine) {
        Ok(log) => {
            assert_ne!(state, State::Refused, "a damaged checkpoint or manifest was believed");
            let trust = if state == State::Forged { Trust::Forged } else { Trust::Exact };
            go_on(sample, &machine, log, sample.content.clone(), trust, &mut input);
        }
        Err(error) => {
            assert_ne!(state, State::Sound, "{error}");
            if state == State::Refused {
                assert!(matches!(error, OpenError::SmallFile(_) | OpenError::CheckpointMissing { .. }), "{error}");
                let changed = sample.changed_segments(&machine);
                assert!(changed.is_empty(), "a refusal changed {changed:?}");
            }
        }
    }
});

/// What the files beside the segments are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Nothing that the log needs is damaged.
    Sound,
    /// The checkpoint or the manifest is damaged.
    Refused,
    /// Other bytes have true checksums.
    Forged,
}

/// Damages a file beside the segments, or makes a manifest where there was none.
fn damage(sample: &SampleLog, machine: &SimulatedEnvironment, input: &mut Input<'_>) {
    let none = (Path::new(DIR).join("compaction"), Vec::new());
    let (path, original) = sample.others.get(input.below(sample.others.len() + 1)).unwrap_or(&none);
    let how = input.byte();
    if how == 0 {
        // It may be gone already.
        let _ = machine.remove_file(path);
        return;
    }
    let donors: Vec<&[u8]> = sample.others.iter().map(|(_, image)| image.as_slice()).collect();
    let mut image = if how.is_multiple_of(2) { Vec::new() } else { original.clone() };
    for _ in 0..=usize::from(how / 2) % EDITS_MAX {
        edit(input, &mut image, &donors);
    }
    if how >= 128 && is_index(path) {
        seal_index(&mut image);
    } else if how >= 128 {
        seal_small_file(&mut image);
    }
    machine.set_contents(path, &image);
}

fn state_of(sample: &SampleLog, machine: &SimulatedEnvironment) -> State {
    let manifest = Path::new(DIR).join("compaction");
    let manifest_state = match machine.read_contents(&manifest) {
        Some(image) if sample.others.iter().all(|(path, _)| *path != manifest) => small_file_state(&image),
        _ => State::Sound,
    };
    let states = sample.others.iter().map(|(path, original)| match machine.read_contents(path) {
        Some(image) if image == *original => State::Sound,
        Some(image) if is_index(path) => index_state(&image, original),
        Some(image) => small_file_state(&image),
        None if is_index(path) => State::Sound,
        // Without its manifest a swap was never begun, and more is read than after it.
        None if *path == manifest => State::Forged,
        None => State::Refused,
    });
    states.max().unwrap_or(State::Sound).max(manifest_state)
}

fn small_file_state(image: &[u8]) -> State {
    if is_sealed_small_file(image) { State::Forged } else { State::Refused }
}

/// An index is believed only where its checksums are true and it names its segment.
fn index_state(image: &[u8], original: &[u8]) -> State {
    // Magic, version, identity and segment. The index of a segment that is being written has no header yet.
    let name = |image: &[u8]| Some([image.get(..10)?, image.get(12..48)?].concat());
    let may_fit = name(image) == name(original) || original.len() < INDEX_HEADER_BYTES || !is_sealed_index(original);
    // Whose header is believed, its summary of the segment is, even where the entries are not: the header of another
    // version of the segment is as good as a forged one.
    let is_other_header = image.get(..INDEX_HEADER_BYTES) != original.get(..INDEX_HEADER_BYTES);
    let is_believed = is_sealed_index(image) || is_other_header && is_sealed_index_header(image);
    if is_believed && may_fit { State::Forged } else { State::Sound }
}

fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.to_string_lossy().ends_with("index"))
}
