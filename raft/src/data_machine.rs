//! What a partition's entries do when they are applied: nothing to the data, which lies in the log already. The high
//! watermark rises, producers are remembered, the log start moves.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidelog_log::LogReader;
use tidelog_log::storage::LogHandle;
use tidelog_proto::frame::{Frame, FrameType};
use tidelog_proto::ids::{Offset, RaftIndex, RaftTerm};
use tokio::sync::watch;

use crate::applied::Outcome;
use crate::producers::{ProducedBatch, Producers};
use crate::sequencer::Sequencer;
use crate::storage_access::with_writer;
use crate::stored_state::StateContent;

/// What the machine and the handles of a partition share.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) reader: LogReader,
    pub(crate) handle: LogHandle,
    /// Only rises. Sent by the machine.
    pub(crate) high_watermark: watch::Sender<Offset>,
    /// The newest term of which the leader's first entry is applied. Sent by the machine.
    pub(crate) begun_term: watch::Sender<Option<RaftTerm>>,
    /// Held for the judgement of one batch, or while one is applied.
    sequencer: Mutex<Sequencer>,
}

impl Partition {
    pub(crate) fn new(reader: LogReader, handle: LogHandle, high_watermark: Offset, producers: Producers) -> Self {
        Self {
            reader,
            handle,
            high_watermark: watch::Sender::new(high_watermark),
            begun_term: watch::Sender::new(None),
            sequencer: Mutex::new(Sequencer::new(producers)),
        }
    }

    pub(crate) fn sequencer(&self) -> MutexGuard<'_, Sequencer> {
        self.sequencer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies a partition's entries.
#[derive(Debug)]
pub(crate) struct DataMachine {
    partition: Arc<Partition>,
    /// The first offset behind the last applied entry.
    next_offset: Offset,
    /// The log start offset as of the last applied entry.
    log_start_offset: Offset,
    /// The term of a leader's first entry that was applied and not yet told.
    begun_term: Option<RaftTerm>,
}

impl DataMachine {
    pub(crate) fn new(partition: Arc<Partition>, log_start_offset: Offset) -> Self {
        let next_offset = *partition.high_watermark.borrow();
        Self { partition, next_offset, log_start_offset, begun_term: None }
    }

    /// Applies one entry. Readers see it once [`DataMachine::publish`] tells them.
    ///
    /// # Errors
    /// An entry that no partition has, or a log start that could not be moved.
    pub(crate) async fn apply(&mut self, frame: &Frame) -> io::Result<Outcome> {
        let stamp = frame.stamp();
        self.next_offset = frame.next_offset();
        match frame.frame_type() {
            FrameType::Data | FrameType::TransactionMarker => {
                let batch = frame.batch().ok_or(io::ErrorKind::InvalidData)?;
                let header = batch.header();
                if let Some(producer) = header.producer()
                    && let Some(base_sequence) = producer.base_sequence
                {
                    let offset_count = header.last_offset_delta() + 1;
                    let produced = ProducedBatch { base_sequence, offset_count, base_offset: header.base_offset() };
                    self.partition.sequencer().apply(&producer, produced, stamp.index, stamp.append_time_ms);
                }
                Ok(Outcome::Batch(header.base_offset()))
            }
            FrameType::NoOp => {
                self.begun_term = Some(stamp.term);
                Ok(Outcome::None)
            }
            FrameType::Membership => Ok(Outcome::None),
            FrameType::LogStart => {
                let start = frame.view().log_start_offset().ok_or(io::ErrorKind::InvalidData)?;
                self.log_start_offset = self.log_start_offset.max(start);
                // Nothing is deleted that is not known to be committed.
                self.publish(stamp.index)?;
                let start = self.log_start_offset;
                with_writer(&self.partition.handle, move |writer| writer.advance_start(start, RaftIndex::ZERO)).await?;
                Ok(Outcome::LogStart(start))
            }
            FrameType::CoordinatorCommand => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("entry {} is a command, which a partition does not take", stamp.index),
            )),
        }
    }

    /// Tells readers of everything that was applied, up to entry `last`.
    ///
    /// # Errors
    /// The place of the entry in the log could not be read.
    pub(crate) fn publish(&mut self, last: RaftIndex) -> io::Result<()> {
        self.partition.reader.advance_committed(last.next()).map_err(io::Error::other)?;
        let next_offset = self.next_offset;
        self.partition.high_watermark.send_if_modified(|high_watermark| {
            let rises = *high_watermark < next_offset;
            *high_watermark = next_offset.max(*high_watermark);
            rises
        });
        if let Some(term) = self.begun_term.take() {
            self.partition.begun_term.send_replace(Some(term));
        }
        Ok(())
    }

    /// Gives the first segment that starts behind entry `index`, as it is now.
    pub(crate) fn segment_behind(&self, index: RaftIndex) -> Option<RaftIndex> {
        self.partition.reader.segment_start_after(index)
    }

    /// Gives what is to be remembered of the applied entries.
    pub(crate) fn content(&self) -> StateContent {
        StateContent::Data {
            high_watermark: self.next_offset,
            log_start_offset: self.log_start_offset,
            producers: self.partition.sequencer().committed().clone(),
        }
    }

    /// Takes over a state that another replica sent.
    pub(crate) fn install(&mut self, content: StateContent) {
        let StateContent::Data { high_watermark, log_start_offset, producers } = content;
        (self.next_offset, self.log_start_offset) = (high_watermark, log_start_offset);
        *self.partition.sequencer() = Sequencer::new(producers);
    }
}
