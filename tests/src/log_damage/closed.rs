//! Every single flipped bit and every length of each file of a log that was closed in order.

use std::path::Path;

use tidelog_log::environment::simulated::SimulatedEnvironment;

use super::sample::{Sample, SampleFile};
use super::verdict::{Place, Verdict, judge, judge_exact};
use crate::log_fixture::seeds::SeededTest;

#[test]
fn every_flipped_bit_of_a_closed_log_is_exact_repaired_or_refused_at_its_place() {
    let sample = Sample::closed();
    let bits = |file: &SampleFile| file.bytes.len() as u64 * 8;
    let test = SeededTest {
        name: "log_damage::closed::every_flipped_bit_of_a_closed_log_is_exact_repaired_or_refused_at_its_place",
        seeds: sample.files.iter().map(bits).sum(),
        count_variable: None,
    };
    test.run(|number| {
        let mut bit = number;
        let mut files = sample.files.iter();
        let file = files.find(|file| {
            let is_here = bit < bits(file);
            bit -= if is_here { 0 } else { bits(file) };
            is_here
        });
        let file = file.expect("it numbers a bit");
        let machine = sample.machine.duplicate();
        machine.flip_bit(&file.path, bit / 8, u8::try_from(bit % 8).expect("below 8"));
        check(&sample, &machine, &file.path, bit / 8);
    });
}

#[test]
fn every_length_of_every_file_of_a_closed_log_is_exact_repaired_or_refused_at_its_place() {
    let sample = Sample::closed();
    let lengths = |file: &SampleFile| file.bytes.len() as u64;
    let test = SeededTest {
        name: "log_damage::closed::every_length_of_every_file_of_a_closed_log_is_exact_repaired_or_refused_at_its_place",
        seeds: sample.files.iter().map(lengths).sum(),
        count_variable: None,
    };
    test.run(|number| {
        let mut len = number;
        let mut files = sample.files.iter();
        let file = files.find(|file| {
            let is_here = len < lengths(file);
            len -= if is_here { 0 } else { lengths(file) };
            is_here
        });
        let file = file.expect("it numbers a length");
        let machine = sample.machine.duplicate();
        machine.set_contents(&file.path, &file.bytes[..usize::try_from(len).expect("a length in memory")]);
        check(&sample, &machine, &file.path, len);
    });
}

#[test]
fn what_is_added_to_a_file_of_a_closed_log_is_never_read() {
    let sample = Sample::closed();
    for file in &sample.files {
        for added in [&[0][..], &[0; 600], &[0xff; 1], &[0x5a; 5_000], &file.bytes] {
            let machine = sample.machine.duplicate();
            machine.set_contents(&file.path, &[&file.bytes[..], added].concat());
            if sample.segment_at(&file.path).is_some() {
                judge_exact(&machine, &sample.model);
            } else {
                check(&sample, &machine, &file.path, 0);
            }
        }
    }
}

/// Checks what becomes of damage at one byte of a file.
fn check(sample: &Sample, machine: &SimulatedEnvironment, path: &Path, position_bytes: u64) {
    if let Some(segment) = sample.segment_at(path) {
        judge(machine, &sample.model, &[Place::at(path, sample.place_of(segment, position_bytes))]);
    } else if path.ends_with("checkpoint") {
        let verdict = judge(machine, &sample.model, &[Place::whole(path)]);
        assert!(matches!(verdict, Verdict::Refused), "{verdict:?}");
    } else {
        let log = judge_exact(machine, &sample.model);
        log.writer.close().expect("the log is sound");
        for file in &sample.files {
            assert!(machine.read_contents(&file.path).as_ref() == Some(&file.bytes), "{} differs", file.path.display());
        }
    }
}
