//! Groups of one over the real disk: what is acknowledged is there, once and in order, whatever ends the process.

use std::sync::Arc;

use tempfile::TempDir;
use tidelog_log::environment::RealEnvironment;
use tidelog_log::storage::Durability;
use tidelog_log::{CleanupPolicy, LogConfig, LogIdentity};
use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord, ProducerStamp, RecordBatch};
use tidelog_proto::ids::{
    BrokerId, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, RaftIndex, Sequence, TopicId,
};

use crate::group::Group;
use crate::host::{Host, HostConfig, HostError};
use crate::metadata::{Address, BootId, ClusterVersion, MetadataCommand, MetadataOutcome, RegisterBroker};
use crate::metadata_group::ProposeError;
use crate::producers::SequenceError;
use crate::replicated_log::{AppendedBatch, ProduceError, ReplicatedLog};

pub(crate) const BROKER: BrokerId = BrokerId::new(1);

fn partition(number: u32) -> LogIdentity {
    LogIdentity { topic_id: TopicId::new([9; 16]), partition: PartitionId::new(number) }
}

fn host(dir: &TempDir) -> Host {
    Host::open(Arc::new(RealEnvironment::new()), dir.path(), BROKER, HostConfig::default()).expect("it opens")
}

/// Segments of a few batches.
fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 1024, ..LogConfig::default() }
}

pub(crate) async fn open(host: &Host, number: u32) -> Group {
    let group = host.open_group(partition(number), 1, small_segments(), Durability::Synced).await;
    let group = group.expect("it opens");
    let mut leadership = group.leadership();
    leadership.wait_for(|leadership| leadership.is_serving).await.expect("it runs");
    group
}

pub(crate) fn batch(values: &[&str], stamp: Option<ProducerStamp>) -> RecordBatch {
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

pub(crate) async fn append(group: &Group, batch: RecordBatch) -> Result<AppendedBatch, ProduceError> {
    group.append(batch).await?.await
}

pub(crate) fn values(group: &Group) -> Vec<String> {
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

pub(crate) async fn clean_up(group: &Group, config: &LogConfig) {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let now_ms = i64::try_from(now_ms).expect("not that far");
    group.clean_up(config, now_ms, DecodeLimits::DEFAULT).await.expect("it runs");
}

pub(crate) fn run(test: impl Future<Output = ()>) {
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
            clean_up(&group, &small_segments()).await;
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
fn retention_moves_the_log_start_to_the_size_that_is_kept() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let host = host(&dir);
        let group = open(&host, 0).await;
        for _ in 0..40 {
            append(&group, batch(&[&"x".repeat(100)], None)).await.expect("it is taken");
        }
        let config = LogConfig { retention_bytes: Some(2000), ..small_segments() };
        group.set_config(config.clone(), Durability::Synced).await.expect("it is within bounds");
        clean_up(&group, &config).await;
        let start = group.reader().log_start_offset();
        assert!(start > Offset::new(20) && start < Offset::new(40), "{start}");
        assert_eq!(values(&group).len() as u64, 40 - start.get());
        group.read_barrier().await.expect("it leads");
        let kept_bytes: u64 = group.reader().segments().iter().map(|segment| segment.log_bytes).sum();
        assert!((2000..4000).contains(&kept_bytes), "{kept_bytes}");
    });
}

#[test]
fn compaction_keeps_the_last_record_of_each_key() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let host = host(&dir);
        let config =
            LogConfig { cleanup_policy: CleanupPolicy::Compact, min_cleanable_dirty_ratio: 0.0, ..small_segments() };
        let group = host.open_group(partition(0), 1, config.clone(), Durability::Synced).await.expect("it opens");
        group.leadership().wait_for(|leadership| leadership.is_serving).await.expect("it runs");
        for number in 0..60 {
            let mut builder = BatchBuilder::new(Compression::None);
            let (key, value) = (format!("key {}", number % 3), number.to_string());
            let record = NewRecord { key: Some(key.as_bytes()), value: Some(value.as_bytes()), ..NewRecord::default() };
            builder.push(&record).expect("it fits");
            append(&group, builder.finish().expect("a record")).await.expect("it is taken");
        }
        // The first releases what is sealed, which is done by the group in its own time; then it is compacted.
        clean_up(&group, &config).await;
        group.read_barrier().await.expect("it leads");
        clean_up(&group, &config).await;
        let left = values(&group);
        assert!(left.len() < 30, "{left:?}");
        for last in ["57", "58", "59"] {
            assert!(left.iter().any(|value| value == last), "{left:?}");
        }
        assert_eq!(*group.high_watermark().borrow(), Offset::new(60));
    });
}

