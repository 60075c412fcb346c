//! The commands as users run them: the real binary on real files.
//!
//! They stand here, not with the other integration tests, because cargo tells a test where a binary is only within the
//! binary's own package.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod broker;
mod clusters;
mod dump;
mod export;
mod records;
mod replays;
mod sample_log;
mod serving;
mod tidelog;
mod topics;
mod usage;
mod verify;
