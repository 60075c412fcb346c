//! Producer and consumer against a real server over real connections, which breaks them on purpose.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, Stream, stream};
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::broker_server::{Broker, BrokerServer};
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{LeaderEpoch, Offset};
use tokio::sync::mpsc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Acks, Backoff, Client, Compression, Consumer, ConsumerConfigError, IsolationLevel, OffsetSpec, OutOfRange,
    Position, Producer, Record, SendError,
};

const TOPIC: &str = "orders";
const TOPIC_ID: [u8; 16] = [7; 16];

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What all brokers of a test share: one partition, and what goes wrong next.
#[derive(Default)]
struct Script {
    addresses: Vec<String>,
    leader: u32,
    leader_epoch: u32,
    log: Vec<RecordBatch>,
    /// The last batches of the one producer that each test has: sequence and base offset.
    batches: VecDeque<(u32, u64)>,
    next_sequence: u32,
    /// After how many batches the stream breaks: stored, but without an ack.
    breaks_after: Option<usize>,
    /// With how much credit each fetch stream was opened.
    first_credits: Vec<u32>,
    opened_at: Vec<u64>,
    /// How often metadata was asked for.
    metadata_calls: usize,
}

impl Script {
    fn log_end(&self) -> u64 {
        self.log.last().map_or(0, |batch| batch.header().next_offset().get())
    }

    fn append(&mut self, bytes: bytes::Bytes) -> Result<u64, ErrorCode> {
        let batch = RecordBatch::parse(bytes).unwrap().verified().unwrap();
        let sequence = batch.header().producer().and_then(|producer| producer.base_sequence);
        if let Some(sequence) = sequence {
            if let Some((_, offset)) = self.batches.iter().find(|(known, _)| *known == sequence.get()) {
                return Ok(*offset);
            }
            if sequence.get() != self.next_sequence {
                return Err(ErrorCode::OutOfOrderSequence);
            }
            self.next_sequence = sequence.advanced_by(batch.header().record_count()).get();
            self.batches.push_back((sequence.get(), self.log_end()));
        }
        let offset = self.log_end();
        self.log.push(batch.assigned(Offset::new(offset), LeaderEpoch::new(1)).unwrap());
        Ok(offset)
    }

    /// Tells whether the stream breaks now.
    fn breaks(&mut self) -> bool {
        let breaks = self.breaks_after == Some(0);
        self.breaks_after = if breaks { None } else { self.breaks_after.map(|left| left - 1) };
        breaks
    }
}

/// One broker of a script.
#[derive(Clone)]
struct Scripted {
    id: u32,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    fn not_leader(&self) -> Option<v1::Error> {
        let script = self.script.lock().unwrap();
        (script.leader != self.id).then(|| v1::Error {
            leader: Some(v1::LeaderHint {
                broker_id: script.leader,
                address: script.addresses[script.leader as usize].clone(),
                leader_epoch: Some(script.leader_epoch),
            }),
            ..v1::Error::new(ErrorCode::NotLeader, "scripted")
        })
    }

    fn ack(&self, batch: v1::ProduceBatch) -> v1::ProduceAck {
        let result = match self.not_leader() {
            Some(error) => Err(error),
            None => {
                let appended = self.script.lock().unwrap().append(batch.record_batch);
                appended.map_err(|code| v1::Error::new(code, "scripted"))
            }
        };
        let result = match result {
            Ok(base_offset) => v1::produce_ack::Result::Appended(v1::AppendedBatch {
                base_offset,
                acks_reached: v1::Acks::All.into(),
                ..v1::AppendedBatch::default()
            }),
            Err(error) => v1::produce_ack::Result::Error(Box::new(error)),
        };
        v1::ProduceAck { correlation_id: batch.correlation_id, result: Some(result) }
    }

