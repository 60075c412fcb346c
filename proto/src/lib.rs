//! Every byte that leaves a Tidelog process. No I/O.
//!
//! - [`ids`]: newtypes for ids and numbers
//! - [`batch`]: Kafka's RecordBatch v2
//! - [`frame`]: the frame around every Raft entry in a segment file
//! - [`segment_header`]: the start of a segment file

#![forbid(unsafe_code)]

pub mod batch;
pub mod frame;
pub mod ids;
pub mod segment_header;
