//! `Fetch` and `FetchRecords` beyond names.

use futures_util::stream;
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::fetch_command::Command;
use tidelog_proto::api::v1::fetch_open::Position;
use tidelog_proto::api::v1::fetch_records_request::Position as RecordsPosition;
use tidelog_proto::error_code::ErrorCode;

use super::host::{Host, PLAIN, by_name, open};
use super::row::{Row, Seen, body, call};

/// One past the largest offset.
const TOO_LARGE: u64 = 1 << 63;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = positions();
    rows.extend(against_the_rules());
    rows.extend(ignored());
    rows.extend(left_alone());
    rows.extend(plain_records());
    rows
}

pub(super) fn earliest() -> Position {
    Position::Named(v1::NamedOffset::Earliest.into())
}

fn granted(credit_bytes: u32, commands: Vec<v1::FetchCommand>) -> v1::FetchRequest {
    v1::FetchRequest { credit_bytes, commands }
}

fn command(fetch_id: u32, command: Command) -> v1::FetchCommand {
    v1::FetchCommand { fetch_id, command: Some(command) }
}

/// Sends requests and gives what the stream ends with, or what closes the first partition.
async fn end_of(host: &Host, requests: Vec<v1::FetchRequest>) -> Seen {
    let mut pushed = match host.fetch(requests).await {
        Ok(pushed) => pushed,
        Err(status) => return Seen::of_status(&status),
    };
    loop {
        match pushed.message().await {
            Ok(Some(response)) => {
                for item in response.items {
                    if let Some(v1::fetch_item::Item::Closed(closed)) = item.item {
                        let is_failed = closed.reason() == v1::FetchCloseReason::Failed;
                        assert_eq!(is_failed, closed.error.is_some(), "{closed:?}");
                        return Seen::of_body(closed.error.as_ref());
                    }
                }
            }
            Ok(None) => return Seen::Nothing,
            Err(status) => return Seen::of_status(&status),
        }
    }
}

/// Sends one command and gives why its partition is closed.
pub(super) async fn closed_first(host: &Host, command: Command) -> Seen {
    end_of(host, vec![granted(1 << 20, vec![v1::FetchCommand { fetch_id: 1, command: Some(command) }])]).await
}

fn positions() -> Vec<Row> {
    let row = |what: &str, must: Seen, open: v1::FetchOpen| {
        Row::new(format!("Fetch {what}"), must, async move |host: &Host| closed_first(host, Command::Open(open)).await)
    };
    let at = |position: Option<Position>| v1::FetchOpen { topic: Some(by_name(PLAIN)), position, ..Default::default() };
    let from_start = || at(Some(Position::Offset(0)));
    let invalid = || body(ErrorCode::InvalidRequest);
    vec![
        row("from nowhere", invalid(), at(None)),
        row("from no place by name", invalid(), at(Some(Position::Named(0)))),
        row("from a place of no name", invalid(), at(Some(Position::Named(9)))),
        row("from offset 2^63", invalid().of_limit("offset"), at(Some(Position::Offset(TOO_LARGE)))),
        row("from 2^63 - 1", body(ErrorCode::OffsetOutOfRange), at(Some(Position::Offset(TOO_LARGE - 1)))),
        row(
            "until 2^63",
            invalid().of_limit("end_offset"),
            v1::FetchOpen { end_offset: Some(TOO_LARGE), ..from_start() },
        ),
        row("at an isolation of no meaning", invalid(), v1::FetchOpen { isolation_level: 9, ..from_start() }),
        row(
            "to an end before the position",
            Seen::Answered,
            v1::FetchOpen { end_offset: Some(0), ..at(Some(Position::Offset(1))) },
        ),
    ]
}

fn against_the_rules() -> Vec<Row> {
    let open_first = || open(1, PLAIN, 0, earliest());
    let row = |what: &str, must: Seen, requests: Vec<v1::FetchRequest>| {
        Row::new(format!("Fetch {what}"), must, async move |host: &Host| end_of(host, requests).await)
    };
    let invalid = || call(ErrorCode::InvalidRequest);
    let credit = || invalid().of_limit("balance_bytes_max");
    let seek = v1::FetchSeek { position: None, ..Default::default() };
    vec![
        row("with more credit than fits", credit(), vec![granted(u32::MAX, vec![])]),
        row(
            "with credit that adds up to too much",
            credit(),
            vec![granted(i32::MAX.unsigned_abs(), vec![]), granted(1, vec![])],
        ),
        row("with the same number opened twice", invalid(), vec![granted(0, vec![open_first(), open_first()])]),
        row("with a command without a body", invalid(), vec![granted(0, vec![v1::FetchCommand::default()])]),
        row(
            "of 1001 partitions",
            body(ErrorCode::InvalidRequest).of_limit("fetch_partitions_max"),
            vec![granted(0, (0..=1000).map(|fetch_id| open(fetch_id, PLAIN, 0, earliest())).collect())],
        ),
        row(
            "with a seek to nowhere",
            body(ErrorCode::InvalidRequest),
            vec![granted(0, vec![open_first(), command(1, Command::Seek(seek))])],
        ),
        row(
            "with a seek past the end",
            body(ErrorCode::OffsetOutOfRange),
            vec![granted(
                0,
                vec![
                    open_first(),
                    command(
                        1,
                        Command::Seek(v1::FetchSeek {
                            position: Some(v1::fetch_seek::Position::Offset(1 << 40)),
                            ..Default::default()
                        }),
                    ),
                ],
            )],
        ),
    ]
}

