//! `Fetch` and `FetchRecords` over a real connection from real logs.

use bytes::Bytes;
use tidelog_proto::api::{decode_status_details, v1};
use tidelog_proto::batch::{DecodeLimits, RecordBatch, Retained, emptied, retain_records};
use tidelog_proto::error_code::ErrorCode;
use tonic::{Code, Streaming};

use crate::partition_table::Topology;
use crate::test_logs::{TOPIC_ID, batch_of};
use crate::test_server::{TestServer, next, topic_ref, try_next};
use tidelog_raft::ReplicatedLog;

use v1::fetch_command::Command;
use v1::fetch_item::Item;
use v1::fetch_open::Position;

fn open(partition: u32, position: Position) -> v1::FetchOpen {
    v1::FetchOpen { topic: topic_ref(), partition, position: Some(position), generation: 1, ..Default::default() }
}

fn command(fetch_id: u32, command: Command) -> v1::FetchCommand {
    v1::FetchCommand { fetch_id, command: Some(command) }
}

fn request(credit_bytes: u32, commands: Vec<v1::FetchCommand>) -> v1::FetchRequest {
    v1::FetchRequest { credit_bytes, commands }
}

fn named(name: v1::NamedOffset) -> Position {
    Position::Named(name.into())
}

/// What a reader has of a stream, item by item.
struct Reader {
    responses: Streaming<v1::FetchResponse>,
    items: std::vec::IntoIter<v1::FetchItem>,
}

impl Reader {
    fn new(responses: Streaming<v1::FetchResponse>) -> Self {
        Self { responses, items: Vec::new().into_iter() }
    }

    async fn next(&mut self) -> v1::FetchItem {
        loop {
            if let Some(item) = self.items.next() {
                return item;
            }
            self.items = next(&mut self.responses).await.items.into_iter();
        }
    }

    async fn opened(&mut self) -> v1::FetchOpened {
        match self.next().await.item {
            Some(Item::Opened(opened)) => opened,
            other => panic!("{other:?}"),
        }
    }

    async fn closed(&mut self) -> v1::FetchClosed {
        match self.next().await.item {
            Some(Item::Closed(closed)) => *closed,
            other => panic!("{other:?}"),
        }
    }

    async fn error(&mut self) -> v1::Error {
        let closed = self.closed().await;
        assert_eq!(closed.reason(), v1::FetchCloseReason::Failed);
        closed.error.unwrap()
    }

