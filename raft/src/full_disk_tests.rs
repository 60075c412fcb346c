//! A group on a disk that has no space: it goes on to be read, and goes on when there is space.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tidelog_log::LogConfig;
use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_proto::ids::Offset;

use crate::group::Group;
use crate::group_tests::{append, batch, clean_up, open, run, values};
use crate::host::{Host, HostConfig};
use crate::replicated_log::{Pending, ProduceError, ReplicatedLog};

/// Long enough for whatever is going to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A simulated machine that runs by itself.
struct RunningMachine {
    machine: SimulatedEnvironment,
    is_over: Arc<AtomicBool>,
    driver: Option<JoinHandle<()>>,
}

impl RunningMachine {
    fn new(machine: SimulatedEnvironment) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (driven, until) = (machine.clone(), Arc::clone(&is_over));
        let driver = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                driven.run_until_idle();
                thread::park_timeout(Duration::from_micros(100));
            }
        });
        Self { machine, is_over, driver: Some(driver) }
    }

    fn host(&self) -> Host {
        let environment = Arc::new(self.machine.clone());
        Host::open(environment, Path::new("/data"), super::group_tests::BROKER, HostConfig::default())
            .expect("it opens")
    }

    fn fill(&self) {
        self.machine.set_capacity_bytes(0);
    }

    fn make_space(&self) {
        self.machine.set_capacity_bytes(1 << 40);
    }
}

impl Drop for RunningMachine {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.driver.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "the machine has failed");
    }
}

fn value(number: usize) -> String {
    format!("{number:0>400}")
}

/// Appends numbered batches without waiting for them, until one is refused.
async fn append_until_refused(group: &Group, first: usize) -> (Vec<Pending>, ProduceError) {
    let mut pending = Vec::new();
    loop {
        match group.append(batch(&[&value(first + pending.len())], None)).await {
            Ok(one) => pending.push(one),
            Err(error) => return (pending, error),
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn what_was_taken_waits_for_space_in_order_while_everything_is_read() {
    run(async {
        let machine = RunningMachine::new(SimulatedEnvironment::new(1));
        let host = machine.host();
        let group = open(&host, 0).await;
        assert_eq!(append(&group, batch(&[&value(0)], None)).await.map(|at| at.base_offset), Ok(Offset::new(0)));
        let mut stored = 1;
        // The second time as well.
        for _ in 0..2 {
            machine.fill();
            let filled = tokio::time::timeout(PATIENCE, append_until_refused(&group, stored)).await;
            let (mut pending, error) = filled.expect("the disk gets full");
            assert_eq!(error, ProduceError::DiskFull);
            assert!(group.leadership().borrow().is_serving, "it leads still");
            assert_eq!(group.delete_records(Offset::new(1)).await, Err(ProduceError::DiskFull));
            // Some fitted; of the others nobody is told anything yet, and there are some.
            let last = pending.last_mut().expect("some were taken");
            assert!(tokio::time::timeout(Duration::from_millis(1_500), last).await.is_err());
            let readable: Vec<String> = (0..values(&group).len()).map(value).collect();
            assert_eq!(values(&group), readable);
            assert!(readable.len() >= stored);

            machine.make_space();
            for (number, one) in pending.into_iter().enumerate() {
                let appended = tokio::time::timeout(PATIENCE, one).await.expect("there is space");
                assert_eq!(appended.map(|at| at.base_offset.get()), Ok((stored + number) as u64));
            }
            stored = values(&group).len();
        }
        assert!(append(&group, batch(&[&value(stored)], None)).await.is_ok());
        let all: Vec<String> = (0..=stored).map(value).collect();
        assert_eq!(values(&group), all);

        // And after a loss of power.
        drop((group, host));
        let machine = RunningMachine::new(machine.machine.crash(2));
        let host = machine.host();
        let group = open(&host, 0).await;
        assert_eq!(values(&group), all);
    });
}

#[test]
fn a_group_that_waits_for_space_can_be_closed() {
    run(async {
        let machine = RunningMachine::new(SimulatedEnvironment::new(3));
        let host = machine.host();
        let group = open(&host, 0).await;
        machine.fill();
        let (pending, _) = append_until_refused(&group, 0).await;
        // What the state file gets no space for is applied again.
        let _ = tokio::time::timeout(PATIENCE, group.close()).await.expect("it ends");
        drop(group);
        let mut acked = 0;
        for one in pending {
            let outcome = tokio::time::timeout(PATIENCE, one).await.expect("all are answered");
            acked += usize::from(outcome.is_ok());
        }
        machine.make_space();
        let group = open(&host, 0).await;
        let found = values(&group);
        assert!(found.len() >= acked, "{acked} were acknowledged, {} are there", found.len());
        assert_eq!(found, (0..found.len()).map(value).collect::<Vec<_>>());
    });
}

#[test]
fn a_log_start_waits_for_space_and_is_then_where_it_should_be() {
    run(async {
        let machine = RunningMachine::new(SimulatedEnvironment::new(4));
        let host = machine.host();
        let group = open(&host, 0).await;
        for number in 0..10 {
            append(&group, batch(&[&value(number)], None)).await.expect("there is space");
        }
        // Ends one segment and begins the next, so that there is room for a small entry.
        append(&group, batch(&["small"], None)).await.expect("there is space");
        machine.fill();
        let deleted =
            tokio::time::timeout(PATIENCE, group.delete_records(Offset::new(5))).await.expect("it is answered");
        assert_eq!(deleted, Err(ProduceError::DiskFull));
        assert_eq!(append(&group, batch(&["refused"], None)).await, Err(ProduceError::DiskFull));
        assert!(group.leadership().borrow().is_serving, "it leads still");
        assert_eq!(values(&group).len(), 11, "everything is read meanwhile");
        // Cleaning up does not wait, nor does it end anything.
        clean_up(&group, &LogConfig { retention_bytes: Some(1), ..LogConfig::default() }).await;

        machine.make_space();
        let moved = async {
            while group.reader().log_start_offset() < Offset::new(5) {
                tokio::task::yield_now().await;
            }
            while append(&group, batch(&["late"], None)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, moved).await.expect("there is space");
        group.close().await.expect("it closes");
        drop(group);
        let group = open(&host, 0).await;
        assert!(group.reader().log_start_offset() >= Offset::new(5));
        assert_eq!(values(&group).last().map(String::as_str), Some("late"));
    });
}

#[test]
fn a_group_whose_log_start_waits_for_space_can_be_closed() {
    run(async {
        let machine = RunningMachine::new(SimulatedEnvironment::new(5));
        let host = machine.host();
        let group = open(&host, 0).await;
        append(&group, batch(&["a"], None)).await.expect("there is space");
        machine.fill();
        assert_eq!(group.delete_records(Offset::new(1)).await, Err(ProduceError::DiskFull));
        let _ = tokio::time::timeout(PATIENCE, group.close()).await.expect("it ends");
    });
}
