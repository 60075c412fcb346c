//! Free space: below the reserve no records are taken, and again once there is more.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidelog_log::environment::Environment;
use tokio::time::{MissedTickBehavior, interval};

use crate::data_path::{DataPath, DiskShortage};

/// How often the file system is asked: what is written meanwhile is far below any sensible reserve.
const INTERVAL: Duration = Duration::from_secs(1);

/// The share of the reserve by which free space must exceed it before records are taken again.
const MARGIN_SHARE: u64 = 16;

/// What is watched.
#[derive(Clone, Debug)]
pub struct DiskWatch {
    /// What the file system is asked through.
    pub environment: Arc<dyn Environment>,
    /// The data directory.
    pub dir: PathBuf,
    /// The config `disk_reserve_bytes`.
    pub reserve_bytes: u64,
}

impl DiskWatch {
    /// Looks once, and tells the path.
    pub async fn look(&self, path: &DataPath) {
        let (environment, dir) = (Arc::clone(&self.environment), self.dir.clone());
        // Asking takes moments, but may wait for a disk that hangs.
        match path.blocking.run(move || environment.free_bytes(&dir)).await {
            Ok(Ok(free_bytes)) => {
                let was_full = path.disk_shortage().is_some();
                let is_full = is_full(was_full, free_bytes, self.reserve_bytes);
                let shortage = DiskShortage { free_bytes, reserve_bytes: self.reserve_bytes };
                match (was_full, is_full) {
                    (false, true) => tracing::error!("no records are taken: {shortage}"),
                    (true, false) => tracing::info!(free_bytes, "there is space again: records are taken"),
                    (false, false) | (true, true) => {}
                }
                path.set_disk_shortage(is_full.then_some(shortage));
            }
            Ok(Err(error)) => tracing::error!(%error, dir = %self.dir.display(), "free space cannot be read"),
            Err(_) => {}
        }
    }

    /// Looks again and again, for as long as anybody has the path.
    pub async fn run(self, path: std::sync::Weak<DataPath>) {
        let mut turns = interval(INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let Some(path) = path.upgrade() else { return };
            self.look(&path).await;
        }
    }
}

/// Decides whether there is too little space.
fn is_full(was_full: bool, free_bytes: u64, reserve_bytes: u64) -> bool {
    let enough = if was_full { reserve_bytes.saturating_add(reserve_bytes / MARGIN_SHARE) } else { reserve_bytes };
    free_bytes < enough
}

#[cfg(test)]
mod tests {
    use tidelog_log::environment::RealEnvironment;

    use super::*;
    use crate::data_path::DataPathConfig;

    #[test]
    fn records_are_taken_again_only_when_there_is_clearly_more() {
        assert!(!is_full(false, 1600, 1600));
        assert!(is_full(false, 1599, 1600));
        assert!(is_full(true, 1699, 1600));
        assert!(!is_full(true, 1700, 1600));
        assert!(!is_full(true, 0, 0));
    }

    #[tokio::test]
    async fn a_reserve_that_no_disk_has_stops_produce_and_none_at_all_lets_it_go_on() {
        let path = DataPath::new(DataPathConfig::default());
        let environment: Arc<dyn Environment> = Arc::new(RealEnvironment::new());
        let watch = |reserve_bytes| DiskWatch {
            environment: Arc::clone(&environment),
            dir: std::env::temp_dir(),
            reserve_bytes,
        };
        watch(u64::MAX).look(&path).await;
        assert!(path.disk_shortage().is_some_and(|shortage| shortage.reserve_bytes == u64::MAX));
        watch(0).look(&path).await;
        assert_eq!(path.disk_shortage(), None);
    }
}
