//! Benchmarks of Tidelog, side by side with the ceilings of the machine that they run on.
//!
//! Here is what they share:
//! - [`json_lines`], [`batches`]: what is written
//! - [`raw`]: the machine without Tidelog
//! - [`child_process`], [`broker_process`], [`process_usage`]: the real broker in a process of its own
//! - [`rounds`], [`spread`]: contestants in turns, and what came out of it
//! - [`interrupt`]: ending in order before the end
//! - [`machine`], [`report`]: tables for people, JSON for programs
//!
//! The benchmarks themselves are `benches/*.rs` and the programs in `src/bin`.

#![forbid(unsafe_code)]

use std::error::Error;

pub mod batches;
pub mod broker_process;
pub mod child_process;
pub mod interrupt;
pub mod json_lines;
pub mod machine;
pub mod process_usage;
pub mod raw;
pub mod report;
pub mod rounds;
pub mod spread;

/// Whatever ends a program early.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
