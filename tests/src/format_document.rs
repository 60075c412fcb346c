//! `docs/FORMAT.md` prints the files of a small log and a small journal in hexadecimal: they are what is written today,
//! and they open.

mod journal;

use std::path::Path;
use std::sync::Arc;

use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::{Log, LogConfig, LogIdentity};
use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord, RecordHeader};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

const FILES: [&str; 4] =
    ["00000000000000000000-0.log", "00000000000000000000-0.index", "00000000000000000000-0.timeindex", "checkpoint"];

const IDENTITY: LogIdentity = LogIdentity {
    topic_id: TopicId::new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    partition: PartitionId::new(3),
};

fn open(machine: &SimulatedEnvironment) -> Log {
    let config = LogConfig { index_interval_bytes: 1, ..LogConfig::default() };
    Log::open(Arc::new(machine.clone()), Path::new("/log"), IDENTITY, config).expect("the log opens")
}

/// The log of the document: a no-op and a batch of two records, closed in order.
fn write_log(machine: &SimulatedEnvironment) {
    let stamp = |index, append_time_ms| FrameStamp {
        term: RaftTerm::new(1),
        index: RaftIndex::new(index),
        commit_lag: 1,
        append_time_ms,
    };
    let mut builder = BatchBuilder::new(Compression::None);
    let header = RecordHeader { key: "a", value: Some(b"b") };
    let headers = [header];
    let records = [
        NewRecord { timestamp: 1_700_000_000_000, key: Some(b"k1"), value: Some(b"hello"), headers: &headers },
        NewRecord { timestamp: 1_700_000_000_001, key: Some(b"k2"), value: None, headers: &[] },
    ];
    for record in &records {
        builder.push(record).expect("a small record");
    }
    let batch =
        builder.finish().expect("a small batch").assigned(Offset::new(0), LeaderEpoch::new(1)).expect("in range");
    let seed = IDENTITY.seed();
    let no_op = Frame::internal(seed, FrameType::NoOp, stamp(0, 1_700_000_000_100), Offset::new(0), &[]);
    let frames = [no_op.expect("a small frame"), Frame::data(seed, stamp(1, 1_700_000_000_200), batch)];
    let mut log = open(machine);
    log.writer.append(&frames).expect("the frames follow");
    log.writer.close().expect("the simulated disk works");
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/FORMAT.md");
    std::fs::read_to_string(path).expect("docs/FORMAT.md is there")
}

/// Takes the hexadecimal block of a file out of the document.
fn fixture(document: &str, file: &str) -> Vec<u8> {
    let start = document.find(&format!("```hex {file}\n")).unwrap_or_else(|| panic!("no block for {file}"));
    let block = &document[start..];
    let lines = block.lines().skip(1).take_while(|line| !line.starts_with("```"));
    let digits: Vec<char> = lines
        .flat_map(|line| line[6..].split('|').next().unwrap_or("").chars().collect::<Vec<_>>())
        .filter(|digit| !digit.is_whitespace())
        .collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two digits");
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    let line = |(number, bytes): (usize, &[u8])| {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        format!("{:04x}: {:<47} | {text}\n", number * 16, digits.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

#[test]
fn files_in_the_document_are_what_is_written() {
    let machine = SimulatedEnvironment::new(1);
    write_log(&machine);
    let document = document();
    let mut changed = String::new();
    for file in FILES {
        let written = machine.read_contents(&Path::new("/log").join(file)).expect("the file is there");
        if fixture(&document, file) != written {
            changed += &format!("```hex {file}\n{}```\n\n", hex(&written));
        }
    }
    assert!(changed.is_empty(), "what is written differs from docs/FORMAT.md, it is now\n{changed}");
}

#[test]
fn files_in_the_document_open_and_hold_what_it_says() {
    let machine = SimulatedEnvironment::new(2);
    write_log(&machine);
    let document = document();
    for file in FILES {
        machine.set_contents(&Path::new("/log").join(file), &fixture(&document, file));
    }
    let log = open(&machine);
    assert!(log.report.clean, "{:?}", log.report);
    let read = log.reader.read(Offset::new(0), Offset::MAX, u64::MAX).expect("it reads");
    let records: Vec<_> = read.batches[0]
        .records(DecodeLimits::default())
        .expect("they decode")
        .collect::<Result<_, _>>()
        .expect("all of them");
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].value.as_deref(), Some(&b"hello"[..]));
    assert_eq!((records[1].key.as_deref(), &records[1].value), (Some(&b"k2"[..]), &None));
    assert_eq!(log.reader.log_end_offset(), Offset::new(2));
    assert_eq!(log.reader.end_index(), RaftIndex::new(2));
}
