//! The numbers of idempotent producers: gaps, repeats, old epochs.

use bytes::Bytes;
use tidelog_proto::api::v1;
use tidelog_proto::batch::{ProducerStamp, RecordBatch};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{ProducerEpoch, ProducerId, Sequence};

use super::batches::good_batch;
use super::host::{Host, PLAIN, by_name};
use super::row::{Row, Seen, body};

/// The partition that these rows write to.
const PARTITION: u32 = 1;

/// Batches of a producer that the broker remembers.
const REMEMBERED: u32 = 5;

/// A producer of these rows.
struct Producer<'a> {
    host: &'a Host,
    id: u64,
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("a gap after a producer's last batch", body(ErrorCode::OutOfOrderSequence), async |host: &Host| {
            let producer = Producer::new(host).await;
            producer.store(0, 0).await;
            producer.send(0, 2).await
        }),
        Row::new(
            "a sequence just before the first, around the end of all numbers",
            body(ErrorCode::DuplicateSequence),
            async |host: &Host| {
                let producer = Producer::new(host).await;
                producer.store(0, 0).await;
                producer.send(0, u32::try_from(i32::MAX).expect("positive")).await
            },
        ),
        Row::new("a batch that is sent twice is there once", Seen::Answered, async |host: &Host| {
            let producer = Producer::new(host).await;
            producer.store(0, 0).await;
            producer.send(0, 0).await
        }),
        Row::new(
            "a batch of too long ago to say where it is",
            body(ErrorCode::DuplicateSequence),
            async |host: &Host| {
                let producer = Producer::new(host).await;
                for sequence in 0..=REMEMBERED {
                    producer.store(0, sequence).await;
                }
                producer.send(0, 0).await
            },
        ),
        Row::new("a batch of an older epoch", body(ErrorCode::InvalidProducerEpoch), async |host: &Host| {
            let producer = Producer::new(host).await;
            producer.store(1, 0).await;
            producer.send(0, 0).await
        }),
        Row::new(
            "a newer epoch that does not begin with 0",
            body(ErrorCode::OutOfOrderSequence),
            async |host: &Host| {
                let producer = Producer::new(host).await;
                producer.store(0, 0).await;
                producer.send(1, 1).await
            },
        ),
        Row::new("a good batch behind a refused one", body(ErrorCode::NotLeader), async |host: &Host| {
            let producer = Producer::new(host).await;
            producer.store(0, 0).await;
            let batches = vec![producer.batch(0, 5), producer.batch(0, 6)];
            // The first leaves a gap; the second follows it, and nothing that is stored.
            host.produce_request(v1::ProduceRequest { batches, ..Default::default() }).await
        }),
    ]
}

impl<'a> Producer<'a> {
    async fn new(host: &'a Host) -> Self {
        let answer = host.broker().init_producer_id(v1::InitProducerIdRequest {}).await.expect("it answers");
        let Some(v1::init_producer_id_response::Result::Producer(identity)) = answer.into_inner().result else {
            panic!("no identity")
        };
        Self { host, id: identity.producer_id }
    }

    fn batch(&self, epoch: u16, sequence: u32) -> v1::ProduceBatch {
        let stamp = ProducerStamp {
            id: ProducerId::new(self.id),
            epoch: ProducerEpoch::new(epoch),
            base_sequence: Some(Sequence::new(sequence)),
        };
        let batch = RecordBatch::parse(good_batch()).and_then(RecordBatch::verified).expect("it is good");
        let record_batch: Bytes = batch.with_producer(stamp).expect("it has room").into_bytes();
        v1::ProduceBatch {
            correlation_id: sequence.into(),
            topic: Some(by_name(PLAIN)),
            partition: PARTITION,
            record_batch,
        }
    }

    async fn send(&self, epoch: u16, sequence: u32) -> Seen {
        let batches = vec![self.batch(epoch, sequence)];
        self.host.produce_request(v1::ProduceRequest { batches, ..Default::default() }).await
    }

    async fn store(&self, epoch: u16, sequence: u32) {
        assert_eq!(self.send(epoch, sequence).await, Seen::Answered);
        self.host.stored(PLAIN, PARTITION, 1);
    }
}
