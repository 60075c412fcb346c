//! Why a config was refused.

use std::fmt;

use tidelog_proto::error_code::ErrorCode;

use super::key::TopicConfigKey;

/// A config that was refused. Trying again with the same is no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicConfigError {
    /// There is no such config.
    UnknownKey {
        /// As it was written.
        key: String,
        /// What may have been meant.
        nearest: TopicConfigKey,
    },
    /// The same config is set twice in one request.
    Twice {
        /// The config.
        key: TopicConfigKey,
    },
    /// The value is out of bounds, or of another form.
    Value {
        /// The config; its kind says what is allowed.
        key: TopicConfigKey,
        /// As it was written.
        value: String,
    },
}

impl TopicConfigError {
    /// Returns the code for the reply; none of them is retriable.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownKey { .. } | Self::Value { .. } => ErrorCode::InvalidConfig,
            Self::Twice { .. } => ErrorCode::InvalidRequest,
        }
    }
}

impl fmt::Display for TopicConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, nearest } => write!(f, "there is no topic config {key:?}, nearest is {nearest}"),
            Self::Twice { key } => write!(f, "{key} is set twice"),
            Self::Value { key, value } => {
                write!(f, "{key} = {value:?} is not allowed, {}", key.kind())?;
                match key.unit() {
                    Some(unit) => write!(f, " is, in {unit}"),
                    None => f.write_str(" is"),
                }
            }
        }
    }
}

impl std::error::Error for TopicConfigError {}
