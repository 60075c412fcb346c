//! What a `Fetch` stream does next, decided without I/O: credit, turns, positions and generations.
//!
//! The shell tells what happened, and does what [`Decisions`] ask for. Answers carry the [`Token`] of the position that
//! they were asked for, so that one that comes too late is passed over.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, TopicId};

use super::command::{Command, Open, Seek, Target};
use super::stream_error::StreamError;
use crate::reply_error;

/// The highest balance of credit.
const BALANCE_MAX: i64 = i32::MAX as i64;

/// Bytes of one read, a batch that is larger apart: a message of this size is as fast as any, and others get their turn.
pub(super) const READ_BYTES_MAX: u64 = 512 * 1024;

/// One stream.
#[derive(Debug)]
pub(super) struct FetchState {
    /// Bytes that may still be pushed; below 0 by less than one batch.
    balance: i64,
    partitions: HashMap<u32, Partition>,
    partitions_max: u32,
    /// The open partitions that have records to push, the next first. Each at most once: `Partition::has_turn`.
    turns: VecDeque<u32>,
    /// A read is going on: one at a time, or the turns would mean nothing.
    is_reading: bool,
    /// Commands that wait behind a `seek` or an `open`.
    deferred: usize,
    last_token: u64,
}

/// One position of one partition: every `open` and `seek` makes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u64);

#[derive(Debug)]
struct Partition {
    token: Token,
    generation: u32,
    is_paused: bool,
    /// It stands in `turns`.
    has_turn: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The position is being looked up. What the client wants meanwhile waits.
    Locating {
        end: Option<Offset>,
        deferred: VecDeque<Command>,
    },
    Reading(Reading),
}

#[derive(Debug)]
struct Reading {
    position: Offset,
    end: Option<Offset>,
    /// What is known of the high watermark.
    high_watermark: Offset,
    /// The position was at the high watermark, and is not far behind it now: the records are in memory.
    is_at_tail: bool,
    /// The shell tells when the high watermark rises.
    is_watched: bool,
}

/// What the shell has to do.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    /// To send, in this order.
    pub(super) items: Vec<v1::FetchItem>,
    /// Positions to look up; each is answered by [`FetchState::located`].
    pub(super) locate: Vec<Locate>,
    /// High watermarks to wait for; each is answered by [`FetchState::committed`].
    pub(super) watch: Vec<Watch>,
    /// Partitions that are not open any more.
    pub(super) closed: Vec<u32>,
}

/// Look up a position.
#[derive(Debug)]
pub(super) struct Locate {
    pub(super) fetch_id: u32,
    pub(super) token: Token,
    pub(super) target: Target,
}

/// Tell when the high watermark is above this.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) fetch_id: u32,
    pub(super) token: Token,
    pub(super) above: Offset,
}

/// Read batches; answered by [`FetchState::read`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) fetch_id: u32,
    pub(super) token: Token,
    pub(super) from: Offset,
    /// Exclusive.
    pub(super) limit: Offset,
    pub(super) max_bytes: u64,
    /// The records were just written: reading them does not wait for a disk.
    pub(super) is_at_tail: bool,
}

/// A position that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) topic_id: TopicId,
    pub(crate) position: Offset,
    pub(crate) high_watermark: Offset,
    pub(crate) log_start_offset: Offset,
}

/// What a read found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Whole batches, in order.
    pub(super) batches: Vec<Bytes>,
    /// Where to read on.
    pub(super) next_offset: Offset,
    pub(super) high_watermark: Offset,
    pub(super) log_start_offset: Offset,
}

impl FetchState {
    pub(super) fn new(partitions_max: u32) -> Self {
        Self {
            balance: 0,
            partitions: HashMap::new(),
            partitions_max,
            turns: VecDeque::new(),
            is_reading: false,
            deferred: 0,
            last_token: 0,
        }
    }

    /// Adds credit.
    pub(super) fn grant(&mut self, credit_bytes: u32) -> Result<(), StreamError> {
        let balance = self.balance + i64::from(credit_bytes);
        if balance > BALANCE_MAX {
            return Err(StreamError::Credit { balance: self.balance, credit_bytes });
        }
        self.balance = balance;
        Ok(())
    }

    /// Tells whether commands wait: then no more of them are to be read.
    pub(super) fn has_deferred(&self) -> bool {
        self.deferred > 0
    }

    /// Does what the client wants of a partition.
    pub(super) fn command(&mut self, fetch_id: u32, command: Command, out: &mut Decisions) -> Result<(), StreamError> {
        let Some(partition) = self.partitions.get_mut(&fetch_id) else {
            if let Command::Open(open) = command {
                self.open(fetch_id, open, out);
            }
            return Ok(());
        };
        if let Phase::Locating { deferred, .. } = &mut partition.phase {
            deferred.push_back(command);
            self.deferred += 1;
            return Ok(());
        }
        match command {
            Command::Open(_) => return Err(StreamError::AlreadyOpen { fetch_id }),
            Command::Seek(seek) => self.seek(fetch_id, seek, out),
            Command::Pause => partition.is_paused = true,
            Command::Resume => {
                partition.is_paused = false;
                self.take_turn(fetch_id, out);
            }
            Command::Close => self.close(fetch_id, v1::FetchCloseReason::Requested, None, out),
        }
        Ok(())
    }

