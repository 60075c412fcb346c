use bytes::Bytes;
use proptest::prelude::*;

use super::{FRAME_HEADER_BYTES, Frame, FrameError, FrameSeed, FrameStamp, FrameType, FrameView, MAX_FRAME_BODY_BYTES};
use crate::batch::{BatchBuilder, BatchError, Compression, NewRecord, RecordBatch};
use crate::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

const STAMP: FrameStamp = FrameStamp {
    term: RaftTerm::new(0x0102),
    index: RaftIndex::new(0x0304),
    commit_lag: 5,
    append_time_ms: 1_700_000_000_000,
};

fn seed() -> FrameSeed {
    FrameSeed::new(TopicId::new(*b"0123456789abcdef"), PartitionId::new(7))
}

fn batch() -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in [&b"one"[..], b"two"] {
        builder.push(&NewRecord { value: Some(value), ..NewRecord::default() }).unwrap();
    }
    builder.finish().unwrap().assigned(Offset::new(40), LeaderEpoch::new(0x0102)).unwrap()
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode_into(&mut bytes);
    assert_eq!(bytes.len(), frame.frame_bytes());
    bytes
}

fn no_op() -> Frame {
    Frame::internal(seed(), FrameType::NoOp, STAMP, Offset::new(42), &[]).unwrap()
}

/// One frame of every kind of body.
fn frames() -> Vec<Frame> {
    vec![
        Frame::data(seed(), STAMP, batch()),
        Frame::transaction_marker(seed(), STAMP, batch()),
        no_op(),
        Frame::internal(seed(), FrameType::Membership, STAMP, Offset::new(42), b"members").unwrap(),
        Frame::log_start(seed(), STAMP, Offset::new(42), Offset::new(9)).unwrap(),
        Frame::internal(seed(), FrameType::CoordinatorCommand, STAMP, Offset::new(42), &[3; 100]).unwrap(),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes_of_a_frame_without_a_batch() {
    let expected =
        "67436311 03 01 0000 08000000 05000000 0201000000000000 0403000000000000 0068e5cf8b010000 2a00000000000000";
    let expected: String = expected.split_whitespace().collect();
    assert_eq!(hex(&encoded(&no_op())), expected);
}

#[test]
fn golden_header_of_a_frame_with_a_batch() {
    let expected = "45605e50 01 01 0000 51000000 05000000 0201000000000000 0403000000000000 0068e5cf8b010000";
    let expected: String = expected.split_whitespace().collect();
    assert_eq!(hex(&encoded(&frames()[0])[..FRAME_HEADER_BYTES]), expected);
}

#[test]
fn frames_round_trip() {
    for frame in frames() {
        let bytes = Bytes::from(encoded(&frame));
        assert_eq!(Frame::decode(seed(), &bytes).unwrap(), frame);
        let followed = Bytes::from([&bytes[..], &[1, 2, 3]].concat());
        let decoded = Frame::decode(seed(), &followed).unwrap();
        assert_eq!(decoded, frame);
        assert!(followed.as_ptr_range().contains(&decoded.body().as_ptr()), "the body is shared");
    }
}

#[test]
fn only_batches_take_offsets() {
    for frame in frames() {
        let (base_offset, next_offset) = (frame.base_offset().get(), frame.next_offset().get());
        let expected = if frame.frame_type().carries_batch() { (40, 42) } else { (42, 42) };
        assert_eq!((base_offset, next_offset), expected);
        assert_eq!(frame.batch().is_some(), frame.frame_type().carries_batch());
        assert_eq!(frame.payload().is_some(), frame.batch().is_none());
        assert_eq!(frame.stamp(), STAMP);
    }
    assert_eq!(frames()[3].payload().unwrap(), &b"members"[..]);
    assert_eq!(frames()[4].view().log_start_offset(), Some(Offset::new(9)));
    assert_eq!(frames()[5].view().log_start_offset(), None);
}

#[test]
fn every_bit_flip_is_caught() {
    for frame in frames() {
        let bytes = encoded(&frame);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(seed(), &damaged.into()).is_err(), "{:?} bit {bit}", frame.frame_type());
        }
    }
}

