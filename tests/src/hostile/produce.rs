//! `Produce` and `ProduceRecords` beyond names and batches.

use futures_util::stream;
use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;

use super::batches::good_batch;
use super::host::{COMPACTED, Host, PLAIN, by_name};
use super::row::{Row, Seen, body, call};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = streams();
    rows.extend(plain_records());
    rows
}

fn streams() -> Vec<Row> {
    vec![
        Row::new("Produce with acks that mean nothing", call(ErrorCode::InvalidRequest), async |host: &Host| {
            host.produce_request(v1::ProduceRequest { acks: 99, batches: vec![good()], ..Default::default() }).await
        }),
        Row::new("Produce with negative acks", call(ErrorCode::InvalidRequest), async |host: &Host| {
            host.produce_request(v1::ProduceRequest { acks: -1, batches: vec![good()], ..Default::default() }).await
        }),
        Row::new("Produce without batches", Seen::Answered, async |host: &Host| {
            host.produce_request(v1::ProduceRequest::default()).await
        }),
        Row::new("Produce of a thousand requests without batches", Seen::Answered, async |host: &Host| {
            let requests = vec![v1::ProduceRequest::default(); 1000];
            let mut acks = host.broker().produce(stream::iter(requests)).await.expect("it opens").into_inner();
            match acks.message().await {
                Ok(None) => Seen::Answered,
                Ok(Some(_)) => Seen::Nothing,
                Err(status) => Seen::of_status(&status),
            }
        }),
        Row::new(
            "Produce of ten thousand refused batches at once",
            body(ErrorCode::InvalidRecord),
            async |host: &Host| {
                let batch = v1::ProduceBatch { topic: Some(by_name(PLAIN)), ..Default::default() };
                host.produce_request(v1::ProduceRequest { batches: vec![batch; 10_000], ..Default::default() }).await
            },
        ),
        Row::new("Produce that nobody takes an ack from", Seen::Answered, async |host: &Host| {
            let batch = v1::ProduceBatch { topic: Some(by_name(PLAIN)), ..Default::default() };
            let request = v1::ProduceRequest { batches: vec![batch; 1000], ..Default::default() };
            let acks = host.broker().produce(stream::iter(vec![request; 50])).await;
            // Dropped unread: the call is reset with acks on the way.
            acks.map_or_else(|status| Seen::of_status(&status), |_| Seen::Answered)
        }),
    ]
}

fn good() -> v1::ProduceBatch {
    v1::ProduceBatch { correlation_id: 1, topic: Some(by_name(PLAIN)), partition: 0, record_batch: good_batch() }
}

fn plain_records() -> Vec<Row> {
    let record = || v1::NewRecord { key: Some("k".into()), value: Some("v".into()), ..Default::default() };
    let request = |records: Vec<v1::NewRecord>| v1::ProduceRecordsRequest {
        topic: Some(by_name(PLAIN)),
        partition: Some(0),
        acks: 0,
        records,
    };
    let headers = vec![v1::RecordHeader::default(); 65];
    let row = |what: &str, must: Seen, request: v1::ProduceRecordsRequest| {
        Row::new(format!("ProduceRecords {what}"), must, async move |host: &Host| produce_records(host, request).await)
    };
    let invalid = || call(ErrorCode::InvalidRequest);
    vec![
        row("without records", invalid(), request(vec![])),
        row("with ACKS_NONE", invalid(), v1::ProduceRecordsRequest { acks: 1, ..request(vec![record()]) }),
        row("with acks that mean nothing", invalid(), v1::ProduceRecordsRequest { acks: 7, ..request(vec![record()]) }),
        row(
            "of 2 MiB where a batch may have one",
            body(ErrorCode::BatchTooLarge).of_limit("batch_bytes_max"),
            request(vec![v1::NewRecord { value: Some(vec![0; 2 << 20].into()), ..record() }]),
        ),
        row(
            "with 65 headers",
            body(ErrorCode::InvalidRecord).of_limit("headers_max"),
            request(vec![v1::NewRecord { headers, ..record() }]),
        ),
        row(
            "at the end of time",
            body(ErrorCode::InvalidTimestamp),
            request(vec![v1::NewRecord { timestamp_ms: Some(i64::MAX), ..record() }]),
        ),
        row(
            "at both ends of time",
            body(ErrorCode::InvalidTimestamp),
            request(vec![
                v1::NewRecord { timestamp_ms: Some(i64::MIN), ..record() },
                v1::NewRecord { timestamp_ms: Some(i64::MAX), ..record() },
            ]),
        ),
        row(
            "without a key on a compacted topic",
            body(ErrorCode::InvalidRecord),
            v1::ProduceRecordsRequest {
                topic: Some(by_name(COMPACTED)),
                ..request(vec![v1::NewRecord { key: None, ..record() }])
            },
        ),
    ]
}

async fn produce_records(host: &Host, request: v1::ProduceRecordsRequest) -> Seen {
    let count = request.records.len();
    match host.broker().produce_records(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            assert_eq!(answer.results.len(), count, "one result for each record");
            Seen::of_body(result_error(answer).as_ref())
        }
        Err(status) => Seen::of_status(&status),
    }
}

/// Gives the error of the first record.
pub(super) fn result_error(answer: v1::ProduceRecordsResponse) -> Option<v1::Error> {
    match answer.results.into_iter().next().and_then(|result| result.result) {
        Some(v1::produce_records_result::Result::Error(error)) => Some(*error),
        _ => None,
    }
}