    /// Tells whether this position is being looked up: one that comes too late is nobody's any more.
    pub(super) fn is_locating(&self, fetch_id: u32, token: Token) -> bool {
        let is_locating =
            |partition: &Partition| partition.token == token && matches!(partition.phase, Phase::Locating { .. });
        self.partitions.get(&fetch_id).is_some_and(is_locating)
    }

    /// Notes where a position is, or why it is nowhere.
    pub(super) fn located(
        &mut self,
        fetch_id: u32,
        token: Token,
        located: Result<Located, Box<v1::Error>>,
        out: &mut Decisions,
    ) -> Result<(), StreamError> {
        let Some(partition) = self.partitions.get_mut(&fetch_id).filter(|partition| partition.token == token) else {
            return Ok(());
        };
        let Phase::Locating { end, deferred } = &mut partition.phase else { return Ok(()) };
        let (end, deferred) = (*end, std::mem::take(deferred));
        self.deferred -= deferred.len();
        match located {
            Err(error) => self.close(fetch_id, v1::FetchCloseReason::Failed, Some(*error), out),
            Ok(located) => {
                partition.phase = Phase::Reading(Reading {
                    position: located.position,
                    end,
                    high_watermark: located.high_watermark,
                    is_at_tail: located.position >= located.high_watermark,
                    is_watched: false,
                });
                let opened = opened(&located);
                out.items.push(item(fetch_id, partition.generation, v1::fetch_item::Item::Opened(opened)));
                self.go_on(fetch_id, out);
            }
        }
        for command in deferred {
            self.command(fetch_id, command, out)?;
        }
        Ok(())
    }

    /// Notes that the high watermark has risen.
    pub(super) fn committed(&mut self, fetch_id: u32, token: Token, high_watermark: Offset, out: &mut Decisions) {
        if let Some(reading) = self.reading(fetch_id, token) {
            reading.is_watched = false;
            reading.high_watermark = reading.high_watermark.max(high_watermark);
            self.go_on(fetch_id, out);
        }
    }

