//! What random lives have found.

use tidelog_log::LogConfig;
use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord};
use tidelog_proto::frame::{Frame, FrameStamp};
use tidelog_proto::ids::{LeaderEpoch, Offset, RaftIndex, RaftTerm};

use crate::log_fixture::tracked_log::{Ending, TrackedLog};
use crate::log_fixture::{IDENTITY, ORIGIN};

/// Makes the entry `index` with `records` records from `offset` on.
fn data_frame(index: u64, offset: u64, records: usize) -> Frame {
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..records {
        builder.push(&NewRecord::default()).expect("a small record fits");
    }
    let batch = builder.finish().expect("there are records");
    let batch = batch.assigned(Offset::new(offset), LeaderEpoch::new(1)).expect("the offset is in range");
    let stamp =
        FrameStamp { term: RaftTerm::new(1), index: RaftIndex::new(index), commit_lag: u32::MAX, append_time_ms: 0 };
    Frame::data(IDENTITY.seed(), stamp, batch)
}

/// Where the limit lay within a batch and another batch followed, the reader was told to read on from the limit, so it
/// was given the batch again.
#[test]
fn a_reader_is_never_sent_back_into_a_batch_that_it_was_given() {
    let mut tracked = TrackedLog::new(1, LogConfig::default(), ORIGIN);
    tracked.open(Ending::PowerCut).expect("a new log");
    tracked.append_frames(&[data_frame(0, 0, 5), data_frame(1, 5, 1)]).expect("there is room");
    let read = tracked.log().reader.read(Offset::new(0), Offset::new(3), u64::MAX).expect("it is in range");
    assert_eq!((read.batches.len(), read.next_offset), (1, Offset::new(5)));
}
