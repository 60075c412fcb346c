//! One `Fetch` stream: the shell around [`FetchState`].
//!
//! Driven by whoever reads its responses, like a produce session: HTTP/2's flow control stands behind the client's credit. It
//! waits for high watermarks, never asks for them, so a stream without news costs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::future::{AbortHandle, BoxFuture, abortable};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tidelog_proto::api::v1;
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::Offset;
use tokio::sync::watch;
use tonic::Status;

use super::command::command;
use super::locate;
use super::state::{Decisions, FetchState, Found, Locate, Located, Read, Token, Watch};
use super::stream_error::{COMMANDS_MAX, StreamError};
use crate::assembly::Assembly;
use crate::data_path::{DataPath, ended};
use crate::hosted_partition::HostedPartition;
use crate::metrics::OpenStream;
use crate::reply_error;

/// A response of this size leaves; smaller ones wait for what else can be read at once.
const RESPONSE_BYTES: usize = 256 * 1024;

/// The most items of one response: the small ones count hardly any bytes.
const ITEMS_MAX: usize = 1024;

/// One stream.
pub(super) struct FetchSession<R> {
    path: Arc<DataPath>,
    /// Of the request that was read last.
    assembly: Arc<Assembly>,
    requests: R,
    state: FetchState,
    open: HashMap<u32, OpenPartition>,
    /// Lookups, at most one of each partition; watches, at most two; one read.
    events: FuturesUnordered<BoxFuture<'static, Option<Event>>>,
    outgoing: Outgoing,
    ending: watch::Receiver<bool>,
    _counted: OpenStream,
}

/// A partition that is open, and who waits for it.
struct OpenPartition {
    partition: Arc<HostedPartition>,
    removal: AbortHandle,
    /// The wait for a higher high watermark, if there is one.
    rise: Option<AbortHandle>,
}

/// Something that was waited for has happened.
enum Event {
    Located { fetch_id: u32, token: Token, outcome: Result<(Arc<HostedPartition>, Located), Box<v1::Error>> },
    Committed { fetch_id: u32, token: Token, high_watermark: Offset },
    Read { fetch_id: u32, token: Token, found: Result<Found, Box<v1::Error>> },
    Ended { fetch_id: u32, error: Box<v1::Error> },
}

/// What is to be sent.
#[derive(Debug, Default)]
struct Outgoing {
    items: VecDeque<v1::FetchItem>,
    batch_bytes: usize,
}

