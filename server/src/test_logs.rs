//! A log of one replica for tests of sessions: a real log on a real disk, committed when the test says so.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tidelog_log::environment::RealEnvironment;
use tidelog_log::{Log, LogConfig, LogIdentity, LogReader};
use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord, ProducerStamp, RecordBatch};
use tidelog_proto::frame::{Frame, FrameStamp};
use tidelog_proto::ids::{
    BrokerId, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, RaftTerm, Sequence, TopicId,
};
use tidelog_raft::metadata::{TopicConfigs, TopicSettings};
use tidelog_raft::{AppendedBatch, Leadership, Pending, ProduceError, ReplicatedLog};
use tokio::sync::{oneshot, watch};

use crate::hosted_partition::HostedPartition;

type Answer = Result<AppendedBatch, ProduceError>;

/// What a batch of these tests is appended to.
pub(crate) struct LocalLog {
    _dir: TempDir,
    identity: LogIdentity,
    reader: LogReader,
    state: Mutex<State>,
    high_watermark: watch::Sender<Offset>,
    leadership: watch::Sender<Leadership>,
}

struct State {
    log: Log,
    /// Commits wait for [`LocalLog::commit`].
    is_held: bool,
    waiting: Vec<(oneshot::Sender<Answer>, AppendedBatch)>,
    /// What the next batches are refused with.
    refusals: Vec<ProduceError>,
}

impl std::fmt::Debug for LocalLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLog").field("identity", &self.identity).finish_non_exhaustive()
    }
}

pub(crate) const TOPIC_ID: TopicId = TopicId::new([7; 16]);
pub(crate) const THIS_BROKER: BrokerId = BrokerId::new(1);
pub(crate) const OTHER_BROKER: BrokerId = BrokerId::new(2);

impl LocalLog {
    pub(crate) fn open() -> Arc<Self> {
        Self::open_partition(0)
    }

    pub(crate) fn open_partition(partition: u32) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let identity = LogIdentity { topic_id: TOPIC_ID, partition: PartitionId::new(partition) };
        let config = LogConfig::default();
        let log = Log::open(Arc::new(RealEnvironment::new()), dir.path(), identity, config).unwrap();
        let leads = Leadership { leader: Some(THIS_BROKER), epoch: LeaderEpoch::new(1), is_serving: true };
        Arc::new(Self {
            _dir: dir,
            identity,
            reader: log.reader.clone(),
            state: Mutex::new(State { log, is_held: false, waiting: Vec::new(), refusals: Vec::new() }),
            high_watermark: watch::Sender::new(Offset::ZERO),
            leadership: watch::Sender::new(leads),
        })
    }

    /// From now on batches are appended, and committed by [`LocalLog::commit`] only.
    pub(crate) fn hold(&self) {
        self.state.lock().unwrap().is_held = true;
    }

    /// Commits what was appended, and all that comes.
    pub(crate) fn commit(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_held = false;
        self.commit_all(&mut state);
    }

    /// How many batches wait for their commit.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().unwrap().waiting.len()
    }

    /// Refuses the next batch that is not refused yet.
    pub(crate) fn refuse_next(&self, error: ProduceError) {
        self.state.lock().unwrap().refusals.push(error);
    }

    /// Makes another broker the leader.
    pub(crate) fn lose_leadership(&self) {
        self.leadership.send_replace(Leadership {
            leader: Some(OTHER_BROKER),
            epoch: LeaderEpoch::new(2),
            is_serving: false,
        });
    }

    /// Appends and commits as many records, one in each batch.
    pub(crate) async fn fill(&self, records: u64) {
        for number in 0..records {
            let pending = self.append(batch_of(&[&format!("value {number}")])).await.unwrap();
            pending.await.unwrap();
        }
    }

    /// Where the next record goes.
    pub(crate) fn reader_end(&self) -> Offset {
        self.reader.log_end_offset()
    }

    /// Deletes what is below.
    pub(crate) fn start_at(&self, offset: u64) {
        let mut state = self.state.lock().unwrap();
        let raft_start = state.log.reader.raft_start();
        state.log.writer.advance_start(Offset::new(offset), raft_start).unwrap();
    }

    fn commit_all(&self, state: &mut State) {
        state.log.writer.sync().unwrap();
        self.reader.advance_committed(state.log.writer.end_index()).unwrap();
        self.high_watermark.send_replace(state.log.writer.end_offset());
        for (answer, appended) in state.waiting.drain(..) {
            drop(answer.send(Ok(appended)));
        }
    }
}

