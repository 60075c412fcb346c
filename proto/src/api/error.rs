//! The error in the body of a reply.

use std::fmt;

use super::v1;
use crate::error_code::ErrorCode;

impl v1::Error {
    /// Makes an error of this code, without details.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: i32::from(code.number()), message: message.into(), retriable: code.retriable(), ..Self::default() }
    }

    /// Returns the code, or `None` if it is newer than this build.
    #[must_use]
    pub fn known_code(&self) -> Option<ErrorCode> {
        u16::try_from(self.code).ok().and_then(ErrorCode::from_number)
    }

    /// Tells whether the same request may succeed later or elsewhere: by the code's definition, or for an unknown code by
    /// what the sender says.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.known_code().map_or(self.retriable, ErrorCode::retriable)
    }
}

impl fmt::Display for v1::Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known_code() {
            Some(code) => write!(f, "{code}: {}", self.message),
            None => write!(f, "unknown error code {}: {}", self.code, self.message),
        }
    }
}

impl std::error::Error for v1::Error {}
