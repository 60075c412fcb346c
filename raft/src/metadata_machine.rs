//! The metadata group's state, replicated: commands are decoded and applied, and everyone on the broker sees the result.

use std::io;

use tidelog_proto::frame::{Frame, FrameType};
use tokio::sync::watch;

use crate::applied::Outcome;
use crate::machine::foreign_entry;
use crate::metadata::{MetadataCommand, MetadataState};
use crate::stored_state::StateContent;

/// Applies the metadata group's entries.
#[derive(Debug)]
pub(crate) struct MetadataMachine {
    state: MetadataState,
    published: watch::Sender<MetadataState>,
}

impl MetadataMachine {
    /// Goes on from what `published` shows.
    pub(crate) fn new(published: watch::Sender<MetadataState>) -> Self {
        let state = published.borrow().clone();
        Self { state, published }
    }

    pub(crate) fn apply(&mut self, frame: &Frame) -> io::Result<Outcome> {
        let payload = frame.payload().filter(|_| frame.frame_type() == FrameType::CoordinatorCommand);
        let payload = payload.ok_or_else(|| foreign_entry(frame))?;
        // A newer broker's command that this one does not know must not be passed over.
        let command = MetadataCommand::decode(&payload).map_err(io::Error::other)?;
        let outcome = self.state.apply(frame.stamp().index, &command);
        Ok(Outcome::Metadata(Box::new(outcome)))
    }

    pub(crate) fn publish(&mut self) {
        let state = &self.state;
        self.published.send_if_modified(|published| {
            let is_newer = published.metadata_version() < state.metadata_version();
            if is_newer {
                *published = state.clone();
            }
            is_newer
        });
    }

    pub(crate) fn content(&self) -> StateContent {
        StateContent::Metadata(self.state.clone())
    }

    pub(crate) fn install(&mut self, state: MetadataState) {
        self.state = state;
    }
}
