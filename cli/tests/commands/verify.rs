//! `tidelog log verify`.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tidelog_log::data_dir::DataDir;
use tidelog_log::environment::RealEnvironment;

use crate::sample_log::{SampleLog, flip};
use crate::tidelog::{Run, command, finished, run, run_json};

fn verify(dir: &Path) -> Run {
    run_json([Path::new("log"), Path::new("verify"), dir])
}

fn verify_text(dir: &Path) -> Run {
    run([Path::new("log"), Path::new("verify"), dir])
}

/// Gives file and position of the one damage that is reported.
#[track_caller]
fn only_damage(sample: &SampleLog) -> (PathBuf, u64, Value) {
    let run = verify(&sample.dir);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    let damages = run.objects_of("damage");
    assert_eq!(damages.len(), 1, "{}", run.stdout);
    let damage = damages[0].clone();
    (damage["file"].as_str().unwrap().into(), damage["position"].as_u64().unwrap(), damage)
}

#[test]
fn a_sound_log_is_found_sound() {
    let sample = SampleLog::new();
    let run = verify(&sample.dir);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    let log = &run.objects_of("log")[0];
    assert_eq!((&log["frames"], &log["batches"], &log["records"]), (&json!(12), &json!(10), &json!(28)));
    assert_eq!((&log["end_offset"], &log["segments"]), (&json!(28), &json!(sample.files("log").len())));
    assert!(sample.files("log").len() > 2);

    let text = verify_text(&sample.data_dir).stdout;
    let expected = "sound   11111111-1111-1111-1111-111111111111/0: offsets 0 up to 28, ";
    assert!(text.starts_with(expected) && text.ends_with("\n1 log verified, no damage\n"), "{text}");
}

#[test]
fn a_flip_in_a_frame_header_or_a_batch_is_found_at_the_frame() {
    for within_frame in [9, 45, 100] {
        let sample = SampleLog::new();
        let file = &sample.files("log")[0];
        let place = 64 + sample.first_frames[0];
        flip(file, place + within_frame);
        let (path, position, damage) = only_damage(&sample);
        assert_eq!((&path, position), (file, place));
        assert_eq!((&damage["raft_index"], &damage["offset"]), (&json!(1), &json!(0)));
        let text = verify_text(&sample.dir);
        assert_eq!(text.code, 1);
        let expected = format!("damage  {} at byte {place} (raft index 1, offset 0): frame", file.display());
        assert!(text.stdout.starts_with(&expected), "{}", text.stdout);
        assert!(text.stdout.ends_with("\n1 log verified, 1 damaged\n"), "{}", text.stdout);
    }
}

#[test]
fn a_flip_in_a_segment_header_is_found() {
    let sample = SampleLog::new();
    let file = &sample.files("log")[1];
    flip(file, 20);
    let (path, position, _) = only_damage(&sample);
    assert_eq!((&path, position), (file, 0));
}

#[test]
fn a_flip_in_an_index_is_found_at_the_header_or_the_entry() {
    for (ending, at, place) in [("index", 60, 0), ("index", 135, 128), ("timeindex", 146, 144), ("timeindex", 2, 0)] {
        let sample = SampleLog::new();
        let file = &sample.files(ending)[0];
        flip(file, at);
        let (path, position, _) = only_damage(&sample);
        assert_eq!((&path, position), (file, place), "{ending} {at}");
    }
}

#[test]
fn a_truncated_segment_is_found_where_it_ends() {
    let cut = |sample: &SampleLog, number: usize, len: u64| {
        OpenOptions::new().write(true).open(&sample.files("log")[number]).unwrap().set_len(len).unwrap();
    };
    let sample = SampleLog::new();
    let place = 64 + sample.first_frames[0];
    cut(&sample, 0, place + 10);
    assert_eq!(only_damage(&sample).1, place, "within a frame");
    cut(&sample, 0, place);
    let (path, position, damage) = only_damage(&sample);
    assert_eq!((&path, position, &damage["raft_index"]), (&sample.files("log")[0], place, &json!(1)), "between frames");

    let sample = SampleLog::new();
    let last = sample.files("log").len() - 1;
    cut(&sample, last, 64);
    let (path, position, damage) = only_damage(&sample);
    assert_eq!((&path, position), (&sample.files("log")[last], 64));
    assert!(damage["reason"].as_str().unwrap().contains("entry 11 was durable"), "{damage}");
}

