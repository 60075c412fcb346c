//! Groups of one over the real disk: what is acknowledged is there, once and in order, whatever ends the process.

use std::sync::Arc;

use tempfile::TempDir;
use tidelog_log::environment::RealEnvironment;
use tidelog_log::storage::Durability;
use tidelog_log::{LogConfig, LogIdentity};
use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord, ProducerStamp, RecordBatch};
use tidelog_proto::ids::{BrokerId, Offset, PartitionId, ProducerEpoch, ProducerId, RaftIndex, Sequence, TopicId};

use crate::directory::DirectoryIdentity;
use crate::group::Group;
use crate::host::{Host, HostConfig, HostError};
use crate::producers::SequenceError;
use crate::replicated_log::{AppendedBatch, ProduceError, ReplicatedLog};

const IDENTITY: DirectoryIdentity = DirectoryIdentity { cluster_id: [3; 16], broker_id: BrokerId::new(1) };

fn partition(number: u32) -> LogIdentity {
    LogIdentity { topic_id: TopicId::new([9; 16]), partition: PartitionId::new(number) }
}

fn host(dir: &TempDir) -> Host {
    Host::open(Arc::new(RealEnvironment::new()), dir.path(), IDENTITY, HostConfig::default()).expect("it opens")
}

/// Segments of a few batches.
fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 1024, ..LogConfig::default() }
}

async fn open(host: &Host, number: u32) -> Group {
    let group = host.open_group(partition(number), 1, small_segments(), Durability::Synced).await;
    let group = group.expect("it opens");
    let mut leadership = group.leadership();
    leadership.wait_for(|leadership| leadership.is_serving).await.expect("it runs");
    group
}

fn batch(values: &[&str], stamp: Option<ProducerStamp>) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        let record = NewRecord { timestamp: 1_700_000_000_000, value: Some(value.as_bytes()), ..NewRecord::default() };
        builder.push(&record).expect("it fits");
    }
    match stamp {
        Some(stamp) => builder.producer(stamp).finish().expect("it has records"),
        None => builder.finish().expect("it has records"),
    }
}

fn stamp(sequence: u32) -> ProducerStamp {
    ProducerStamp { id: ProducerId::new(7), epoch: ProducerEpoch::new(0), base_sequence: Some(Sequence::new(sequence)) }
}

async fn append(group: &Group, batch: RecordBatch) -> Result<AppendedBatch, ProduceError> {
    group.append(batch).await?.await
}

fn values(group: &Group) -> Vec<String> {
    let (reader, end) = (group.reader(), *group.high_watermark().borrow());
    let (mut values, mut next) = (Vec::new(), reader.log_start_offset());
    while next < end {
        let read = reader.read(next, end, 1 << 20).expect("it can be read");
        for batch in &read.batches {
            for record in batch.records(Default::default()).expect("sound") {
                let record = record.expect("sound");
                values.push(String::from_utf8_lossy(&record.value.expect("a value")).into_owned());
            }
        }
        assert!(read.next_offset > next);
        next = read.next_offset;
    }
    values
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(test);
}

#[test]
fn what_is_acknowledged_is_read_and_is_there_after_a_clean_stop() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let host_before = host(&dir);
        let group = open(&host_before, 0).await;
        assert_eq!(append(&group, batch(&["a", "b"], None)).await.map(|at| at.base_offset), Ok(Offset::new(0)));
        assert_eq!(append(&group, batch(&["c"], None)).await.map(|at| at.base_offset), Ok(Offset::new(2)));
        assert_eq!(*group.high_watermark().borrow(), Offset::new(3));
        let epoch = group.leadership().borrow().epoch;
        group.close().await.expect("it closes");
        let late = append(&group, batch(&["d"], None)).await;
        assert!(matches!(late, Err(ProduceError::Stopped | ProduceError::NotLeader(_))), "{late:?}");
        host_before.shutdown().expect("it stops");

        let host = host(&dir);
        let group = open(&host, 0).await;
        assert_eq!(*group.high_watermark().borrow(), Offset::new(3));
        assert!(group.leadership().borrow().epoch > epoch);
        assert_eq!(append(&group, batch(&["d"], None)).await.map(|at| at.base_offset), Ok(Offset::new(3)));
        assert_eq!(values(&group), ["a", "b", "c", "d"]);
        assert_eq!(group.read_barrier().await, Ok(Offset::new(4)));
        group.close().await.expect("it closes");
        host.shutdown().expect("it stops");
    });
}

