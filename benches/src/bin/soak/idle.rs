//! Many partitions that nobody uses: what they cost to start and to have.

use std::path::Path;
use std::time::{Duration, Instant};

use tidelog_benches::Outcome;
use tidelog_benches::broker_process::BrokerProcess;
use tidelog_benches::report::{Bound, Row, Section, Target};
use tidelog_benches::spread::Spread;
use tidelog_client::{Client, NewTopic};

use crate::Arguments;
use crate::watch::Samples;

/// Until the broker has done what there is to do after a start.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) fn measure(dir: &Path, arguments: &Arguments) -> Outcome<Section> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let broker = BrokerProcess::start(dir, &[])?;
    let creating = Instant::now();
    runtime.block_on(async {
        let client = Client::connect(broker.address()).await?;
        client.admin().create_topic(NewTopic::new("idle").partitions(arguments.idle_partitions)).await?;
        Outcome::Ok(())
    })?;
    let created = creating.elapsed();
    // Closes the connection, for which the broker would wait.
    drop(runtime);
    broker.stop()?;

    let starting = Instant::now();
    let mut broker = BrokerProcess::start(dir, &[])?;
    let started = starting.elapsed();
    Samples::take(&mut broker, SETTLE)?;
    let quiet = Samples::take(&mut broker, Duration::from_secs(arguments.idle_seconds))?;
    let stopped = broker.stop()?;
    let (cpu, resident) = (quiet.cpu_percent(), quiet.resident_mib());
    let once = |figure: f64| Spread::of([figure]);
    Ok(Section {
        title: "Idle partitions",
        columns: vec![
            "create, s",
            "start, s",
            "stop, s",
            "% of a core",
            "resident MiB",
            "anonymous MiB",
            "descriptors",
        ],
        rows: vec![Row {
            name: format!("{} partitions", arguments.idle_partitions),
            cells: vec![
                once(created.as_secs_f64()),
                once(started.as_secs_f64()),
                once(stopped.as_secs_f64()),
                once(cpu),
                resident,
                quiet.anonymous_mib(),
                quiet.descriptors(),
            ],
        }],
        targets: vec![
            Target { name: "start, s".to_owned(), bound: Bound::Below(10.0), found: started.as_secs_f64() },
            Target { name: "% of a core".to_owned(), bound: Bound::Below(5.0), found: cpu },
            Target { name: "resident MiB".to_owned(), bound: Bound::AtMost(200.0), found: resident.median },
        ],
    })
}
