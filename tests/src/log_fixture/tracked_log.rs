//! A log on a simulated machine beside its model. Every change goes to both, and what the log answers, and what is found
//! after it was closed, killed or cut off from power, must be what the model allows.

mod changes;
mod compacting;
mod reads;
mod step;

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::{Rng, SimulatedEnvironment};
use tidelog_log::{AppendError, CompactionError, Log, LogConfig, OpenError, ReadError, SegmentName, WriteError};

use super::entry_maker::EntryMaker;
use super::model::LogModel;
pub(crate) use step::Step;

/// What any log must be able to do once it is open: be appended to and cut, keep what it acknowledged, close and open.
const AFTERLIFE: [Step; 9] = [
    Step::Append(3),
    Step::Sync,
    Step::Append(2),
    Step::PowerCut,
    Step::Truncate,
    Step::Append(4),
    Step::Reopen,
    Step::Append(1),
    Step::Kill,
];

/// How the last life of a log ended, which says what must be left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In order: everything is there, and nothing had to be read.
    Closed,
    /// The process died: everything that was written is there.
    Killed,
    /// The power failed: everything that was durable is there, and of the rest a prefix.
    PowerCut,
}

/// Anything that a log may refuse.
#[derive(Debug)]
pub(crate) enum Failure {
    Open(OpenError),
    Append(AppendError),
    Write(WriteError),
    Read(ReadError),
    Compaction(CompactionError),
}

/// A log and what it should hold.
pub(crate) struct TrackedLog {
    pub(crate) machine: SimulatedEnvironment,
    pub(crate) model: LogModel,
    /// `None` while it is closed.
    pub(crate) log: Option<Log>,
    pub(crate) rng: Rng,
    pub(crate) maker: EntryMaker,
    /// Slices that a slow reader still holds, each with a copy of what it saw. The machine panics if they change.
    held: VecDeque<(Bytes, Vec<u8>)>,
    /// A read may end early, before what could not be read.
    pub(crate) reads_may_fail: bool,
    /// What it went through, to be told if the test fails.
    steps: Vec<Step>,
}

impl TrackedLog {
    /// Prepares a log that does not exist yet.
    pub(crate) fn new(seed: u64, config: LogConfig, start: SegmentName) -> Self {
        let mut rng = Rng::new(seed);
        let maker = EntryMaker::new(rng.fork());
        Self {
            machine: SimulatedEnvironment::new(seed),
            model: LogModel::new(config, start),
            log: None,
            rng,
            maker,
            held: VecDeque::new(),
            reads_may_fail: false,
            steps: Vec::new(),
        }
    }