/// Every batch goes through a roll every few batches; the process ends without a word in between.
#[test]
fn a_producer_that_repeats_itself_is_appended_once_across_restarts() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut expected = Vec::new();
        for life in 0..4_u32 {
            let host = host(&dir);
            let group = open(&host, 0).await;
            for number in 0..10 {
                let sequence = life * 10 + number;
                let value = format!("value {sequence} {}", "x".repeat(200));
                let first = append(&group, batch(&[&value], Some(stamp(sequence)))).await.expect("in order");
                assert_eq!(first, AppendedBatch { base_offset: Offset::new(sequence.into()), is_duplicate: false });
                let again = append(&group, batch(&[&value], Some(stamp(sequence)))).await.expect("a repeat");
                assert_eq!(again, AppendedBatch { is_duplicate: true, ..first });
                expected.push(value);
            }
            let gap = append(&group, batch(&["gap"], Some(stamp(life * 10 + 12)))).await;
            assert!(matches!(gap, Err(ProduceError::Sequence(SequenceError::Gap { .. }))), "{gap:?}");
            assert_eq!(values(&group), expected);
            if life % 2 == 0 {
                group.close().await.expect("it closes");
                host.shutdown().expect("it stops");
            }
        }
    });
}

#[test]
fn batches_in_flight_are_appended_in_order_and_their_repeats_get_the_same_answer() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let host = host(&dir);
        let group = open(&host, 0).await;
        let mut pending = Vec::new();
        for sequence in 0..5 {
            let value = sequence.to_string();
            pending.push(group.append(batch(&[&value], Some(stamp(sequence)))).await.expect("it is queued"));
            pending.push(group.append(batch(&[&value], Some(stamp(sequence)))).await.expect("it is queued"));
        }
        for (number, pending) in (0..).zip(pending) {
            let expected = AppendedBatch { base_offset: Offset::new(number / 2), is_duplicate: number % 2 == 1 };
            assert_eq!(pending.await, Ok(expected));
        }
        assert_eq!(values(&group), ["0", "1", "2", "3", "4"]);
    });
}

#[test]
fn deleted_records_stay_deleted_and_their_segments_go() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        for life in 0..3_u64 {
            let host = host(&dir);
            let group = open(&host, 0).await;
            for number in 0..40_u64 {
                let sequence = u32::try_from(life * 40 + number).expect("small");
                append(&group, batch(&[&"x".repeat(100)], Some(stamp(sequence)))).await.expect("in order");
            }
            let before = group.reader().segments().len();
            let start = Offset::new(life * 40 + 30);
            assert_eq!(group.delete_records(start).await, Ok(start));
            assert_eq!(group.delete_records(Offset::new(1)).await, Ok(start), "it never goes back");
            let beyond = group.delete_records(Offset::new(1000)).await;
            assert!(matches!(beyond, Err(ProduceError::OffsetOutOfRange { .. })), "{beyond:?}");
            assert_eq!(group.reader().log_start_offset(), start);
            group.release_segments().await.expect("it runs");
            // The group does it when it comes to it.
            let released = group.read_barrier().await;
            assert_eq!(released, Ok(Offset::new(life * 40 + 40)));
            assert!(group.reader().segments().len() < before, "{:?}", group.reader().segments());
            assert!(group.reader().raft_start() > RaftIndex::ZERO);
            // What is remembered of the producer outlives the entries that said it.
            let repeat =
                append(&group, batch(&[&"x".repeat(100)], Some(stamp(u32::try_from(life * 40 + 39).expect("small")))))
                    .await;
            assert_eq!(repeat.map(|at| (at.base_offset, at.is_duplicate)), Ok((Offset::new(life * 40 + 39), true)));
            if life != 1 {
                group.close().await.expect("it closes");
                host.shutdown().expect("it stops");
            }
        }
    });
}

#[test]
fn many_partitions_share_a_process_and_each_keeps_its_own() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let host = host(&dir);
        let mut groups = Vec::new();
        for number in 0..50 {
            groups.push(open(&host, number).await);
        }
        let mut pending = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            pending.push(group.append(batch(&[&number.to_string()], None)).await.expect("it is queued"));
        }
        for pending in pending {
            assert_eq!(pending.await.map(|at| at.base_offset), Ok(Offset::new(0)));
        }
        for (number, group) in groups.iter().enumerate() {
            assert_eq!(values(group), [number.to_string()]);
            group.close().await.expect("it closes");
        }
        host.shutdown().expect("it stops");
    });
}

#[test]
fn a_directory_is_used_by_its_own_broker_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let environment = Arc::new(RealEnvironment::new());
    let first = host(&dir);
    let second = Host::open(environment.clone(), dir.path(), IDENTITY, HostConfig::default());
    assert!(matches!(second, Err(HostError::DataDir(_))), "{second:?}");
    first.shutdown().expect("it stops");
    let other = DirectoryIdentity { broker_id: BrokerId::new(2), ..IDENTITY };
    let foreign = Host::open(environment, dir.path(), other, HostConfig::default());
    let message = foreign.expect_err("it is another's").to_string();
    assert!(message.contains("belongs to broker 1 of cluster 03"), "{message}");
    host(&dir).shutdown().expect("it stops");
}
