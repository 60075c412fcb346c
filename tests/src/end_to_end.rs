//! A whole broker and the client crate, over real sockets and the real disk.

mod administration;
mod records;
mod restarts;

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;
use tidelog_client::{Client, IsolationLevel, NewTopic, Offset, OffsetSpec, Position};
use tidelog_server::Broker;
use tidelog_server::config::Settings;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker, and where its data lies.
struct Running {
    broker: Broker,
    dir: TempDir,
}

impl Running {
    /// Starts a broker on ports of the machine's choice, with some configs.
    async fn start(configs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let broker = start_at(&dir, "127.0.0.1:0", configs).await;
        Self { broker, dir }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.broker.address().to_string()).await.expect("it is there")
    }

    /// Ends the broker in order and starts it again at the same address.
    async fn restart(self) -> Self {
        let Self { broker, dir } = self;
        let address = broker.address().to_string();
        broker.stop().await.expect("it stops");
        Self { broker: start_at(&dir, &address, &[]).await, dir }
    }
}

async fn start_at(dir: &TempDir, listen: &str, configs: &[(&str, &str)]) -> Broker {
    let mut settings = Settings::default();
    let path = dir.path().join("data").display().to_string();
    let own = [("data_dir", path.as_str()), ("listen", listen), ("http_listen", "127.0.0.1:0")];
    let own = own.into_iter().chain([("disk_reserve_bytes", "0")]);
    for (key, value) in own.chain(configs.iter().copied()) {
        settings.set_flag(key, value).expect("there is such a config");
    }
    Broker::start(&settings).await.expect("it starts")
}

/// Creates a topic.
async fn create(client: &Client, name: &str, partitions: u32, configs: &[(&str, &str)]) {
    let topic = configs
        .iter()
        .fold(NewTopic::new(name).partitions(partitions), |topic, (key, value)| topic.config(*key, *value));
    client.admin().create_topic(topic).await.expect("it is created");
}

/// Reads everything that is committed now: the values of each partition, in order, with their offsets checked to be dense.
async fn read_all(client: &Client, topic: &str, partitions: u32) -> BTreeMap<u32, Vec<String>> {
    let mut values: BTreeMap<u32, Vec<String>> = (0..partitions).map(|partition| (partition, Vec::new())).collect();
    let mut builder = client.consumer();
    for partition in 0..partitions {
        let end =
            client.admin().list_offset(topic, partition, OffsetSpec::Latest(IsolationLevel::ReadUncommitted)).await;
        let end = end.expect("it leads").offset.expect("there is always an end");
        builder = builder.assign_until(topic, partition, Position::Offset(Offset::new(0)), end);
    }
    let mut consumer = builder.build().await.expect("it is allowed");
    let read = async {
        while let Some(record) = consumer.next().await {
            let record = record.expect("it is readable");
            let partition = values.get_mut(&record.partition.get()).expect("it was assigned");
            assert_eq!(record.offset.get(), partition.len() as u64, "offsets are dense");
            partition.push(String::from_utf8(record.value.expect("a value").to_vec()).expect("text"));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("it comes to its end");
    consumer.close().await.expect("it ends");
    values
}