impl<R> FetchSession<R>
where
    R: Stream<Item = Result<v1::FetchRequest, Status>> + Send + Unpin + 'static,
{
    pub(super) fn new(path: Arc<DataPath>, assembly: Arc<Assembly>, requests: R) -> Self {
        let counted = path.metrics.stream("Fetch");
        let (state, ending) = (FetchState::new(path.config.fetch_partitions_max), path.ending());
        Self {
            path,
            assembly,
            requests,
            state,
            open: HashMap::new(),
            events: FuturesUnordered::new(),
            outgoing: Outgoing::default(),
            ending,
            _counted: counted,
        }
    }

    /// Runs the session.
    pub(super) fn responses(self) -> impl Stream<Item = Result<v1::FetchResponse, Status>> + Send {
        stream::unfold(Some(self), |session| async move {
            let mut session = session?;
            let response = session.next_response().await?;
            // After an error the call is over.
            let session = response.is_ok().then_some(session);
            Some((response, session))
        })
    }

    async fn next_response(&mut self) -> Option<Result<v1::FetchResponse, Status>> {
        loop {
            if let Err(error) = self.settle() {
                return Some(Err(error.to_status()));
            }
            if let Some(response) = self.outgoing.take() {
                return Some(Ok(response));
            }
            let handled = tokio::select! {
                Some(event) = self.events.next(), if !self.events.is_empty() => self.on(event),
                request = self.requests.next(), if !self.state.has_deferred() => match request {
                    Some(Ok(request)) => self.take(request),
                    Some(Err(status)) => return Some(Err(status)),
                    // The client is done.
                    None => return None,
                },
                () = ended(&mut self.ending) => return Some(Err(reply_error::shutting_down())),
            };
            if let Err(error) = handled {
                return Some(Err(error.to_status()));
            }
        }
    }

    /// Does all that can be done without waiting, until there is a full response.
    fn settle(&mut self) -> Result<(), StreamError> {
        while !self.outgoing.is_full() {
            if let Some(read) = self.state.next_read() {
                self.read(read)?;
            } else if let Some(Some(event)) = self.events.next().now_or_never() {
                self.on(event)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Adds the credit and does the commands of one request.
    fn take(&mut self, request: v1::FetchRequest) -> Result<(), StreamError> {
        self.assembly.end();
        self.state.grant(request.credit_bytes)?;
        if request.commands.len() > COMMANDS_MAX {
            return Err(StreamError::Commands { count: request.commands.len() });
        }
        for (place, wire) in request.commands.into_iter().enumerate() {
            let (fetch_id, command) = command(place, wire)?;
            let mut out = Decisions::default();
            self.state.command(fetch_id, command, &mut out)?;
            self.carry_out(out);
        }
        Ok(())
    }

    fn on(&mut self, event: Option<Event>) -> Result<(), StreamError> {
        let mut out = Decisions::default();
        match event {
            // Nobody waits for it any more.
            None => {}
            Some(Event::Located { fetch_id, token, .. }) if !self.state.is_locating(fetch_id, token) => {}
            Some(Event::Located { fetch_id, token, outcome }) => {
                let located = outcome.map(|(partition, located)| {
                    self.opened(fetch_id, partition);
                    located
                });
                self.state.located(fetch_id, token, located, &mut out)?;
            }
            Some(Event::Committed { fetch_id, token, high_watermark }) => {
                self.state.committed(fetch_id, token, high_watermark, &mut out);
            }
            Some(Event::Read { fetch_id, token, found }) => self.state.read(fetch_id, token, found, &mut out),
            Some(Event::Ended { fetch_id, error }) => self.state.fail(fetch_id, *error, &mut out)?,
        }
        self.carry_out(out);
        Ok(())
    }

    fn carry_out(&mut self, out: Decisions) {
        for fetch_id in out.closed {
            self.forget(fetch_id);
        }
        for item in out.items {
            self.outgoing.push(&self.path, item);
        }
        for locate in out.locate {
            self.locate(locate);
        }
        for watch in out.watch {
            self.watch(watch);
        }
    }

    fn locate(&mut self, locate: Locate) {
        let Locate { fetch_id, token, target } = locate;
        let path = Arc::clone(&self.path);
        let open = self.open.get(&fetch_id).map(|open| Arc::clone(&open.partition));
        let lookup = async move {
            let found = match (target.partition, open) {
                (Some((topic, partition)), _) => locate::find(&path, &topic, partition),
                (None, Some(open)) => Ok(open),
                (None, None) => Err(locate::ending()),
            };
            let outcome = match found {
                Ok(partition) => {
                    let located = locate::locate(&path, &partition, target.position).await;
                    located.map(|located| (partition, located))
                }
                Err(error) => Err(error),
            };
            Some(Event::Located { fetch_id, token, outcome })
        };
        self.events.push(lookup.boxed());
    }

    /// Notes which partition a number stands for, and waits for its end.
    fn opened(&mut self, fetch_id: u32, partition: Arc<HostedPartition>) {
        if self.open.get(&fetch_id).is_some_and(|open| Arc::ptr_eq(&open.partition, &partition)) {
            return;
        }
        self.forget(fetch_id);
        let removed = partition.removal();
        let identity = partition.log().identity();
        let (ended, removal) = abortable(async move {
            removed.await;
            let message = format!("partition {} of the topic is not on this broker any more", identity.partition);
            let error = Box::new(v1::Error::new(ErrorCode::UnknownTopicOrPartition, message));
            Event::Ended { fetch_id, error }
        });
        self.events.push(ended.map(Result::ok).boxed());
        self.open.insert(fetch_id, OpenPartition { partition, removal, rise: None });
    }

    fn watch(&mut self, watch: Watch) {
        let Watch { fetch_id, token, above } = watch;
        let Some(open) = self.open.get_mut(&fetch_id) else { return };
        let mut high_watermark = open.partition.log().high_watermark();
        let (risen, handle) = abortable(async move {
            let risen = high_watermark.wait_for(|now| *now > above).await.map(|now| *now);
            match risen {
                Ok(high_watermark) => Event::Committed { fetch_id, token, high_watermark },
                Err(_) => {
                    let message = "the replica of the partition has stopped";
                    Event::Ended { fetch_id, error: Box::new(v1::Error::new(ErrorCode::StorageError, message)) }
                }
            }
        });
        self.events.push(risen.map(Result::ok).boxed());
        if let Some(before) = open.rise.replace(handle) {
            before.abort();
        }
    }

    /// Reads at once what is in memory, and leaves the rest to threads that may wait for a disk.
    fn read(&mut self, read: Read) -> Result<(), StreamError> {
        let Some(open) = self.open.get(&read.fetch_id) else {
            return self.on(Some(Event::Read {
                fetch_id: read.fetch_id,
                token: read.token,
                found: Err(locate::ending()),
            }));
        };
        let (path, partition) = (Arc::clone(&self.path), Arc::clone(&open.partition));
        let Read { fetch_id, token, .. } = read;
        if read.is_at_tail {
            let found = read_batches(&path, &partition, &read);
            return self.on(Some(Event::Read { fetch_id, token, found }));
        }
        let reading = async move {
            let pool = path.blocking.clone();
            let found = pool.run(move || read_batches(&path, &partition, &read)).await;
            Some(Event::Read { fetch_id, token, found: found.unwrap_or_else(|_| Err(locate::ending())) })
        };
        self.events.push(reading.boxed());
        Ok(())
    }

    fn forget(&mut self, fetch_id: u32) {
        if let Some(open) = self.open.remove(&fetch_id) {
            open.removal.abort();
            if let Some(rise) = open.rise {
                rise.abort();
            }
        }
    }
}

impl Outgoing {
    fn push(&mut self, path: &DataPath, item: v1::FetchItem) {
        let bytes = batch_bytes(&item);
        path.metrics.bytes_fetched(bytes as u64);
        self.batch_bytes += bytes;
        self.items.push_back(item);
    }

    fn is_full(&self) -> bool {
        self.batch_bytes >= RESPONSE_BYTES || self.items.len() >= ITEMS_MAX
    }

    /// Takes the next response. A large batch travels alone, so that the message stays within its limit.
    fn take(&mut self) -> Option<v1::FetchResponse> {
        let mut items = vec![self.items.pop_front()?];
        let mut bytes = batch_bytes(&items[0]);
        while let Some(next) = self.items.front() {
            let next_bytes = batch_bytes(next);
            let is_over = bytes > 0 && bytes + next_bytes > 2 * RESPONSE_BYTES;
            if is_over || items.len() >= ITEMS_MAX {
                break;
            }
            bytes += next_bytes;
            items.extend(self.items.pop_front());
        }
        self.batch_bytes -= bytes;
        Some(v1::FetchResponse { items })
    }
}

fn batch_bytes(item: &v1::FetchItem) -> usize {
    match &item.item {
        Some(v1::fetch_item::Item::Batches(batches)) => batches.record_batches.iter().map(bytes::Bytes::len).sum(),
        _ => 0,
    }
}

/// Reads batches as slices of their segments.
fn read_batches(path: &DataPath, partition: &HostedPartition, read: &Read) -> Result<Found, Box<v1::Error>> {
    let log = partition.log();
    let found = log.reader().read(read.from, read.limit, read.max_bytes);
    let high_watermark = *log.high_watermark().borrow();
    let found = found.map_err(|error| {
        let leadership = *log.leadership().borrow();
        Box::new(reply_error::read_error(&path.table.load(), leadership, high_watermark, &error))
    })?;
    Ok(Found {
        batches: found.batches.into_iter().map(RecordBatch::into_bytes).collect(),
        next_offset: found.next_offset,
        high_watermark,
        log_start_offset: log.reader().log_start_offset(),
    })
}
