//! What the cluster knows of a broker.

use crate::metadata::{Address, BootId, ClusterVersion, DirectoryId, Rack};

/// The first incarnation that the metadata group issues of a broker's replicas. 0 is the replica of the metadata group
/// itself, which is there before anybody could issue it.
pub const FIRST_INCARNATION: u32 = 1;

/// A broker that is registered, up or down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Where it is reached.
    pub address: Address,
    /// Where it stands; `None` where this is not configured.
    pub rack: Option<Rack>,
    /// Its data directory. Another one is another broker: what it had promised is gone.
    pub directory_id: DirectoryId,
    /// How often the directory was started, as of its last registration. A directory that is behind was rolled back.
    pub boot_counter: u64,
    /// The run of its last registration.
    pub boot_id: BootId,
    /// The newest cluster version that it knows.
    pub cluster_version_max: ClusterVersion,
    /// The incarnation that its next replica gets. Only rises, so none is ever issued twice.
    pub next_incarnation: u32,
}
