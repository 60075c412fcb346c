//! What a broker said went wrong.

use std::fmt;
use std::time::Duration;

use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, LeaderEpoch, Offset, Sequence};

/// An error out of a broker's answer, about one topic, partition, batch or config, or about a call as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerError {
    /// What went wrong; `None` if the code is newer than this build.
    pub code: Option<ErrorCode>,
    /// The code's number, also where this build does not know it.
    pub code_number: i32,
    /// The same in words, for people; not stable.
    pub message: String,
    /// How long the broker wants the caller to wait before the next try, if it says so.
    pub retry_after: Option<Duration>,
    /// What the sender says of a code that this build does not know.
    retriable_by_sender: bool,
    /// Behind a pointer: few errors have any, and results stay small.
    details: Option<Box<Details>>,
}

/// What only some errors carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    leader: Option<Leader>,
    offset_range: Option<OffsetRange>,
    limit: Option<ExceededLimit>,
    config: Option<InvalidConfig>,
    next_sequence: Option<Sequence>,
}

/// A config that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// Its key.
    pub key: String,
    /// The value that was refused; `None` if the key itself is unknown, or the value is secret.
    pub value: Option<String>,
    /// What is allowed, in words.
    pub allowed: String,
}

/// A broker that leads a partition, as another one says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its number.
    pub broker: BrokerId,
    /// Where clients reach it: `host:port`.
    pub address: String,
    /// The leader epoch in which it leads, if known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// The offsets of a partition that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The first offset kept, inclusive.
    pub log_start_offset: Offset,
    /// The first offset that is not committed yet, exclusive.
    pub high_watermark: Offset,
}

/// A limit and what passed it, in the unit that the limit's name ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceededLimit {
    /// The limit's name, such as `batch_bytes_max`.
    pub name: String,
    /// The largest allowed value, inclusive.
    pub allowed: u64,
    /// The value that there was, if it was counted to its end.
    pub actual: Option<u64>,
    /// The key of the config that sets the limit; `None` if the limit is fixed.
    pub config_key: Option<String>,
}

impl BrokerError {
    /// Tells whether the same request may succeed later or at another broker.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.code.map_or(self.retriable_by_sender, ErrorCode::retriable)
    }

    /// Returns who can serve the request instead, if the broker knows.
    #[must_use]
    pub fn leader(&self) -> Option<&Leader> {
        self.details.as_ref()?.leader.as_ref()
    }

    /// Returns which offsets there are; with [`ErrorCode::OffsetOutOfRange`] only.
    #[must_use]
    pub fn offset_range(&self) -> Option<OffsetRange> {
        self.details.as_ref()?.offset_range
    }

    /// Returns which limit was passed, where one was.
    #[must_use]
    pub fn limit(&self) -> Option<&ExceededLimit> {
        self.details.as_ref()?.limit.as_ref()
    }

    /// Returns which config is wrong; with [`ErrorCode::InvalidConfig`] only.
    #[must_use]
    pub fn config(&self) -> Option<&InvalidConfig> {
        self.details.as_ref()?.config.as_ref()
    }

    /// Returns which sequence the broker expects of an idempotent producer, where that is what went wrong.
    #[must_use]
    pub fn next_sequence(&self) -> Option<Sequence> {
        self.details.as_ref()?.next_sequence
    }

    /// Tells whether the error says that what is known of leaders and topics is out of date.
    pub(crate) fn is_stale_metadata(&self) -> bool {
        matches!(
            self.code,
            Some(
                ErrorCode::NotLeader
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::FetchFromLeader
                    | ErrorCode::NotController
                    | ErrorCode::StorageError
            )
        )
    }

    /// Makes an error of this code, as a broker would send it.
    pub(crate) fn of_code(code: ErrorCode, message: impl Into<String>) -> Self {
        v1::Error::new(code, message).into()
    }
}

impl From<v1::Error> for BrokerError {
    fn from(error: v1::Error) -> Self {
        let (code, code_number) = (error.known_code(), error.code);
        let details = Details {
            leader: error.leader.map(|leader| Leader {
                broker: BrokerId::new(leader.broker_id),
                address: leader.address,
                leader_epoch: leader.leader_epoch.map(LeaderEpoch::new),
            }),
            offset_range: error.offset_range.map(|range| OffsetRange {
                log_start_offset: Offset::new(range.log_start_offset),
                high_watermark: Offset::new(range.high_watermark),
            }),
            limit: error.limit.map(|limit| ExceededLimit {
                name: limit.name,
                allowed: limit.allowed,
                actual: limit.actual,
                config_key: limit.config_key,
            }),
            config: error.config.map(|config| InvalidConfig {
                key: config.key,
                value: config.value,
                allowed: config.allowed,
            }),
            next_sequence: error.sequence.map(|expected| Sequence::new(expected.next_sequence)),
        };
        Self {
            code,
            code_number,
            message: error.message,
            retry_after: error.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
            retriable_by_sender: error.retriable,
            details: (details != Details::default()).then(|| Box::new(details)),
        }
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code}: {}", self.message)?,
            None => write!(f, "unknown error code {}: {}", self.code_number, self.message)?,
        }
        if let Some(limit) = self.limit() {
            write!(f, " (limit {} is {}", limit.name, limit.allowed)?;
            if let Some(actual) = limit.actual {
                write!(f, ", found {actual}")?;
            }
            if let Some(key) = &limit.config_key {
                write!(f, ", set by {key}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl std::error::Error for BrokerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_go_by_what_the_sender_says() {
        let error = |retriable| BrokerError::from(v1::Error { code: 9999, retriable, ..v1::Error::default() });
        assert!(error(true).is_retriable());
        assert!(!error(false).is_retriable());
        assert!(BrokerError::of_code(ErrorCode::NotLeader, "moved").is_retriable());
    }

    #[test]
    fn a_passed_limit_is_named_with_its_value_and_its_config() {
        let limit = v1::ExceededLimit {
            name: "batch_bytes_max".to_owned(),
            allowed: 10,
            actual: Some(12),
            config_key: Some("batch_bytes_max".to_owned()),
        };
        let error = v1::Error { limit: Some(limit), ..v1::Error::new(ErrorCode::BatchTooLarge, "too large") };
        let text = BrokerError::from(error).to_string();
        assert_eq!(text, "BATCH_TOO_LARGE: too large (limit batch_bytes_max is 10, found 12, set by batch_bytes_max)");
    }
}
