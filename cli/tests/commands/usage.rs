//! Help, and wrong usage.

use crate::tidelog::run;

#[test]
fn every_command_has_help_with_an_example() {
    for verb in [
        "log dump",
        "log verify",
        "log export",
        "serve",
        "topic create",
        "topic list",
        "topic describe",
        "topic alter",
        "topic add-partitions",
        "topic delete",
        "topic delete-records",
        "produce",
        "consume",
        "replay",
        "cluster health",
        "context add",
        "context use",
        "context list",
        "context remove",
        "config check",
        "config print-default",
        "completions",
    ] {
        let help = run(verb.split(' ').chain(["--help"]));
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{verb}");
        assert!(help.stdout.contains(&format!("\n  tidelog {verb}")), "{}", help.stdout);
        assert!(help.stdout.contains("--output <FORMAT>"), "{}", help.stdout);
    }
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let run = run(["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(run.stdout.contains("tidelog") && run.stdout.contains("delete-records"), "{shell}");
    }
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    for (arguments, expected) in [
        (&["consume", "t", "-o", "10:5"][..], "the range ends at 5 before it starts at 10"),
        (&["consume", "t", "-o", "begin"], "\"begin\" is no offset; allowed are start, end"),
        (&["consume", "t", "-o", "@yesterday"], "\"yesterday\" is no time"),
        (&["consume", "t", "-f", "%x"], "%x is no field"),
        (&["consume", "t", "-f", "%v", "--output", "json"], "--format and --output json exclude each other"),
        (&["consume", "t", "-f", "%v", "--meta-only"], "cannot be used with"),
        (&["consume", "t", "-p", "x"], "invalid value 'x'"),
        (&["consume", "t", "-n", "-1"], "-1"),
        (&["consume", "t", "--bootstrap", "h:1", "--context", "c"], "cannot be used with"),
        (&["produce", "t", "-f", "%k%v"], "nothing tells where one field ends"),
        (&["produce", "t", "-f", "%o %v"], "%o cannot be given to a record"),
        (&["produce", "t", "-H", "x"], "a header is NAME:VALUE"),
        (&["produce", "t", "-z", "zstd"], "possible values: none, gzip, lz4"),
        (&["produce", "t", "--acks", "two"], "possible values: all, leader, none"),
        (&["produce", "t", "-p", "1", "--partitioner", "sticky"], "--partition needs --partitioner manual"),
        (&["produce", "t", "--partitioner", "manual"], "--partitioner manual needs --partition N"),
        (&["produce", "t", "-f", "%v", "-v", "x"], "--format is for files and standard input"),
        (&["produce", "t", "-v", "x", "file"], "cannot be used with"),
        (&["replay", "t", "--from", "5", "--to", "3", "--into", "stdout"], "the range ends at 3 before it starts at 5"),
        (&["replay", "t", "--from", "x", "--to", "3", "--into", "stdout"], "\"x\" is no offset"),
        (&["replay", "t", "--from", "start", "--to", "end", "--into", "topic:t"], "cannot be replayed into itself"),
        (&["replay", "t", "--from", "start", "--to", "end", "--into", "nowhere"], "stdout, file:PATH and topic:NAME"),
        (&["replay", "t", "--from", "start", "--to", "end", "--into", "stdout", "--speed", "fast"], "is no speed"),
        (&["replay", "t", "--from", "start", "--to", "end", "--into", "stdout", "--rate", "5mb"], "is no rate"),
        (
            &["replay", "t", "--from", "start", "--to", "end", "--into", "stdout", "--state", "f"],
            "--state needs --into",
        ),
        (&["topic", "create", "t", "-c", "novalue"], "a config is set by key=value"),
        (&["topic", "delete-records", "t", "--before", "1"], "a partition is TOPIC/N"),
        (&["topic", "delete-records", "t/0", "--before", "-1"], "-1"),
        (&["serve", "--listen", "here"], "invalid value 'here'"),
        (&["context", "add", "c", "nowhere"], "\"nowhere\" is not HOST:PORT"),
        (&["cluster", "health", "--timeout", "5"], "--exit-when-healthy"),
        (&["completions", "cobol"], "possible values"),
    ] {
        let run = run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?} {}", run.stderr);
        assert!(run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    for arguments in [
        &[][..],
        &["log"],
        &["log", "dump"],
        &["log", "burn", "x"],
        &["log", "export", "only-one"],
        &["log", "verify", "x", "--output", "xml"],
    ] {
        let run = run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(run.stderr.contains("--help"), "{}", run.stderr);
    }
}
