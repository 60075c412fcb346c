//! What every call that moves records shares.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, watch};

use crate::blocking_pool::BlockingPool;
use crate::in_flight::{BYTES_IN_FLIGHT_MAX, ConnectionBudget, InFlightBudget};
use crate::metrics::Metrics;
use crate::partition_table::PartitionTable;

/// Bounds of the calls that move records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPathConfig {
    /// How long a call may wait for the partitions at most.
    pub request_timeout: Duration,
    /// Produced bytes without an ack, on one connection.
    pub connection_in_flight_bytes_max: u32,
    /// Produced bytes without an ack, on all connections.
    pub in_flight_bytes_max: u32,
    /// Partitions that one fetch stream may have open.
    pub fetch_partitions_max: u32,
    /// Reads of cold records and walks of large batches that run at once.
    pub blocking_tasks_max: usize,
}

impl Default for DataPathConfig {
    /// 30 s, 8 MiB on a connection, 64 MiB in all, 1,000 partitions, 8 blocking tasks.
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            connection_in_flight_bytes_max: 8 * 1024 * 1024,
            in_flight_bytes_max: 64 * 1024 * 1024,
            fetch_partitions_max: 1_000,
            blocking_tasks_max: 8,
        }
    }
}

/// Less free space than is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskShortage {
    /// How much there was when it was looked at last.
    pub free_bytes: u64,
    /// The config `disk_reserve_bytes`.
    pub reserve_bytes: u64,
}

impl fmt::Display for DiskShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free_bytes, reserve_bytes } = self;
        write!(
            f,
            "{free_bytes} bytes of the disk are free, less than disk_reserve_bytes = {reserve_bytes}: records are taken \
             again when there is more"
        )
    }
}

/// The partitions of a broker, and what bounds the calls on them. One for each process.
#[derive(Debug)]
pub struct DataPath {
    /// The partitions.
    pub table: PartitionTable,
    /// What is counted.
    pub metrics: Metrics,
    pub(crate) config: DataPathConfig,
    pub(crate) blocking: BlockingPool,
    broker_bytes: Arc<Semaphore>,
    /// Set by who watches the disk: nothing is taken while it is set.
    disk_shortage: ArcSwapOption<DiskShortage>,
    /// Becomes `true` once, and ends every stream.
    ending: watch::Sender<bool>,
}

impl DataPath {
    /// Starts without partitions.
    #[must_use]
    pub fn new(config: DataPathConfig) -> Self {
        Self {
            table: PartitionTable::default(),
            metrics: Metrics::default(),
            blocking: BlockingPool::new(config.blocking_tasks_max),
            broker_bytes: Arc::new(Semaphore::new(config.in_flight_bytes_max.min(BYTES_IN_FLIGHT_MAX) as usize)),
            config,
            disk_shortage: ArcSwapOption::empty(),
            ending: watch::Sender::new(false),
        }
    }

    /// Refuses every batch with `DISK_FULL`, or takes batches again.
    pub fn set_disk_shortage(&self, shortage: Option<DiskShortage>) {
        self.disk_shortage.store(shortage.map(Arc::new));
    }

    /// Ends the streams: nothing more is read from them, what was taken is answered, then they end.
    pub fn end_streams(&self) {
        self.ending.send_replace(true);
    }

    /// Tells whether [`DataPath::end_streams`] was called.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Writes all metrics in the text format of Prometheus.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let bytes_max = self.config.in_flight_bytes_max.min(BYTES_IN_FLIGHT_MAX) as usize;
        self.metrics.set_bytes_in_flight(bytes_max.saturating_sub(self.broker_bytes.available_permits()));
        self.metrics.to_text()
    }

    /// Gives why no batch is taken now; `None` where they are.
    pub(crate) fn disk_shortage(&self) -> Option<DiskShortage> {
        self.disk_shortage.load().as_deref().copied()
    }

    pub(crate) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// Gives the budget of a call that came over this connection, or over one of which nothing is known.
    pub(crate) fn in_flight_budget(&self, connection: Option<&ConnectionBudget>) -> InFlightBudget {
        let connection = connection.cloned().unwrap_or_else(|| self.connection_budget());
        InFlightBudget::new(connection, Arc::clone(&self.broker_bytes))
    }

    /// Gives the budget of a new connection.
    pub(crate) fn connection_budget(&self) -> ConnectionBudget {
        ConnectionBudget::new(self.config.connection_in_flight_bytes_max)
    }
}

/// Resolves when the streams are to end. Safe to drop and to call again.
pub(crate) async fn ended(ending: &mut watch::Receiver<bool>) {
    // The path outlives its calls; without it they are to end as well.
    drop(ending.wait_for(|is_ending| *is_ending).await);
}

/// Reads the wall clock, in milliseconds since the start of 1970 UTC.
pub(crate) fn now_ms() -> i64 {
    // A clock before 1970 counts as 1970: it only bounds how far ahead a timestamp may be.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
