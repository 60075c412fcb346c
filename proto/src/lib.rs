//! Every byte that leaves a Tidelog process. No I/O.
//!
//! - [`ids`]: newtypes for ids and numbers
//! - [`batch`]: Kafka's RecordBatch v2, the unit of storage, replication and both APIs
//! - [`frame`]: the frame around every Raft entry in a segment file
//! - [`segment_header`]: the start of a segment file
//! - [`error_code`]: what one process tells another went wrong
//! - [`key_hash`]: which partition a key belongs to
//! - [`api`]: the network API, its messages and, with the features `client` and `server`, its stubs
//!
//! Every decoder takes any bytes: it answers with a typed error, in time and memory bounded by what it
//! was given and by its limits.
//!
//! ```
//! use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord, ProduceLimits, validate_produced};
//! use tidelog_proto::frame::{Frame, FrameSeed, FrameStamp};
//! use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};
//!
//! // A producer builds a batch.
//! let mut builder = BatchBuilder::new(Compression::Lz4);
//! for value in [&b"first"[..], b"second"] {
//!     builder.push(&NewRecord { timestamp: 1_700_000_000_000, value: Some(value), ..NewRecord::default() })?;
//! }
//! let produced = builder.finish()?;
//!
//! // The leader checks it, gives it its place in the log, and frames it as a Raft entry.
//! let batch = validate_produced(produced, &ProduceLimits::default())?;
//! let batch = batch.assigned(Offset::new(40), LeaderEpoch::new(3))?;
//! let seed = FrameSeed::new(TopicId::new([7; 16]), PartitionId::new(0));
//! let stamp = FrameStamp {
//!     term: RaftTerm::new(3),
//!     index: RaftIndex::new(12),
//!     commit_lag: 1,
//!     append_time_ms: 1_700_000_000_250,
//! };
//! let mut segment = Vec::new();
//! Frame::data(seed, stamp, batch).encode_into(&mut segment);
//!
//! // A reader finds the same records.
//! let frame = Frame::decode(seed, &segment.into())?;
//! let batch = frame.batch().expect("a data frame carries a batch");
//! let records = batch.records(DecodeLimits::default())?.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(records[1].offset, Offset::new(41));
//! assert_eq!(records[1].value.as_deref(), Some(&b"second"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod api;
pub mod batch;
pub mod error_code;
pub mod frame;
pub mod ids;
pub mod key_hash;
pub mod segment_header;
