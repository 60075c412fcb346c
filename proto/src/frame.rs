//! The 40-byte frame around everything in a segment file: one frame is one Raft entry.

mod error;
#[cfg(test)]
mod frame_tests;
mod header;
mod owned;
mod view;

pub use error::FrameError;
pub use header::{FRAME_HEADER_BYTES, FRAME_VERSION, FrameHeader, FrameStamp, FrameType, MAX_FRAME_BODY_BYTES};
pub use owned::Frame;
pub use view::{FrameSeed, FrameView};