#[test]
fn the_header_crc_alone_covers_the_prefix_of_the_batch() {
    let bytes = encoded(&frames()[0]);
    for at in FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + 21 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let error = FrameView::parse(seed(), &damaged).unwrap_err();
        assert!(matches!(error, FrameError::HeaderChecksum { .. }), "byte {at}: {error}");
    }
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let view = FrameView::parse(seed(), &damaged).unwrap();
    assert!(matches!(view.verify_body(), Err(FrameError::Batch(BatchError::Checksum { .. }))));
}

#[test]
fn every_truncation_tells_what_is_missing() {
    for frame in frames() {
        let bytes = encoded(&frame);
        for length in 0..bytes.len() {
            let error = FrameView::parse(seed(), &bytes[..length]).unwrap_err();
            let FrameError::Truncated { needed, available } = error else {
                panic!("{:?} cut to {length}: {error}", frame.frame_type());
            };
            assert_eq!(available, length as u64);
            assert!(needed > available && needed <= bytes.len() as u64);
        }
    }
}

#[test]
fn frames_of_another_partition_are_not_ours() {
    let bytes = encoded(&frames()[0]);
    let topic = TopicId::new(*b"0123456789abcdef");
    for other in
        [FrameSeed::new(topic, PartitionId::new(8)), FrameSeed::new(TopicId::new([0; 16]), PartitionId::new(7))]
    {
        let error = FrameView::parse(other, &bytes).unwrap_err();
        assert!(matches!(error, FrameError::HeaderChecksum { .. }));
    }
}

#[test]
fn header_fields_out_of_range_are_refused() {
    let with = |at: usize, field: &[u8]| {
        let mut bytes = encoded(&no_op());
        bytes[at..at + field.len()].copy_from_slice(field);
        FrameView::parse(seed(), &bytes).unwrap_err()
    };
    assert_eq!(with(4, &[0]), FrameError::UnknownType(0));
    assert_eq!(with(4, &[7]), FrameError::UnknownType(7));
    assert_eq!(with(5, &[2]), FrameError::UnknownVersion(2));
    assert_eq!(with(6, &[0, 1]), FrameError::UnknownFlags(0x100));
    assert_eq!(with(8, &7_u32.to_le_bytes()), FrameError::BodyTooShort { body_bytes: 7, needed: 8 });
    let too_large = FrameError::BodyTooLarge { body_bytes: u32::MAX.into(), limit: MAX_FRAME_BODY_BYTES };
    assert_eq!(with(8, &u32::MAX.to_le_bytes()), too_large);
    assert_eq!(with(0, &[0; 40]), FrameError::Empty);
    assert_eq!(with(4, &[1]), FrameError::BodyTooShort { body_bytes: 8, needed: 61 });
    assert_eq!(with(4, &[5]), FrameError::BodyTooShort { body_bytes: 8, needed: 16 });
}

