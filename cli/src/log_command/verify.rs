//! `tidelog log verify`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tidelog_log::environment::Environment;
use tidelog_log::inspect::{self, Finding, Observer, Verified, VerifyError};
use tidelog_proto::ids::Offset;

use super::finding::write_finding;
use super::log_dirs::LogDirs;
use super::{absolute, is_in_use};
use crate::byte_text::{ByteCount, Counted};
use crate::command_error::CommandError;
use crate::output::Output;
use crate::progress::Progress;
use crate::{Options, Outcome};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A data directory, or the directory of one log: `DATA_DIR/TOPIC_ID/PARTITION`.
    dir: PathBuf,
}

impl Verify {
    pub(super) fn run(&self, environment: &Arc<dyn Environment>, options: Options) -> Result<Outcome, CommandError> {
        let dir = absolute(&self.dir)?;
        let LogDirs { logs, data_dir } = LogDirs::find(&dir)?;
        let data_dir = data_dir.as_deref();
        let in_use_before = is_in_use(environment.as_ref(), data_dir);
        let total_bytes = logs.iter().map(|log| inspect::segment_file_bytes(environment, log).unwrap_or(0)).sum();
        let mut verifying = Verifying {
            output: Output::new(options.output),
            progress: Progress::new(total_bytes, options.quiet),
            failure: None,
        };
        let mut damaged = 0;
        for log in &logs {
            damaged += u64::from(verifying.verify(environment, log, *log == dir)?);
        }
        let in_use = in_use_before.max(is_in_use(environment.as_ref(), data_dir));
        verifying.conclude(data_dir, in_use, logs.len(), damaged)?;
        Ok(if damaged == 0 { Outcome::Done } else { Outcome::Damaged })
    }
}

/// Where results and progress go.
struct Verifying {
    output: Output,
    progress: Progress,
    /// The first result that could not be written.
    failure: Option<CommandError>,
}

impl Verifying {
    /// Verifies a log, which was asked for by its own name or found; tells whether it is damaged.
    fn verify(&mut self, environment: &Arc<dyn Environment>, log: &Path, is_named: bool) -> Result<bool, CommandError> {
        let verified = match inspect::verify(environment, log, self) {
            Ok(verified) => verified,
            // The directory is made before anything else of a log.
            Err(VerifyError::NotALog { dir }) if !is_named => {
                let dir = dir.display();
                let object = || json!({ "type": "note", "file": dir.to_string(), "reason": "no log yet" });
                self.output.line(format_args!("note    {dir}: no log yet"), object)?;
                return Ok(false);
            }
            Err(error) => return Err(CommandError::Verify(error)),
        };
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let Self { output, progress, .. } = self;
        progress.aside(|| write_verified(output, log, &verified))?;
        Ok(verified.damages > 0)
    }

    /// Writes what holds for all logs together.
    fn conclude(
        self,
        data_dir: Option<&Path>,
        in_use: Option<bool>,
        logs: usize,
        damaged: u64,
    ) -> Result<(), CommandError> {
        let Self { mut output, progress, .. } = self;
        drop(progress);
        if let (Some(data_dir), Some(true)) = (data_dir, in_use) {
            output.heading(format_args!(
                "note    {}: in use by another process; what it wrote, compacted or deleted meanwhile may show as damage",
                data_dir.display()
            ))?;
        }
        let summary = || {
            json!({
                "type": "summary",
                "data_dir": data_dir.map(Path::to_string_lossy),
                "in_use": in_use,
                "logs": logs,
                "damaged_logs": damaged,
            })
        };
        let logs = Counted(logs as u64, "log", "logs");
        let verdict = match damaged {
            0 => "no damage".to_owned(),
            _ => format!("{damaged} damaged"),
        };
        output.line(format_args!("{logs} verified, {verdict}"), summary)?;
        output.finish()
    }
}

impl Observer for Verifying {
    fn found(&mut self, finding: Finding) {
        let Self { output, progress, failure } = self;
        if let Err(error) = progress.aside(|| write_finding(output, &finding)) {
            failure.get_or_insert(error);
        }
    }

    fn read_bytes(&mut self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn is_done(&self) -> bool {
        self.failure.is_some()
    }
}

fn write_verified(output: &mut Output, log: &Path, verified: &Verified) -> Result<(), CommandError> {
    let Verified { identity, segments, frames, batches, records, frame_bytes, .. } = verified;
    let Verified { log_start_offset, end_offset, end_index, damages, notes, .. } = verified;
    let verdict = if *damages == 0 { "sound" } else { "damaged" };
    let start = log_start_offset.map_or("unknown".to_owned(), |offset| offset.to_string());
    let text = format!(
        "{verdict:<8}{identity}: offsets {start} up to {end_offset}, {}, {}, {}, {}, {}",
        Counted(*segments, "segment", "segments"),
        Counted(*frames, "frame", "frames"),
        Counted(*batches, "batch", "batches"),
        Counted(*records, "record", "records"),
        ByteCount(*frame_bytes)
    );
    output.line(text, || {
        json!({
            "type": "log",
            "dir": log.to_string_lossy(),
            "topic_id": identity.topic_id.to_string(),
            "partition": identity.partition.get(),
            "segments": segments,
            "frames": frames,
            "batches": batches,
            "records": records,
            "frame_bytes": frame_bytes,
            "log_start_offset": log_start_offset.map(Offset::get),
            "end_offset": end_offset.get(),
            "end_index": end_index.get(),
            "damages": damages,
            "notes": notes,
        })
    })
}
