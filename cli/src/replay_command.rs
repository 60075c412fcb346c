//! `tidelog replay`: a range of a topic again, at its own pace, to the standard output, a file or a topic.

mod merge;
mod state;
mod target;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tidelog_client::{Client, IsolationLevel, Position};
use tokio::time::{Instant, sleep_until};

use crate::byte_text::{ByteCount, Counted};
use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::deliveries::DeliveryCounts;
use crate::format_parts::FormatParts;
use crate::offsets::{OffsetRange, OffsetsError, Place};
use crate::output::Output;
use crate::pacing::{Pacer, Rate, Speed};
use crate::progress::Progress;
use crate::read_range::{chosen, resolve};
use crate::record_output::output_record;
use crate::running::{self, Interrupt};
use crate::timestamp::now_ms;
use crate::usage_error::UsageError;
use crate::{Options, Outcome};
use merge::Merge;
use state::{PartitionState, ReplayState};
use target::{Into, Target};

/// How often what was replayed is noted, so that it can be gone on with.
const NOTE_INTERVAL: Duration = Duration::from_secs(2);

/// Waits shorter than this are not worth a timer.
const WAIT_MIN: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, Args)]
pub(crate) struct Replay {
    /// The topic.
    topic: String,
    /// Where to begin, inclusive: start, N, +N, -N, @TIME.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    from: String,
    /// Where to end, exclusive: end (as it is now), N, -N, @TIME.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    to: String,
    /// The partitions, as in 0,1; all by default. Records of all of them come in the order of their times.
    #[arg(short, long, value_name = "N,...", value_delimiter = ',')]
    partitions: Vec<u32>,
    /// 1x: with the distances that the records' times have; 10x: ten times as fast; max.
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// At most so many bytes of keys and values a second, as in 500KB, 5MB or 64KiB.
    #[arg(long)]
    rate: Option<Rate>,
    /// Where records go: stdout, file:PATH, or topic:NAME. A topic of as many partitions gets each record into the same
    /// one, another by its key; a file must not exist, unless the replay into it is gone on with.
    #[arg(long, value_name = "TARGET")]
    into: Into,
    /// How to write a record to the standard output or a file, as for consume.
    #[arg(short, long)]
    format: Option<FormatParts>,
    /// Where to note how far the replay is; for a file, PATH.replay by default. The same command goes on there. A file is
    /// cut to what was noted; into a topic, what came after the last note comes twice.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// A replay that could not begin or go on.
#[derive(Debug)]
pub(crate) enum ReplayError {
    /// The file to write is there, and no note of a replay into it.
    FileExists { path: PathBuf },
    /// The note is of another replay.
    OtherReplay { path: PathBuf },
    /// The note cannot be read.
    State { path: PathBuf },
    /// The file is shorter than was noted.
    FileCut { path: PathBuf },
    /// A record was not stored.
    NotStored { cause: String, counts: DeliveryCounts },
    /// A signal came before the end.
    Interrupted { records: u64, state: Option<PathBuf> },
}

impl Replay {
    pub(crate) fn run(self, options: Options) -> Result<Outcome, CommandError> {
        if let Into::Topic(topic) = &self.into
            && *topic == self.topic
        {
            return Err(UsageError::SameTopic { topic: topic.clone() }.into());
        }
        if self.state.is_some() && matches!(self.into, Into::Stdout) {
            return Err(UsageError::StateWithStdout.into());
        }
        output_record(self.format.as_ref(), false, options.output)?;
        let range = self.range().map_err(UsageError::Range)?;
        running::run_in_order(move |interrupt| async move { self.replay(range, options, interrupt).await })
    }

    fn range(&self) -> Result<OffsetRange, OffsetsError> {
        let from: Place = self.from.parse()?;
        let to: Place = self.to.parse()?;
        if from.is_behind(to) {
            return Err(OffsetsError::Backwards { from: self.from.clone(), to: self.to.clone() });
        }
        Ok(OffsetRange { from, to: Some(to) })
    }