    /// Closes a partition that cannot be read any more.
    pub(super) fn fail(&mut self, fetch_id: u32, error: v1::Error, out: &mut Decisions) -> Result<(), StreamError> {
        match self.partitions.get(&fetch_id) {
            Some(Partition { token, phase: Phase::Locating { .. }, .. }) => {
                self.located(fetch_id, *token, Err(Box::new(error)), out)
            }
            Some(_) => {
                self.close(fetch_id, v1::FetchCloseReason::Failed, Some(error), out);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Gives the next read, if there is credit and something to read.
    pub(super) fn next_read(&mut self) -> Option<Read> {
        let max_bytes = u64::try_from(self.balance).ok().filter(|balance| *balance > 0)?.min(READ_BYTES_MAX);
        if self.is_reading {
            return None;
        }
        while let Some(fetch_id) = self.turns.pop_front() {
            let Some(partition) = self.partitions.get_mut(&fetch_id) else { continue };
            partition.has_turn = false;
            let Phase::Reading(reading) = &partition.phase else { continue };
            let limit = reading.limit();
            if partition.is_paused || reading.position >= limit {
                continue;
            }
            self.is_reading = true;
            let (from, is_at_tail) = (reading.position, reading.is_at_tail);
            return Some(Read { fetch_id, token: partition.token, from, limit, max_bytes, is_at_tail });
        }
        None
    }

    /// Notes what the read found.
    pub(super) fn read(
        &mut self,
        fetch_id: u32,
        token: Token,
        found: Result<Found, Box<v1::Error>>,
        out: &mut Decisions,
    ) {
        self.is_reading = false;
        let Some(reading) = self.reading(fetch_id, token) else { return };
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.close(fetch_id, v1::FetchCloseReason::Failed, Some(*error), out),
        };
        let is_stuck = found.batches.is_empty() && found.next_offset <= reading.position;
        reading.high_watermark = reading.high_watermark.max(found.high_watermark);
        reading.position = reading.position.max(found.next_offset);
        reading.is_at_tail = reading.position >= reading.high_watermark;
        if is_stuck {
            // Below the high watermark everything can be read; if not, it is worth trying again when that rises.
            self.watch(fetch_id, out);
            return;
        }
        if !found.batches.is_empty() {
            self.push(fetch_id, found, out);
        }
        self.go_on(fetch_id, out);
    }

    fn open(&mut self, fetch_id: u32, open: Open, out: &mut Decisions) {
        let Open { generation, is_paused, end, target } = open;
        let closed = |error| closed_item(fetch_id, generation, v1::FetchCloseReason::Failed, Some(error));
        if self.partitions.len() >= self.partitions_max as usize {
            let limit = reply_error::limit("fetch_partitions_max", self.partitions_max.into(), None, true);
            let error = v1::Error::new(ErrorCode::InvalidRequest, "the stream has too many partitions open");
            out.items.push(closed(v1::Error { limit: Some(limit), ..error }));
            return;
        }
        match target {
            Err(error) => out.items.push(closed(*error)),
            Ok(target) => {
                let token = self.next_token();
                let phase = Phase::Locating { end, deferred: VecDeque::new() };
                self.partitions.insert(fetch_id, Partition { token, generation, is_paused, has_turn: false, phase });
                out.locate.push(Locate { fetch_id, token, target });
            }
        }
    }

    fn seek(&mut self, fetch_id: u32, seek: Seek, out: &mut Decisions) {
        let token = self.next_token();
        let Some(partition) = self.partitions.get_mut(&fetch_id) else { return };
        partition.token = token;
        partition.generation = seek.generation;
        match seek.target {
            Err(error) => self.close(fetch_id, v1::FetchCloseReason::Failed, Some(*error), out),
            Ok(target) => {
                partition.phase = Phase::Locating { end: seek.end, deferred: VecDeque::new() };
                out.locate.push(Locate { fetch_id, token, target });
            }
        }
    }

    /// Takes a turn, waits for records, or ends: whatever the position says.
    fn go_on(&mut self, fetch_id: u32, out: &mut Decisions) {
        let Some(partition) = self.partitions.get_mut(&fetch_id) else { return };
        let Phase::Reading(reading) = &partition.phase else { return };
        if reading.end.is_some_and(|end| reading.position >= end) {
            self.close(fetch_id, v1::FetchCloseReason::EndReached, None, out);
        } else if reading.position >= reading.high_watermark {
            self.watch(fetch_id, out);
        } else {
            self.take_turn(fetch_id, out);
        }
    }

    fn take_turn(&mut self, fetch_id: u32, out: &mut Decisions) {
        let Some(partition) = self.partitions.get_mut(&fetch_id) else { return };
        let Phase::Reading(reading) = &partition.phase else { return };
        if reading.position >= reading.limit() {
            self.watch(fetch_id, out);
        } else if !partition.has_turn && !partition.is_paused {
            partition.has_turn = true;
            self.turns.push_back(fetch_id);
        }
    }

    fn watch(&mut self, fetch_id: u32, out: &mut Decisions) {
        let Some(partition) = self.partitions.get_mut(&fetch_id) else { return };
        let Phase::Reading(reading) = &mut partition.phase else { return };
        if !reading.is_watched {
            reading.is_watched = true;
            out.watch.push(Watch { fetch_id, token: partition.token, above: reading.high_watermark });
        }
    }

    fn push(&mut self, fetch_id: u32, found: Found, out: &mut Decisions) {
        let Some(partition) = self.partitions.get(&fetch_id) else { return };
        let bytes: usize = found.batches.iter().map(Bytes::len).sum();
        self.balance -= i64::try_from(bytes).unwrap_or(BALANCE_MAX);
        let batches = v1::FetchBatches {
            record_batches: found.batches,
            high_watermark: found.high_watermark.get(),
            last_stable_offset: found.high_watermark.get(),
            log_start_offset: found.log_start_offset.get(),
        };
        out.items.push(item(fetch_id, partition.generation, v1::fetch_item::Item::Batches(batches)));
    }

    fn close(&mut self, fetch_id: u32, reason: v1::FetchCloseReason, error: Option<v1::Error>, out: &mut Decisions) {
        if let Some(partition) = self.partitions.remove(&fetch_id) {
            if partition.has_turn {
                self.turns.retain(|turn| *turn != fetch_id);
            }
            out.items.push(closed_item(fetch_id, partition.generation, reason, error));
            out.closed.push(fetch_id);
        }
    }

    /// Gives what is read from this position, if it still is.
    fn reading(&mut self, fetch_id: u32, token: Token) -> Option<&mut Reading> {
        match self.partitions.get_mut(&fetch_id) {
            Some(Partition { token: current, phase: Phase::Reading(reading), .. }) if *current == token => {
                Some(reading)
            }
            _ => None,
        }
    }

    fn next_token(&mut self) -> Token {
        self.last_token += 1;
        Token(self.last_token)
    }
}

impl Reading {
    /// Gives where reading stops for now, exclusive.
    fn limit(&self) -> Offset {
        self.end.map_or(self.high_watermark, |end| end.min(self.high_watermark))
    }
}

fn item(fetch_id: u32, generation: u32, item: v1::fetch_item::Item) -> v1::FetchItem {
    v1::FetchItem { fetch_id, generation, item: Some(item) }
}

fn closed_item(
    fetch_id: u32,
    generation: u32,
    reason: v1::FetchCloseReason,
    error: Option<v1::Error>,
) -> v1::FetchItem {
    let closed = v1::FetchClosed { reason: reason.into(), error };
    item(fetch_id, generation, v1::fetch_item::Item::Closed(Box::new(closed)))
}

fn opened(located: &Located) -> v1::FetchOpened {
    v1::FetchOpened {
        topic_id: Bytes::copy_from_slice(located.topic_id.as_bytes()),
        position: located.position.get(),
        high_watermark: located.high_watermark.get(),
        last_stable_offset: located.high_watermark.get(),
        log_start_offset: located.log_start_offset.get(),
    }
}
