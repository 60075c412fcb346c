//! Bytes as frames and as a segment file.
//!
//! What parses must encode to the same bytes, carry the checksum that the format document says, and be refused after
//! any single change.

#![no_main]
#![forbid(unsafe_code)]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidelog_fuzz::checksums::{
    FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, batch_crc, frame_crc, seal_frame, seal_segment_header,
};
use tidelog_fuzz::input::Input;
use tidelog_fuzz::sample_logs::IDENTITY;
use tidelog_log::LogIdentity;
use tidelog_proto::frame::{Frame, FrameError, FrameHeader, FrameView};
use tidelog_proto::ids::{Offset, PartitionId};
use tidelog_proto::segment_header::SegmentHeader;

/// Another partition, none of whose checks a frame of ours may pass.
const OTHER: LogIdentity = LogIdentity { topic_id: IDENTITY.topic_id, partition: PartitionId::new(4) };

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let change = input.u16();
    match mode % 4 {
        0 => {
            let _ = check_frame(&Bytes::copy_from_slice(input.take_rest()), change);
        }
        1 => {
            let mut frame = input.take_rest().to_vec();
            seal_frame(IDENTITY, &mut frame);
            let _ = check_frame(&frame.into(), change);
        }
        2 => check_segment(&Bytes::copy_from_slice(input.take_rest()), change),
        _ => check_segment(&sealed_segment(&mut input).into(), change),
    }
});

/// Makes a segment of frames whose lengths and checksums are true, and leaves the last bytes as they are.
fn sealed_segment(input: &mut Input<'_>) -> Vec<u8> {
    let mut segment = input.array::<SEGMENT_HEADER_BYTES>().to_vec();
    seal_segment_header(&mut segment);
    for _ in 0..input.byte() % 8 {
        let len = FRAME_HEADER_BYTES + usize::from(input.byte());
        let start = segment.len();
        segment.extend_from_slice(input.take(len));
        seal_frame(IDENTITY, &mut segment[start..]);
    }
    segment.extend_from_slice(input.take_rest());
    segment
}

/// Walks a segment file as recovery does.
fn check_segment(segment: &Bytes, change: u16) {
    match SegmentHeader::decode(segment) {
        Ok(header) => {
            assert_eq!(header.encode()[..], segment[..SEGMENT_HEADER_BYTES]);
            let mut changed = header.encode();
            changed[usize::from(change) / 8 % SEGMENT_HEADER_BYTES] ^= 1 << (change % 8);
            assert!(SegmentHeader::decode(&changed).is_err(), "a flipped bit passes");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let mut at = SEGMENT_HEADER_BYTES.min(segment.len());
    while let Some(frame_bytes) = check_frame(&segment.slice(at..), change) {
        at += frame_bytes;
    }
}

/// Checks everything about the frame at the start of `bytes`, and gives its length if it is sound.
fn check_frame(bytes: &Bytes, change: u16) -> Option<usize> {
    let header = FrameHeader::decode(bytes);
    match &header {
        Ok(header) => {
            assert_eq!(header.encode()[..], bytes[..FRAME_HEADER_BYTES]);
            let committed = header.stamp.committed_index();
            assert!(committed.is_none_or(|committed| committed <= header.stamp.index));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let view = match FrameView::parse(IDENTITY.seed(), bytes) {
        Ok(view) => view,
        Err(error) => {
            check_error(&error, bytes);
            assert_eq!(Frame::decode(IDENTITY.seed(), bytes), Err(error));
            return None;
        }
    };
    assert_eq!(header, Ok(view.header));
    check_view(&view, bytes);
    let frame = match (Frame::decode(IDENTITY.seed(), bytes), view.verify_body()) {
        (Ok(frame), Ok(())) => frame,
        (Err(error), Err(same)) => {
            assert_eq!(error, same);
            assert!(view.batch().is_some(), "only a batch has a checksum of its own");
            return None;
        }
        (decoded, verified) => panic!("decoded: {decoded:?}, verified: {verified:?}"),
    };
    check_sound(&frame, &bytes.slice(..frame.frame_bytes()), change);
    Some(frame.frame_bytes())
}

/// Says whether a refusal is true, as far as checksums and lengths go.
fn check_error(error: &FrameError, bytes: &[u8]) {
    assert!(!error.to_string().is_empty());
    match error {
        FrameError::HeaderChecksum { stored, computed } => {
            assert_ne!(stored, computed);
            assert_eq!(frame_crc(IDENTITY, bytes), Some(*computed));
        }
        FrameError::Truncated { needed, available } => {
            assert!(needed > available && *available == bytes.len() as u64, "{error}");
        }
        FrameError::Empty => assert!(bytes[..FRAME_HEADER_BYTES].iter().all(|byte| *byte == 0)),
        _ => {}
    }
}

fn check_view(view: &FrameView<'_>, bytes: &[u8]) {
    let frame_bytes = view.frame_bytes();
    assert_eq!(frame_crc(IDENTITY, bytes), Some(view.header.header_crc));
    assert_eq!(FrameView::parse(IDENTITY.seed(), &bytes[..frame_bytes]).as_ref(), Ok(view));
    assert!(FrameView::parse(IDENTITY.seed(), &bytes[..frame_bytes - 1]).is_err(), "a cut frame passes");
    assert!(FrameView::parse(OTHER.seed(), bytes).is_err(), "a frame of another partition passes");
    assert!(view.base_offset() <= view.next_offset() && view.base_offset() <= Offset::MAX);
    assert_ne!(view.batch().is_some(), view.payload().is_some());
    assert!(view.batch().is_some() || view.base_offset() == view.next_offset(), "an internal entry takes an offset");
    if let Some(batch) = view.batch() {
        assert_eq!(batch.total_bytes(), view.header.body_bytes);
        assert_eq!(batch_crc(view.body) == Some(batch.crc()), view.verify_body().is_ok());
    }
    let _ = view.log_start_offset();
}

fn check_sound(frame: &Frame, bytes: &Bytes, change: u16) {
    assert!(frame.is_sealed_with(IDENTITY.seed()) && !frame.is_sealed_with(OTHER.seed()));
    let mut encoded = Vec::new();
    frame.encode_into(&mut encoded);
    assert_eq!(encoded, *bytes);
    let seed = IDENTITY.seed();
    let made_again = match (frame.batch(), frame.payload()) {
        (Some(batch), None) if frame.frame_type().number() == 1 => Frame::data(seed, frame.stamp(), batch),
        (Some(batch), None) => Frame::transaction_marker(seed, frame.stamp(), batch),
        (None, Some(payload)) => {
            Frame::internal(seed, frame.frame_type(), frame.stamp(), frame.base_offset(), &payload)
                .expect("it is sound")
        }
        (batch, payload) => panic!("batch: {batch:?}, payload: {payload:?}"),
    };
    assert_eq!(&made_again, frame);
    // The type and the length say what a checksum covers, so another cover might fit a flip in these.
    let at = usize::from(change) / 8 % bytes.len();
    if at != 4 && !(8..12).contains(&at) {
        encoded[at] ^= 1 << (change % 8);
        assert!(Frame::decode(seed, &encoded.into()).is_err(), "a flipped bit in byte {at} passes");
    }
}
