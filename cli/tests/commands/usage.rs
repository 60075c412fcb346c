//! Help, and wrong usage.

use crate::tidelog::run;

#[test]
fn every_command_has_help_with_an_example() {
    for verb in ["dump", "verify", "export"] {
        let help = run(["log", verb, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{verb}");
        assert!(help.stdout.contains(&format!("\n  tidelog log {verb} ")), "{}", help.stdout);
        assert!(help.stdout.contains("--output <FORMAT>"), "{}", help.stdout);
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
