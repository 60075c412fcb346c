//! Topics come, change and go.

use tidelog_client::{ConfigChange, NewTopic, Offset, Record};
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::broker_client::BrokerClient;
use tonic::transport::Endpoint;

use super::{PATIENCE, Running, create, read_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_created_described_extended_and_deleted() {
    let running = Running::start(&[("num_partitions", "3")]).await;
    let client = running.client().await;
    let admin = client.admin();
    admin.create_topic(NewTopic::new("orders").config("retention_ms", "60000")).await.expect("it is created");
    let again = admin.create_topic(NewTopic::new("orders")).await.expect_err("it is there");
    assert!(again.to_string().contains("orders"), "{again}");
    let described = admin.describe_topic("orders").await.expect("it is there");
    assert_eq!(described.partitions.len(), 3);
    let names: Vec<String> =
        admin.list_topics(false).await.expect("it answers").into_iter().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["orders"]);

    admin.create_partitions("orders", 5).await.expect("there are more");
    assert_eq!(admin.describe_topic("orders").await.expect("it is there").partitions.len(), 5);
    assert!(admin.create_partitions("orders", 4).await.is_err(), "there are never fewer");

    let topic_dirs = || {
        let dir = running.dir.path().join("data");
        let entries = std::fs::read_dir(dir).expect("the data directory");
        entries.filter(|entry| entry.as_ref().expect("an entry").path().is_dir()).count()
    };
    assert_eq!(topic_dirs(), 2, "the topic's, and that of the metadata");
    admin.delete_topic("orders").await.expect("it goes");
    assert!(admin.describe_topic("orders").await.is_err());
    let gone = async {
        while topic_dirs() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("its files go");

    // Of the same name, and nothing of the old one in it.
    create(&client, "orders", 1, &[]).await;
    assert_eq!(read_all(&client, "orders", 1).await[&0], Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_told_of_a_partition_may_use_it_at_once() {
    let running = Running::start(&[]).await;
    let client = running.client().await;
    create(&client, "wide", 60, &[]).await;
    // The last one that was opened first: it has had the least time to elect itself.
    produce_once(&running, "wide", (0..60).rev()).await;
    client.admin().create_partitions("wide", 120).await.expect("there are more");
    produce_once(&running, "wide", (60..120).rev()).await;
    let running = running.restart().await;
    produce_once(&running, "wide", (0..120).rev()).await;
}

/// Sends one record to each of these partitions as a client does that never tries again.
async fn produce_once(running: &Running, topic: &str, partitions: impl Iterator<Item = u32>) {
    let address = format!("http://{}", running.broker.address());
    let channel = Endpoint::from_shared(address).expect("an address").connect().await.expect("it is there");
    let mut broker = BrokerClient::new(channel);
    for partition in partitions {
        let request = v1::ProduceRecordsRequest {
            topic: Some(v1::TopicRef { by: Some(v1::topic_ref::By::Name(topic.to_owned())) }),
            partition: Some(partition),
            acks: v1::Acks::All.into(),
            records: vec![v1::NewRecord { value: Some("at once".into()), ..Default::default() }],
        };
        let response = broker.produce_records(request).await.expect("it answers").into_inner();
        let result = response.results.into_iter().next().and_then(|result| result.result);
        assert!(matches!(result, Some(v1::produce_records_result::Result::Appended(_))), "{partition}: {result:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_is_refused_by_name_and_limit() {
    let running = Running::start(&[]).await;
    let client = running.client().await;
    let admin = client.admin();
    let refused = [
        (NewTopic::new("no spaces"), "no spaces"),
        (NewTopic::new("x".repeat(250)), "249"),
        (NewTopic::new("t").partitions(0), "0"),
        (NewTopic::new("t").partitions(1_000_000), "4096"),
        (NewTopic::new("t").config("retention.ms", "1"), "retention_ms"),
        (NewTopic::new("t").config("segment_bytes", "1"), "segment_bytes"),
        (NewTopic::new("__internal"), "__"),
    ];
    for (topic, named) in refused {
        let error = admin.create_topic(topic).await.expect_err(named).to_string();
        assert!(error.contains(named), "{error} does not name {named}");
    }
    assert!(admin.list_topics(true).await.expect("it answers").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configs_take_effect_while_the_broker_runs() {
    let running = Running::start(&[]).await;
    let client = running.client().await;
    create(&client, "t", 1, &[]).await;
    let producer = client.producer().build().await.expect("it is allowed");
    let large = || Record::to("t").value("x".repeat(3000));
    producer.send(large()).await.expect("there is room").await.expect("it fits");
    let change = [ConfigChange::Set { key: "batch_bytes_max".to_owned(), value: "2048".to_owned() }];
    client.admin().alter_topic_configs("t", change).await.expect("it is allowed");
    let refused = producer.send(large()).await.expect("there is room").await.expect_err("it is too large now");
    assert!(refused.to_string().contains("2048"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_records_are_gone_for_good() {
    let mut running = Running::start(&[]).await;
    let client = running.client().await;
    create(&client, "t", 1, &[]).await;
    let producer = client.producer().build().await.expect("it is allowed");
    for number in 0..50 {
        let record = Record::to("t").value(number.to_string());
        producer.send(record).await.expect("there is room").await.expect("it is stored");
    }
    producer.close().await.expect("nothing is left");
    let start = client.admin().delete_records("t", 0, Offset::new(20)).await.expect("it is allowed");
    assert_eq!(start, Offset::new(20));
    let beyond = client.admin().delete_records("t", 0, Offset::new(51)).await.expect_err("there is no such record");
    assert!(beyond.to_string().contains("51"), "{beyond}");
    drop(client);
    running = running.restart().await;
    let client = running.client().await;
    let described = client.admin().describe_topic("t").await.expect("it is there");
    let replica = described.partitions[0].replica.as_ref().expect("it is held here");
    assert_eq!((replica.log_start_offset, replica.high_watermark), (Offset::new(20), Offset::new(50)));
}
