//! `tidelog cluster`: the cluster as a whole.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidelog_client::{Backoff, Client};
use tokio::time::{Instant, sleep};

use crate::byte_text::Counted;
use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;
use crate::{Options, Outcome, running};

/// How long a broker may take to answer before it counts as not reachable.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before looking again.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Tell whether every broker answers and every partition has a leader; if not, the exit code is 10.
    #[command(after_help = "Examples:
  tidelog cluster health
  tidelog cluster health --watch
  tidelog cluster health --exit-when-healthy --timeout 60")]
    Health(Health),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Health {
    /// Go on looking, and tell whenever something has changed, until interrupted; or until the cluster is healthy, with
    /// --exit-when-healthy.
    #[arg(long)]
    watch: bool,
    /// Look again and again, and end once the cluster is healthy.
    #[arg(long)]
    exit_when_healthy: bool,
    /// With --exit-when-healthy, how long to look at most; then the exit code is 10.
    #[arg(long, value_name = "SECONDS", requires = "exit_when_healthy")]
    timeout: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// What is wrong with a cluster.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    broker_count: usize,
    partition_count: usize,
    /// Each in words, and as an object.
    problems: Vec<(String, Value)>,
}

impl ClusterCommand {
    pub(crate) fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        match self {
            Self::Health(health) => running::run(health.run(options)),
        }
    }
}

impl Health {
    async fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        let deadline = self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut told = None;
        loop {
            let findings = self.look().await?;
            let is_healthy = findings.problems.is_empty();
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let mut goes_on = if self.exit_when_healthy { !is_healthy && !is_over } else { self.watch };
            if (self.watch || !goes_on) && told.as_ref() != Some(&findings) {
                goes_on &= !findings.tell(options)?;
                told = Some(findings);
            }
            if !goes_on {
                return Ok(if is_healthy { Outcome::Done } else { Outcome::NotHealthy });
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Asks everybody once.
    async fn look(&self) -> Result<Findings, CommandError> {
        let connected = self
            .connection
            .connect_with(|builder| builder.request_timeout(ANSWER_TIMEOUT).retries_max(1).backoff(Backoff::DEFAULT));
        match connected.await {
            Ok(client) => Ok(look_at(&client).await),
            // An address that is none will not become one.
            Err(CommandError::Connect { addresses, error }) if error.is_retriable() => {
                let mut findings = Findings::default();
                findings.problem("cluster", format!("no broker answers at {addresses}: {error}"));
                Ok(findings)
            }
            Err(error) => Err(error),
        }
    }
}

impl Findings {
    /// Prints all; returns whether nobody reads any more.
    fn tell(&self, options: Options) -> Result<bool, CommandError> {
        let mut output = Output::new(options.output);
        for (text, object) in &self.problems {
            output.line(text, || object.clone())?;
        }
        let is_healthy = self.problems.is_empty();
        let (brokers, partitions) = (self.broker_count, self.partition_count);
        let broker_count = Counted(brokers as u64, "broker", "brokers");
        let partition_count = Counted(partitions as u64, "partition", "partitions");
        let state = if is_healthy { "healthy" } else { "not healthy" };
        output.line(
            format_args!("{state}: {broker_count}, {partition_count}"),
            || json!({ "type": "health", "healthy": is_healthy, "brokers": brokers, "partitions": partitions }),
        )?;
        output.flush()?;
        Ok(output.is_closed())
    }

    fn problem(&mut self, about: &str, text: String) {
        let object = json!({ "type": "problem", "about": about, "problem": text });
        self.problems.push((text, object));
    }
}

async fn look_at(client: &Client) -> Findings {
    let admin = client.admin();
    let mut findings = Findings::default();
    let cluster = match admin.describe_cluster().await {
        Ok(cluster) => cluster,
        Err(error) => {
            findings.problem("cluster", format!("the cluster does not tell of itself: {error}"));
            return findings;
        }
    };
    findings.broker_count = cluster.brokers.len();
    if cluster.controller.is_none() {
        findings.problem("cluster", "the metadata group has no leader".to_owned());
    }
    for broker in cluster.brokers {
        if let Err(error) = admin.describe_broker(broker.id).await {
            findings.problem("broker", format!("broker {} at {} does not answer: {error}", broker.id, broker.address));
        }
    }
    let topics = match admin.list_topics(true).await {
        Ok(topics) => topics,
        Err(error) => {
            findings.problem("cluster", format!("topics are not told: {error}"));
            return findings;
        }
    };
    for topic in topics {
        match admin.describe_topic(topic.name.as_str()).await {
            Ok(described) => {
                findings.partition_count += described.partitions.len();
                for partition in described.partitions.iter().filter(|partition| partition.leader.is_none()) {
                    findings.problem("partition", format!("{}/{} has no leader", topic.name, partition.partition));
                }
            }
            Err(error) => findings.problem("topic", format!("topic {} is not told: {error}", topic.name)),
        }
    }
    findings
}
