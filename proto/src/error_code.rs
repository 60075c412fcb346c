//! The codes by which one process tells another what went wrong with a partition, group or topic.

/// Defines the codes from one table, so that no list of them can fall behind.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What went wrong, in a reply's body.
        ///
        /// Numbers below 1000 are Kafka's for the same meaning, so that a Kafka listener needs no
        /// table; from 1000 on they are our own. Numbers are never reused. 0, Kafka's "none", is no
        /// code: success is the absence of one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name = $number,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the code of this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns the name as it stands in replies and logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

error_codes! {
    /// The offset is below the log start or above the log end.
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE";
    /// The batch fails its CRC: damaged on the way (Kafka: CORRUPT_MESSAGE).
    CorruptBatch = 2, "CORRUPT_BATCH";
    /// The broker does not know the topic or partition; it may be about to.
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION";
    /// The partition has no leader now.
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE";
    /// The broker does not lead the partition (Kafka: NOT_LEADER_OR_FOLLOWER).
    NotLeader = 6, "NOT_LEADER";
    /// The deadline passed; whether the request took effect is not known.
    RequestTimedOut = 7, "REQUEST_TIMED_OUT";
    /// The batch is larger than its topic allows (Kafka: MESSAGE_TOO_LARGE).
    BatchTooLarge = 10, "BATCH_TOO_LARGE";
    /// The metadata of a committed offset is too long.
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE";
    /// The coordinator is still reading its state.
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS";
    /// There is no coordinator now.
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE";
    /// The broker is not the coordinator of the group.
    NotCoordinator = 16, "NOT_COORDINATOR";
    /// The topic's name breaks the rule (Kafka: INVALID_TOPIC_EXCEPTION).
    InvalidTopic = 17, "INVALID_TOPIC";
    /// Too few replicas are up to commit.
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS";
    /// The group's name breaks the rule.
    InvalidGroupId = 24, "INVALID_GROUP_ID";
    /// The group does not know the member: its session expired.
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID";
    /// The session timeout is out of its range.
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT";
    /// A record's timestamp is too far ahead.
    InvalidTimestamp = 32, "INVALID_TIMESTAMP";
    /// The broker does not know this version of the request.
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION";
    /// There is a topic of this name.
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS";
    /// The number of partitions is out of its range, or lower than it was.
    InvalidPartitions = 37, "INVALID_PARTITIONS";
    /// There are fewer brokers than replicas asked for.
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR";
    /// The replicas asked for are not a valid set of brokers.
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT";
    /// A config key is unknown or its value out of range.
    InvalidConfig = 40, "INVALID_CONFIG";
    /// The broker does not lead the metadata group.
    NotController = 41, "NOT_CONTROLLER";
    /// The request contradicts itself.
    InvalidRequest = 42, "INVALID_REQUEST";
    /// The batch leaves a gap after the producer's last one.
    OutOfOrderSequence = 45, "OUT_OF_ORDER_SEQUENCE";
    /// The batch was appended before, too long ago to say where.
    DuplicateSequence = 46, "DUPLICATE_SEQUENCE";
    /// The producer's epoch is older than one seen.
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH";
    /// A disk failed; the replica steps down (Kafka: KAFKA_STORAGE_ERROR).
    StorageError = 56, "STORAGE_ERROR";
    /// The partition's replicas are being moved already.
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS";
    /// The group has members and cannot be deleted.
    NonEmptyGroup = 68, "NON_EMPTY_GROUP";
    /// There is no such group.
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND";
    /// The caller's leader epoch is older than the broker's.
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH";
    /// The caller's leader epoch is newer than the broker's.
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH";
    /// The batch is compressed by a codec that the broker does not read.
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE";
    /// The new leader does not know the high watermark yet.
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE";
    /// Another member joined under the same static name.
    FencedInstanceId = 82, "FENCED_INSTANCE_ID";
    /// A record or its batch is not well-formed, or breaks a rule of its topic.
    InvalidRecord = 87, "INVALID_RECORD";
    /// A quota is used up for now.
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED";
    /// The broker does not know the topic id; it may be about to.
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID";
    /// The member was removed from the group under this epoch.
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH";
    /// The member's epoch is older than its last heartbeat's.
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH";

    /// Free space is below `disk_reserve_bytes`: no produce until there is more.
    DiskFull = 1000, "DISK_FULL";
    /// The records asked for are damaged on this replica; another one has them.
    CorruptLog = 1001, "CORRUPT_LOG";
    /// Too many bytes are in flight on the connection or the broker.
    Overloaded = 1002, "OVERLOADED";
    /// This follower has deleted what was asked for, the leader may have it.
    FetchFromLeader = 1003, "FETCH_FROM_LEADER";
}

impl ErrorCode {
    /// Returns the number as it stands on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Tells whether the same request may succeed later or elsewhere, without a change by its caller.
    #[must_use]
    pub const fn retriable(self) -> bool {
        match self {
            Self::CorruptBatch
            | Self::UnknownTopicOrPartition
            | Self::LeaderNotAvailable
            | Self::NotLeader
            | Self::RequestTimedOut
            | Self::CoordinatorLoadInProgress
            | Self::CoordinatorNotAvailable
            | Self::NotCoordinator
            | Self::NotEnoughReplicas
            | Self::NotController
            | Self::StorageError
            | Self::FencedLeaderEpoch
            | Self::UnknownLeaderEpoch
            | Self::OffsetNotAvailable
            | Self::ThrottlingQuotaExceeded
            | Self::UnknownTopicId
            | Self::DiskFull
            | Self::CorruptLog
            | Self::Overloaded
            | Self::FetchFromLeader => true,
            Self::OffsetOutOfRange
            | Self::BatchTooLarge
            | Self::OffsetMetadataTooLarge
            | Self::InvalidTopic
            | Self::InvalidGroupId
            | Self::UnknownMemberId
            | Self::InvalidSessionTimeout
            | Self::InvalidTimestamp
            | Self::UnsupportedVersion
            | Self::TopicAlreadyExists
            | Self::InvalidPartitions
            | Self::InvalidReplicationFactor
            | Self::InvalidReplicaAssignment
            | Self::InvalidConfig
            | Self::InvalidRequest
            | Self::OutOfOrderSequence
            | Self::DuplicateSequence
            | Self::InvalidProducerEpoch
            | Self::ReassignmentInProgress
            | Self::NonEmptyGroup
            | Self::GroupIdNotFound
            | Self::UnsupportedCompressionType
            | Self::FencedInstanceId
            | Self::InvalidRecord
            | Self::FencedMemberEpoch
            | Self::StaleMemberEpoch => false,
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number_and_zero_is_none() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
        }
        assert_eq!(ErrorCode::from_number(0), None);
        assert_eq!(ErrorCode::from_number(u16::MAX), None);
    }

    #[test]
    fn numbers_that_stand_in_files_and_replies_stay() {
        assert_eq!(ErrorCode::NotLeader.number(), 6);
        assert_eq!(ErrorCode::BatchTooLarge.number(), 10);
        assert_eq!(ErrorCode::DiskFull.number(), 1000);
    }

    #[test]
    fn names_are_the_codes_in_capitals() {
        for code in ErrorCode::ALL {
            let folded = code.name().replace('_', "").to_lowercase();
            assert_eq!(folded, format!("{code:?}").to_lowercase());
        }
    }
}
