//! `tidelog log dump`.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::sample_log::{SampleLog, TIME_MS, flip};
use crate::tidelog::{command, finished, run, run_json};

fn dump(arguments: &[&str]) -> Vec<String> {
    ["log", "dump"].iter().chain(arguments).map(|&argument| argument.to_owned()).collect()
}

#[test]
fn frames_and_batches_are_shown_in_columns() {
    let sample = SampleLog::new();
    let file = sample.files("log")[0].display().to_string();
    let run = run(dump(&[&file]));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "segment of 11111111-1111-1111-1111-111111111111/0: base offset 0, base raft index 0, ".to_owned()
            + &format!("{} bytes", fs::metadata(&file).unwrap().len())
    );
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let time = "2023-11-14T22:13:20.123Z";
    assert_eq!(columns(lines[2]), format!("64 0 7 - at 0 {time} no-op 48 0 bytes"));
    let second = 64 + sample.first_frames[0];
    let bytes = sample.first_frames[1];
    let expected = format!(
        "{second} 1 7 0 0 to 2 {time} data {bytes} 3 records, gzip, max timestamp {time}, leader epoch 7, \
         producer 5 epoch 2 sequence 30"
    );
    assert_eq!(columns(lines[3]), expected);
    let end_of_content: Vec<_> =
        lines[1..].iter().filter_map(|line| line.find("content").or(line.find("records,"))).collect();
    assert!(end_of_content.len() > 2, "{lines:?}");

    let last = run_of_last_segment(&sample);
    assert!(last.contains("1 record, none, max timestamp"), "{last}");
    assert!(last.contains("set at append, leader epoch 7, producer 5 epoch 2, transactional, control"), "{last}");
    assert!(last.contains("log start offset 0"), "{last}");
}

fn run_of_last_segment(sample: &SampleLog) -> String {
    run(dump(&[&sample.files("log").last().unwrap().display().to_string()])).stdout
}

#[test]
fn records_are_shown_on_demand() {
    let sample = SampleLog::new();
    let file = sample.files("log")[0].display().to_string();
    let text = run(dump(&[&file, "--records"])).stdout;
    let time = "2023-11-14T22:13:20.123Z";
    let expected = format!(
        "                  offset 1  {time}  key null  value \"\\xff\\u{{0}}\"  \
         header \"trace\"=\"a\\\"b\"  header \"trace\"=null\n                  offset 2  {time}  key \"\"  value null\n"
    );
    assert!(text.contains(&expected), "{text}");

    let run = run_json(dump(&[&file, "--records"]));
    let records = run.objects_of("record");
    let expected = json!({
        "type": "record",
        "offset": 1,
        "timestamp": TIME_MS,
        "key": null,
        "value": "\u{fffd}\u{0}",
        "value_hex": "ff00",
        "headers": [{ "key": "trace", "value": "a\"b" }, { "key": "trace", "value": null }],
    });
    assert_eq!(records[1], expected);
    let frames = run.objects_of("frame");
    assert_eq!((&frames[0]["frame_type"], &frames[0]["position"]), (&json!("no-op"), &json!(64)));
    assert_eq!(frames[1]["batch"]["compression"], "gzip");
    assert_eq!(records.len(), frames.len() * 3 - 3, "three of every batch, none of the no-op");
}

#[test]
fn damage_is_shown_in_its_place_with_all_that_follows() {
    let sample = SampleLog::new();
    let file = sample.files("log")[0].clone();
    let name = file.display().to_string();
    let whole = run_json(dump(&[&name])).objects_of("frame").len();
    let place = 64 + sample.first_frames[0];
    flip(&file, place + 70);
    let run = run_json(dump(&[&name, "--records"]));
    assert_eq!(run.code, 1);
    let damage = &run.objects_of("damage")[0];
    assert_eq!((&damage["position"], &damage["raft_index"], &damage["offset"]), (&json!(place), &json!(1), &json!(0)));
    assert_eq!(run.objects_of("frame").len(), whole - 1);
}

#[test]
fn unwritten_space_is_shown() {
    let sample = SampleLog::new();
    let file = sample.files("log").last().unwrap().clone();
    let len = fs::metadata(&file).unwrap().len();
    OpenOptions::new().write(true).open(&file).unwrap().set_len(len + 1000).unwrap();
    let run = run(dump(&[&file.display().to_string()]));
    assert_eq!(run.code, 0);
    assert!(
        run.stdout.ends_with(&format!("{len:>12}  unwritten to the end of the file, 1000 bytes\n")),
        "{}",
        run.stdout
    );
}

#[test]
fn indexes_and_checkpoints_are_shown() {
    let sample = SampleLog::new();
    let index = sample.files("index")[0].display().to_string();
    let run_index = run_json(dump(&[&index]));
    let header = &run_index.objects_of("offset index")[0]["header"];
    assert_eq!(header["entries"], run_index.objects_of("entry").len());
    assert!(run(dump(&[&index])).stdout.starts_with("offset index of 11111111-1111-1111-1111-111111111111/0, segment"));

    let times = sample.files("timeindex")[0].display().to_string();
    assert_eq!(run_json(dump(&[&times])).objects_of("entry")[0]["max_timestamp"], TIME_MS);
    assert!(run(dump(&[&times])).stdout.contains("2023-11-14T22:13:20.123Z"));

    let checkpoint = sample.dir.join("checkpoint").display().to_string();
    let object = &run_json(dump(&[&checkpoint])).objects_of("checkpoint")[0];
    assert_eq!((&object["durable_end"], &object["log_start_offset"]), (&json!(12), &json!(0)));
    assert!(run(dump(&[&checkpoint])).stdout.contains("durable below raft index  12\n"));
}

#[test]
fn what_is_no_file_of_a_log_is_refused_with_advice() {
    let sample = SampleLog::new();
    let notes = sample.data_dir.join("notes");
    fs::write(&notes, "hello there").unwrap();
    let refused = run(dump(&[&notes.display().to_string()]));
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(
        refused.stderr.contains("notes: neither a segment, nor an index, nor a checkpoint; give"),
        "{}",
        refused.stderr
    );

    let missing = run(dump(&[&sample.data_dir.join("missing").display().to_string()]));
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("missing: No such file"), "{}", missing.stderr);
}

#[test]
fn nobody_reading_any_more_is_no_error() {
    let sample = SampleLog::new();
    let file = sample.files("log")[0].display().to_string();
    let arguments = dump(&[&file, "--records"]);
    // `head -1`, and one that reads nothing at all.
    for lines in [1, 0] {
        let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..lines {
            stdout.read_line(&mut String::new()).unwrap();
        }
        drop(stdout);
        let run = finished(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "after {lines} lines");
    }
}
