//! Damage to a segment file of a log that was closed, or whose process died.
//!
//! Of the last segment of a log whose process died, what opening must find is computed from the damage alone: the sound
//! frames before it, or a refusal if an entry behind them was durable or committed. What is read from any other damaged
//! segment is what was written, or a refusal. Where frames were made sound over other bytes, opening and reading must
//! end, and what is opened must stay as it is.

#![no_main]
#![forbid(unsafe_code)]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidelog_fuzz::afterlife::go_on;
use tidelog_fuzz::checksums::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, seal_frame, seal_segment_header};
use tidelog_fuzz::edits::{EDITS_MAX, edit};
use tidelog_fuzz::input::Input;
use tidelog_fuzz::readback::{Trust, read_all};
use tidelog_fuzz::sample_logs::{IDENTITY, Past, SampleLog, SegmentFile, pick};
use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::{Damage, Fault, Log, OpenError};
use tidelog_proto::frame::{Frame, FrameError, FrameView};
use tidelog_proto::ids::RaftIndex;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let sample = pick(input.byte());
    let number = input.below(sample.segments.len());
    let segment = &sample.segments[number];
    let image = damaged(sample, segment, &mut input);
    let machine = sample.machine();
    machine.set_contents(&segment.path, &image);
    let outcome = sample.open(&machine);
    let is_read_whole = number + 1 == sample.segments.len() && sample.past != Past::Closed;
    // Compaction leaves gaps, so a frame that a disk wrote to the wrong place may pass for what comes next.
    let is_compacted = matches!(sample.past, Past::Compacted | Past::Swapping) && !is_read_whole;
    if is_forged(sample, &image) || is_compacted && has_copies(segment, &image) {
        if let Ok(log) = outcome {
            use_forged(sample, &machine, log, is_read_whole, &mut input);
        }
        return;
    }
    let expected =
        if is_read_whole { recovered(sample, segment, &image) } else { Expected::left_alone(sample, segment, &image) };
    match outcome {
        Ok(log) => {
            let Some(sound) = expected.opened else { panic!("opened with damage to what was durable") };
            if expected.trust == Trust::Exact && is_read_whole {
                check_report(&log, &image, sound, segment);
            }
            let mut content = sample.content.clone();
            if is_read_whole {
                content.truncate(content.entries.len() - (segment.frames.len() - sound));
            }
            go_on(sample, &machine, log, content, expected.trust, &mut input);
        }
        Err(error) => {
            check_refusal(&error, &expected, segment, &image);
            if sample.past != Past::Swapping {
                let changed = sample.changed_segments(&machine);
                assert!(changed.iter().all(|path| *path == segment.path), "a refusal changed {changed:?}");
                assert_eq!(machine.read_contents(&segment.path), Some(image), "a refusal changed the segment");
            }
        }
    }
});

/// Damages a segment file.
fn damaged(sample: &SampleLog, segment: &SegmentFile, input: &mut Input<'_>) -> Vec<u8> {
    let donors: Vec<&[u8]> = sample.segments.iter().map(|segment| segment.image.as_slice()).collect();
    let mut image = segment.image.clone();
    for _ in 0..usize::from(input.byte()) % EDITS_MAX {
        let how = input.byte();
        let frame = segment.frames.get(input.below(segment.frames.len() + 1));
        match (how % 8, frame) {
            (0, Some((position, frame))) => {
                let sealed = image.get_mut(*position..*position + frame.frame_bytes());
                seal_frame(IDENTITY, sealed.unwrap_or(&mut []));
            }
            (0, None) => seal_segment_header(&mut image),
            (1, Some((position, _))) => {
                let len = FRAME_HEADER_BYTES + input.below(200);
                let end = image.len().min(position + len);
                seal_frame(IDENTITY, image.get_mut(*position..end).unwrap_or(&mut []));
            }
            (2, Some((position, frame))) => {
                // A frame that is damaged in its body only: its header still chains.
                let at = position + FRAME_HEADER_BYTES + input.below(frame.body().len());
                image.get_mut(at..).unwrap_or(&mut []).iter_mut().take(1).for_each(|byte| *byte ^= how);
            }
            (3, Some((position, _))) => image.truncate(*position),
            _ => edit(input, &mut image, &donors),
        }
    }
    image
}

