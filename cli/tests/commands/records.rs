//! Records in and out again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::json;

use crate::broker::{Broker, Guarded};

const LINES: u32 = 5000;

#[test]
fn lines_come_back_in_order_within_each_partition() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t", "-p", "4"]);
    let input: String = (0..LINES).map(|line| format!("key-{}:line {line}\n", line % 97)).collect();
    for codec in ["none", "gzip", "lz4"] {
        let run = broker.run_with_input(&["produce", "t", "-f", "%k:%v", "-z", codec], input.as_bytes());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.starts_with("5000 records stored in topic t ("), "{}", run.stdout);
    }
    let read = broker.done(&["consume", "t", "-o", ":end", "-f", "%p %o %k %v\\n"]);
    let mut partitions: BTreeMap<u32, Vec<(u64, &str, u32)>> = BTreeMap::new();
    for line in read.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [partition, offset, key, "line", number] = words[..] else { panic!("{line}") };
        let record = (offset.parse().unwrap(), key, number.parse().unwrap());
        partitions.entry(partition.parse().unwrap()).or_default().push(record);
    }
    assert_eq!(partitions.len(), 4);
    assert_eq!(partitions.values().map(Vec::len).sum::<usize>(), 3 * LINES as usize);
    let mut homes: BTreeMap<&str, u32> = BTreeMap::new();
    for (partition, records) in &partitions {
        let offsets: Vec<u64> = records.iter().map(|(offset, ..)| *offset).collect();
        assert_eq!(offsets, (0..records.len() as u64).collect::<Vec<_>>(), "each offset once, in order");
        for (_, key, number) in records {
            assert_eq!(*key, format!("key-{}", number % 97));
            assert_eq!(homes.entry(key).or_insert(*partition), partition, "a key has one partition");
        }
        for round in records.chunks(records.len() / 3) {
            assert!(round.is_sorted_by_key(|(.., number)| *number), "records of one producer stay in order");
        }
    }
    // One partition, and only so many.
    let some = broker.done(&["consume", "t", "-o", "start", "-p", "2", "-n", "7", "-f", "%p/%o\\n"]);
    assert_eq!(some, "2/0\n2/1\n2/2\n2/3\n2/4\n2/5\n2/6\n");
}

#[test]
fn bytes_stay_as_they_are() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    let run = broker.run_with_input(&["produce", "t", "-k", "k", "-H", "a:1", "-H", "b:"], b"a\xff\0\n\nlast");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let text = broker.done(&["consume", "t", "-o", ":end", "-f", "%v{hex}|%v{base64}|%k|%h{a}\\n"]);
    assert_eq!(text, "61ff00|Yf8A|k|1\n||k|1\n6c617374|bGFzdA==|k|1\n");
    let run = broker.run(&["consume", "t", "-o", "0:1", "--output", "json"]);
    let object = &run.objects()[0];
    assert_eq!((&object["value_hex"], &object["key"], &object["offset"]), (&json!("61ff00"), &json!("k"), &json!(0)));
    assert_eq!(object["headers"], json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "" }]));
    let meta = broker.run(&["consume", "t", "-o", "0:1", "--meta-only", "--output", "json"]);
    assert_eq!((&meta.objects()[0]["value_bytes"], &meta.objects()[0]["value"]), (&json!(3), &json!(null)));
    // Nothing in, nothing out.
    assert!(broker.run_with_input(&["produce", "t"], b"").stdout.starts_with("0 records stored"));
    assert_eq!(broker.done(&["consume", "t", "-o", "end", "-n", "0"]), "");
    assert_eq!(broker.done(&["consume", "t", "-o", "+3:end"]), "");
}

