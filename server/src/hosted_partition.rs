//! One partition that this broker holds a replica of.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tidelog_proto::batch::DecodeLimits;
use tidelog_raft::ReplicatedLog;
use tidelog_raft::metadata::TopicSettings;
use tokio::sync::watch;

/// A replica on this broker, and by which rules it is written and read.
#[derive(Debug)]
pub struct HostedPartition {
    log: Arc<dyn ReplicatedLog>,
    /// The topic's configs as they are in force here. Swapped when they change.
    settings: ArcSwap<TopicSettings>,
    /// Becomes `true` once, when the partition leaves the table, and ends every session on it.
    removed: watch::Sender<bool>,
}

impl HostedPartition {
    /// Hosts a replica.
    #[must_use]
    pub fn new(log: Arc<dyn ReplicatedLog>, settings: Arc<TopicSettings>) -> Self {
        Self { log, settings: ArcSwap::new(settings), removed: watch::Sender::new(false) }
    }

    /// Gives the replica.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn ReplicatedLog> {
        &self.log
    }

    /// Gives the rules as they are now.
    #[must_use]
    pub fn settings(&self) -> Arc<TopicSettings> {
        self.settings.load_full()
    }

    /// Puts other rules in place; batches that were taken before are not looked at again.
    pub fn set_settings(&self, settings: Arc<TopicSettings>) {
        self.settings.store(settings);
    }

    /// Gives the caps on decompression.
    pub(crate) fn decode_limits(&self) -> DecodeLimits {
        let decompressed_bytes_max = self.settings.load().decompressed_batch_bytes_max;
        DecodeLimits { decompressed_bytes_max, ..DecodeLimits::DEFAULT }
    }

    /// Tells whether it has left the table.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        *self.removed.borrow()
    }

    /// Ends every session on it.
    pub(crate) fn remove(&self) {
        self.removed.send_replace(true);
    }

    /// Resolves when it leaves the table.
    pub(crate) fn removal(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut removed = self.removed.subscribe();
        async move {
            // Gone altogether, it has left the table as well.
            drop(removed.wait_for(|removed| *removed).await);
        }
    }
}
