//! What a partition's entries do when they are applied: nothing to the data, which lies in the log already. The high
//! watermark rises, producers are remembered, the log start moves.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidelog_log::storage::LogHandle;
use tidelog_log::{LogWriter, WriteError};
use tidelog_proto::frame::{Frame, FrameType};
use tidelog_proto::ids::{Offset, RaftIndex};
use tokio::sync::watch;

use crate::applied::Outcome;
use crate::machine::foreign_entry;
use crate::producers::ProducedBatch;
use crate::sequencer::Sequencer;
use crate::stalls::Stalls;
use crate::storage_access::ask_writer;
use crate::stored_state::{DataContent, StateContent};

/// What the machine and the handles of a partition share.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Only rises. Sent by the machine.
    pub(crate) high_watermark: watch::Sender<Offset>,
    /// Held for the judgement of one batch, or while one is applied.
    sequencer: Mutex<Sequencer>,
}

impl Partition {
    fn new(content: &DataContent) -> Self {
        Self {
            high_watermark: watch::Sender::new(content.high_watermark),
            sequencer: Mutex::new(Sequencer::new(content.producers.clone())),
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
    handle: LogHandle,
    stalls: Arc<Stalls>,
    /// The first offset behind the last applied entry.
    next_offset: Offset,
    /// The log start offset as of the last applied entry.
    log_start_offset: Offset,
}

impl DataMachine {
    /// Goes on from what is remembered.
    pub(crate) fn new(content: &DataContent, handle: LogHandle, stalls: Arc<Stalls>) -> Self {
        let DataContent { high_watermark, log_start_offset, .. } = *content;
        let partition = Arc::new(Partition::new(content));
        Self { partition, handle, stalls, next_offset: high_watermark, log_start_offset }
    }

    pub(crate) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    pub(crate) async fn apply(&mut self, frame: &Frame) -> io::Result<Outcome> {
        let stamp = frame.stamp();
        match frame.frame_type() {
            FrameType::Data | FrameType::TransactionMarker => {
                let batch = frame.batch().ok_or_else(|| foreign_entry(frame))?;
                let header = batch.header();
                if let Some(producer) = header.producer()
                    && let Some(base_sequence) = producer.base_sequence
                {
                    let offset_count = header.last_offset_delta() + 1;
                    let produced = ProducedBatch { base_sequence, offset_count, base_offset: header.base_offset() };
                    self.partition.sequencer().apply(&producer, produced, stamp.index, stamp.append_time_ms);
                }
                self.next_offset = frame.next_offset();
                Ok(Outcome::Batch(header.base_offset()))
            }
            FrameType::LogStart => {
                let start = frame.view().log_start_offset().ok_or_else(|| foreign_entry(frame))?;
                let start = self.log_start_offset.max(start);
                self.log_start_offset = start;
                self.advance_start(start).await?;
                Ok(Outcome::LogStart(start))
            }
            FrameType::NoOp | FrameType::Membership | FrameType::CoordinatorCommand => Err(foreign_entry(frame)),
        }
    }

    /// Moves the log start; without space for the file that says so, as soon as there is.
    async fn advance_start(&self, start: Offset) -> io::Result<()> {
        let mut stalled = None;
        loop {
            let advance = move |writer: &mut LogWriter| writer.advance_start(start, RaftIndex::ZERO);
            match ask_writer(&self.handle, advance).await? {
                Ok(()) => return Ok(()),
                Err(WriteError::DiskFull { dir }) => {
                    if stalled.is_none() {
                        tracing::error!(dir = %dir.display(), "the disk is full: the log start waits for space");
                        stalled = Some(self.stalls.stall());
                    }
                    self.stalls.pause().await?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    pub(crate) fn publish(&mut self) {
        let next_offset = self.next_offset;
        self.partition.high_watermark.send_if_modified(|high_watermark| {
            let rises = *high_watermark < next_offset;
            *high_watermark = next_offset.max(*high_watermark);
            rises
        });
    }

    pub(crate) fn content(&self) -> StateContent {
        StateContent::Data(DataContent {
            high_watermark: self.next_offset,
            log_start_offset: self.log_start_offset,
            producers: self.partition.sequencer().committed().clone(),
        })
    }

    pub(crate) fn install(&mut self, content: DataContent) {
        let DataContent { high_watermark, log_start_offset, producers } = content;
        (self.next_offset, self.log_start_offset) = (high_watermark, log_start_offset);
        *self.partition.sequencer() = Sequencer::new(producers);
    }
}
