//! What records look like and where they go: one row of the tables.

use std::fmt;

use tidelog_client::Compression;

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of each record's value; there is no key.
    pub(crate) record_bytes: usize,
    pub(crate) partitions: u32,
    pub(crate) compression: Compression,
}

impl Shape {
    /// Lists all combinations.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for record_bytes in [100, 1024] {
            for partitions in [1, 6] {
                for compression in [Compression::None, Compression::Lz4] {
                    all.push(Self { record_bytes, partitions, compression });
                }
            }
        }
        all
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record_bytes, partitions, compression } = self;
        let plural = if *partitions == 1 { "" } else { "s" };
        let size = if *record_bytes == 1024 { "1 KiB".to_owned() } else { format!("{record_bytes} B") };
        write!(f, "{size}, {partitions} partition{plural}, {}", compression.name())
    }
}
