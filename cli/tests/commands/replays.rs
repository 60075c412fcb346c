//! `replay`.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::broker::{Broker, Guarded, poll};

/// A broker with a topic of two partitions, whose ten records take turns, 100 ms apart.
fn broker() -> Broker {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t", "-p", "2"]);
    let input: String =
        (0..10).map(|number| format!("{} {} k{number} v{number}\n", number % 2, 100 * number)).collect();
    assert_eq!(broker.run_with_input(&["produce", "t", "-f", "%p %T %k %v"], input.as_bytes()).code, 0);
    broker
}

const ALL: &str = "v0\nv1\nv2\nv3\nv4\nv5\nv6\nv7\nv8\nv9\n";

#[test]
fn a_range_of_all_partitions_comes_in_the_order_of_time() {
    let broker = broker();
    assert_eq!(broker.done(&["replay", "t", "--from", "start", "--to", "end", "--into", "stdout"]), ALL);
    let some = broker.done(&["replay", "t", "--from", "1", "--to", "3", "--into", "stdout", "-f", "%p/%o "]);
    assert_eq!(some, "0/1 1/1 0/2 1/2 ");
    let one = broker.done(&["replay", "t", "--from", "@300", "--to", "@700", "-p", "1", "--into", "stdout"]);
    assert_eq!(one, "v3\nv5\n");
    assert_eq!(broker.done(&["replay", "t", "--from", "end", "--to", "end", "--into", "stdout"]), "");
}

#[test]
fn every_form_of_a_place_bounds_a_replay() {
    let broker = broker();
    for (from, to, expected) in [
        ("start", "end", "0 1 2 3 4"),
        ("start", "3", "0 1 2"),
        ("2", "end", "2 3 4"),
        ("2", "100", "2 3 4"),
        ("+1", "-1", "1 2 3"),
        ("-2", "end", "3 4"),
        ("-4", "-2", "1 2"),
        ("@200", "@601", "1 2 3"),
        ("@1970-01-01", "@1970-01-01T00:00:00.4Z", "0 1"),
        ("@400", "-1", "2 3"),
        ("start", "@-1h", "0 1 2 3 4"),
        ("@-1h", "end", ""),
        ("end", "end", ""),
        ("5", "9", ""),
    ] {
        let arguments = ["replay", "t", "--from", from, "--to", to, "-p", "0", "--into", "stdout", "-f", "%o "];
        assert_eq!(broker.done(&arguments).trim_end(), expected, "{from} {to}");
    }
}

#[test]
fn a_replay_keeps_its_pace() {
    let broker = broker();
    let started = Instant::now();
    let arguments = ["replay", "t", "--from", "start", "--to", "end", "--into", "stdout", "--speed", "1x"];
    assert_eq!(broker.done(&arguments), ALL);
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
}

#[test]
fn a_file_is_written_once() {
    let broker = broker();
    let path = broker.dir.path().join("out");
    let into = format!("file:{}", path.display());
    let arguments = ["replay", "t", "--from", "start", "--to", "end", "--into", &into];
    assert_eq!(broker.done(&arguments), format!("10 records replayed into {into} (40 bytes)\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), ALL);
    assert!(!broker.dir.path().join("out.replay").exists());
    let again = broker.run(&arguments);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("out exists; choose another name, or remove it"), "{}", again.stderr);
}

#[test]
fn an_interrupted_replay_into_a_file_is_gone_on_with() {
    let broker = broker();
    let path = broker.dir.path().join("out");
    let into = format!("file:{}", path.display());
    // So slow that it never ends by itself: four bytes a record, one byte a second.
    let slow = ["replay", "t", "--from", "start", "--to", "end", "--into", &into, "--rate", "1B"];
    let mut replay = Guarded::spawn(broker.command(&slow).stdout(Stdio::null()).stderr(Stdio::null()));
    poll("the first record is written", || (fs::metadata(&path).ok()?.len() > 0).then_some(()));
    replay.signal(Signal::INT);
    assert_eq!(replay.wait(), 1);
    let written = fs::read_to_string(&path).unwrap();
    assert!(ALL.starts_with(&written) && written.len() < ALL.len(), "{written}");
    // What was written after the note is cut off.
    fs::write(&path, format!("{written}rubbish")).unwrap();
    let other = broker.run(&["replay", "t", "--from", "0", "--to", "end", "--into", &into]);
    assert!(other.stderr.contains("out.replay is of another replay"), "{}", other.stderr);
    // At another speed it is the same replay.
    broker.done(&["replay", "t", "--from", "start", "--to", "end", "--into", &into]);
    assert_eq!(fs::read_to_string(&path).unwrap(), ALL);
    assert!(!broker.dir.path().join("out.replay").exists());
}

#[test]
fn a_topic_gets_the_same_records_in_the_same_partitions() {
    let broker = broker();
    broker.done(&["topic", "create", "copy", "-p", "2"]);
    let told = broker.done(&["replay", "t", "--from", "start", "--to", "end", "--into", "topic:copy", "--rate", "5MB"]);
    assert_eq!(told, "10 records replayed into topic:copy (40 bytes)\n");
    for partition in ["0", "1"] {
        let read =
            |topic: &str| broker.done(&["consume", topic, "-o", ":end", "-p", partition, "-f", "%o %T %k %v\\n"]);
        assert_eq!(read("t"), read("copy"));
    }
    let missing = broker.run(&["replay", "t", "--from", "start", "--to", "end", "--into", "topic:missing"]);
    assert!(missing.stderr.contains("there is no topic missing"), "{}", missing.stderr);
    let missing = broker.run(&["replay", "missing", "--from", "start", "--to", "end", "--into", "stdout"]);
    assert!(missing.stderr.contains("there is no topic missing"), "{}", missing.stderr);
}