#[test]
fn files_values_and_formats_are_sources_of_records() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t", "-p", "2"]);
    let (one, two) = (broker.dir.path().join("one"), broker.dir.path().join("two"));
    fs::write(&one, "1 1000 null\n").unwrap();
    fs::write(&two, "0 2026-01-31T12:00:00Z \"a\\nb\"").unwrap();
    let files = [one.to_str().unwrap(), two.to_str().unwrap()];
    broker.done(&["produce", "t", "-f", "%p %T %v{json}", files[0], files[1]]);
    broker.done(&["produce", "t", "--partitioner", "manual", "-p", "1", "-v", "-x", "-v", "y"]);
    let text = broker.done(&["consume", "t", "-o", ":end", "-p", "0", "-f", "%T %v{json}\\n"]);
    assert_eq!(text, "1769860800000 \"a\\nb\"\n");
    let text = broker.done(&["consume", "t", "-o", ":end", "-p", "1", "-f", "%v{json}\\n"]);
    assert_eq!(text, "null\n\"-x\"\n\"y\"\n");
    broker.done(&["produce", "t", "--partitioner", "round-robin", "--acks", "leader", "-v", "a", "-v", "b"]);
    let sent = broker.done(&["produce", "t", "--partitioner", "sticky", "--acks", "none", "--linger", "0", "-v", "c"]);
    assert!(sent.starts_with("1 record sent to topic t"), "{sent}");
}

#[test]
fn durations_ago_find_what_is_that_old() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let minutes_ago = [36 * 60, 90, 30, 1];
    let input: String =
        minutes_ago.iter().map(|minutes| format!("{} v{minutes}\n", now_ms - minutes * 60_000)).collect();
    assert_eq!(broker.run_with_input(&["produce", "t", "-f", "%T %v"], input.as_bytes()).code, 0);
    for (offsets, expected) in [
        ("@-1h:end", "v30 v1"),
        ("@-48h:-24h", "v2160"),
        ("@-48h:@-24h", "v2160"),
        ("@-1h40m:-20m", "v90 v30"),
        ("@-90s:end", "v1"),
        ("@-2d:end", "v2160 v90 v30 v1"),
        ("@-30s:end", ""),
    ] {
        let read = broker.done(&["consume", "t", "-o", offsets, "-f", "%v "]);
        assert_eq!(read.trim_end(), expected, "{offsets}");
    }
    for (from, to, expected) in [("@-1h", "end", "v30 v1"), ("@-48h", "@-24h", "v2160"), ("start", "@-1h", "v2160 v90")]
    {
        let read = broker.done(&["replay", "t", "--from", from, "--to", to, "--into", "stdout", "-f", "%v "]);
        assert_eq!(read.trim_end(), expected, "{from} {to}");
    }
}

#[test]
fn every_form_of_offsets_finds_its_records() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    // Ten records, a second apart; the first ones before the epoch's first minute is over.
    let input: String = (0..10).map(|number| format!("{} v{number}\n", 1000 * number + 50_000)).collect();
    assert_eq!(broker.run_with_input(&["produce", "t", "-f", "%T %v"], input.as_bytes()).code, 0);
    broker.done(&["topic", "delete-records", "t/0", "--before", "2"]);
    let all = "2 3 4 5 6 7 8 9";
    for (offsets, expected) in [
        (":end", all),
        ("start:end", all),
        ("2:5", "2 3 4"),
        ("2:100", all),
        ("5:5", ""),
        ("10:20", ""),
        ("+3:end", "5 6 7 8 9"),
        ("+100:end", ""),
        ("-3:end", "7 8 9"),
        ("-100:end", all),
        (":-6", "2 3"),
        (":4", "2 3"),
        ("@53000:end", "3 4 5 6 7 8 9"),
        ("@53001:end", "4 5 6 7 8 9"),
        ("@53000:55000", "3 4"),
        ("@0:end", all),
        ("@1970-01-01:end", all),
        ("@1970-01-01T00:00:57Z:end", "7 8 9"),
        ("@1970-01-01T00:00:57Z:1970-01-01T00:00:58.5Z", "7 8"),
        ("@-1h:end", ""),
        ("@-48h:-24h", ""),
        ("5:@57000", "5 6"),
    ] {
        let read = broker.done(&["consume", "t", "-o", offsets, "-f", "%o "]);
        assert_eq!(read.trim_end(), expected, "{offsets}");
    }
    for (offsets, expected) in [("start", "2 3 "), ("4", "4 5 "), ("+1", "3 4 "), ("-2", "8 9 "), ("@58000", "8 9 ")] {
        assert_eq!(broker.done(&["consume", "t", "-o", offsets, "-n", "2", "-f", "%o "]), expected, "{offsets}");
    }
    let gone = broker.run(&["consume", "t", "-o", "1"]);
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("t/0: offset 1 is out of range, there are 2 to 10"), "{}", gone.stderr);
}

