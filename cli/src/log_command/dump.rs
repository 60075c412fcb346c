//! `tidelog log dump`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tidelog_log::environment::Environment;
use tidelog_log::inspect::{self, Checkpoint, Finding, IndexDump, IndexItem, SegmentDump, SegmentItem, Severity};

use super::absolute;
use super::finding::write_finding;
use super::frame::{FrameLine, write_records};
use super::index::{IndexHeaderText, entries_heading, entry_object, entry_text, index_object};
use crate::command_error::CommandError;
use crate::output::Output;
use crate::{Options, Outcome};

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// A `.log`, `.index` or `.timeindex` file of a log, or its `checkpoint`.
    file: PathBuf,
    /// Show every record of a segment: offset, timestamp, key, value and headers.
    #[arg(long)]
    records: bool,
}

impl Dump {
    pub(super) fn run(&self, environment: &Arc<dyn Environment>, options: Options) -> Result<Outcome, CommandError> {
        let file = absolute(&self.file)?;
        let dumped = inspect::dump(environment, &file).map_err(CommandError::Dump)?;
        let mut dumping = Dumping { output: Output::new(options.output), outcome: Outcome::Done };
        match dumped {
            inspect::Dump::Segment(segment) => dumping.segment(&file, *segment, self.records)?,
            inspect::Dump::Index(index) => dumping.index(&file, *index)?,
            inspect::Dump::Checkpoint(checkpoint) => dumping.checkpoint(&checkpoint)?,
        }
        dumping.output.finish()?;
        Ok(dumping.outcome)
    }
}

/// Where results go, and what they amount to.
struct Dumping {
    output: Output,
    outcome: Outcome,
}

impl Dumping {
    fn segment(&mut self, file: &Path, segment: SegmentDump, with_records: bool) -> Result<(), CommandError> {
        let header = *segment.header();
        let file_bytes = segment.file_bytes();
        let name = format!("{}/{}", header.topic_id, header.partition);
        let (base_offset, base_index) = (header.base_offset, header.base_index);
        self.output.line(
            format_args!(
                "segment of {name}: base offset {base_offset}, base raft index {base_index}, {file_bytes} bytes"
            ),
            || {
                json!({
                    "type": "segment",
                    "file": file.to_string_lossy(),
                    "topic_id": header.topic_id.to_string(),
                    "partition": header.partition.get(),
                    "base_offset": base_offset.get(),
                    "base_index": base_index.get(),
                    "file_bytes": file_bytes,
                })
            },
        )?;
        self.output.heading(FrameLine::HEADING)?;
        for item in segment {
            if self.output.is_closed() {
                break;
            }
            match item.map_err(CommandError::Dump)? {
                SegmentItem::Frame { position_bytes, frame } => {
                    let line = FrameLine { position_bytes, frame: &frame };
                    self.output.line(&line, || line.object())?;
                    if let Some(batch) = frame.batch().filter(|_| with_records)
                        && let Some(error) = write_records(&mut self.output, &batch)?
                    {
                        self.finding(&line.unreadable_records(file, error))?;
                    }
                }
                SegmentItem::Finding(finding) => self.finding(&finding)?,
                SegmentItem::Unwritten { position_bytes, bytes } => self.output.line(
                    format_args!("{position_bytes:>12}  unwritten to the end of the file, {bytes} bytes"),
                    || json!({ "type": "unwritten", "position": position_bytes, "bytes": bytes }),
                )?,
            }
        }
        Ok(())
    }

    fn index(&mut self, file: &Path, index: IndexDump) -> Result<(), CommandError> {
        self.output.line(IndexHeaderText(&index), || index_object(file, &index))?;
        self.output.heading(entries_heading(index.kind()))?;
        for item in index {
            if self.output.is_closed() {
                break;
            }
            match item.map_err(CommandError::Dump)? {
                IndexItem::Entry { number, position_bytes, entry } => {
                    self.output.line(entry_text(number, entry), || entry_object(number, position_bytes, entry))?;
                }
                IndexItem::Finding(finding) => self.finding(&finding)?,
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), CommandError> {
        let Checkpoint { identity, durable_end, log_start_offset, raft_start, compacted_to, clean_end, starts_anew } =
            checkpoint;
        let closed = match clean_end {
            Some(clean) => format!("at byte {} of {}.log", clean.position_bytes, clean.last_segment),
            None => "no".to_owned(),
        };
        let text = format!(
            "checkpoint of {identity}\n  \
             durable below raft index  {durable_end}\n  \
             log start offset          {log_start_offset}\n  \
             first raft index          {raft_start}\n  \
             compacted below offset    {compacted_to}\n  \
             closed in order           {closed}\n  \
             begins anew at its start  {}",
            if *starts_anew { "yes" } else { "no" }
        );
        self.output.line(text, || {
            json!({
                "type": "checkpoint",
                "topic_id": identity.topic_id.to_string(),
                "partition": identity.partition.get(),
                "durable_end": durable_end.get(),
                "log_start_offset": log_start_offset.get(),
                "raft_start": raft_start.get(),
                "compacted_to": compacted_to.get(),
                "clean_end": clean_end.map(|clean| json!({
                    "segment": clean.last_segment.to_string(),
                    "position": clean.position_bytes,
                })),
                "starts_anew": starts_anew,
            })
        })
    }

    fn finding(&mut self, finding: &Finding) -> Result<(), CommandError> {
        if finding.reason.severity() == Severity::Damage {
            self.outcome = Outcome::Damaged;
        }
        write_finding(&mut self.output, finding)
    }
}
