//! `serve`, and what is said when it cannot.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::broker::{Broker, Guarded, bare, serve};
use crate::tidelog::finished;

#[test]
fn a_broker_ends_in_order_and_keeps_what_was_acked() {
    for signal in [Signal::INT, Signal::TERM] {
        let broker = Broker::start();
        broker.done(&["topic", "create", "t"]);
        broker.done(&["produce", "t", "--value", "kept"]);
        broker.signal(signal);
        let (code, dir) = broker.wait();
        assert_eq!(code, 0);
        let broker = Broker::start_in(dir, |_| {});
        assert_eq!(broker.done(&["consume", "t", "-o", ":end"]), "kept\n");
    }
}

#[test]
fn a_killed_broker_keeps_what_was_acked() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    broker.done(&["produce", "t", "--value", "kept"]);
    broker.signal(Signal::KILL);
    let mut broker = broker;
    let dir = std::mem::replace(&mut broker.dir, tempfile::tempdir().unwrap());
    drop(broker);
    let broker = Broker::start_in(dir, |_| {});
    assert_eq!(broker.done(&["consume", "t", "-o", ":end"]), "kept\n");
}

#[test]
fn the_http_port_is_where_it_was_said() {
    let broker = Broker::start();
    let mut stream = TcpStream::connect(&broker.http_address).unwrap();
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn what_keeps_a_broker_from_starting_is_said() {
    let broker = Broker::start();
    let dir = tempfile::tempdir().unwrap();
    let refused = |set: &dyn Fn(&mut std::process::Command)| {
        let mut command = serve(&dir.path().join("data"));
        set(&mut command);
        let run = finished(command.output().unwrap());
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
        run.stderr
    };

    let in_use = finished(serve(&broker.data_dir()).output().unwrap());
    assert_eq!(in_use.code, 1);
    assert!(in_use.stderr.contains("the data directory is used by another process"), "{}", in_use.stderr);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for variable in ["TIDELOG_LISTEN", "TIDELOG_HTTP_LISTEN"] {
        let mut command = bare(&["serve"]);
        command.arg("--data-dir").arg(dir.path().join("data"));
        command.env("TIDELOG_LISTEN", "127.0.0.1:0").env("TIDELOG_HTTP_LISTEN", "127.0.0.1:0").env(variable, &address);
        let run = finished(command.output().unwrap());
        assert_eq!(run.code, 1);
        assert!(run.stderr.contains(&format!("{address} is in use by another process")), "{}", run.stderr);
        assert!(run.stderr.contains("port 0 takes any"), "{}", run.stderr);
    }

    let file = dir.path().join("tidelog.toml");
    fs::write(&file, "lisen = 'x'\n").unwrap();
    let text = refused(&|command| _ = command.arg("--config").arg(&file));
    assert!(text.contains("there is no config lisen, nearest is listen; tidelog config print-default"), "{text}");
    let text = refused(&|command| _ = command.args(["--config", "/does/not/exist"]));
    assert!(text.contains("/does/not/exist: No such file"), "{text}");
    let text = refused(&|command| _ = command.env("TIDELOG_NODE", "1"));
    assert!(text.contains("TIDELOG_NODE: there is no config node, nearest is node_id"), "{text}");
    let text = refused(&|command| _ = command.env("TIDELOG_LOG", "=,=x="));
    assert!(text.contains("TIDELOG_LOG is \"=,=x=\", which is no filter"), "{text}");
}

#[test]
fn a_data_directory_of_another_broker_is_left_alone() {
    let broker = Broker::start();
    broker.signal(Signal::TERM);
    let (_, dir) = broker.wait();
    let run = finished(serve(&dir.path().join("data")).args(["--node-id", "7"]).output().unwrap());
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("broker 1") && run.stderr.contains('7'), "{}", run.stderr);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidelog.toml");
    fs::write(&file, "node_id = 3\nnum_partitions = 2\nauto_create_topics = true\n").unwrap();
    let broker = Broker::start_in(dir, |command| {
        command.arg("--config").arg(&file).env("TIDELOG_NODE_ID", "4").args(["--node-id", "5"]);
        command.env("TIDELOG_NUM_PARTITIONS", "3");
    });
    // The file's flag is in force: the topic is created when it is named.
    broker.done(&["produce", "named", "--value", "x"]);
    let described = broker.run(&["topic", "describe", "named", "--output", "json"]);
    let partitions = described.objects_of("partition");
    assert_eq!(partitions.len(), 3);
    assert!(partitions.iter().all(|partition| partition["leader"] == 5), "{}", described.stdout);
    assert_eq!(broker.done(&["consume", "named", "-o", ":end"]), "x\n");
    assert_eq!(broker.done(&["consume", "also-named", "-o", ":end"]), "");
}

#[test]
fn configs_are_checked_and_printed_without_a_broker() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidelog.toml");
    let printed = finished(bare(&["config", "print-default"]).output().unwrap());
    assert_eq!(printed.code, 0);
    assert!(printed.stdout.contains("#listen = \"127.0.0.1:7420\""), "{}", printed.stdout);
    fs::write(&file, format!("data_dir = 'd'\nnode_id = 9\n{}", printed.stdout)).unwrap();
    let check = |variables: &[(&str, &str)]| {
        let mut command = bare(&["config", "check"]);
        finished(command.arg("--config").arg(&file).envs(variables.iter().copied()).output().unwrap())
    };
    let run = check(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "the configs are allowed; broker 9 keeps its data in d\n"));
    let run = check(&[("TIDELOG_NODE_ID", "x")]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("TIDELOG_NODE_ID: node_id = \"x\" is not allowed"), "{}", run.stderr);
    // What is the command line's is no config of a broker.
    let own = [("TIDELOG_LOG", "info"), ("TIDELOG_BOOTSTRAP", "h:1"), ("TIDELOG_CONTEXT", "c")];
    assert_eq!(check(&own).code, 0);
}

#[test]
fn a_second_signal_ends_a_broker_at_once() {
    // A stream that nobody ends keeps the broker from ending in order.
    let broker = Broker::start();
    broker.done(&["topic", "create", "t"]);
    let consumer = Guarded::spawn(broker.command(&["consume", "t", "-o", "start"]).stdout(Stdio::null()));
    broker.signal(Signal::INT);
    broker.signal(Signal::TERM);
    let (code, _dir) = broker.wait();
    // Whether the first was enough is a race; the second leaves no doubt that it ends.
    assert!(matches!(code, 0 | 1), "{code}");
    drop(consumer);
}

/// A shell began with a soft limit of 1024 open files, and a partition takes three of them.
#[test]
fn a_broker_has_room_for_more_files_than_a_shell_begins_with() {
    let broker = Broker::start_in(tempfile::tempdir().unwrap(), |command| {
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "ulimit -Sn 100 && exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        *command = limited;
    });
    broker.done(&["topic", "create", "many", "-p", "60"]);
    for partition in ["0", "59"] {
        let arguments = ["produce", "many", "--partitioner", "manual", "-p", partition, "--value", "v"];
        broker.done(&arguments);
    }
    assert_eq!(broker.done(&["consume", "many", "-o", ":end"]), "v\nv\n");
}