#[test]
fn a_missing_segment_is_found_at_the_end_of_the_one_before() {
    let sample = SampleLog::new();
    let files = sample.files("log");
    let missing = files[1].file_stem().unwrap().to_str().unwrap().to_owned();
    for ending in ["log", "index", "timeindex"] {
        fs::remove_file(sample.dir.join(format!("{missing}.{ending}"))).unwrap();
    }
    let (path, position, _) = only_damage(&sample);
    assert_eq!((&path, position), (&files[0], fs::metadata(&files[0]).unwrap().len()));
}

#[test]
fn a_segment_of_another_partition_is_found() {
    let mut sample = SampleLog::new();
    let other = sample.add_partition(1);
    let file = sample.files("log")[0].clone();
    fs::copy(other.join(file.file_name().unwrap()), &file).unwrap();
    let (path, position, damage) = only_damage(&sample);
    assert_eq!((&path, position), (&file, 0));
    assert_eq!(damage["reason"], "the segment header is another segment's");
}

#[test]
fn all_logs_of_a_data_directory_are_verified() {
    let mut sample = SampleLog::new();
    let other = sample.add_partition(10);
    fs::create_dir(sample.dir.with_file_name("11")).unwrap();
    let run = verify(&sample.data_dir);
    assert_eq!(run.code, 0, "{}", run.stdout);
    let logs: Vec<_> = run.objects_of("log").iter().map(|log| log["partition"].clone()).collect();
    assert_eq!(logs, [json!(0), json!(10)]);
    assert_eq!(run.objects_of("note")[0]["reason"], "no log yet");
    let named = verify(&sample.dir.with_file_name("11"));
    assert_eq!(named.code, 1);
    assert!(named.stderr.contains("neither a segment nor a checkpoint"), "{}", named.stderr);

    flip(&other.join("00000000000000000000-0.log"), 80);
    let run = verify(&sample.data_dir);
    assert_eq!(run.code, 1);
    let summary = &run.objects_of("summary")[0];
    assert_eq!((&summary["logs"], &summary["damaged_logs"]), (&json!(3), &json!(1)));
    assert_eq!(verify(&sample.dir).code, 0);
}

#[test]
fn a_data_directory_in_use_is_pointed_out() {
    let sample = SampleLog::new();
    let summary = |run: &Run| run.objects_of("summary")[0].clone();
    let held = DataDir::open(&RealEnvironment::new(), &sample.data_dir).unwrap();
    let run = verify(&sample.dir);
    assert_eq!((run.code, &summary(&run)["in_use"]), (0, &json!(true)));
    let text = verify_text(&sample.data_dir).stdout;
    assert!(text.contains("in use by another process"), "{text}");
    drop(held);
    assert_eq!(summary(&verify(&sample.dir))["in_use"], json!(false));
}

#[test]
fn a_directory_without_logs_is_refused_with_advice() {
    let temporary = tempfile::tempdir().unwrap();
    let run = verify(temporary.path());
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("there is no log; give a data directory"), "{}", run.stderr);
}

#[test]
fn the_exit_code_tells_of_damage_even_if_nobody_reads() {
    let sample = SampleLog::new();
    flip(&sample.files("log")[0], 80);
    let arguments = ["log".into(), "verify".into(), sample.dir.clone()];
    let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = finished(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
}

#[test]
fn nothing_is_changed() {
    let sample = SampleLog::new();
    let contents = || {
        let mut paths: Vec<_> = fs::read_dir(&sample.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = contents();
    verify(&sample.data_dir);
    flip(&sample.files("index")[0], 60);
    verify(&sample.data_dir);
    flip(&sample.files("index")[0], 60);
    assert!(contents() == before);
}
