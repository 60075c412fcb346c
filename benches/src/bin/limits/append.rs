//! Append without sync: how fast bytes get into the page cache.

use std::fs;
use std::path::Path;
use std::slice;
use std::time::Instant;

use tidelog_benches::batches::{Frames, identity};
use tidelog_proto::frame::{FRAME_HEADER_BYTES, Frame};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use super::sample_log;
use super::scale::Scale;
use tidelog_benches::Outcome;
use tidelog_benches::raw::{Pages, RawFile, settle};
use tidelog_benches::report::Section;
use tidelog_benches::rounds::{Contestant, Rounds};

/// Bytes in a gigabyte.
const GB: f64 = 1e9;

pub(crate) fn measure(dir: &Path, scale: &Scale) -> Outcome<Section> {
    let mut rows = Vec::new();
    for batch_bytes in scale.batch_bytes {
        let count = usize::try_from(scale.append_bytes)? / batch_bytes;
        let frames: Vec<Frame> = Frames::new(identity(0), batch_bytes).take(count).collect();
        let pages = Pages::of(frames.iter().map(|frame| frame.body().as_ref()));
        let gigabytes = pages.bytes().len() as f64 / GB;
        let raw_path = dir.join("raw");
        let positioned = |piece_bytes: usize, position_bytes: u64| -> Outcome<f64> {
            let file = RawFile::allocated(raw_path.clone(), position_bytes + scale.append_bytes)?;
            settle(dir)?;
            Ok(gigabytes / file.write_at(pages.bytes(), piece_bytes, position_bytes)?.as_secs_f64())
        };
        let whole_pages = || positioned(batch_bytes, 0);
        let like_frames = || positioned(batch_bytes + FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES as u64);
        let plain = || -> Outcome<f64> {
            let file = RawFile::create(raw_path.clone())?;
            settle(dir)?;
            Ok(gigabytes / file.write(pages.bytes(), batch_bytes)?.as_secs_f64())
        };
        let tidelog = || -> Outcome<f64> {
            let log_dir = dir.join("append");
            let mut log = sample_log::open(&log_dir, 0)?;
            settle(dir)?;
            let start = Instant::now();
            for frame in &frames {
                log.writer.append(slice::from_ref(frame))?;
            }
            let seconds = start.elapsed().as_secs_f64();
            fs::remove_dir_all(&log_dir)?;
            Ok(gigabytes / seconds)
        };
        let contestants = vec![
            Contestant::new(whole_pages),
            Contestant::new(like_frames),
            Contestant::new(plain),
            Contestant::new(tidelog),
        ];
        let rounds = Rounds::run(scale.rounds, contestants)?;
        let mut row = rounds.row(format!("{} KiB batches", batch_bytes / 1024), 3, 0);
        row.cells.push(rounds.ratio(3, 1));
        rows.push(row);
    }
    Ok(Section {
        title: "Append without sync, GB/s",
        columns: vec![
            "pwrite of whole pages",
            "pwrite like frames",
            "write, growing file",
            "Tidelog",
            "Tidelog / whole pages",
            "Tidelog / like frames",
        ],
        rows,
        targets: Vec::new(),
    })
}
