//! Random entries, each following the one before it as a leader's do.

use tidelog_log::environment::simulated::Rng;
use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord, RecordBatch, RecordHeader, stamp_log_append_time};
use tidelog_proto::frame::{Frame, FrameSeed, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, RaftIndex, RaftTerm};

use super::IDENTITY;
use super::model::LogModel;

const CODECS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Lz4];

/// Times that producers send, in groups that a batch can span.
const BASE_TIMESTAMPS: [i64; 7] =
    [1_735_689_600_000, 1_735_689_600_000, 1_735_689_600_000, 0, -62_135_596_800_000, i64::MIN / 2, i64::MAX / 2];

/// Makes entries. The same seed and the same log give the same entries.
pub(crate) struct EntryMaker {
    rng: Rng,
    /// Largest step of the append time from one entry to the next.
    pub(crate) step_ms_max: u64,
}

/// Where the next entry goes.
#[derive(Clone, Copy)]
struct Place {
    term: RaftTerm,
    index: RaftIndex,
    offset: Offset,
    append_time_ms: i64,
}

impl EntryMaker {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, step_ms_max: 50 }
    }

    /// Makes `count` entries that follow the end of `model`, as written by a leader that knows what is committed.
    pub(crate) fn frames(&mut self, model: &LogModel, count: usize, now_ms: i64) -> Vec<Frame> {
        let last = model.entries.last().map(|entry| entry.frame.stamp());
        let mut place = Place {
            term: last.map_or(RaftTerm::new(1), |last| last.term),
            index: model.end_index(),
            offset: model.end_offset(),
            append_time_ms: last.map_or(now_ms, |last| last.append_time_ms),
        };
        if self.rng.percent(10) {
            place.term = RaftTerm::new(place.term.get() + self.rng.below(3));
        }
        (0..count)
            .map(|_| {
                let step_ms = self.rng.below(self.step_ms_max + 1);
                place.append_time_ms = place.append_time_ms.saturating_add_unsigned(step_ms);
                let frame = self.frame(place, model.committed_end);
                place.index = place.index.next();
                place.offset = frame.next_offset();
                frame
            })
            .collect()
    }

    fn frame(&mut self, place: Place, committed_end: RaftIndex) -> Frame {
        // A leader may not know of the newest commits yet; it never knows more than there are.
        let known = if self.rng.percent(80) { committed_end.get() } else { self.rng.below(committed_end.get() + 1) };
        let stamp = FrameStamp {
            term: place.term,
            index: place.index,
            commit_lag: u32::try_from(place.index.get() + 1 - known).unwrap_or(u32::MAX),
            append_time_ms: place.append_time_ms,
        };
        let seed = IDENTITY.seed();
        match self.rng.below(20) {
            0..=14 => Frame::data(seed, stamp, self.data_batch(place)),
            15 => Frame::transaction_marker(seed, stamp, self.marker(place)),
            16 => Frame::log_start(seed, stamp, place.offset, Offset::new(0)).expect("both offsets are in range"),
            kind => {
                let types = [FrameType::NoOp, FrameType::Membership, FrameType::CoordinatorCommand];
                let payload = self.bytes(40);
                let frame_type = types[usize::try_from(kind % 3).expect("below 3")];
                Frame::internal(seed, frame_type, stamp, place.offset, &payload).expect("a small payload")
            }
        }
    }

    fn data_batch(&mut self, place: Place) -> RecordBatch {
        let mut builder = BatchBuilder::new(CODECS[self.rng.index(CODECS.len())]);
        if self.rng.percent(5) {
            builder = builder.transactional();
        }
        let records = if self.rng.percent(10) { 1 + self.rng.below(40) } else { 1 + self.rng.below(4) };
        let value_bytes_max = if self.rng.percent(10) { 700 } else { 60 };
        let base_timestamp = BASE_TIMESTAMPS[self.rng.index(BASE_TIMESTAMPS.len())];
        for _ in 0..records {
            let timestamp = base_timestamp + i64::try_from(self.rng.below(200)).expect("small") - 100;
            let key = self.rng.percent(85).then(|| vec![b'k', self.rng.next_u64().to_le_bytes()[0] % 12]);
            let value = self.rng.percent(80).then(|| self.bytes(value_bytes_max));
            let header = RecordHeader { key: "h", value: None };
            let headers = if self.rng.percent(10) { &[header][..] } else { &[] };
            let record = NewRecord { timestamp, key: key.as_deref(), value: value.as_deref(), headers };
            builder.push(&record).expect("small records fit");
        }
        let batch = assigned(builder, place);
        if self.rng.percent(8) { log_append_timed(&batch, place.append_time_ms) } else { batch }
    }

    /// Makes the control batch of one record that ends a transaction.
    fn marker(&mut self, place: Place) -> RecordBatch {
        let mut builder = BatchBuilder::new(Compression::None).transactional().control();
        let key = [0, 0, 0, u8::from(self.rng.percent(50))];
        let timestamp = place.append_time_ms;
        let record = NewRecord { timestamp, key: Some(&key), value: Some(&[0; 6]), ..NewRecord::default() };
        builder.push(&record).expect("a small record fits");
        assigned(builder, place)
    }

    /// Makes fewer than `len_max` bytes, of few different values, so that the codecs find something to compress.
    fn bytes(&mut self, len_max: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.rng.index(len_max)];
        self.rng.fill(&mut bytes);
        bytes.iter_mut().for_each(|byte| *byte %= 5);
        bytes
    }
}

fn assigned(builder: BatchBuilder, place: Place) -> RecordBatch {
    let epoch = LeaderEpoch::new(u32::try_from(place.term.get()).expect("terms here are small"));
    builder.finish().expect("there are records").assigned(place.offset, epoch).expect("offsets here are in range")
}

fn log_append_timed(batch: &RecordBatch, append_time_ms: i64) -> RecordBatch {
    let mut bytes = batch.bytes().to_vec();
    stamp_log_append_time(&mut bytes, append_time_ms).expect("a sane batch");
    RecordBatch::parse(bytes.into()).expect("a sane batch")
}

/// Frames the same content again, with other numbers or for another partition.
pub(crate) fn resealed(frame: &Frame, seed: FrameSeed, stamp: FrameStamp, base_offset: Offset) -> Frame {
    let Some(batch) = frame.batch() else {
        let payload = frame.payload().expect("it carries no batch");
        return Frame::internal(seed, frame.frame_type(), stamp, base_offset, &payload).expect("a small payload");
    };
    let epoch = batch.header().leader_epoch().expect("it was stamped");
    let batch = batch.assigned(base_offset, epoch).expect("offsets here are in range");
    match frame.frame_type() {
        FrameType::TransactionMarker => Frame::transaction_marker(seed, stamp, batch),
        _ => Frame::data(seed, stamp, batch),
    }
}
