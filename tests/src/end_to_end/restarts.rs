//! A broker that goes and comes back: what was acked is there, and who runs goes on by himself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidelog_client::{Position, Record};

use super::{PATIENCE, Running, create, read_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_and_records_outlive_restarts() {
    let mut running = Running::start(&[]).await;
    for life in 0..3_u32 {
        let client = running.client().await;
        if life == 0 {
            create(&client, "t", 4, &[]).await;
        }
        let producer = client.producer().build().await.expect("it is allowed");
        for number in 0..100 {
            let record = Record::to("t").key(number.to_string()).value(format!("{life}/{number}"));
            producer.send(record).await.expect("there is room").await.expect("it is stored");
        }
        producer.close().await.expect("nothing is left");
        let read = read_all(&client, "t", 4).await;
        assert_eq!(read.values().map(Vec::len).sum::<usize>(), 100 * (life as usize + 1));
        drop(client);
        running = running.restart().await;
    }
    running.broker.stop().await.expect("it stops");
}

/// The producer and the consumer are never told that the broker went away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_producer_and_consumer_go_on_when_the_broker_comes_back() {
    let mut running = Running::start(&[]).await;
    let client = running.client().await;
    create(&client, "t", 2, &[]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let producing = {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let producer = client.producer().build().await.expect("it is allowed");
            let mut deliveries = Vec::new();
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let record =
                    Record::to("t").partition(u32::try_from(number % 2).expect("small")).value(number.to_string());
                deliveries.push(producer.send(record).await.expect("there is room"));
                number += 1;
                tokio::task::yield_now().await;
                if number.is_multiple_of(50) {
                    producer.flush().await.expect("it is sent");
                }
            }
            producer.close().await.expect("nothing is left");
            for delivery in deliveries {
                delivery.await.expect("every record is stored in the end");
            }
            number
        })
    };
    let assigned = [("t", 0, Position::Start), ("t", 1, Position::Start)];
    let mut consumer = client.consumer().assign(assigned).build().await.expect("it is allowed");
    let mut seen: BTreeSet<u64> = BTreeSet::new();
    for restarts in 1..=3 {
        // Until something of this life has arrived.
        let wanted = seen.len() + 200;
        while seen.len() < wanted {
            let record = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("it goes on");
            let record = record.expect("it never ends").expect("it is readable");
            let value = record.value.expect("a value");
            let number = std::str::from_utf8(&value).expect("text").parse().expect("a number");
            assert!(seen.insert(number), "{number} came twice");
        }
        if restarts < 3 {
            running = running.restart().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent = tokio::time::timeout(PATIENCE, producing).await.expect("it ends").expect("it does not panic");
    while (seen.len() as u64) < sent {
        let record = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("the rest comes");
        let value = record.expect("it never ends").expect("it is readable").value.expect("a value");
        let number = std::str::from_utf8(&value).expect("text").parse().expect("a number");
        assert!(seen.insert(number), "{number} came twice");
    }
    assert!(seen.iter().copied().eq(0..sent), "every number is there");
    consumer.close().await.expect("it ends");
    let read = read_all(&client, "t", 2).await;
    for (partition, values) in read {
        let expected: Vec<String> = (0..sent).skip(partition as usize).step_by(2).map(|n| n.to_string()).collect();
        assert_eq!(values, expected, "partition {partition}");
    }
    drop(client);
    running.broker.stop().await.expect("it stops");
}
