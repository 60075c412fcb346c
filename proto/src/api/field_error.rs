//! Why a field of a message was refused.

use std::fmt;

use super::v1;
use crate::error_code::ErrorCode;
use crate::ids::TopicNameError;

/// A field is not what its message asks for. Trying again with the same field is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// It must be there.
    Missing {
        /// The field, as a path from its message.
        field: &'static str,
    },
    /// It is a number above its bound.
    TooLarge {
        /// The field, as a path from its message.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The largest allowed value.
        allowed: u64,
    },
    /// It is a number that its enum does not have.
    UnknownNumber {
        /// The field, as a path from its message.
        field: &'static str,
        /// Its value.
        number: i32,
    },
    /// It is a topic id of another length than 16 bytes.
    TopicIdLength {
        /// The field, as a path from its message.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// It is a topic name that is too long.
    TopicNameTooLong {
        /// The field, as a path from its message.
        field: &'static str,
        /// Its length in bytes.
        value: u64,
        /// The largest allowed length in bytes.
        allowed: u64,
    },
    /// It is not a topic name.
    TopicName {
        /// The field, as a path from its message.
        field: &'static str,
        /// What is wrong with it.
        error: TopicNameError,
    },
}

impl FieldError {
    /// Returns the code for the reply; none of them is retriable.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TopicName { .. } | Self::TopicNameTooLong { .. } => ErrorCode::InvalidTopic,
            Self::Missing { .. } | Self::TooLarge { .. } | Self::UnknownNumber { .. } | Self::TopicIdLength { .. } => {
                ErrorCode::InvalidRequest
            }
        }
    }

    /// Returns the field, as a path from its message.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Missing { field }
            | Self::TooLarge { field, .. }
            | Self::UnknownNumber { field, .. }
            | Self::TopicIdLength { field, .. }
            | Self::TopicNameTooLong { field, .. }
            | Self::TopicName { field, .. } => field,
        }
    }

    /// Makes the error of a reply; `message_path` leads from the request to the message of the field, and is empty for
    /// the request itself.
    #[must_use]
    pub fn into_error(self, message_path: &str) -> v1::Error {
        let separator = if message_path.is_empty() { "" } else { "." };
        let mut error = v1::Error::new(self.code(), self.to_string());
        error.field = Some(format!("{message_path}{separator}{}", self.field()));
        error.limit = match self {
            Self::TooLarge { field, value, allowed } => Some(limit(field, value, allowed)),
            Self::TopicNameTooLong { value, allowed, .. } => Some(limit("topic_name_bytes", value, allowed)),
            Self::Missing { .. } | Self::UnknownNumber { .. } | Self::TopicIdLength { .. } | Self::TopicName { .. } => {
                None
            }
        };
        error
    }
}

/// A limit that no config sets.
fn limit(name: &str, value: u64, allowed: u64) -> v1::ExceededLimit {
    v1::ExceededLimit { name: name.to_owned(), allowed, actual: Some(value), config_key: None }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { field } => write!(f, "{field} is missing"),
            Self::TooLarge { field, value, allowed } => write!(f, "{field} is {value}, at most {allowed} is allowed"),
            Self::UnknownNumber { field, number } => write!(f, "{field} is {number}, which has no meaning"),
            Self::TopicIdLength { field, bytes } => write!(f, "{field} has {bytes} bytes, a topic id has 16"),
            Self::TopicNameTooLong { field, value, allowed } => {
                write!(f, "{field} has {value} bytes, at most {allowed} are allowed")
            }
            Self::TopicName { field, error } => write!(f, "{field}: {error}"),
        }
    }
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_names_the_field_by_its_whole_path() {
        let missing = FieldError::Missing { field: "topic" };
        assert_eq!(missing.into_error("").field.as_deref(), Some("topic"));
        assert_eq!(missing.into_error("batches[3]").field.as_deref(), Some("batches[3].topic"));
    }

    #[test]
    fn the_reply_tells_the_limit_and_what_passed_it() {
        let error = FieldError::TooLarge { field: "end_offset", value: 9, allowed: 5 }.into_error("");
        assert_eq!(error.known_code(), Some(ErrorCode::InvalidRequest));
        assert_eq!(error.message, "end_offset is 9, at most 5 is allowed");
        assert_eq!(error.limit, Some(limit("end_offset", 9, 5)));

        let error = FieldError::TopicNameTooLong { field: "topic.name", value: 300, allowed: 249 }.into_error("");
        assert_eq!(error.known_code(), Some(ErrorCode::InvalidTopic));
        assert_eq!(error.limit, Some(limit("topic_name_bytes", 300, 249)));
    }
}
