//! `tidelog log export`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tidelog_log::environment::Environment;
use tidelog_log::inspect::{self, Exported, Overwrite};

use super::absolute;
use crate::byte_text::{ByteCount, Counted};
use crate::command_error::CommandError;
use crate::output::Output;
use crate::progress::Progress;
use crate::{Options, Outcome};

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The directory of a log: `DATA_DIR/TOPIC_ID/PARTITION`.
    dir: PathBuf,
    /// The file to write.
    file: PathBuf,
    /// Replace the file if it is already there.
    #[arg(long)]
    force: bool,
}

impl Export {
    pub(super) fn run(&self, environment: &Arc<dyn Environment>, options: Options) -> Result<Outcome, CommandError> {
        let dir = absolute(&self.dir)?;
        let target = self.target()?;
        let total_bytes = inspect::segment_file_bytes(environment, &dir).unwrap_or(0);
        let progress = Progress::new(total_bytes, options.quiet);
        let overwrite = if self.force { Overwrite::Replace } else { Overwrite::Refuse };
        let exported = inspect::export(environment, &dir, &target, overwrite, &mut |bytes| progress.advance(bytes));
        drop(progress);
        let exported = exported.map_err(CommandError::Export)?;
        let mut output = Output::new(options.output);
        write_exported(&mut output, &target, &exported)?;
        output.finish()?;
        Ok(Outcome::Done)
    }

    /// Makes the directory of the file absolute, which must be there, unlike the file.
    fn target(&self) -> Result<PathBuf, CommandError> {
        let not_a_file =
            || CommandError::Io { path: self.file.clone(), error: std::io::ErrorKind::InvalidInput.into() };
        let file_name = self.file.file_name().ok_or_else(not_a_file)?;
        let parent = self.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(absolute(parent)?.join(file_name))
    }
}

fn write_exported(output: &mut Output, target: &Path, exported: &Exported) -> Result<(), CommandError> {
    let Exported { batches, records, bytes, offsets } = exported;
    let range = offsets.map_or("no offsets".to_owned(), |(first, end)| format!("offsets {first} up to {end}"));
    let target = target.display();
    let counted = format!(
        "{}, {}, {}",
        Counted(*batches, "batch", "batches"),
        Counted(*records, "record", "records"),
        ByteCount(*bytes)
    );
    output.line(format_args!("{target}: {counted}, {range}"), || {
        json!({
            "type": "export",
            "file": target.to_string(),
            "batches": batches,
            "records": records,
            "bytes": bytes,
            "base_offset": offsets.map(|(first, _)| first.get()),
            "end_offset": offsets.map(|(_, end)| end.get()),
        })
    })
}
