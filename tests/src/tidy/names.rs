//! A file or folder is named after its type or verb; names for anything and everything collect anything and everything.

/// Words that say nothing about what is inside.
const EMPTY_WORDS: [&str; 9] = ["util", "utils", "helper", "helpers", "common", "manager", "managers", "data", "info"];

/// Complains about every file and folder of Rust code with such a word in its name.
pub(super) fn complaints(paths: &[String]) -> Vec<String> {
    let rust = paths.iter().filter(|path| path.ends_with(".rs"));
    let empty = |path: &&String| path.split(['/', '_', '.', '-']).any(|word| EMPTY_WORDS.contains(&word));
    rust.filter(empty).map(|path| format!("{path}: the name does not say what is inside")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found() {
        for path in ["log/src/util.rs", "log/src/segment_helpers.rs", "log/src/common/x.rs"] {
            assert_eq!(complaints(&[path.to_owned()]).len(), 1, "{path}");
        }
        assert_eq!(complaints(&["log/src/database.rs".to_owned(), "docs/data.md".to_owned()]), [""; 0]);
    }
}
