//! openraft's own tests of a store, over the real log and the real journal.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use openraft::RaftSnapshotBuilder;
use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use tempfile::TempDir;
use tidelog_log::environment::{Environment, RealEnvironment};
use tidelog_log::storage::{Durability, Storage, StorageConfig};
use tidelog_log::{Log, LogConfig, LogIdentity};
use tidelog_proto::ids::{PartitionId, RaftIndex, RaftTerm, TopicId};

use crate::applied::{Applied, Outcome};
use crate::journal::{self, Journal};
use crate::log_store::{FlushMode, LogParts, LogStore};
use crate::stalls::Stalls;
use crate::tail_cache::{SharedTail, TailBudget};
use crate::types::{LogId, TypeConfig};

const IDENTITY: LogIdentity = LogIdentity { topic_id: TopicId::new([8; 16]), partition: PartitionId::new(0) };

#[test]
fn the_store_does_what_openraft_asks_of_it() {
    // Everything in memory, and nothing.
    for tail_bytes_max in [u64::MAX, 0] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let outcome = runtime.block_on(Suite::test_all(Builder { tail_bytes_max }));
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}

struct Builder {
    tail_bytes_max: u64,
}

/// What a store stands on.
struct Ground {
    _storage: Storage,
    _journal: Journal,
    _dir: TempDir,
}

impl StoreBuilder<TypeConfig, LogStore, Machine, Ground> for Builder {
    async fn build(&self) -> Result<(Ground, LogStore, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let environment: Arc<dyn Environment> = Arc::new(RealEnvironment::new());
        let log_dir = IDENTITY.dir(dir.path());
        let log = Log::open(Arc::clone(&environment), &log_dir, IDENTITY, LogConfig::default()).expect("a new log");
        let storage =
            Storage::start(Arc::clone(&environment), dir.path(), StorageConfig::default()).expect("it starts");
        journal::create(environment.as_ref(), dir.path()).expect("a new journal");
        let (journal, _) = Journal::open(Arc::clone(&environment), dir.path()).expect("it was just made");
        let store = LogStore::open(LogParts {
            identity: IDENTITY,
            environment,
            handle: storage.add(log.writer).expect("the storage runs"),
            reader: log.reader,
            journal: journal.handle(),
            hard_state: crate::HardState::default(),
            flush_mode: FlushMode::new(Durability::Synced),
            stalls: Stalls::new(),
            tail: SharedTail::new(TailBudget::new(self.tail_bytes_max)),
        });
        let ground = Ground { _storage: storage, _journal: journal, _dir: dir };
        Ok((ground, store.expect("an empty log"), Machine::default()))
    }
}

/// A state machine that remembers how far it is, and nothing else.
#[derive(Clone, Debug, Default)]
struct Machine {
    last_applied: Option<LogId>,
    membership: StoredMembershipOf<TypeConfig>,
    snapshot: Arc<std::sync::Mutex<Option<SnapshotMetaOf<TypeConfig>>>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, ()>> {
        let meta =
            SnapshotMetaOf::<TypeConfig> { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        *self.snapshot.lock().expect("nobody panics") = Some(meta.clone());
        Ok(SnapshotOf::<TypeConfig, ()> { meta, snapshot: () })
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembershipOf<TypeConfig>)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let log_id = entry.log_id();
            self.last_applied = Some(log_id);
            if let Some(membership) = entry.get_membership() {
                self.membership = StoredMembershipOf::<TypeConfig>::new(Some(log_id), membership);
            }
            if let Some(responder) = responder {
                let (term, index) = (**log_id.committed_leader_id(), log_id.index());
                responder.send(Applied {
                    term: RaftTerm::new(term),
                    index: RaftIndex::new(index),
                    outcome: Outcome::None,
                });
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<TypeConfig>, (): ()) -> io::Result<()> {
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        *self.snapshot.lock().expect("nobody panics") = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, ()>>> {
        let meta = self.snapshot.lock().expect("nobody panics").clone();
        Ok(meta.map(|meta| SnapshotOf::<TypeConfig, ()> { meta, snapshot: () }))
    }
}
