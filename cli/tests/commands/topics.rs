//! The life of a topic, by the command line.

use serde_json::json;

use crate::broker::Broker;

#[test]
fn a_topic_lives_from_its_creation_to_its_end() {
    let broker = Broker::start();
    assert_eq!(broker.done(&["topic", "list"]), "TOPIC  PARTITIONS  REPLICAS  ID\n");
    let created = broker.done(&["topic", "create", "orders", "-p", "6", "-c", "retention_ms=60000"]);
    assert_eq!(created, "topic orders has 6 partitions, 1 replica each\n");
    assert_eq!(broker.done(&["topic", "create", "small"]), "topic small has 1 partition, 1 replica each\n");

    let listed = broker.run(&["topic", "list", "--output", "json"]);
    let names: Vec<_> =
        listed.objects().iter().map(|topic| (topic["name"].clone(), topic["partition_count"].clone())).collect();
    assert_eq!(names, [(json!("orders"), json!(6)), (json!("small"), json!(1))]);

    let config = |key: &str| {
        let described = broker.run(&["topic", "describe", "orders", "--output", "json"]);
        let config = described.objects_of("config").into_iter().find(|config| config["key"] == key).unwrap();
        (config["value"].as_str().unwrap().to_owned(), config["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(config("retention_ms"), ("60000".to_owned(), "topic".to_owned()));
    broker.done(&["topic", "alter", "orders", "-c", "retention_ms=1000", "-c", "segment_bytes=2097152"]);
    assert_eq!(config("retention_ms"), ("1000".to_owned(), "topic".to_owned()));
    broker.done(&["topic", "alter", "orders", "-c", "retention_ms="]);
    assert_eq!(config("retention_ms").1, "default");

    assert_eq!(broker.done(&["topic", "add-partitions", "orders", "8"]), "topic orders has 8 partitions\n");
    let text = broker.done(&["topic", "describe", "orders"]);
    assert!(text.starts_with("topic orders (") && text.contains("\n7          1"), "{text}");

    assert_eq!(broker.done(&["topic", "delete", "orders"]), "topic orders is deleted\n");
    let gone = broker.run(&["topic", "describe", "orders"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (1, ""));
    assert!(gone.stderr.contains("there is no topic orders; tidelog topic create orders makes it"), "{}", gone.stderr);
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "t", "-p", "2"]);
    let lines: Vec<u8> = (0..100).flat_map(|line| format!("{line}\n").into_bytes()).collect();
    assert_eq!(broker.run_with_input(&["produce", "t", "-p", "1"], &lines).code, 0);
    let deleted = broker.done(&["topic", "delete-records", "t/1", "--before", "40"]);
    assert_eq!(deleted, "t/1 starts at offset 40 now\n");
    assert_eq!(broker.done(&["consume", "t", "-p", "1", "-o", ":end", "-n", "1", "-f", "%o=%v"]), "40=40");
    let too_early = broker.run(&["consume", "t", "-p", "1", "-o", "39:end"]);
    assert_eq!(too_early.code, 1);
    assert!(too_early.stderr.contains("t/1: offset 39 is out of range, there are 40 to 100"), "{}", too_early.stderr);
    assert_eq!(broker.done(&["topic", "delete-records", "t/1", "--before", "end"]), "t/1 starts at offset 100 now\n");
    assert_eq!(broker.run(&["topic", "delete-records", "t/1", "--before", "101"]).code, 1);
    let missing = broker.run(&["topic", "delete-records", "t/2", "--before", "1"]);
    assert!(missing.stderr.contains("topic t has no partition 2, it has 2"), "{}", missing.stderr);
}

#[test]
fn what_is_refused_is_said_with_its_value() {
    let broker = Broker::start();
    broker.done(&["topic", "create", "there"]);
    let long = "x".repeat(250);
    for (arguments, expected) in [
        (&["topic", "create", "there"][..], "there: TOPIC_ALREADY_EXISTS"),
        (&["topic", "create", &long], "249"),
        (&["topic", "create", "no/slash"], "no/slash"),
        (&["topic", "create", "t", "-p", "0"], "topic t: "),
        (&["topic", "create", "t", "-r", "3"], "topic t: "),
        (&["topic", "create", "t", "-c", "retention=5"], "retention"),
        (&["topic", "create", "t", "-c", "retention_ms=long"], "long"),
        (&["topic", "alter", "there", "-c", "retention_ms=-7"], "-7"),
        (&["topic", "alter", "missing", "-c", "retention_ms=7"], "there is no topic missing"),
        (&["topic", "add-partitions", "there", "1"], "topic there: "),
        (&["topic", "add-partitions", "missing", "2"], "there is no topic missing"),
        (&["topic", "delete", "missing"], "there is no topic missing"),
        (&["topic", "delete-records", "missing/0", "--before", "1"], "there is no topic missing"),
    ] {
        let run = broker.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{arguments:?} {}", run.stderr);
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
    }
}
