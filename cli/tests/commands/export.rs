//! `tidelog log export`.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::sample_log::{SampleLog, flip};
use crate::tidelog::{Run, run, run_json};

fn export(dir: &Path, file: &Path) -> Run {
    run([Path::new("log"), Path::new("export"), dir, file])
}

#[test]
fn the_batches_are_exported_byte_for_byte() {
    let sample = SampleLog::new();
    let target = sample.data_dir.join("plain.log");
    let exported = export(&sample.dir, &target);
    assert_eq!((exported.code, exported.stderr.as_str()), (0, ""));
    assert_eq!(fs::read(&target).unwrap(), sample.batches);
    let expected = format!("{}: 10 batches, 28 records, ", target.display());
    assert!(exported.stdout.starts_with(&expected), "{}", exported.stdout);
    assert!(exported.stdout.ends_with(", offsets 0 up to 28\n"), "{}", exported.stdout);
}

#[test]
fn a_file_that_is_there_is_replaced_on_demand_only() {
    let sample = SampleLog::new();
    let target = sample.data_dir.join("plain.log");
    fs::write(&target, "precious").unwrap();
    let refused = export(&sample.dir, &target);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    let expected = format!(
        "error: {}: the file is already there; choose another name, or replace it with --force\n",
        target.display()
    );
    assert_eq!(refused.stderr, expected);
    assert_eq!(fs::read(&target).unwrap(), b"precious");

    let arguments = ["log", "export", "--force", sample.dir.to_str().unwrap(), target.to_str().unwrap()];
    let replaced = run_json(arguments);
    assert_eq!(replaced.code, 0, "{}", replaced.stderr);
    assert_eq!(replaced.objects()[0]["bytes"], json!(sample.batches.len()));
    assert_eq!(fs::read(&target).unwrap(), sample.batches);
}

#[test]
fn nothing_is_exported_from_a_damaged_log() {
    let sample = SampleLog::new();
    flip(&sample.files("log")[1], 100);
    let target = sample.data_dir.join("plain.log");
    let refused = export(&sample.dir, &target);
    assert_eq!(refused.code, 1);
    let place = format!("{} at byte 64 (raft index ", sample.files("log")[1].display());
    assert!(refused.stderr.contains(&place) && refused.stderr.contains("nothing was exported"), "{}", refused.stderr);
    let left: Vec<_> = fs::read_dir(&sample.data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "the topic alone: {left:?}");
}

#[test]
fn a_target_within_the_log_and_a_directory_without_a_log_are_refused() {
    let sample = SampleLog::new();
    let within = export(&sample.dir, &sample.dir.join("plain.log"));
    assert_eq!(within.code, 1);
    assert!(within.stderr.contains("lies in the directory of the log itself"), "{}", within.stderr);
    let without = export(&sample.data_dir, &sample.data_dir.join("plain.log"));
    assert_eq!(without.code, 1);
    assert!(without.stderr.contains("give the directory of one log"), "{}", without.stderr);
}