/// Tells whether a frame stands in the image whose header is sound and belongs to no frame of the sample: its place, which
/// the header alone vouches for, may be any.
fn is_forged(sample: &SampleLog, image: &[u8]) -> bool {
    let own_frames = || sample.segments.iter().flat_map(|segment| segment.frames.iter().map(|(_, frame)| frame));
    let is_known = |view: &FrameView<'_>| {
        own_frames().any(|own| own.header() == &view.header && own.view().base_offset() == view.base_offset())
    };
    headers_anywhere(image).any(|view| !is_known(&view))
}

/// Finds every frame whose header is sound, wherever it begins.
fn headers_anywhere(image: &[u8]) -> impl Iterator<Item = FrameView<'_>> {
    let starts = (0..image.len().saturating_sub(FRAME_HEADER_BYTES)).filter(|at| looks_like_frame(image, *at));
    starts.filter_map(|at| FrameView::parse(IDENTITY.seed(), &image[at..]).ok())
}

fn looks_like_frame(image: &[u8], at: usize) -> bool {
    matches!(image[at + 4..at + 8], [1..=6, 1, 0, 0])
}

/// Tells whether a sound frame stands where the undamaged segment has none, or another one.
fn has_copies(segment: &SegmentFile, image: &[u8]) -> bool {
    frames_anywhere(image).iter().any(|placed| !segment.frames.contains(placed))
}

/// Finds every sound frame, wherever it begins.
fn frames_anywhere(image: &[u8]) -> Vec<(usize, Frame)> {
    let image = Bytes::copy_from_slice(image);
    (0..image.len().saturating_sub(FRAME_HEADER_BYTES))
        .filter(|at| looks_like_frame(&image, *at))
        .filter_map(|at| Some((at, Frame::decode(IDENTITY.seed(), &image.slice(at..)).ok()?)))
        .collect()
}

/// What opening must make of a damaged segment.
struct Expected {
    /// How many frames of the segment are left if it opens; `None` where it must not.
    opened: Option<usize>,
    /// Where it may be refused, and the first entry that is lost; `None` where it must not.
    refused: Option<(u64, RaftIndex)>,
    /// What may be read if it opens.
    trust: Trust,
}

impl Expected {
    /// A segment that is not read when the log is opened, unless it is too short.
    fn left_alone(sample: &SampleLog, segment: &SegmentFile, image: &[u8]) -> Self {
        let sound = sound_frames(segment, image);
        let sound_end = segment.frames.get(sound).map(|(_, damaged)| damaged.stamp().index);
        let sound_entries = sound_end.and_then(|end| end.distance_from(sample.content.raft_start)).unwrap_or(0);
        let trust = match usize::try_from(sound_entries) {
            Ok(entries) if image != segment.image => Trust::Damaged(entries),
            _ => Trust::Exact,
        };
        Self { opened: Some(segment.frames.len()), refused: None, trust }
    }
}

/// Counts the frames before the first that is damaged.
fn sound_frames(segment: &SegmentFile, image: &[u8]) -> usize {
    segment.frames.iter().take_while(|placed| stands(segment, image, placed)).count()
}

/// Tells whether a frame of the segment is in the image as it was.
fn stands(segment: &SegmentFile, image: &[u8], (position, frame): &(usize, Frame)) -> bool {
    let range = *position..position + frame.frame_bytes();
    image.get(range.clone()) == segment.image.get(range)
}

