//! Opening a log after an orderly stop, and after its process was killed.

use std::time::Instant;

use tidelog_benches::spread::Spread;

use super::sample_log::{self, SampleLog};
use super::scale::Scale;
use tidelog_benches::Outcome;
use tidelog_benches::report::{Bound, Row, Section, Target};

/// Seconds within which the large log must be open.
const CLEAN_SECONDS_WANTED: f64 = 1.0;
const KILLED_SECONDS_WANTED: f64 = 5.0;

/// Most openings of each kind: the first ones tell.
const ROUNDS_MAX: usize = 5;

pub(crate) fn measure(small: &SampleLog, large: &SampleLog, scale: &Scale) -> Outcome<Section> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for log in [small, large] {
        let name = format!("{:.1} GiB", log.log_bytes as f64 / f64::from(1 << 30));
        let cells = vec![after_close(log, scale)?, after_kill(log, scale)?];
        if std::ptr::eq(log, large) {
            let wanted = [("clean stop", CLEAN_SECONDS_WANTED), ("kill", KILLED_SECONDS_WANTED)];
            targets = wanted
                .into_iter()
                .zip(&cells)
                .map(|((after, seconds), found)| Target {
                    name: format!("{name} after a {after}"),
                    bound: Bound::Below(seconds),
                    found: found.median,
                })
                .collect();
        }
        rows.push(Row { name, cells });
    }
    Ok(Section { title: "Open a log, s", columns: vec!["after a clean stop", "after a kill"], rows, targets })
}

fn after_close(log: &SampleLog, scale: &Scale) -> Outcome<Spread> {
    let mut seconds = Vec::new();
    for _ in 0..scale.rounds.min(ROUNDS_MAX) {
        let start = Instant::now();
        let opened = sample_log::open(&log.dir, 0)?;
        seconds.push(start.elapsed().as_secs_f64());
        if !opened.report.clean {
            return Err("a closed log was not clean".into());
        }
        opened.writer.close()?;
    }
    Ok(Spread::of(seconds))
}

/// Needs a log that was not closed, so the first opening does not count: a killed process leaves behind what a dropped
/// writer does.
fn after_kill(log: &SampleLog, scale: &Scale) -> Outcome<Spread> {
    let mut opened = sample_log::open(&log.dir, 0)?;
    opened.writer.append(&[])?;
    drop(opened);
    let mut seconds = Vec::new();
    for _ in 0..scale.rounds.min(ROUNDS_MAX) {
        let start = Instant::now();
        let opened = sample_log::open(&log.dir, 0)?;
        seconds.push(start.elapsed().as_secs_f64());
        if opened.report.clean {
            return Err("a killed log was clean".into());
        }
    }
    Ok(Spread::of(seconds))
}