    /// Answers an `open`: everything that is there, and the end if it is reached.
    fn open(&self, fetch_id: u32, open: &v1::FetchOpen) -> Vec<Result<v1::FetchResponse, Status>> {
        let item = |item| {
            let item = v1::FetchItem { fetch_id, generation: open.generation, item: Some(item) };
            Ok(v1::FetchResponse { items: vec![item] })
        };
        let closed = |reason: v1::FetchCloseReason, error| {
            item(v1::fetch_item::Item::Closed(Box::new(v1::FetchClosed { reason: reason.into(), error })))
        };
        if let Some(error) = self.not_leader() {
            return vec![closed(v1::FetchCloseReason::Failed, Some(error))];
        }
        let mut script = self.script.lock().unwrap();
        let high_watermark = script.log_end();
        let position = match open.position {
            Some(v1::fetch_open::Position::Offset(offset)) => offset,
            Some(v1::fetch_open::Position::Named(1)) => 0,
            _ => high_watermark,
        };
        script.opened_at.push(position);
        if position > high_watermark {
            let error = v1::Error::new(ErrorCode::OffsetOutOfRange, "scripted");
            return vec![closed(v1::FetchCloseReason::Failed, Some(error))];
        }
        let topic_id = bytes::Bytes::from_static(&TOPIC_ID);
        let opened = v1::FetchOpened { topic_id, position, high_watermark, ..v1::FetchOpened::default() };
        let mut answers = vec![item(v1::fetch_item::Item::Opened(opened))];
        let wanted = |batch: &&RecordBatch| batch.header().next_offset().get() > position;
        for batch in script.log.clone().iter().filter(wanted) {
            if script.breaks() {
                answers.push(Err(Status::unavailable("scripted")));
                return answers;
            }
            answers.push(item(v1::fetch_item::Item::Batches(v1::FetchBatches {
                record_batches: vec![batch.bytes().clone()],
                high_watermark,
                ..v1::FetchBatches::default()
            })));
        }
        if open.end_offset.is_some_and(|end| end <= high_watermark) {
            answers.push(closed(v1::FetchCloseReason::EndReached, None));
        }
        answers
    }
}

/// Turns a channel into the stream that a call answers with.
fn answers<T: Send + 'static>(mut receiver: mpsc::Receiver<Result<T, Status>>) -> Response<Answers<T>> {
    Response::new(Box::pin(stream::poll_fn(move |context| receiver.poll_recv(context))))
}

#[tonic::async_trait]
impl Broker for Scripted {
    type ProduceStream = Answers<v1::ProduceResponse>;
    type FetchStream = Answers<v1::FetchResponse>;
    type FetchRecordsStream = Answers<v1::FetchRecordsResponse>;

    async fn produce(
        &self,
        request: Request<Streaming<v1::ProduceRequest>>,
    ) -> Result<Response<Self::ProduceStream>, Status> {
        let (sender, receiver) = mpsc::channel(8);
        let broker = self.clone();
        tokio::spawn(async move {
            let mut requests = request.into_inner();
            while let Ok(Some(request)) = requests.message().await {
                let mut acks = Vec::new();
                for batch in request.batches {
                    let ack = broker.ack(batch);
                    if broker.script.lock().unwrap().breaks() {
                        let _ = sender.send(Err(Status::unavailable("scripted"))).await;
                        return;
                    }
                    acks.push(ack);
                }
                if sender.send(Ok(v1::ProduceResponse { acks })).await.is_err() {
                    return;
                }
            }
        });
        Ok(answers(receiver))
    }

    async fn fetch(
        &self,
        request: Request<Streaming<v1::FetchRequest>>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let (sender, receiver) = mpsc::channel(8);
        let broker = self.clone();
        tokio::spawn(async move {
            let mut requests = request.into_inner();
            let mut is_first = true;
            while let Ok(Some(request)) = requests.message().await {
                if std::mem::take(&mut is_first) {
                    broker.script.lock().unwrap().first_credits.push(request.credit_bytes);
                }
                for command in request.commands {
                    let Some(v1::fetch_command::Command::Open(open)) = command.command else { continue };
                    for answer in broker.open(command.fetch_id, &open) {
                        let is_last = answer.is_err();
                        if sender.send(answer).await.is_err() || is_last {
                            return;
                        }
                    }
                }
            }
        });
        Ok(answers(receiver))
    }