/// Computes what opening must make of the last segment of a log whose process died.
fn recovered(sample: &SampleLog, segment: &SegmentFile, image: &[u8]) -> Expected {
    let first_index = sample.content.end_index().get() - segment.frames.len() as u64;
    if image.get(..SEGMENT_HEADER_BYTES) != segment.image.get(..SEGMENT_HEADER_BYTES) {
        let refused = Some((0, RaftIndex::new(first_index)));
        return Expected { opened: None, refused, trust: Trust::Exact };
    }
    let sound = sound_frames(segment, image);
    let end = segment.frames[..sound].last().map_or(SEGMENT_HEADER_BYTES, |(at, frame)| at + frame.frame_bytes());
    let next_index = RaftIndex::new(first_index + sound as u64);
    let mark = |frame: &Frame| frame.stamp().committed_index().map(RaftIndex::next);
    let standing = segment.frames[sound..].iter().filter(|placed| stands(segment, image, placed));
    let committed_end = standing.filter_map(|(_, frame)| mark(frame)).max();
    let durable_end = committed_end.max(Some(sample.durable_end));
    let must_refuse = durable_end > Some(next_index);
    // Copies of frames at places where none stood are found as well, and may tell of a later mark.
    let copies = sample.segments.iter().flat_map(|segment| &segment.frames);
    let marks_somewhere = copies.filter_map(|(_, frame)| mark(frame)).max();
    let may_refuse = must_refuse || (has_copies(segment, image) && marks_somewhere > Some(next_index));
    Expected {
        opened: (!must_refuse).then_some(sound),
        refused: may_refuse.then_some((end as u64, next_index)),
        trust: Trust::Exact,
    }
}

fn check_report(log: &Log, image: &[u8], sound: usize, segment: &SegmentFile) {
    assert!(!log.report.clean);
    let end = segment.frames[..sound].last().map_or(SEGMENT_HEADER_BYTES, |(at, frame)| at + frame.frame_bytes());
    let is_torn = image.get(end..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0));
    match &log.report.torn_tail {
        Some(Damage { path, position_bytes, index, .. }) => {
            assert!(is_torn, "a torn tail is reported where none is");
            assert_eq!((path, *position_bytes), (&segment.path, end as u64));
            assert_eq!(*index, log.reader.end_index());
        }
        None => assert!(!is_torn, "a torn tail is not reported"),
    }
}

fn check_refusal(error: &OpenError, expected: &Expected, segment: &SegmentFile, image: &[u8]) {
    let OpenError::Damaged(damage) = error else { panic!("{error}") };
    assert!(!damage.to_string().is_empty());
    if is_newer_format(damage, image) {
        return;
    }
    if expected.trust == Trust::Exact {
        let (position_bytes, index) = expected.refused.expect("nothing that was durable is damaged");
        assert_eq!(
            (&damage.path, damage.position_bytes, damage.index),
            (&segment.path, position_bytes, index),
            "{error}"
        );
    }
}

/// Tells whether what was refused is a frame that a newer release may have written: sound, of a version, type or flags
/// that are not known here. An edit that makes a checksum true makes such frames.
fn is_newer_format(damage: &Damage, image: &[u8]) -> bool {
    let position = usize::try_from(damage.position_bytes).unwrap_or(usize::MAX);
    let is_unknown = matches!(
        damage.fault,
        Fault::Frame(FrameError::UnknownVersion(_) | FrameError::UnknownType(_) | FrameError::UnknownFlags(_))
    );
    is_unknown && image.get(position..).is_some_and(|rest| IDENTITY.seed().vouches_for(rest))
}

/// Goes on with a log that holds nobody knows what. What was read whole when it was opened is durable by then.
fn use_forged(
    sample: &SampleLog,
    machine: &SimulatedEnvironment,
    log: Log,
    is_read_whole: bool,
    input: &mut Input<'_>,
) {
    let found = read_all(&log.reader).ok();
    let log = if is_read_whole {
        drop(log);
        let log = sample.open(&machine.crash(input.u64())).expect("it was opened before");
        assert_eq!(read_all(&log.reader).ok(), found, "a second opening finds something else");
        log
    } else {
        log
    };
    go_on(sample, machine, log, sample.content.clone(), Trust::Forged, input);
}
