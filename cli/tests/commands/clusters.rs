//! Which cluster is spoken to, and how it is.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::broker::{Broker, Guarded, bare};
use crate::tidelog::{Run, finished};

fn with_home(home: &Path, arguments: &[&str]) -> Run {
    finished(bare(arguments).env("HOME", home).output().unwrap())
}

/// An address where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_healthy_cluster_is_told_from_one_that_is_not() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t", "-p", "3"]);
    assert_eq!(broker.done(&["cluster", "health"]), "healthy: 1 broker, 3 partitions\n");
    broker.done(&["cluster", "health", "--exit-when-healthy"]);
    let address = broker.address.clone();
    broker.signal(Signal::TERM);
    let (_, _dir) = broker.wait();
    for more in [&[][..], &["--exit-when-healthy", "--timeout", "0"]] {
        let mut command = bare(&["cluster", "health", "--bootstrap", &address, "--output", "json"]);
        let run = finished(command.args(more).output().unwrap());
        assert_eq!(run.code, 10, "{}", run.stderr);
        assert_eq!(run.objects_of("health")[0]["healthy"], false);
        let problem = run.objects_of("problem")[0]["problem"].as_str().unwrap().to_owned();
        assert!(problem.contains(&format!("no broker answers at {address}")), "{problem}");
    }
}

#[test]
fn health_can_be_waited_for() {
    // The port is found first, so that it can be asked before the broker is there.
    let address = nobody();
    let dir = tempfile::tempdir().unwrap();
    let health = ["cluster", "health", "--exit-when-healthy", "--timeout", "60", "--bootstrap", &address];
    let mut waiting = Guarded::spawn(bare(&health).stdout(Stdio::null()));
    let mut command = bare(&["serve", "--listen", &address, "--http", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir.path()).env("TIDELOG_LOG", "warn").stdout(Stdio::null());
    let _broker = Guarded::spawn(&mut command);
    assert_eq!(waiting.wait(), 0);
}

#[test]
fn health_is_watched_and_told_when_it_changes() {
    let broker = Broker::start();
    let mut watching = Guarded::spawn(broker.command(&["cluster", "health", "--watch"]).stdout(Stdio::piped()));
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "healthy: 1 broker, 0 partitions");
    broker.done(&["topic", "create", "t", "-p", "1"]);
    // It may be seen without a leader first.
    assert!(lines.by_ref().any(|line| line == "healthy: 1 broker, 1 partition"));
    broker.signal(Signal::TERM);
    let _dir = broker.wait();
    let told: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("not healthy")).collect();
    assert!(told.iter().any(|line| line.contains("no broker answers at")), "{told:?}");
}

#[test]
fn a_cluster_is_found_by_flag_variable_context_and_default() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "here"]);
    let home = tempfile::tempdir().unwrap();
    let nobody = nobody();
    let list = |variables: &[(&str, &str)], more: &[&str]| {
        let mut command = bare(&["topic", "list"]);
        finished(command.args(more).env("HOME", home.path()).envs(variables.iter().copied()).output().unwrap())
    };
    let is_here = |run: &Run| run.code == 0 && run.stdout.contains("\nhere ");

    assert_eq!(with_home(home.path(), &["context", "list"]).stdout, "  NAME  BOOTSTRAP\n");
    let added = with_home(home.path(), &["context", "add", "real", &broker.address]);
    assert_eq!(added.stdout, format!("context real is {}, and is used from now on\n", broker.address));
    assert!(is_here(&list(&[], &[])), "by the context in use");
    assert_eq!(with_home(home.path(), &["context", "add", "dead", &nobody]).code, 0);
    assert_eq!(with_home(home.path(), &["context", "use", "dead"]).code, 0);
    let dead = list(&[], &[]);
    assert_eq!(dead.code, 1);
    assert!(
        dead.stderr.contains(&format!("is a broker running at {nobody}? Another is named by --bootstrap")),
        "{}",
        dead.stderr
    );
    assert!(is_here(&list(&[("TIDELOG_CONTEXT", "real")], &[])), "a variable wins over the context in use");
    assert!(is_here(&list(&[("TIDELOG_CONTEXT", "dead"), ("TIDELOG_BOOTSTRAP", &broker.address)], &[])));
    assert!(is_here(&list(&[("TIDELOG_BOOTSTRAP", &nobody)], &["--context", "real"])), "a flag wins over variables");
    assert!(is_here(&list(&[("TIDELOG_BOOTSTRAP", &nobody)], &["--bootstrap", &broker.address])));

    let unknown = list(&[], &["--context", "typo"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("there is no context typo; there are dead, real"), "{}", unknown.stderr);
    let twice = with_home(home.path(), &["context", "add", "real", "h:1"]);
    assert!(twice.code == 1 && twice.stderr.contains("context real exists"), "{}", twice.stderr);
    assert_eq!(with_home(home.path(), &["context", "remove", "dead"]).stdout, "context dead is forgotten\n");
    let listed = with_home(home.path(), &["context", "list", "--output", "json"]);
    assert_eq!((listed.objects().len(), listed.objects()[0]["current"].as_bool()), (1, Some(false)));
    let nowhere = finished(bare(&["context", "list"]).output().unwrap());
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.stderr.contains("set HOME or XDG_CONFIG_HOME"), "{}", nowhere.stderr);
}