    /// Reads as many records and gives their offsets.
    async fn offsets(&mut self, count: usize) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.len() < count {
            match self.next().await.item {
                Some(Item::Batches(batches)) => {
                    for batch in batches.record_batches {
                        let batch = RecordBatch::parse(batch).unwrap().verified().unwrap();
                        let records = batch.records(DecodeLimits::DEFAULT).unwrap();
                        offsets.extend(records.map(|record| record.unwrap().offset.get()));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        offsets
    }
}

#[tokio::test]
async fn records_are_pushed_as_they_are_committed() {
    let mut server = TestServer::start(1).await;
    server.logs[0].fill(5).await;
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    let earliest = open(0, named(v1::NamedOffset::Earliest));
    requests.send(request(1 << 20, vec![command(7, Command::Open(earliest))])).await.unwrap();
    let opened = reader.opened().await;
    assert_eq!((&opened.topic_id[..], opened.position, opened.high_watermark), (&TOPIC_ID.get()[..], 0, 5));
    assert_eq!(reader.offsets(5).await, [0, 1, 2, 3, 4]);
    for offset in 5..10 {
        server.logs[0].fill(1).await;
        assert_eq!(reader.offsets(1).await, [offset]);
    }
    drop(requests);
    assert_eq!(try_next(&mut reader.responses).await.unwrap(), None, "a closed stream ends well");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_committed_is_not_seen() {
    let mut server = TestServer::start(1).await;
    server.logs[0].fill(1).await;
    server.logs[0].hold();
    let _pending = server.logs[0].append(batch_of(&["held"])).await.unwrap();
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    requests.send(request(1 << 20, vec![command(0, Command::Open(open(0, Position::Offset(0))))])).await.unwrap();
    assert_eq!(reader.opened().await.high_watermark, 1);
    assert_eq!(reader.offsets(1).await, [0]);
    server.logs[0].commit();
    assert_eq!(reader.offsets(1).await, [1]);
}

#[tokio::test]
async fn a_long_log_comes_whole_and_in_order_within_its_credit() {
    let mut server = TestServer::start(2).await;
    let value = "x".repeat(100_000);
    for log in &server.logs {
        for _ in 0..40 {
            log.append(batch_of(&[&value])).await.unwrap().await.unwrap();
        }
    }
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    let opens = [0, 1].map(|id| command(id, Command::Open(open(id, Position::Offset(0)))));
    requests.send(request(300_000, opens.to_vec())).await.unwrap();
    let (mut next_offset, mut balance) = ([0, 0], 300_000_i64);
    while next_offset != [40, 40] {
        let item = reader.next().await;
        let place = item.fetch_id as usize;
        let Some(Item::Batches(batches)) = item.item else { continue };
        for batch in batches.record_batches {
            assert!(balance > 0);
            balance -= i64::try_from(batch.len()).unwrap();
            let batch = RecordBatch::parse(batch).unwrap().verified().unwrap();
            assert_eq!(batch.header().base_offset().get(), next_offset[place]);
            next_offset[place] += 1;
        }
        if balance < 100_000 {
            requests.send(request(300_000, Vec::new())).await.unwrap();
            balance += 300_000;
        }
    }
}

#[tokio::test]
async fn places_are_found_by_name_and_by_time() {
    let mut server = TestServer::start(1).await;
    server.logs[0].append(batch_of(&["1 ms", "2 ms", "3 ms"])).await.unwrap().await.unwrap();
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    let positions = [(named(v1::NamedOffset::Latest), 3), (Position::TimestampMs(2), 1), (Position::TimestampMs(4), 3)];
    for (fetch_id, (position, expected)) in (0..).zip(positions) {
        let open = v1::FetchOpen { paused: true, ..open(0, position) };
        requests.send(request(0, vec![command(fetch_id, Command::Open(open))])).await.unwrap();
        assert_eq!(reader.opened().await.position, expected);
    }
}

#[tokio::test]
async fn a_partition_that_cannot_be_opened_says_why_and_the_stream_goes_on() {
    let mut server = TestServer::start(1).await;
    server.logs[0].fill(4).await;
    server.logs[0].start_at(2);
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    let unknown = v1::TopicRef { by: Some(v1::topic_ref::By::Id(Bytes::from_static(&[9; 16]))) };
    let cases = [
        (open(0, Position::Offset(1)), ErrorCode::OffsetOutOfRange),
        (open(0, Position::Offset(5)), ErrorCode::OffsetOutOfRange),
        (open(1, Position::Offset(0)), ErrorCode::NotLeader),
        (open(2, Position::Offset(0)), ErrorCode::UnknownTopicOrPartition),
        (v1::FetchOpen { topic: Some(unknown), ..open(0, Position::Offset(0)) }, ErrorCode::UnknownTopicId),
        (v1::FetchOpen { isolation_level: 9, ..open(0, Position::Offset(0)) }, ErrorCode::InvalidRequest),
        (v1::FetchOpen { position: None, ..open(0, Position::Offset(0)) }, ErrorCode::InvalidRequest),
        (v1::FetchOpen { end_offset: Some(u64::MAX), ..open(0, Position::Offset(0)) }, ErrorCode::InvalidRequest),
    ];
    for (open, code) in cases {
        requests.send(request(0, vec![command(3, Command::Open(open.clone()))])).await.unwrap();
        let error = reader.error().await;
        assert_eq!(error.known_code(), Some(code), "{open:?}: {error}");
        if code == ErrorCode::OffsetOutOfRange {
            assert_eq!(error.offset_range, Some(v1::OffsetRange { log_start_offset: 2, high_watermark: 4 }));
        }
    }
    requests.send(request(1 << 20, vec![command(3, Command::Open(open(0, Position::Offset(2))))])).await.unwrap();
    assert_eq!(reader.opened().await.position, 2);
    assert_eq!(reader.offsets(2).await, [2, 3]);
}

#[tokio::test]
async fn a_follower_serves_what_it_has_waits_for_the_rest_and_knows_no_latest() {
    let mut server = TestServer::start(1).await;
    server.logs[0].fill(3).await;
    server.logs[0].start_at(1);
    server.logs[0].lose_leadership();
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    let mut opens = [named(v1::NamedOffset::Latest), Position::Offset(0), Position::Offset(9), Position::Offset(1)]
        .map(|position| Command::Open(open(0, position)))
        .into_iter();
    let mut open_next = async |fetch_id| {
        requests.send(request(1 << 20, vec![command(fetch_id, opens.next().unwrap())])).await.unwrap();
    };
    open_next(0).await;
    let error = reader.error().await;
    assert_eq!(error.known_code(), Some(ErrorCode::NotLeader));
    open_next(0).await;
    let error = reader.error().await;
    assert_eq!(error.known_code(), Some(ErrorCode::FetchFromLeader));
    assert_eq!(error.leader.unwrap().address, "127.0.0.1:2");
    open_next(0).await;
    assert_eq!(reader.opened().await.position, 9);
    open_next(1).await;
    reader.opened().await;
    assert_eq!(reader.offsets(2).await, [1, 2]);
}

#[tokio::test]
async fn seek_pause_resume_and_close_do_what_they_say() {
    let mut server = TestServer::start(1).await;
    server.logs[0].fill(6).await;
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    let paused = v1::FetchOpen { paused: true, ..open(0, Position::Offset(0)) };
    requests.send(request(1 << 20, vec![command(0, Command::Open(paused))])).await.unwrap();
    reader.opened().await;
    let seek = v1::FetchSeek { position: Some(v1::fetch_seek::Position::Offset(4)), end_offset: None, generation: 2 };
    requests.send(request(0, vec![command(0, Command::Seek(seek))])).await.unwrap();
    let item = reader.next().await;
    assert_eq!(item.generation, 2);
    assert!(matches!(item.item, Some(Item::Opened(v1::FetchOpened { position: 4, .. }))), "{item:?}");
    requests.send(request(0, vec![command(0, Command::Resume(v1::FetchResume {}))])).await.unwrap();
    assert_eq!(reader.offsets(2).await, [4, 5]);
    let close = command(0, Command::Close(v1::FetchClose {}));
    requests.send(request(0, vec![command(0, Command::Pause(v1::FetchPause {})), close])).await.unwrap();
    assert_eq!(reader.closed().await.reason(), v1::FetchCloseReason::Requested);
    let bounded = v1::FetchOpen { end_offset: Some(3), ..open(0, Position::Offset(1)) };
    requests.send(request(0, vec![command(0, Command::Open(bounded))])).await.unwrap();
    reader.opened().await;
    assert_eq!(reader.offsets(2).await, [1, 2]);
    assert_eq!(reader.closed().await.reason(), v1::FetchCloseReason::EndReached);
}

#[tokio::test]
async fn a_partition_that_leaves_the_broker_is_closed() {
    let mut server = TestServer::start(1).await;
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    requests.send(request(1, vec![command(0, Command::Open(open(0, Position::Offset(0))))])).await.unwrap();
    reader.opened().await;
    server.path.table.replace(Topology::default());
    let error = reader.error().await;
    assert_eq!(error.known_code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test]
async fn a_position_that_retention_overtakes_is_closed_with_what_there_is() {
    let mut server = TestServer::start(1).await;
    server.logs[0].fill(4).await;
    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    requests.send(request(0, vec![command(0, Command::Open(open(0, Position::Offset(0))))])).await.unwrap();
    reader.opened().await;
    server.logs[0].start_at(3);
    requests.send(request(1 << 20, Vec::new())).await.unwrap();
    let error = reader.error().await;
    assert_eq!(error.known_code(), Some(ErrorCode::OffsetOutOfRange));
    assert_eq!(error.offset_range.unwrap().log_start_offset, 3);
}

#[tokio::test]
async fn a_broken_rule_ends_the_call_and_so_does_the_end_of_the_broker() {
    let mut server = TestServer::start(1).await;
    for wrong in [request(u32::MAX, Vec::new()), request(0, vec![v1::FetchCommand { fetch_id: 0, command: None }])] {
        let (requests, mut responses) = server.fetch().await;
        requests.send(wrong).await.unwrap();
        let status = try_next(&mut responses).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(decode_status_details(Bytes::copy_from_slice(status.details())).is_some());
    }
    let (_requests, mut responses) = server.fetch().await;
    server.path.end_streams();
    assert_eq!(try_next(&mut responses).await.unwrap_err().code(), Code::Unavailable);
}

fn plain(position: v1::fetch_records_request::Position) -> v1::FetchRecordsRequest {
    v1::FetchRecordsRequest { topic: topic_ref(), position: Some(position), ..Default::default() }
}

/// Reads a call to its end: the offsets of the records, where to go on, and the error.
async fn records_of(
    server: &mut TestServer,
    request: v1::FetchRecordsRequest,
) -> (Vec<u64>, Option<u64>, Option<v1::Error>) {
    let mut responses = server.client.fetch_records(request).await.unwrap().into_inner();
    let (mut offsets, mut next_offset, mut error) = (Vec::new(), None, None);
    while let Some(response) = try_next(&mut responses).await.unwrap() {
        match response.result.unwrap() {
            v1::fetch_records_response::Result::Fetched(fetched) => {
                offsets.extend(fetched.records.iter().map(|record| record.offset));
                next_offset = Some(fetched.next_offset);
            }
            v1::fetch_records_response::Result::Error(told) => error = Some(*told),
        }
    }
    (offsets, next_offset, error)
}

#[tokio::test]
async fn plain_records_come_within_their_range_and_number() {
    use v1::fetch_records_request::Position::{Named, Offset, TimestampMs};
    let mut server = TestServer::start(1).await;
    for _ in 0..3 {
        server.logs[0].append(batch_of(&["a", "b", "c"])).await.unwrap().await.unwrap();
    }
    let range = v1::FetchRecordsRequest { end_offset: Some(7), ..plain(Offset(1)) };
    assert_eq!(records_of(&mut server, range).await, ((1..7).collect(), Some(7), None));
    let few = v1::FetchRecordsRequest { records_max: Some(2), ..plain(TimestampMs(3)) };
    assert_eq!(records_of(&mut server, few).await, (vec![2, 3], Some(4), None));
    let all = v1::FetchRecordsRequest { end_offset: Some(9), ..plain(Named(v1::NamedOffset::Earliest.into())) };
    assert_eq!(records_of(&mut server, all).await.0, (0..9).collect::<Vec<_>>());
    let (none, _, error) = records_of(&mut server, plain(Offset(10))).await;
    assert_eq!((none.len(), error.unwrap().known_code()), (0, Some(ErrorCode::OffsetOutOfRange)));
    let zero = v1::FetchRecordsRequest { records_max: Some(0), ..plain(Offset(0)) };
    assert_eq!(server.client.fetch_records(zero).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_call_for_records_without_an_end_waits_for_more() {
    use v1::fetch_records_request::Position::Offset;
    let mut server = TestServer::start(1).await;
    let mut responses = server.client.fetch_records(plain(Offset(0))).await.unwrap().into_inner();
    for offset in 0..3 {
        server.logs[0].fill(1).await;
        let response = next(&mut responses).await;
        let Some(v1::fetch_records_response::Result::Fetched(fetched)) = response.result else { panic!() };
        assert_eq!((fetched.records[0].offset, fetched.next_offset), (offset, offset + 1));
    }
    server.path.end_streams();
    assert_eq!(try_next(&mut responses).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn what_compaction_left_out_is_passed_over() {
    use v1::fetch_records_request::Position::Offset;
    let mut server = TestServer::start(1).await;
    let whole = batch_of(&["a", "b", "c"]);
    let first = retain_records(&whole, DecodeLimits::DEFAULT, |record| record.value.as_deref() == Some(b"a"));
    let Retained::Some(first) = first.unwrap() else { panic!("two of three go") };
    for batch in [first, emptied(&whole), whole, emptied(&batch_of(&["d"]))] {
        server.logs[0].append(batch).await.unwrap().await.unwrap();
    }
    let all = v1::FetchRecordsRequest { end_offset: Some(10), ..plain(Offset(0)) };
    assert_eq!(records_of(&mut server, all).await, (vec![0, 6, 7, 8], Some(10), None));
    let gap = v1::FetchRecordsRequest { end_offset: Some(6), ..plain(Offset(1)) };
    assert_eq!(records_of(&mut server, gap).await, (Vec::new(), Some(6), None));

    let (requests, responses) = server.fetch().await;
    let mut reader = Reader::new(responses);
    let bounded = v1::FetchOpen { end_offset: Some(10), ..open(0, Position::Offset(1)) };
    requests.send(request(1 << 20, vec![command(0, Command::Open(bounded))])).await.unwrap();
    reader.opened().await;
    assert_eq!(reader.offsets(4).await, [0, 6, 7, 8], "the first batch begins below the position");
    assert_eq!(reader.closed().await.reason(), v1::FetchCloseReason::EndReached);
}