    async fn metadata(&self, request: Request<v1::MetadataRequest>) -> Result<Response<v1::MetadataResponse>, Status> {
        let mut script = self.script.lock().unwrap();
        script.metadata_calls += 1;
        let topic = |name: String| {
            let partition = v1::PartitionMetadata {
                partition: 0,
                leader_id: Some(script.leader),
                leader_epoch: script.leader_epoch,
                replica_ids: vec![0, 1],
            };
            let (topic_id, partitions) = (bytes::Bytes::from_static(&TOPIC_ID), vec![partition]);
            let unknown = || v1::Error::new(ErrorCode::InvalidTopic, "scripted");
            let error = (name != TOPIC).then(unknown);
            v1::TopicMetadata { name, topic_id, partitions, error, internal: false }
        };
        let names = request.into_inner().topics.into_iter().filter_map(|topic| match topic.by {
            Some(v1::topic_ref::By::Name(name)) => Some(name),
            _ => None,
        });
        let brokers = script.addresses.iter().zip(0..).map(|(address, broker_id)| v1::BrokerAddress {
            broker_id,
            address: address.clone(),
            rack: None,
        });
        Ok(Response::new(v1::MetadataResponse {
            cluster_id: "scripted".to_owned(),
            brokers: brokers.collect(),
            controller_id: Some(0),
            metadata_version: u64::from(script.leader_epoch),
            topics: names.map(topic).collect(),
        }))
    }

    async fn init_producer_id(
        &self,
        _: Request<v1::InitProducerIdRequest>,
    ) -> Result<Response<v1::InitProducerIdResponse>, Status> {
        let producer = v1::ProducerIdentity { producer_id: 5, producer_epoch: 0 };
        let result = Some(v1::init_producer_id_response::Result::Producer(producer));
        Ok(Response::new(v1::InitProducerIdResponse { result }))
    }

    async fn list_offsets(
        &self,
        request: Request<v1::ListOffsetsRequest>,
    ) -> Result<Response<v1::ListOffsetsResponse>, Status> {
        let result = match (self.not_leader(), &request.get_ref().queries[0].place) {
            (Some(error), _) => v1::list_offsets_result::Result::Error(Box::new(error)),
            (None, Some(v1::list_offsets_query::Place::Named(2))) => {
                let offset = Some(self.script.lock().unwrap().log_end());
                v1::list_offsets_result::Result::Listed(v1::ListedOffset { offset, timestamp_ms: None })
            }
            (None, _) => v1::list_offsets_result::Result::Listed(v1::ListedOffset::default()),
        };
        let results = vec![v1::ListOffsetsResult { result: Some(result) }];
        Ok(Response::new(v1::ListOffsetsResponse { results }))
    }

    async fn produce_records(
        &self,
        _: Request<v1::ProduceRecordsRequest>,
    ) -> Result<Response<v1::ProduceRecordsResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn fetch_records(
        &self,
        _: Request<v1::FetchRecordsRequest>,
    ) -> Result<Response<Self::FetchRecordsStream>, Status> {
        Err(Status::unimplemented("not in the script"))
    }
}

/// Starts two brokers and a client of theirs.
async fn start() -> (Client, Arc<Mutex<Script>>) {
    let script = Arc::new(Mutex::new(Script { leader_epoch: 1, ..Script::default() }));
    for id in 0..2 {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap().to_string();
        script.lock().unwrap().addresses.push(address);
        let service = BrokerServer::new(Scripted { id, script: Arc::clone(&script) });
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    }
    let addresses = script.lock().unwrap().addresses.join(",");
    let backoff = Backoff { initial: Duration::from_millis(2), max: Duration::from_millis(20) };
    let client = Client::builder(addresses).backoff(backoff).connect().await.unwrap();
    (client, script)
}

async fn producer(client: &Client) -> Producer {
    client.producer().compression(Compression::Lz4).batch_bytes(300).linger_ms(1).build().await.unwrap()
}

async fn send_all(producer: &Producer, count: u32) {
    let mut deliveries = Vec::new();
    for number in 0..count {
        deliveries.push(producer.send(Record::to(TOPIC).key("k").value(number.to_string())).await.unwrap());
    }
    for (number, delivery) in (0..).zip(deliveries) {
        let metadata = delivery.await.unwrap();
        assert_eq!(metadata.offset, Some(Offset::new(number)));
    }
}

/// Reads all values until the consumer ends.
async fn read_all(mut consumer: Consumer) -> Vec<u32> {
    let mut values = Vec::new();
    while let Some(record) = consumer.next().await {
        let value = record.unwrap().value.unwrap();
        values.push(std::str::from_utf8(&value).unwrap().parse().unwrap());
    }
    consumer.close().await.unwrap();
    values
}

