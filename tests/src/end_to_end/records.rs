//! Records go in and come out: in order, once, as they were.

use std::collections::BTreeMap;

use tidelog_client::{Compression, IsolationLevel, OffsetSpec, Position, Record};

use super::{PATIENCE, Running, create, read_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_every_compression_come_back_in_order_and_once() {
    let running = Running::start(&[]).await;
    let client = running.client().await;
    for (name, compression) in [("none", Compression::None), ("gzip", Compression::Gzip), ("lz4", Compression::Lz4)] {
        create(&client, name, 6, &[]).await;
        let producer = client.producer().compression(compression).build().await.expect("it is allowed");
        let mut deliveries = Vec::new();
        for number in 0..5000 {
            let record = Record::to(name).key(format!("key {}", number % 97)).value(format!("value {number}"));
            deliveries.push((number, producer.send(record).await.expect("there is room")));
        }
        let mut expected: BTreeMap<u32, Vec<(u64, String)>> = BTreeMap::new();
        for (number, delivery) in deliveries {
            let stored = delivery.await.expect("it is stored");
            let offset = stored.offset.expect("it is told").get();
            expected.entry(stored.partition.get()).or_default().push((offset, format!("value {number}")));
        }
        producer.close().await.expect("nothing is left");
        assert_eq!(expected.len(), 6, "97 keys reach every partition");
        let read = read_all(&client, name, 6).await;
        for (partition, records) in expected {
            assert!(records.is_sorted(), "in partition {partition} records of one sender keep their order");
            let values: Vec<String> = records.into_iter().map(|(_, value)| value).collect();
            assert_eq!(read[&partition], values);
        }
    }
    drop(client);
    running.broker.stop().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_and_empty_differ_and_headers_keep_their_order() {
    let running = Running::start(&[]).await;
    let client = running.client().await;
    create(&client, "t", 1, &[]).await;
    let producer = client.producer().build().await.expect("it is allowed");
    let records = [
        Record::to("t"),
        Record::to("t").key("").value(""),
        Record::to("t").key("k").value("v").header("a", "1").header("b", "").null_header("a").header("a", "2"),
    ];
    for record in records {
        producer.send(record).await.expect("there is room").await.expect("it is stored");
    }
    producer.close().await.expect("nothing is left");
    let mut consumer = client.consumer().assign([("t", 0, Position::Start)]).build().await.expect("it is allowed");
    let mut read = Vec::new();
    while read.len() < 3 {
        let record = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("it comes");
        read.push(record.expect("there are three").expect("readable"));
    }
    assert_eq!((&read[0].key, &read[0].value), (&None, &None));
    assert_eq!((read[1].key.as_deref(), read[1].value.as_deref()), (Some(&b""[..]), Some(&b""[..])));
    let headers: Vec<(String, Option<Vec<u8>>)> =
        read[2].headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
    let header = |key: &str, value: Option<&str>| (key.to_owned(), value.map(|value| value.as_bytes().to_vec()));
    assert_eq!(headers, [header("a", Some("1")), header("b", Some("")), header("a", None), header("a", Some("2"))]);
    consumer.close().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_is_found_by_time_and_the_end_by_name() {
    let running = Running::start(&[]).await;
    let client = running.client().await;
    create(&client, "t", 1, &[]).await;
    let producer = client.producer().build().await.expect("it is allowed");
    for number in 0..100_i64 {
        let record = Record::to("t").value(number.to_string()).timestamp(1_700_000_000_000 + number * 1000);
        producer.send(record).await.expect("there is room").await.expect("it is stored");
    }
    producer.close().await.expect("nothing is left");
    let offset = async |spec| {
        let listed = client.admin().list_offset("t", 0, spec).await.expect("it leads");
        listed.offset.map(tidelog_client::Offset::get)
    };
    assert_eq!(offset(OffsetSpec::Earliest).await, Some(0));
    assert_eq!(offset(OffsetSpec::Latest(IsolationLevel::ReadUncommitted)).await, Some(100));
    assert_eq!(offset(OffsetSpec::Timestamp(1_700_000_041_500)).await, Some(42));
    assert_eq!(offset(OffsetSpec::Timestamp(1_800_000_000_000)).await, None);
}

/// A consumer at the end waits for what is produced next, and gets it without asking again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_consumer_is_woken_by_the_next_record() {
    let running = Running::start(&[]).await;
    let client = running.client().await;
    create(&client, "t", 3, &[]).await;
    let assigned = (0..3).map(|partition| ("t", partition, Position::End));
    let mut consumer = client.consumer().assign(assigned).build().await.expect("it is allowed");
    let producer = client.producer().build().await.expect("it is allowed");
    // The consumer's partitions open while this is sent again and again.
    let mut sent = 0_u32;
    let first = loop {
        let record = Record::to("t").partition(sent % 3).value(sent.to_string());
        producer.send(record).await.expect("there is room").await.expect("it is stored");
        sent += 1;
        if let Ok(record) = tokio::time::timeout(std::time::Duration::from_millis(20), consumer.next()).await {
            break record.expect("it goes on").expect("readable");
        }
        assert!(sent < 3000, "nothing arrives");
    };
    let value = String::from_utf8(first.value.expect("a value").to_vec()).expect("text");
    assert!(value.parse::<u32>().expect("a number") < sent);
    consumer.close().await.expect("it ends");
    producer.close().await.expect("nothing is left");
}
