//! What a client may want of a partition of its `Fetch` stream.

use tidelog_proto::api::{FieldError, IsolationLevel, Position, TopicSelector, offset, v1};
use tidelog_proto::ids::{Offset, PartitionId};

use super::stream_error::StreamError;

/// One command, checked. What is wrong with a partition or position is that partition's error, not the stream's.
#[derive(Debug)]
pub(super) enum Command {
    Open(Open),
    Seek(Seek),
    Pause,
    Resume,
    Close,
}

/// Start to read a partition.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) generation: u32,
    pub(super) is_paused: bool,
    pub(super) end: Option<Offset>,
    pub(super) target: Result<Target, Box<v1::Error>>,
}

/// Go on elsewhere.
#[derive(Debug)]
pub(super) struct Seek {
    pub(super) generation: u32,
    pub(super) end: Option<Offset>,
    pub(super) target: Result<Target, Box<v1::Error>>,
}

/// What is to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The topic and partition; `None` for the one that is open.
    pub(super) partition: Option<(TopicSelector, PartitionId)>,
    pub(super) position: Position,
}

/// Reads the command at `place` of its request.
pub(super) fn command(place: usize, command: v1::FetchCommand) -> Result<(u32, Command), StreamError> {
    use v1::fetch_command::Command as Wire;
    let parsed = match command.command.ok_or(StreamError::NoCommand { place })? {
        Wire::Open(open) => Command::Open(read_open(place, open)),
        Wire::Seek(seek) => Command::Seek(read_seek(place, seek)),
        Wire::Pause(v1::FetchPause {}) => Command::Pause,
        Wire::Resume(v1::FetchResume {}) => Command::Resume,
        Wire::Close(v1::FetchClose {}) => Command::Close,
    };
    Ok((command.fetch_id, parsed))
}

fn read_open(place: usize, open: v1::FetchOpen) -> Open {
    let checked = || -> Result<(Target, Option<Offset>), FieldError> {
        let topic = TopicSelector::from_field(open.topic.as_ref())?;
        // Without transactions both levels see the same records.
        IsolationLevel::from_field(open.isolation_level)?;
        let position = Position::try_from(open.position)?;
        let end = open.end_offset.map(|end| offset("end_offset", end)).transpose()?;
        Ok((Target { partition: Some((topic, PartitionId::new(open.partition))), position }, end))
    };
    let (target, end) = split(checked(), &format!("commands[{place}].open"));
    Open { generation: open.generation, is_paused: open.paused, end, target }
}

fn read_seek(place: usize, seek: v1::FetchSeek) -> Seek {
    let checked = || -> Result<(Target, Option<Offset>), FieldError> {
        let position = Position::try_from(seek.position)?;
        let end = seek.end_offset.map(|end| offset("end_offset", end)).transpose()?;
        Ok((Target { partition: None, position }, end))
    };
    let (target, end) = split(checked(), &format!("commands[{place}].seek"));
    Seek { generation: seek.generation, end, target }
}

type Checked = (Result<Target, Box<v1::Error>>, Option<Offset>);

fn split(checked: Result<(Target, Option<Offset>), FieldError>, path: &str) -> Checked {
    match checked {
        Ok((target, end)) => (Ok(target), end),
        Err(error) => (Err(Box::new(error.into_error(path))), None),
    }
}
