//! Streams and connections that are opened and left alone.

use futures_util::stream;
use tidelog_proto::api::v1;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::host::{Host, and_then_nothing, broker_client};
use super::row::{Row, Seen};

/// Calls of one connection; the broker allows 128.
const CALLS: usize = 100;

/// Connections that say nothing.
const SILENT: usize = 200;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("200 streams that are opened, never used and dropped", Seen::Answered, async |host: &Host| {
            let (producing, fetching) = (host.connect().await, host.connect().await);
            let (mut acks, mut pushed) = (Vec::new(), Vec::new());
            for _ in 0..CALLS {
                let (stream, hold) = and_then_nothing::<v1::ProduceRequest>(vec![]);
                acks.push((broker_client(producing.clone()).produce(stream).await.expect("it opens"), hold));
                let (stream, hold) = and_then_nothing::<v1::FetchRequest>(vec![]);
                pushed.push((broker_client(fetching.clone()).fetch(stream).await.expect("it opens"), hold));
            }
            Seen::Answered
        }),
        Row::new("200 streams that are half-closed at once", Seen::Answered, async |host: &Host| {
            let channel = host.connect().await;
            for _ in 0..CALLS {
                let mut client = broker_client(channel.clone());
                let mut acks = client.produce(stream::empty()).await.expect("it opens").into_inner();
                assert!(acks.message().await.expect("it ends with OK").is_none());
                let mut pushed = client.fetch(stream::empty()).await.expect("it opens").into_inner();
                assert!(pushed.message().await.expect("it ends with OK").is_none());
            }
            Seen::Answered
        }),
        Row::new("200 connections that say nothing and go", Seen::Answered, async |host: &Host| {
            let mut silent = Vec::new();
            for _ in 0..SILENT {
                silent.push(TcpStream::connect(host.address()).await.expect("it listens"));
            }
            // While they are there, others are served.
            host.check("200 silent connections").await;
            Seen::Answered
        }),
        Row::new("Health of a service that is not there", Seen::Status(Code::NotFound), async |host: &Host| {
            let request = HealthCheckRequest { service: "x".repeat(1000) };
            match HealthClient::new(host.channel()).check(request).await {
                Ok(_) => Seen::Answered,
                Err(status) => Seen::of_status(&status),
            }
        }),
        Row::new("Health of a name of 100 KiB", Seen::Status(Code::OutOfRange), async |host: &Host| {
            let request = HealthCheckRequest { service: "x".repeat(100 << 10) };
            match HealthClient::new(host.channel()).check(request).await {
                Ok(_) => Seen::Answered,
                Err(status) => Seen::of_status(&status),
            }
        }),
        reflection("a file that is not there", Seen::Status(Code::NotFound), "../../etc/passwd".to_owned()),
        reflection("a name of 100 KiB", Seen::Nothing, "x".repeat(100 << 10)),
    ]
}

fn reflection(what: &str, must: Seen, name: String) -> Row {
    Row::new(format!("Reflection of {what}"), must, async move |host: &Host| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::FileByFilename(name)),
        };
        let mut client = ServerReflectionClient::new(host.channel());
        let mut answers = match client.server_reflection_info(stream::iter([request])).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Seen::of_status(&status),
        };
        match answers.message().await {
            Ok(Some(answer)) => match answer.message_response {
                Some(MessageResponse::ErrorResponse(error)) => Seen::Status(Code::from_i32(error.error_code)),
                _ => Seen::Answered,
            },
            Ok(None) => Seen::Nothing,
            Err(status) => Seen::of_status(&status),
        }
    })
}