    /// Gives the open log.
    pub(crate) fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("the log is open")
    }

    /// Ends the life of the machine, and lets the next begin. The log is closed then.
    pub(crate) fn end_life(&mut self, ending: Ending) {
        self.log = None;
        self.held.clear();
        match ending {
            Ending::Closed => {}
            Ending::Killed => self.machine = self.machine.kill(),
            Ending::PowerCut => {
                self.machine = self.machine.crash(self.rng.next_u64());
                // Should the next life end before the log is open, this is all that it may promise again.
                self.model.written_end = self.model.durable_end;
            }
        }
    }

    /// Copies what is promised, and the machine that comes up if this life ends here, as `seed` decides. This life can
    /// end again with another seed.
    pub(crate) fn next_life(&self, ending: Ending, seed: u64) -> Self {
        let mut next = Self::new(seed, self.model.config.clone(), self.model.created_at);
        next.model = self.model.clone();
        next.machine = self.machine.clone();
        next.steps = self.steps.clone();
        next.maker.step_ms_max = self.maker.step_ms_max;
        next.end_life(ending);
        next
    }

    /// Opens the log, checks that it holds what its last life promised, and that it can go on and keeps its word.
    pub(crate) fn open_and_go_on(&mut self, ending: Ending) -> Result<(), Failure> {
        self.open(ending)?;
        for step in AFTERLIFE {
            self.take(step)?;
        }
        Ok(())
    }

    /// Opens the log, checks that it holds what its last life promised, and goes on from what was found.
    ///
    /// # Panics
    /// If anything promised is missing, or anything is there that was never written.
    pub(crate) fn open(&mut self, ending: Ending) -> Result<(), Failure> {
        let log = super::open(&self.machine, &self.model.config, self.model.created_at)?;
        if ending == Ending::Closed {
            assert!(log.report.clean, "it was closed in order: {:?}", log.report);
            assert_eq!((&log.report.torn_tail, log.report.rebuilt_indexes.len()), (&None, 0));
        }
        assert_eq!(log.report.unknown_files, [""; 0]);
        self.log = Some(log);
        self.adopt(ending);
        self.check_files();
        self.check_everything()
    }

    /// Checks the ends of a log that was just opened against what was promised, and takes them over.
    fn adopt(&mut self, ending: Ending) {
        let reader = &self.log.as_ref().expect("it was opened").reader;
        let model = &mut self.model;
        let start = (reader.log_start_offset(), reader.raft_start());
        let anew = model.coming_anew.take().filter(|anew| start == (anew.base_offset, anew.base_index));
        if let Some(anew) = anew {
            model.start_anew(anew);
        }
        let is_allowed = start == (model.log_start_offset, model.raft_start) || Some(start) == model.coming_start;
        assert!(is_allowed, "the log starts at {start:?}, not where it should: {:?}", model.coming_start);
        model.coming_start = None;
        model.move_start(start.0, start.1);

        let end = reader.end_index();
        let promised = match ending {
            Ending::Closed => model.end_index(),
            Ending::Killed => model.written_end,
            Ending::PowerCut => model.durable_end,
        };
        assert!(end >= promised, "{ending:?}: the log ends at {end}, but everything below {promised} was promised");
        assert!(end <= model.end_index(), "{ending:?}: the log ends at {end}, past all that was ever written");
        let loses_nothing = end == model.end_index();
        model.cut(end);
        if !(loses_nothing && ending == Ending::Closed) {
            model.segments = None;
        }
        // Whatever is found by opening is durable from then on.
        model.written_end = end;
        model.durable_end = end;
        model.told_committed_end = model.raft_start;
        assert_eq!(reader.committed_end(), model.raft_start);
        if std::mem::take(&mut model.is_compacting) {
            compacting::adopt(reader, model, self.machine.now_ms()).expect("a machine that has just come up");
        }
        self.adopt_segments();
    }

    /// Takes over where the segments begin, once it is checked that they may begin there.
    fn adopt_segments(&mut self) {
        let found = self.log.as_ref().expect("it is open").reader.segments();
        self.model.check_segments(&found);
        self.model.segments = Some(found.iter().map(|segment| segment.name).collect());
    }

    /// Checks that the directory holds the files of each segment, and nothing that an interrupted step left behind.
    fn check_files(&self) {
        let reader = &self.log.as_ref().expect("it is open").reader;
        let stems: Vec<String> = reader.segments().iter().map(|segment| segment.name.to_string()).collect();
        for path in self.machine.files() {
            let file = path.strip_prefix(super::DIR).expect("all files are the log's").to_string_lossy().into_owned();
            let (stem, ending) = file.rsplit_once('.').unwrap_or((&file, ""));
            let belongs = stems.iter().any(|name| name == stem) && ["log", "index", "timeindex"].contains(&ending);
            assert!(belongs || file == "checkpoint", "{file} was left behind; segments: {stems:?}");
        }
    }
}

impl Drop for TrackedLog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("steps until then: {:?}", self.steps);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Append(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Compaction(error) => error.fmt(f),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<CompactionError> for Failure {
    fn from(error: CompactionError) -> Self {
        Self::Compaction(error)
    }
}