#[test]
fn a_consumer_follows_and_ends_at_a_signal() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    broker.done(&["produce", "t", "-v", "before"]);
    let mut command = broker.command(&["consume", "t", "-o", "start"]);
    let mut consumer = Guarded::spawn(command.stdout(Stdio::piped()));
    let mut stdout = BufReader::new(consumer.0.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(next(), "before\n");
    broker.done(&["produce", "t", "-v", "after"]);
    assert_eq!(next(), "after\n", "what is there is written at once");
    consumer.signal(Signal::INT);
    assert_eq!(consumer.wait(), 0);
    assert_eq!(next(), "");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    let input = "a line that is long enough to fill a pipe many times over\n".repeat(20_000);
    assert_eq!(broker.run_with_input(&["produce", "t", "-z", "lz4"], input.as_bytes()).code, 0);
    let mut command = broker.command(&["consume", "t", "-o", "start"]);
    let mut consumer = Guarded::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(consumer.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "a line that is long enough to fill a pipe many times over\n");
    assert_eq!(consumer.wait(), 0);
}

#[test]
fn a_producer_sends_each_line_when_it_comes_and_ends_at_a_signal() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    let mut command = broker.command(&["produce", "t"]);
    let mut producer = Guarded::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdin = producer.0.stdin.take().unwrap();
    stdin.write_all(b"first\nunfinished").unwrap();
    assert_eq!(broker.done(&["consume", "t", "-o", "start", "-n", "1"]), "first\n");
    producer.signal(Signal::INT);
    assert_eq!(producer.wait(), 0);
    let told = crate::broker::stdout_of(&mut producer);
    assert!(told.starts_with("1 record stored in topic t"), "{told}");
    drop(stdin);
}

#[test]
fn records_that_cannot_be_stored_are_told_with_what_became_of_the_others() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    let mut input = b"fine\n".to_vec();
    input.extend(std::iter::repeat_n(b'x', 2_000_000));
    input.extend(b"\nnever sent\n");
    let run = broker.run_with_input(&["produce", "t"], &input);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    let expected = "error: record 2 of standard input: record for topic t needs ";
    assert!(run.stderr.starts_with(expected) && run.stderr.contains("batch_bytes_max is "), "{}", run.stderr);
    assert!(run.stderr.contains("of the records sent, 1 were acked, 0 are not stored"), "{}", run.stderr);
    assert_eq!(broker.done(&["consume", "t", "-o", ":end"]), "fine\n");

    let run = broker.run_with_input(&["produce", "t", "-f", "%k:%v"], b"k:v\nnothing\nk:v\n");
    assert_eq!(run.code, 1);
    let expected =
        "record 2 of standard input: there is no \":\" where the format has it; of the records sent, 1 were acked";
    assert!(run.stderr.contains(expected), "{}", run.stderr);

    for (arguments, expected) in [
        (&["produce", "missing", "-v", "x"][..], "there is no topic missing; tidelog topic create missing"),
        (&["produce", "t", "-p", "5", "-v", "x"], "topic t has no partition 5, it has 1"),
        (&["produce", "t", "/does/not/exist"], "/does/not/exist: No such file"),
        (&["produce", "t", "/"], "/: is a directory"),
        (&["produce", "t", "--batch-bytes", "1", "-v", "x"], "batch_bytes is 1, allowed are"),
        (&["consume", "missing"], "there is no topic missing"),
        (&["consume", "t", "-p", "1"], "topic t has no partition 1, it has 1"),
    ] {
        let run = broker.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
    }
}