/// Puts a true checksum on a frame that no encoder makes.
fn reseal(bytes: &mut [u8]) {
    let (header, body) = bytes.split_first_chunk_mut::<FRAME_HEADER_BYTES>().unwrap();
    let frame_type = FrameType::from_number(header[4]).unwrap();
    let crc = seed().header_crc(frame_type, header, body);
    header[..4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_true_checksum_does_not_excuse_a_wrong_body() {
    let mut long = encoded(&frames()[0]);
    long.push(0);
    let batch_bytes = u32::try_from(long.len() - FRAME_HEADER_BYTES - 1).unwrap();
    long[8..12].copy_from_slice(&(batch_bytes + 1).to_le_bytes());
    reseal(&mut long);
    let mismatch = FrameError::LengthMismatch { frame: batch_bytes + 1, batch: batch_bytes };
    assert_eq!(FrameView::parse(seed(), &long), Err(mismatch));

    let mut no_batch = encoded(&frames()[0]);
    no_batch[FRAME_HEADER_BYTES + 16] = 1;
    reseal(&mut no_batch);
    assert_eq!(FrameView::parse(seed(), &no_batch), Err(FrameError::Batch(BatchError::Magic(1))));

    let mut far = encoded(&no_op());
    far[FRAME_HEADER_BYTES..].copy_from_slice(&u64::MAX.to_le_bytes());
    reseal(&mut far);
    assert_eq!(FrameView::parse(seed(), &far), Err(FrameError::BaseOffset(Offset::new(u64::MAX))));
}

#[test]
fn what_cannot_be_a_frame_is_refused() {
    let beyond = Offset::new(1 << 63);
    assert_eq!(Frame::internal(seed(), FrameType::NoOp, STAMP, beyond, &[]), Err(FrameError::BaseOffset(beyond)));
    assert_eq!(Frame::log_start(seed(), STAMP, Offset::ZERO, beyond), Err(FrameError::BaseOffset(beyond)));
    let payload = vec![0; MAX_FRAME_BODY_BYTES as usize - 7];
    let body_bytes = u64::from(MAX_FRAME_BODY_BYTES) + 1;
    assert_eq!(
        Frame::internal(seed(), FrameType::CoordinatorCommand, STAMP, Offset::ZERO, &payload),
        Err(FrameError::BodyTooLarge { body_bytes, limit: MAX_FRAME_BODY_BYTES })
    );
    assert_eq!(
        Frame::internal(seed(), FrameType::LogStart, STAMP, Offset::ZERO, &[]),
        Err(FrameError::BodyTooShort { body_bytes: 8, needed: 16 })
    );
}

#[test]
#[should_panic(expected = "made from a batch")]
fn a_batch_frame_is_not_made_from_a_payload() {
    let _ = Frame::internal(seed(), FrameType::Data, STAMP, Offset::ZERO, &[0; 61]);
}

#[test]
fn the_committed_index_is_known_unless_the_lag_says_otherwise() {
    let with_lag = |commit_lag| FrameStamp { commit_lag, ..STAMP }.committed_index();
    assert_eq!(with_lag(0), Some(RaftIndex::new(0x0304)));
    assert_eq!(with_lag(0x0304), Some(RaftIndex::ZERO));
    assert_eq!(with_lag(0x0305), None);
    assert_eq!(with_lag(u32::MAX), None);
    let far = FrameStamp { index: RaftIndex::new(u64::MAX), commit_lag: u32::MAX, ..STAMP };
    assert_eq!(far.committed_index(), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Frame::decode(seed(), &bytes.into()).is_err());
    }

    #[test]
    fn any_stamp_and_payload_round_trip(
        (term, index, commit_lag, append_time_ms) in any::<(u64, u64, u32, i64)>(),
        base_offset in 0..=i64::MAX.unsigned_abs(),
        payload in prop::collection::vec(any::<u8>(), 8..100),
    ) {
        let index = RaftIndex::new(index >> 1);
        let stamp = FrameStamp { term: RaftTerm::new(term), index, commit_lag, append_time_ms };
        for frame_type in FrameType::ALL.into_iter().filter(|frame_type| !frame_type.carries_batch()) {
            let payload = if frame_type == FrameType::LogStart { &payload[..8] } else { &payload };
            let frame = Frame::internal(seed(), frame_type, stamp, Offset::new(base_offset), payload).unwrap();
            let decoded = Frame::decode(seed(), &encoded(&frame).into()).unwrap();
            prop_assert_eq!(decoded.stamp(), stamp);
            prop_assert_eq!(decoded.base_offset(), Offset::new(base_offset));
            prop_assert_eq!(decoded.payload().unwrap(), payload);
        }
    }
}

/// A sound frame with the largest index made whoever asked for the next one panic.
#[test]
fn an_index_with_nothing_above_it_is_refused() {
    let stamp = FrameStamp { index: RaftIndex::MAX, ..STAMP };
    assert!(Frame::internal(seed(), FrameType::NoOp, stamp, Offset::new(42), &[]).is_ok());
    let index = RaftIndex::new(u64::MAX);
    let refused = Frame::internal(seed(), FrameType::NoOp, FrameStamp { index, ..STAMP }, Offset::new(42), &[]);
    assert_eq!(refused, Err(FrameError::Index(index)));
    let data = encoded(&Frame::data(seed(), FrameStamp { index, ..STAMP }, batch()));
    assert_eq!(FrameView::parse(seed(), &data), Err(FrameError::Index(index)));
}