impl ReplicatedLog for LocalLog {
    fn identity(&self) -> LogIdentity {
        self.identity
    }

    fn reader(&self) -> &LogReader {
        &self.reader
    }

    fn high_watermark(&self) -> watch::Receiver<Offset> {
        self.high_watermark.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn append(&self, batch: RecordBatch) -> BoxFuture<'_, Result<Pending, ProduceError>> {
        async move {
            let leadership = *self.leadership.borrow();
            if !leadership.is_serving {
                return Err(ProduceError::NotLeader(leadership));
            }
            let (answer, pending) = oneshot::channel();
            let mut state = self.state.lock().unwrap();
            if !state.refusals.is_empty() {
                let error = state.refusals.remove(0);
                drop(answer.send(Err(error)));
                return Ok(Pending::from(pending));
            }
            let base_offset = state.log.writer.end_offset();
            let batch = batch.assigned(base_offset, leadership.epoch).unwrap();
            let index = state.log.writer.end_index();
            let stamp = FrameStamp { term: RaftTerm::new(1), index, commit_lag: 1, append_time_ms: 1 };
            state.log.writer.append(&[Frame::data(self.identity.seed(), stamp, batch)]).unwrap();
            state.waiting.push((answer, AppendedBatch { base_offset, is_duplicate: false }));
            if !state.is_held {
                self.commit_all(&mut state);
            }
            Ok(Pending::from(pending))
        }
        .boxed()
    }

    fn delete_records(&self, offset: Offset) -> BoxFuture<'_, Result<Offset, ProduceError>> {
        self.start_at(offset.get());
        futures_util::future::ready(Ok(offset)).boxed()
    }

    fn read_barrier(&self) -> BoxFuture<'_, Result<Offset, ProduceError>> {
        let leadership = *self.leadership.borrow();
        let barrier = if leadership.is_serving {
            Ok(*self.high_watermark.borrow())
        } else {
            Err(ProduceError::NotLeader(leadership))
        };
        futures_util::future::ready(barrier).boxed()
    }
}

/// A partition of a log of its own.
pub(crate) fn hosted() -> Arc<HostedPartition> {
    hosted_on(LocalLog::open())
}

/// A partition of this log.
pub(crate) fn hosted_on(log: Arc<LocalLog>) -> Arc<HostedPartition> {
    Arc::new(HostedPartition::new(log, settings(&[])))
}

/// The settings of a topic that sets these configs.
pub(crate) fn settings(configs: &[(&str, &str)]) -> Arc<TopicSettings> {
    let mut set = TopicConfigs::default();
    for (key, value) in configs {
        set.set(key, Some(value)).unwrap();
    }
    Arc::new(set.settings(&TopicConfigs::default()))
}

/// A batch of records with these values and the time of their place.
pub(crate) fn batch_of(values: &[&str]) -> RecordBatch {
    build(BatchBuilder::new(Compression::None), values)
}

/// The same from an idempotent producer.
pub(crate) fn batch_from(producer: u64, sequence: u32, values: &[&str]) -> RecordBatch {
    let stamp = ProducerStamp {
        id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(0),
        base_sequence: Some(Sequence::new(sequence)),
    };
    build(BatchBuilder::new(Compression::None).producer(stamp), values)
}

fn build(mut builder: BatchBuilder, values: &[&str]) -> RecordBatch {
    for (timestamp, value) in (1..).zip(values) {
        let record = NewRecord { timestamp, key: None, value: Some(value.as_bytes()), headers: &[] };
        builder.push(&record).unwrap();
    }
    builder.finish().unwrap()
}
