//! What is in the tree is finished, and works on any machine.

use super::source::contains_words;

/// Marks of unfinished work, written in two halves so that this list does not find itself.
const MARKS: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
];

/// Starts of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/tmp/ta", "rget")];

/// Test attributes that switch a test off without a reason.
const DISABLED: &str = concat!("#[ig", "nore]");

/// Complains about marks of unfinished work, tests without an owner and paths of one machine, in every text.
pub(super) fn complaints(texts: &[(String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in texts {
        for (line, content) in text.lines().enumerate() {
            let line = line + 1;
            for mark in MARKS.iter().filter(|mark| contains_words(content, mark)) {
                complaints.push(format!("{path}:{line}: {mark}"));
            }
            for machine in MACHINE_PATHS.iter().filter(|machine| content.contains(*machine)) {
                complaints.push(format!("{path}:{line}: {machine} exists on one machine only"));
            }
            if content.contains(DISABLED) {
                complaints.push(format!("{path}:{line}: a disabled test without a reason"));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_disabled_tests_and_machine_paths_are_found() {
        for bad in MARKS.iter().chain(&MACHINE_PATHS).chain([&DISABLED]) {
            let text = format!("fine\nnot {bad}\n");
            assert_eq!(complaints(&[("x.rs".to_owned(), text)]).len(), 1, "{bad}");
        }
    }
}
