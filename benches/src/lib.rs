//! Benchmarks of the codec and the log engine, side by side with the ceilings of the machine that they run on.

#![forbid(unsafe_code)]