/// Commands for a number that is not open change nothing: what is opened behind them is served.
fn ignored() -> Vec<Row> {
    let commands = [
        ("a seek", Command::Seek(v1::FetchSeek::default())),
        ("a pause", Command::Pause(v1::FetchPause {})),
        ("a resume", Command::Resume(v1::FetchResume {})),
        ("a close", Command::Close(v1::FetchClose {})),
    ];
    let row = |(what, unknown): (&str, Command)| {
        Row::new(format!("{what} of a number that is not open"), Seen::Answered, async move |host: &Host| {
            let good = open(1, PLAIN, 0, earliest());
            let request = granted(0, vec![command(77, unknown), good, command(1, Command::Close(v1::FetchClose {}))]);
            end_of(host, vec![request]).await
        })
    };
    commands.into_iter().map(row).collect()
}

fn left_alone() -> Vec<Row> {
    let from_start = || open(1, PLAIN, 0, Position::Offset(0));
    vec![
        Row::new("Fetch without credit is pushed nothing", Seen::Answered, async move |host: &Host| {
            let request = granted(0, vec![from_start(), command(1, Command::Close(v1::FetchClose {}))]);
            let mut pushed = host.fetch(vec![request]).await.expect("it opens");
            loop {
                let response = pushed.message().await.expect("it goes on").expect("it stays open");
                for item in response.items {
                    match item.item {
                        Some(v1::fetch_item::Item::Batches(_)) => return Seen::Nothing,
                        Some(v1::fetch_item::Item::Closed(closed)) => return Seen::of_body(closed.error.as_ref()),
                        _ => {}
                    }
                }
            }
        }),
        Row::new(
            "Fetch of everything a thousand times, which nobody reads",
            Seen::Answered,
            async move |host: &Host| {
                let start = v1::FetchSeek { position: Some(v1::fetch_seek::Position::Offset(0)), ..Default::default() };
                let mut requests = vec![granted(i32::MAX.unsigned_abs(), vec![from_start()])];
                requests.extend((0..1000).map(|_| granted(0, vec![command(1, Command::Seek(start))])));
                host.fetch(requests).await.map_or_else(|status| Seen::of_status(&status), |_| Seen::Answered)
            },
        ),
        Row::new("Fetch half-closed with records to push", Seen::Answered, async move |host: &Host| {
            let request = granted(i32::MAX.unsigned_abs(), vec![from_start()]);
            let mut pushed = host.broker().fetch(stream::iter([request])).await.expect("it opens").into_inner();
            loop {
                match pushed.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Seen::Answered,
                    Err(status) => return Seen::of_status(&status),
                }
            }
        }),
    ]
}

fn plain_records() -> Vec<Row> {
    let row = |what: &str, must: Seen, request: v1::FetchRecordsRequest| {
        Row::new(format!("FetchRecords {what}"), must, async move |host: &Host| records_first(host, request).await)
    };
    let at = |position: Option<RecordsPosition>| v1::FetchRecordsRequest {
        topic: Some(by_name(PLAIN)),
        position,
        ..Default::default()
    };
    let from_start = || at(Some(RecordsPosition::Offset(0)));
    let invalid = || call(ErrorCode::InvalidRequest);
    vec![
        row("of at most 0 records", invalid(), v1::FetchRecordsRequest { records_max: Some(0), ..from_start() }),
        row("from nowhere", invalid(), at(None)),
        row("from no place by name", invalid(), at(Some(RecordsPosition::Named(0)))),
        row("from offset 2^63", invalid().of_limit("offset"), at(Some(RecordsPosition::Offset(TOO_LARGE)))),
        row(
            "until 2^63",
            invalid().of_limit("end_offset"),
            v1::FetchRecordsRequest { end_offset: Some(TOO_LARGE), ..from_start() },
        ),
        row("at an isolation of no meaning", invalid(), v1::FetchRecordsRequest { isolation_level: 9, ..from_start() }),
        row("from beyond the end", body(ErrorCode::OffsetOutOfRange), at(Some(RecordsPosition::Offset(1 << 40)))),
        row(
            "to an end before the position",
            Seen::Nothing,
            v1::FetchRecordsRequest { end_offset: Some(0), ..at(Some(RecordsPosition::Offset(1))) },
        ),
    ]
}

/// Gives the first thing that a `FetchRecords` call says.
pub(super) async fn records_first(host: &Host, request: v1::FetchRecordsRequest) -> Seen {
    let mut records = match host.broker().fetch_records(request).await {
        Ok(records) => records.into_inner(),
        Err(status) => return Seen::of_status(&status),
    };
    match records.message().await {
        Ok(None) => Seen::Nothing,
        Err(status) => Seen::of_status(&status),
        Ok(Some(response)) => match response.result {
            Some(v1::fetch_records_response::Result::Error(error)) => Seen::of_body(Some(&error)),
            _ => Seen::Answered,
        },
    }
}
