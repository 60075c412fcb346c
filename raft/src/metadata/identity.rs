//! By what a cluster, a data directory and a run of a broker are told apart.

use std::fmt;

use tidelog_proto::ids::TopicId;

/// Defines an id of 16 random bytes.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps the 16 bytes of a UUID.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Returns the 16 bytes.
            #[must_use]
            pub const fn get(self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Display for $name {
            /// Writes the hyphenated form of a UUID, as ids of topics have it.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                TopicId::new(self.0).fmt(f)
            }
        }
    };
}

random_id! {
    /// A cluster, for its whole life.
    ClusterId
}

random_id! {
    /// A data directory, from its first start until it is wiped.
    DirectoryId
}

random_id! {
    /// One run of a broker's process.
    BootId
}

/// Which commands and formats the brokers of a cluster may use: those that every one of them knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterVersion(u32);

impl ClusterVersion {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// The newest that this release knows.
    pub const NEWEST: Self = Self(1);

    /// Wraps the number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ClusterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
