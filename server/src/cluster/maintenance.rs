//! What is due every few seconds: checkpoints, old segments, compaction.

use std::sync::Arc;
use std::time::Duration;

use tidelog_log::LogConfig;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Node;
use crate::data_path::now_ms;

/// How often checkpoints are looked after.
const TICK: Duration = Duration::from_secs(1);

/// Looks after things until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut stopping = node.stopping.subscribe();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cleaned_up = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
        node.host.tick();
        if cleaned_up.elapsed() >= node.config.cleanup_interval {
            tokio::select! {
                () = clean_up(&node) => {}
                _ = stopping.wait_for(|stopping| *stopping) => break,
            }
            cleaned_up = Instant::now();
        }
    }
}

/// Lets go of what retention and compaction no longer keep, partition by partition.
async fn clean_up(node: &Node) {
    let open: Vec<_> = node.partitions().values().cloned().collect();
    for partition in open {
        let settings = partition.hosted.settings();
        let limits = settings.produce_limits(0).decode;
        let config = settings.log_config(&LogConfig::default());
        if let Err(error) = partition.group.clean_up(&config, now_ms(), limits).await {
            tracing::warn!(partition = ?partition.group, %error, "old segments could not be cleaned up");
        }
    }
    if let Err(error) = node.metadata.release_segments().await {
        tracing::warn!(%error, "old segments of the metadata could not be released");
    }
}
