//! Documents keep up with the code that they speak of.

use super::manifests::workspace_dependencies;
use super::source::{Source, contains_words};
use super::tree::Manifest;

/// What an invariant starts with in `docs/ARCHITECTURE.md`.
const INVARIANT: &str = "**Invariant:**";

/// What stands before the names that keep an invariant.
const KEPT_BY: &str = "Kept by";

/// Complains about dependencies without a decision.
pub(super) fn undecided(root: &Manifest, decisions: &str) -> Vec<String> {
    let external = workspace_dependencies(root).map(|(name, _)| name).filter(|name| !name.starts_with("tidelog"));
    let undecided = external.filter(|name| !decisions.contains(&format!("`{name}`")));
    undecided.map(|name| format!("docs/DECISIONS.md: no word about `{name}`")).collect()
}

/// Complains about links within the tree, and quoted paths below our folders, that lead nowhere.
pub(super) fn dead_paths(documents: &[(String, String)], paths: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (document, text) in documents {
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        let linked = links(text).map(|link| format!("{folder}/{link}").trim_start_matches('/').to_owned());
        let quoted = quoted(text).filter(|quoted| is_path(quoted, paths)).map(str::to_owned);
        for named in linked.chain(quoted) {
            let path = named.trim_end_matches('/');
            let exists = paths.iter().any(|known| known == path || known.starts_with(&format!("{path}/")));
            if !exists {
                complaints.push(format!("{document}: `{named}` does not exist"));
            }
        }
    }
    complaints
}

/// Complains about invariants that name nothing that keeps them, or something that is not there.
pub(super) fn unkept(architecture: &str, sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    // Joined lines, so that a line break within a sentence does not matter.
    let joined = architecture.replace("\n  ", " ");
    let invariants = joined.lines().filter(|line| line.contains(INVARIANT));
    for invariant in invariants {
        let keepers: Vec<&str> =
            invariant.split_once(KEPT_BY).map_or(Vec::new(), |(_, keepers)| quoted(keepers).collect());
        if keepers.is_empty() {
            complaints.push(format!("docs/ARCHITECTURE.md: nothing keeps: {invariant}"));
        }
        for keeper in keepers {
            let known =
                |word: &str| sources.iter().any(|source| contains_words(&source.code, word) || source.path == word);
            if !keeper.split("::").all(known) {
                complaints
                    .push(format!("docs/ARCHITECTURE.md: `{keeper}` is not in the sources, but keeps: {invariant}"));
            }
        }
    }
    complaints
}

/// Lists what stands between single backticks, fenced blocks left out.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let outside_fences = text.split("```").step_by(2);
    outside_fences.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Lists the targets of links that stay within the tree, without the place within the document.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let files = targets.map(|target| target.split_once('#').map_or(target, |(file, _)| file));
    files.filter(|file| !file.is_empty() && !file.contains("://"))
}

/// Tells whether a quoted word is a path below a folder of the tree, without placeholders.
fn is_path(quoted: &str, paths: &[String]) -> bool {
    let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c));
    let first_folder = quoted.split_once('/').map(|(folder, _)| format!("{folder}/"));
    plain && first_folder.is_some_and(|folder| paths.iter().any(|known| known.starts_with(&folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_decision_is_found() {
        let root = Manifest::parse("", "[workspace.dependencies]\nbytes = '1'\ntidelog-log = { path = 'log' }");
        assert_eq!(undecided(&root, "- `bytes`: slices that share their memory"), [""; 0]);
        assert_eq!(undecided(&root, "bytes"), ["docs/DECISIONS.md: no word about `bytes`"]);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_found() {
        let paths = ["log/src/segment.rs".to_owned()];
        let complaints_about = |text: &str| dead_paths(&[("README.md".to_owned(), text.to_owned())], &paths).len();
        assert_eq!(complaints_about("see `log/src/segment.rs`, `log/src/` and `log`"), 0);
        assert_eq!(complaints_about("`read/write` and `log/{topic}/x` are no paths of ours"), 0);
        assert_eq!(complaints_about("```\n`log/example`\n```"), 0);
        assert_eq!(complaints_about("see `log/src/gone.rs`"), 1);
        assert_eq!(complaints_about("[a](log/src/segment.rs#top) [b](#below) [c](https://example.org/log/x)"), 0);
        assert_eq!(complaints_about("[a](log/src/gone.rs)"), 1);
    }

    #[test]
    fn an_invariant_without_a_keeper_is_found() {
        let sources = [Source::parse("log/src/writer.rs", "pub struct LogWriter;\nimpl LogWriter { fn append() {} }")];
        let complaints_about = |text: &str| unkept(text, &sources).len();
        assert_eq!(complaints_about("- **Invariant:** one writer.\n  Kept by `LogWriter::append`."), 0);
        assert_eq!(complaints_about("- **Invariant:** one writer."), 1);
        assert_eq!(complaints_about("- **Invariant:** one writer. Kept by `LogReader`."), 1);
    }
}
