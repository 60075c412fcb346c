//! What `tidelog log export` writes is a Kafka log to others.

use std::path::Path;
use std::sync::Arc;

use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::inspect::{Overwrite, export};
use tidelog_log::{Log, LogConfig, LogIdentity};
use tidelog_proto::batch::{BatchBuilder, Compression, ProducerStamp, RecordBatch};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, RaftIndex, RaftTerm, TopicId};

use super::{build, oracle};

const IDENTITY: LogIdentity = LogIdentity { topic_id: TopicId::new([3; 16]), partition: PartitionId::new(0) };

fn stamp(index: usize) -> FrameStamp {
    let index = RaftIndex::new(index as u64);
    FrameStamp { term: RaftTerm::new(2), index, commit_lag: 1, append_time_ms: 1_700_000_000_000 }
}

/// Makes batches of every codec, among them a transaction's marker.
fn batches() -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for codec in [Compression::None, Compression::Gzip, Compression::Lz4] {
        for number in 1..4 {
            let value = format!("{codec} {number} ").repeat(40).into_bytes();
            let header = ("trace".to_owned(), Some(vec![number]));
            let samples =
                [(1_700_000_000_000, Some(b"key".to_vec()), Some(value), vec![header]), (-1, None, None, Vec::new())];
            batches.push(build(codec, None, &samples));
        }
    }
    let producer = ProducerStamp { id: ProducerId::new(9), epoch: ProducerEpoch::new(1), base_sequence: None };
    let mut marker = BatchBuilder::new(Compression::None).producer(producer).transactional().control();
    let record =
        tidelog_proto::batch::NewRecord { key: Some(&[0, 0, 0, 1]), value: Some(&[0; 6]), ..Default::default() };
    marker.push(&record).expect("a small record");
    batches.insert(4, marker.finish().expect("a small batch"));
    batches
}

#[test]
fn an_exported_log_is_read_by_kafka_protocol() {
    let machine = SimulatedEnvironment::new(1);
    let environment: Arc<dyn Environment> = Arc::new(machine.clone());
    let dir = Path::new("/log");
    let config = LogConfig { segment_bytes: 700, ..LogConfig::default() };
    let mut log = Log::open(Arc::clone(&environment), dir, IDENTITY, config).expect("the log opens");
    let seed = IDENTITY.seed();
    let mut frames = Vec::new();
    let mut assigned = Vec::new();
    let mut offset = Offset::ZERO;
    for batch in batches() {
        let no_op = Frame::internal(seed, FrameType::NoOp, stamp(frames.len()), offset, &[]).expect("a small frame");
        frames.push(no_op);
        let batch = batch.assigned(offset, LeaderEpoch::new(2)).expect("small numbers");
        offset = batch.header().next_offset();
        assigned.push(batch.clone());
        let stamp = stamp(frames.len());
        frames.push(match batch.header().is_control() {
            true => Frame::transaction_marker(seed, stamp, batch),
            false => Frame::data(seed, stamp, batch),
        });
    }
    log.writer.append(&frames).expect("the frames follow");
    log.writer.close().expect("the simulated disk works");

    let target = Path::new("/log.exported");
    export(&environment, dir, target, Overwrite::Refuse, &mut |_| {}).expect("the log is sound");
    let file = machine.read_contents(target).expect("it was exported");
    oracle::assert_reads_file(file.into(), &assigned);
}
