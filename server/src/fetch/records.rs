//! `Broker.FetchRecords`: plain records of one partition.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, stream};
use prost::Message;
use tidelog_log::ReadBatches;
use tidelog_proto::api::{FieldError, IsolationLevel, Position, TopicSelector, offset, v1};
use tidelog_proto::batch::{RecordBatch, Records, TimestampType};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, PartitionId};
use tokio::sync::watch;
use tonic::Status;

use super::locate;
use crate::data_path::{DataPath, ended};
use crate::hosted_partition::HostedPartition;
use crate::message_limits::MESSAGE_BYTES_MAX;
use crate::metrics::OpenStream;
use crate::reply_error;

/// Bytes of batches that are read at once.
const READ_BYTES: u64 = 256 * 1024;

/// A response of this size leaves.
const RESPONSE_BYTES: usize = 256 * 1024;

/// What a record takes beside its own bytes: its tag and length, and its share of the response.
const AROUND_A_RECORD_BYTES: usize = 128;

/// One call.
struct RecordsSession {
    path: Arc<DataPath>,
    partition: Arc<HostedPartition>,
    ending: watch::Receiver<bool>,
    /// The next record that is wanted.
    position: Offset,
    end: Option<Offset>,
    /// How many more are wanted.
    records_left: Option<u64>,
    /// Batches that were read; the first may be partly sent.
    batches: VecDeque<RecordBatch>,
    /// The rest of the batch before them.
    records: Option<Rest>,
    /// A record that did not fit into the response before.
    held: Option<v1::Record>,
    /// What is wrong behind the records that were sent.
    failed: Option<Box<v1::Error>>,
    _counted: OpenStream,
}

/// What was not sent yet of a batch.
struct Rest {
    records: Records,
    timestamp_type: TimestampType,
    /// Behind the batch. Its last records may have been compacted away.
    next_offset: Offset,
}

/// What goes on after a response.
enum Next {
    GoOn(Box<RecordsSession>),
    End,
}

/// Serves one `FetchRecords` call.
///
/// # Errors
/// The request is malformed.
pub async fn serve_records(
    path: Arc<DataPath>,
    request: v1::FetchRecordsRequest,
) -> Result<impl Stream<Item = Result<v1::FetchRecordsResponse, Status>> + Send + use<>, Status> {
    let read = || -> Result<_, FieldError> {
        let topic = TopicSelector::from_field(request.topic.as_ref())?;
        IsolationLevel::from_field(request.isolation_level)?;
        let position = Position::try_from(request.position)?;
        let end = request.end_offset.map(|end| offset("end_offset", end)).transpose()?;
        Ok((topic, position, end))
    };
    let (topic, position, end) = read().map_err(|error| reply_error::refused_field(error, ""))?;
    if request.records_max == Some(0) {
        return Err(reply_error::invalid_request("records_max is 0", Some("records_max".to_owned())));
    }
    let started = start(&path, &topic, PartitionId::new(request.partition), position).await;
    let next = started.map(|(partition, position)| RecordsSession {
        ending: path.ending(),
        _counted: path.metrics.stream("FetchRecords"),
        path,
        partition,
        position,
        end,
        records_left: request.records_max,
        batches: VecDeque::new(),
        records: None,
        held: None,
        failed: None,
    });
    let first = match next {
        Ok(session) => First::Session(Box::new(session)),
        Err(error) => First::Error(error),
    };
    Ok(stream::unfold(Some(first), step))
}

/// What the next response comes from.
enum First {
    Session(Box<RecordsSession>),
    Error(Box<v1::Error>),
}

async fn step(state: Option<First>) -> Option<(Result<v1::FetchRecordsResponse, Status>, Option<First>)> {
    match state? {
        First::Error(error) => Some((Ok(response(v1::fetch_records_response::Result::Error(error))), None)),
        First::Session(session) => {
            let (answer, next) = session.next_response().await?;
            let next = match next {
                Next::GoOn(session) => Some(First::Session(session)),
                Next::End => None,
            };
            Some((answer, next))
        }
    }
}

async fn start(
    path: &DataPath,
    topic: &TopicSelector,
    partition: PartitionId,
    position: Position,
) -> Result<(Arc<HostedPartition>, Offset), Box<v1::Error>> {
    let partition = locate::find(path, topic, partition)?;
    let located = locate::locate(path, &partition, position).await?;
    Ok((partition, located.position))
}

impl RecordsSession {
    /// Gives the next response; `None` at the end of what was asked for.
    async fn next_response(mut self: Box<Self>) -> Option<(Result<v1::FetchRecordsResponse, Status>, Next)> {
        loop {
            if let Some(error) = self.failed.take() {
                return Some((Ok(failure(error)), Next::End));
            }
            if self.is_done() {
                return None;
            }
            if self.held.is_none() && self.records.is_none() && self.batches.is_empty() {
                let before = self.position;
                match self.read().await {
                    Ok(Some(())) => {}
                    Ok(None) => return Some((Err(reply_error::shutting_down()), Next::End)),
                    Err(error) => return Some((Ok(failure(error)), Next::End)),
                }
                if self.batches.is_empty() && self.position > before {
                    // Everything there was compacted away: tell how far that is known.
                    let told = Ok(self.fetched(Vec::new()));
                    return Some((told, Next::GoOn(self)));
                }
                continue;
            }
            let before = self.position;
            let (session, records) = match self.take_records().await {
                Ok(taken) => taken,
                Err(error) => return Some((Ok(failure(error)), Next::End)),
            };
            self = session;
            if !records.is_empty() || self.position > before {
                let fetched = Ok(self.fetched(records));
                let next = if self.is_done() && self.failed.is_none() { Next::End } else { Next::GoOn(self) };
                return Some((fetched, next));
            }
        }
    }