#[tokio::test]
async fn records_are_stored_once_and_in_order_though_streams_break_before_the_acks() {
    let (client, script) = start().await;
    let producer = producer(&client).await;
    send_all(&producer, 1).await;
    script.lock().unwrap().breaks_after = Some(2);
    let sent = async {
        let mut deliveries = Vec::new();
        for number in 1..200_u32 {
            deliveries.push(producer.send(Record::to(TOPIC).value(number.to_string())).await.unwrap());
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    };
    sent.await;
    producer.close().await.unwrap();
    let consumer = client.consumer().assign_until(TOPIC, 0, Position::Start, Offset::new(200)).build().await.unwrap();
    let mut values = read_all(consumer).await;
    assert_eq!(values.remove(0), 0);
    assert_eq!(values, (1..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_leader_that_moves_is_followed() {
    let (client, script) = start().await;
    let producer = producer(&client).await;
    send_all(&producer, 10).await;
    {
        let mut script = script.lock().unwrap();
        script.leader = 1;
        script.leader_epoch = 2;
    }
    let delivery = producer.send(Record::to(TOPIC).value("10")).await.unwrap();
    assert_eq!(delivery.await.unwrap().offset, Some(Offset::new(10)));
    let consumer = client.consumer().assign_until(TOPIC, 0, Position::Start, Offset::new(11)).build().await.unwrap();
    assert_eq!(read_all(consumer).await, (0..11).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_goes_on_behind_what_it_has_when_its_stream_breaks() {
    let (client, script) = start().await;
    let producer = producer(&client).await;
    send_all(&producer, 100).await;
    script.lock().unwrap().breaks_after = Some(2);
    let consumer = client
        .consumer()
        .assign_until(TOPIC, 0, Position::Start, Offset::new(99))
        .buffer_bytes(10_000)
        .build()
        .await
        .unwrap();
    assert_eq!(read_all(consumer).await, (0..99).collect::<Vec<_>>());
    let script = script.lock().unwrap();
    assert_eq!(script.opened_at.len(), 2);
    assert!(script.opened_at[1] > 0, "what was buffered is not read again");
    assert!(script.first_credits[0] > 0, "credit comes with the first request");
}

#[tokio::test]
async fn a_seek_back_gives_the_same_records_again_and_a_pause_none() {
    let (client, _script) = start().await;
    let producer = producer(&client).await;
    send_all(&producer, 20).await;
    let mut consumer = client.consumer().assign([(TOPIC, 0, Position::Start)]).build().await.unwrap();
    for expected in 0..7 {
        assert_eq!(consumer.next().await.unwrap().unwrap().offset, Offset::new(expected));
    }
    consumer.pause(TOPIC, 0).unwrap();
    assert_eq!(consumer.position(TOPIC, 0), Ok(Some(Offset::new(7))));
    assert!(consumer.next().now_or_never().is_none(), "a paused partition is silent");
    consumer.resume(TOPIC, 0).unwrap();
    assert_eq!(consumer.next().await.unwrap().unwrap().offset, Offset::new(7));
    let rest = consumer.next_batch().await.unwrap().unwrap();
    assert_eq!(rest.records().unwrap().next().unwrap().unwrap().offset, Offset::new(8));
    assert!(consumer.seek(TOPIC, 1, Position::Start).is_err());
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn without_acks_records_are_sent_and_their_offsets_unknown() {
    let (client, script) = start().await;
    let producer = client.producer().acks(Acks::None).build().await.unwrap();
    let delivery = producer.send(Record::to(TOPIC).value("0")).await.unwrap();
    assert_eq!(delivery.await.unwrap().offset, None);
    producer.close().await.unwrap();
    drop(script);
}

#[tokio::test]
async fn what_can_never_be_sent_or_read_is_refused_at_once() {
    let (client, _script) = start().await;
    let producer = client.producer().batch_bytes(128).batch_bytes_max(128).build().await.unwrap();
    let refused = |record: Record| async { producer.send(record).await.unwrap_err() };
    assert!(matches!(refused(Record::to("a/b")).await, SendError::TopicName { .. }));
    assert!(matches!(refused(Record::to("unknown")).await, SendError::Topic { .. }));
    assert!(matches!(refused(Record::to(TOPIC).partition(9)).await, SendError::Partition { .. }));
    let large = Record::to(TOPIC).value(vec![0; 200]);
    assert!(matches!(refused(large).await, SendError::RecordTooLarge { limit: "batch_bytes_max", .. }));
    let clone = producer.clone();
    producer.close().await.unwrap();
    assert_eq!(clone.send(Record::to(TOPIC)).await.unwrap_err(), SendError::Closed);

    let consumer = client.consumer().out_of_range(OutOfRange::Latest);
    let error = consumer.assign([(TOPIC, 9, Position::End)]).build().await.unwrap_err();
    assert!(matches!(error, ConsumerConfigError::Partition { .. }));
}

#[tokio::test]
async fn a_small_buffer_holds_the_application_back_and_loses_nothing() {
    let (client, script) = start().await;
    let producer = client.producer().batch_bytes(300).buffer_bytes(1_000).build().await.unwrap();
    send_all(&producer, 1).await;
    let mut last = None;
    for number in 1..300_u32 {
        last = Some(producer.send(Record::to(TOPIC).value(number.to_string())).await.unwrap());
    }
    assert_eq!(last.unwrap().await.unwrap().offset, Some(Offset::new(299)));
    producer.close().await.unwrap();
    assert_eq!(script.lock().unwrap().log_end(), 300);
}

#[tokio::test]
async fn a_task_that_sends_without_a_pause_lets_others_run() {
    let (client, _script) = start().await;
    let producer = producer(&client).await;
    send_all(&producer, 1).await;
    // Runs on the only thread of this test.
    let other = tokio::spawn(async {});
    for _ in 0..1_000 {
        drop(producer.send(Record::to(TOPIC).value("v")).await.unwrap());
    }
    assert!(other.is_finished(), "all sends had their turn at once");
}

#[tokio::test]
async fn records_of_a_producer_that_is_dropped_are_still_sent() {
    let (client, _script) = start().await;
    let producer = producer(&client).await;
    let first = producer.send(Record::to(TOPIC).value("0")).await.unwrap();
    let second = producer.send(Record::to(TOPIC).value("1")).await.unwrap();
    drop(producer);
    drop(client);
    assert_eq!(first.await.unwrap().offset, Some(Offset::new(0)));
    assert_eq!(second.await.unwrap().offset, Some(Offset::new(1)));
}

#[tokio::test]
async fn many_who_want_to_know_the_same_cost_one_question_or_two() {
    let (client, script) = start().await;
    let producer = producer(&client).await;
    let before = script.lock().unwrap().metadata_calls;
    let sends = (0..50).map(|number| producer.send(Record::to(TOPIC).value(number.to_string())));
    for delivery in join_all(sends).await {
        delivery.unwrap().await.unwrap();
    }
    // The first may have been asked before the others came.
    assert!(script.lock().unwrap().metadata_calls - before <= 2);
}

#[tokio::test]
async fn offsets_are_looked_up_at_the_leader_also_after_it_moved() {
    let (client, script) = start().await;
    let admin = client.admin();
    send_all(&producer(&client).await, 3).await;
    {
        let mut script = script.lock().unwrap();
        script.leader = 1;
        script.leader_epoch = 2;
    }
    let latest = OffsetSpec::Latest(IsolationLevel::ReadUncommitted);
    let listed =
        admin.list_offsets([(TOPIC, 0, latest), (TOPIC, 0, OffsetSpec::Timestamp(9)), (TOPIC, 7, latest)]).await;
    let offsets: Vec<_> = listed.iter().map(|listed| listed.as_ref().map(|listed| listed.offset)).collect();
    assert_eq!(offsets[..2], [Ok(Some(Offset::new(3))), Ok(None)]);
    let missing = offsets[2].unwrap_err().to_string();
    assert_eq!(missing, "orders/7: UNKNOWN_TOPIC_OR_PARTITION: topic orders has 1 partitions, 7 is none of them");
}

#[tokio::test]
async fn a_broker_that_hangs_does_not_keep_a_client_from_the_others() {
    // It takes connections, which is all that the system does for it, and never answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_, script) = start().await;
    let addresses = format!("{},{}", hanging.local_addr().unwrap(), script.lock().unwrap().addresses[0]);
    let client = Client::builder(addresses).request_timeout(Duration::from_secs(1)).connect().await.unwrap();
    assert_eq!(client.cluster_id(), "scripted");
}
