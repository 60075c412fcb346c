//! How much of everything is measured.

const KIB: usize = 1024;
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Sizes and counts of one run of the program.
pub(crate) struct Scale {
    /// How often each contestant has its turn.
    pub(crate) rounds: usize,
    /// Written in each turn without a sync: less than what makes the kernel write back in the background.
    pub(crate) append_bytes: u64,
    /// Written in each turn of group commit.
    pub(crate) durable_bytes: u64,
    /// How much of that may be on its way to Tidelog's disk. All that its queue takes by default: some of it is being
    /// synced and some is being written.
    pub(crate) in_flight_bytes: u64,
    pub(crate) batch_bytes: [usize; 2],
    pub(crate) partitions: [u32; 3],
    /// Read in each turn.
    pub(crate) read_bytes: u64,
    pub(crate) small_log_bytes: u64,
    pub(crate) large_log_bytes: u64,
    /// Batches of the logs in which is looked up.
    pub(crate) lookup_batch_bytes: [usize; 2],
    /// Lookups in each turn.
    pub(crate) lookups: u64,
}

impl Scale {
    /// What the figures in the documentation come from.
    pub(crate) fn full(rounds: usize) -> Self {
        Self {
            rounds,
            append_bytes: 512 * MIB,
            durable_bytes: GIB,
            in_flight_bytes: 256 * MIB,
            batch_bytes: [16 * KIB, 256 * KIB],
            partitions: [1, 8, 64],
            read_bytes: GIB,
            small_log_bytes: GIB,
            large_log_bytes: 10 * GIB,
            lookup_batch_bytes: [4 * KIB, 16 * KIB],
            lookups: 100_000,
        }
    }

    /// Enough to see that everything works.
    pub(crate) fn quick() -> Self {
        Self {
            append_bytes: 32 * MIB,
            durable_bytes: 32 * MIB,
            read_bytes: 32 * MIB,
            small_log_bytes: 32 * MIB,
            large_log_bytes: 64 * MIB,
            lookups: 1000,
            ..Self::full(1)
        }
    }
}