    fn is_done(&self) -> bool {
        self.records_left == Some(0) || self.end.is_some_and(|end| self.position >= end)
    }

    /// Reads batches once there are any; `None` when the broker ends.
    async fn read(&mut self) -> Result<Option<()>, Box<v1::Error>> {
        let mut high_watermark = self.partition.log().high_watermark();
        let position = self.position;
        let removed = self.partition.removal();
        let limit = tokio::select! {
                   limit = high_watermark.wait_for(|now| *now > position) => match limit {
                       Ok(limit) => *limit,
                       Err(_) => {
        let message = "the replica has stopped"; return Err(Box::new(v1::Error::new(ErrorCode::StorageError, message))); }
                   },
                   () = removed => {
                       let message = "the partition is not on this broker any more";
                       return Err(Box::new(v1::Error::new(ErrorCode::UnknownTopicOrPartition, message)));
                   }
                   () = ended(&mut self.ending) => return Ok(None),
               };
        let limit = self.end.map_or(limit, |end| end.min(limit));
        let partition = Arc::clone(&self.partition);
        let read = self.path.blocking.run(move || partition.log().reader().read(position, limit, READ_BYTES)).await;
        let ReadBatches { batches, next_offset } = read.map_err(|_| locate::ending())?.map_err(|error| {
            let leadership = *self.partition.log().leadership().borrow();
            Box::new(reply_error::read_error(&self.path.table.load(), leadership, limit, &error))
        })?;
        if batches.is_empty() {
            self.position = self.position.max(next_offset);
        }
        self.batches = batches.into();
        Ok(Some(()))
    }

    /// Decodes records of one response, off the runtime's workers: they may be compressed.
    async fn take_records(self: Box<Self>) -> Result<(Box<Self>, Vec<v1::Record>), Box<v1::Error>> {
        let pool = self.path.blocking.clone();
        let decode = move || {
            let mut session = self;
            let records = session.decode_records();
            records.map(|records| (session, records))
        };
        pool.run(decode).await.map_err(|_| locate::ending())?
    }

    fn decode_records(&mut self) -> Result<Vec<v1::Record>, Box<v1::Error>> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < RESPONSE_BYTES && !self.is_done() {
            let record = match self.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) if records.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            };
            let record_bytes = record.encoded_len() + AROUND_A_RECORD_BYTES;
            if record_bytes > MESSAGE_BYTES_MAX {
                let limit = reply_error::limit("message_bytes_max", MESSAGE_BYTES_MAX as u64, None, false);
                let message = format!("record at offset {} is larger than a message may be", record.offset);
                let error = v1::Error { limit: Some(limit), ..v1::Error::new(ErrorCode::InvalidRecord, message) };
                return Err(Box::new(error));
            }
            if bytes > 0 && bytes + record_bytes > MESSAGE_BYTES_MAX {
                self.held = Some(record);
                break;
            }
            bytes += record_bytes;
            self.position = Offset::new(record.offset).next();
            self.records_left = self.records_left.map(|left| left - 1);
            records.push(record);
        }
        Ok(records)
    }

    /// Gives the next record that is wanted of what was read.
    fn next_record(&mut self) -> Result<Option<v1::Record>, Box<v1::Error>> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        loop {
            let Some(rest) = &mut self.records else {
                let Some(batch) = self.batches.pop_front() else { return Ok(None) };
                let header = batch.header();
                if header.is_control() {
                    self.position = self.position.max(header.next_offset());
                    continue;
                }
                let timestamp_type = header.attributes().timestamp_type();
                let records = batch.records(self.partition.decode_limits());
                let records = records.map_err(|error| unreadable(header.base_offset(), &error))?;
                self.records = Some(Rest { records, timestamp_type, next_offset: header.next_offset() });
                continue;
            };
            match rest.records.next() {
                Some(Ok(record)) if record.offset < self.position => {}
                Some(Ok(record)) if self.end.is_some_and(|end| record.offset >= end) => {
                    self.position = self.position.max(record.offset);
                    return Ok(None);
                }
                Some(Ok(record)) => return Ok(Some(v1::Record::from_batch(record, rest.timestamp_type))),
                Some(Err(error)) => return Err(unreadable(self.position, &error)),
                None => {
                    self.position = self.position.max(rest.next_offset);
                    self.records = None;
                }
            }
        }
    }

    fn fetched(&self, records: Vec<v1::Record>) -> v1::FetchRecordsResponse {
        let log = self.partition.log();
        response(v1::fetch_records_response::Result::Fetched(v1::FetchedRecords {
            records,
            next_offset: self.position.get(),
            high_watermark: log.high_watermark().borrow().get(),
            log_start_offset: log.reader().log_start_offset().get(),
        }))
    }
}

fn unreadable(offset: Offset, error: &tidelog_proto::batch::BatchError) -> Box<v1::Error> {
    let message = format!("records from offset {offset} on cannot be read: {error}");
    Box::new(v1::Error::new(ErrorCode::CorruptLog, message))
}

fn failure(error: Box<v1::Error>) -> v1::FetchRecordsResponse {
    response(v1::fetch_records_response::Result::Error(error))
}

fn response(result: v1::fetch_records_response::Result) -> v1::FetchRecordsResponse {
    v1::FetchRecordsResponse { result: Some(result) }
}
