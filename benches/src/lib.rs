//! Benchmarks of the codec and the log engine, side by side with the ceilings of the machine that they run on.
//!
//! Here is what they share: [`json_lines`] and [`batches`] make what is written, [`spread`] sums up what was measured.
//! The benchmarks themselves are `benches/*.rs` and the program `limits`.

#![forbid(unsafe_code)]

pub mod batches;
pub mod json_lines;
pub mod spread;
