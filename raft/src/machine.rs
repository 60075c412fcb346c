//! What the entries of a group do when they are applied, by kind of group: one type, so that openraft is compiled once.

use std::io;

use tidelog_proto::frame::Frame;

use crate::applied::Outcome;
use crate::data_machine::DataMachine;
use crate::metadata_machine::MetadataMachine;
use crate::stored_state::StateContent;

/// What is particular to the state of a kind of group.
#[derive(Debug)]
pub(crate) enum Machine {
    /// A partition.
    Data(DataMachine),
    /// The metadata of the cluster.
    Metadata(MetadataMachine),
}

impl Machine {
    /// Applies an entry that was proposed. Nobody sees it before [`Machine::publish`].
    ///
    /// # Errors
    /// An entry that this kind of group does not have, or one that could not be carried out.
    pub(crate) async fn apply(&mut self, frame: &Frame) -> io::Result<Outcome> {
        match self {
            Self::Data(machine) => machine.apply(frame).await,
            Self::Metadata(machine) => machine.apply(frame),
        }
    }

    /// Shows what was applied.
    pub(crate) fn publish(&mut self) {
        match self {
            Self::Data(machine) => machine.publish(),
            Self::Metadata(machine) => machine.publish(),
        }
    }

    /// Gives what is to be remembered of the applied entries.
    pub(crate) fn content(&self) -> StateContent {
        match self {
            Self::Data(machine) => machine.content(),
            Self::Metadata(machine) => machine.content(),
        }
    }

    /// Takes over what another replica remembers.
    ///
    /// # Errors
    /// It is of another kind of group.
    pub(crate) fn install(&mut self, content: StateContent) -> io::Result<()> {
        match (self, content) {
            (Self::Data(machine), StateContent::Data(content)) => machine.install(content),
            (Self::Metadata(machine), StateContent::Metadata(state)) => machine.install(state),
            (Self::Data(_), StateContent::Metadata(_)) | (Self::Metadata(_), StateContent::Data(_)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a snapshot is of another kind of group"));
            }
        }
        Ok(())
    }
}

/// Refuses an entry that a kind of group does not have.
pub(crate) fn foreign_entry(frame: &Frame) -> io::Error {
    let (index, frame_type) = (frame.stamp().index, frame.frame_type());
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("entry {index} is of type {frame_type:?}, which the group has not"),
    )
}