    async fn replay(
        &self,
        range: OffsetRange,
        options: Options,
        mut interrupt: Interrupt,
    ) -> Result<Outcome, CommandError> {
        let state_path = self.state.clone().or_else(|| self.into.default_state());
        let start = self.start(range, options, state_path.as_ref());
        let (mut state, mut target, mut merge) = tokio::select! {
            // Nothing was replayed yet.
            () = interrupt.asked() => {
                return Err(CommandError::Replay(ReplayError::Interrupted { records: 0, state: None }));
            }
            started = start => started?,
        };
        let progress = Progress::records(state.left(), options.quiet);
        let (started, mut noted) = (Instant::now(), Instant::now());
        let mut pacer = Pacer::new(self.speed, self.rate);
        let (mut records, mut bytes) = (0_u64, 0_u64);
        let mut is_interrupted = false;
        while let Some(record) = merge.next(&mut interrupt).await? {
            let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let record_bytes = length(&record.key) + length(&record.value);
            let due = started + pacer.due(record.timestamp_ms, record_bytes);
            if due.saturating_duration_since(Instant::now()) >= WAIT_MIN {
                target.flush().await?;
                tokio::select! {
                    () = interrupt.asked() => is_interrupted = true,
                    () = sleep_until(due) => {}
                }
            }
            if is_interrupted || interrupt.is_asked() {
                break;
            }
            target.write(&record).await?;
            state.advance(record.partition.get(), record.offset);
            (records, bytes) = (records + 1, bytes + record_bytes);
            progress.advance(1);
            if target.is_closed() {
                return Ok(Outcome::Done);
            }
            if let Some(path) = &state_path
                && noted.elapsed() >= NOTE_INTERVAL
            {
                state.bytes = target.make_durable().await?;
                state.store(path)?;
                noted = Instant::now();
            }
        }
        drop(progress);
        state.bytes = target.make_durable().await?;
        if is_interrupted || interrupt.is_asked() {
            if let Some(path) = &state_path {
                state.store(path)?;
            }
            return Err(CommandError::Replay(ReplayError::Interrupted { records, state: state_path }));
        }
        if let Some(path) = &state_path {
            ReplayState::remove(path)?;
        }
        self.report(records, bytes, options)?;
        Ok(Outcome::Done)
    }

    /// Finds what is to be replayed, and opens both ends.
    async fn start(
        &self,
        range: OffsetRange,
        options: Options,
        state_path: Option<&PathBuf>,
    ) -> Result<(ReplayState, Target, Merge), CommandError> {
        let client = self.connection.connect().await?;
        let state = self.begin(&client, range, state_path).await?;
        let format = output_record(self.format.as_ref(), false, options.output)?;
        let partition_count = client.admin().describe_topic(&self.topic).await?.partitions.len();
        let merge = Merge::start(&client, &self.topic, &state).await?;
        // A file is made last: a start that fails leaves none.
        let target = Target::open(&self.into, format, &client, partition_count, &state).await?;
        Ok((state, target, merge))
    }

    /// Finds what is to be replayed: what is left of an earlier replay, or all of the range.
    async fn begin(
        &self,
        client: &Client,
        range: OffsetRange,
        path: Option<&PathBuf>,
    ) -> Result<ReplayState, CommandError> {
        let admin = client.admin();
        let topic = admin.describe_topic(&self.topic).await?;
        let identity = format!("{} {} {} {:?} {}", topic.id, self.from, self.to, self.partitions, self.into);
        if let Some(path) = path
            && let Some(state) = ReplayState::load(path)?
        {
            if state.identity != identity {
                return Err(CommandError::Replay(ReplayError::OtherReplay { path: path.clone() }));
            }
            return Ok(state);
        }
        let mut partitions = Vec::new();
        for partition in chosen(&topic, &self.partitions)? {
            let isolation = IsolationLevel::ReadUncommitted;
            let range = resolve(&admin, (&self.topic, partition), range, isolation, now_ms()).await?;
            if let Some(range) = range
                && let (Position::Offset(next), Some(end)) = (range.from, range.end)
            {
                partitions.push(PartitionState { partition, next, end });
            }
        }
        Ok(ReplayState { identity, bytes: 0, partitions, is_resumed: false })
    }

    fn report(&self, records: u64, bytes: u64, options: Options) -> Result<(), CommandError> {
        if matches!(self.into, Into::Stdout) {
            return Ok(());
        }
        let mut output = Output::new(options.output);
        let counted = Counted(records, "record", "records");
        output.line(
            format_args!("{counted} replayed into {} ({})", self.into, ByteCount(bytes)),
            || json!({ "type": "replayed", "records": records, "bytes": bytes, "into": self.into.to_string() }),
        )?;
        output.finish()
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileExists { path } => write!(f, "{} exists; choose another name, or remove it", path.display()),
            Self::OtherReplay { path } => {
                write!(f, "{} is of another replay; remove it to begin anew, or give another --state", path.display())
            }
            Self::State { path } => write!(f, "{} is no note of a replay; remove it to begin anew", path.display()),
            Self::FileCut { path } => {
                write!(
                    f,
                    "{} is shorter than was noted; remove it and the note beside it to begin anew",
                    path.display()
                )
            }
            Self::NotStored { cause, counts } => write!(f, "{cause}; {counts}"),
            Self::Interrupted { records, state: Some(state) } => {
                let counted = Counted(*records, "record", "records");
                write!(f, "interrupted after {counted}; the same command goes on there, by {}", state.display())
            }
            Self::Interrupted { records, state: None } => {
                write!(f, "interrupted after {}", Counted(*records, "record", "records"))
            }
        }
    }
}

impl std::error::Error for ReplayError {}
