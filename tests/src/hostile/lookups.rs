//! `ListOffsets` and `Metadata` beyond names, and the calls that take nothing.

use tidelog_proto::api::v1;
use tidelog_proto::api::v1::list_offsets_query::Place;
use tidelog_proto::error_code::ErrorCode;
use tonic::Status;

use super::host::{Host, PLAIN, by_name};
use super::row::{Row, Seen, body, call};

pub(super) fn rows() -> Vec<Row> {
    let list = |what: &str, must: Seen, place: Option<Place>, isolation_level: i32| {
        Row::new(format!("ListOffsets {what}"), must, async move |host: &Host| {
            let queries = vec![v1::ListOffsetsQuery { topic: Some(by_name(PLAIN)), partition: 0, place }];
            match host.broker().list_offsets(v1::ListOffsetsRequest { queries, isolation_level }).await {
                Ok(answer) => Seen::of_body(listed_error(answer.into_inner()).as_ref()),
                Err(status) => Seen::of_status(&status),
            }
        })
    };
    let latest = || Some(Place::Named(v1::NamedOffset::Latest.into()));
    let invalid = || body(ErrorCode::InvalidRequest);
    vec![
        list("of no place", invalid(), None, 0),
        list("of no place by name", invalid(), Some(Place::Named(0)), 0),
        list("of a place of no name", invalid(), Some(Place::Named(-1)), 0),
        list("at an isolation of no meaning", call(ErrorCode::InvalidRequest), latest(), 9),
        list("at the beginning of time", Seen::Answered, Some(Place::TimestampMs(i64::MIN)), 0),
        list("at the end of time", Seen::Answered, Some(Place::TimestampMs(i64::MAX)), 0),
        Row::new("ListOffsets of nothing", Seen::Answered, async |host: &Host| {
            answered(host.broker().list_offsets(v1::ListOffsetsRequest::default()).await)
        }),
        Row::new("Metadata of all topics and one", call(ErrorCode::InvalidRequest), async |host: &Host| {
            let topics = vec![by_name(PLAIN)];
            let request = v1::MetadataRequest { topics, all_topics: true, ..Default::default() };
            answered(host.broker().metadata(request).await)
        }),
        Row::new(
            "Metadata that would create a topic",
            body(ErrorCode::UnknownTopicOrPartition),
            async |host: &Host| {
                let topics = vec![by_name("nowhere")];
                let request = v1::MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() };
                match host.broker().metadata(request).await {
                    Ok(answer) => Seen::of_body(answer.into_inner().topics[0].error.as_ref()),
                    Err(status) => Seen::of_status(&status),
                }
            },
        ),
        Row::new("a thousand producer ids, none of which is used", Seen::Answered, async |host: &Host| {
            for _ in 0..1000 {
                if let Err(status) = host.broker().init_producer_id(v1::InitProducerIdRequest {}).await {
                    return Seen::of_status(&status);
                }
            }
            Seen::Answered
        }),
    ]
}

fn answered<T>(result: Result<T, Status>) -> Seen {
    result.map_or_else(|status| Seen::of_status(&status), |_| Seen::Answered)
}

/// Gives the error of the first query.
pub(super) fn listed_error(answer: v1::ListOffsetsResponse) -> Option<v1::Error> {
    match answer.results.into_iter().next().and_then(|result| result.result) {
        Some(v1::list_offsets_result::Result::Error(error)) => Some(*error),
        _ => None,
    }
}