#[test]
fn a_partition_that_was_removed_leaves_nothing_behind() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let host = host(&dir);
        let (group, other) = (open(&host, 0).await, open(&host, 1).await);
        append(&group, batch(&["a"], None)).await.expect("it is taken");
        group.close().await.expect("it closes");
        let topic_dir = partition(0).dir(dir.path()).parent().expect("a topic's").to_owned();
        host.remove_group(partition(0)).await.expect("it goes");
        host.remove_group(partition(0)).await.expect("it is gone");
        assert!(!partition(0).dir(dir.path()).exists() && topic_dir.exists());
        other.close().await.expect("it closes");
        host.remove_group(partition(1)).await.expect("it goes");
        assert!(!topic_dir.exists());
        // Its votes are gone as well: it begins anew.
        let group = open(&host, 0).await;
        assert_eq!(group.leadership().borrow().epoch, LeaderEpoch::new(1));
        assert_eq!(append(&group, batch(&["b"], None)).await.map(|at| at.base_offset), Ok(Offset::new(0)));
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
    let second = Host::open(environment.clone(), dir.path(), BROKER, HostConfig::default());
    assert!(matches!(second, Err(HostError::DataDir(_))), "{second:?}");
    first.shutdown().expect("it stops");
    let foreign = Host::open(environment, dir.path(), BrokerId::new(2), HostConfig::default());
    let message = foreign.expect_err("it is another's").to_string();
    assert!(message.contains("belongs to broker 1, not to broker 2; start it with node_id 1"), "{message}");
    let again = host(&dir);
    assert_eq!(again.boot_counter(), 2, "a start that was refused is none");
    again.shutdown().expect("it stops");
}

#[test]
fn the_metadata_group_keeps_what_it_was_told_across_restarts() {
    run(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut versions = Vec::new();
        for life in 0..3_u64 {
            let host = host(&dir);
            let group = host.open_metadata().await.expect("it opens");
            group.leadership().wait_for(|leadership| leadership.is_serving).await.expect("it runs");
            let before = group.state().borrow().clone();
            assert_eq!(before.metadata_version(), versions.last().copied().unwrap_or(RaftIndex::ZERO));
            let format = MetadataCommand::FormatCluster {
                cluster_id: host.identity().cluster_id,
                cluster_version: ClusterVersion::FIRST,
            };
            let expected = if life == 0 { MetadataOutcome::ClusterFormatted } else { MetadataOutcome::Unchanged };
            assert_eq!(group.propose(&format).await, Ok(expected));
            let register = MetadataCommand::RegisterBroker(RegisterBroker {
                broker_id: BROKER,
                address: Address::new("127.0.0.1:7420").expect("an address"),
                rack: None,
                directory_id: host.identity().directory_id,
                boot_counter: host.boot_counter(),
                boot_id: BootId::new([1; 16]),
                cluster_version_max: ClusterVersion::NEWEST,
            });
            assert_eq!(group.propose(&register).await, Ok(MetadataOutcome::BrokerRegistered(BROKER)));
            assert_eq!(group.propose(&register).await, Ok(MetadataOutcome::Unchanged));
            let allocate = MetadataCommand::AllocateProducerIds { broker_id: BROKER, count: 100 };
            let Ok(MetadataOutcome::ProducerIdsAllocated(block)) = group.propose(&allocate).await else {
                panic!("no producer ids")
            };
            assert_eq!((block.first, block.count), (ProducerId::new(life * 100), 100));
            let unknown = MetadataCommand::DeleteTopic { topic_id: TopicId::new([77; 16]) };
            assert!(matches!(group.propose(&unknown).await, Err(ProposeError::Refused(_))));
            versions.push(group.state().borrow().metadata_version());
            if life != 1 {
                group.close().await.expect("it closes");
                host.shutdown().expect("it stops");
            }
        }
        assert!(versions.is_sorted());
    });
}
