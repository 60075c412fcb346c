//! A file or folder is named after its type or verb; names for anything and everything collect anything and everything.

/// Words that say nothing about what is inside, wherever they stand in a name.
const EMPTY_WORDS: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "manager", "managers"];

/// Words that say nothing when they are the whole name.
const EMPTY_NAMES: [&str; 2] = ["data", "info"];

/// Complains about every file and folder of Rust code with such a name.
pub(super) fn complaints(paths: &[String]) -> Vec<String> {
    let empty = |path: &&String| {
        let mut names = path.trim_end_matches(".rs").split('/');
        names.any(|name| EMPTY_NAMES.contains(&name) || name.split(['_', '-']).any(|word| EMPTY_WORDS.contains(&word)))
    };
    let rust = paths.iter().filter(|path| path.ends_with(".rs"));
    rust.filter(empty).map(|path| format!("{path}: the name does not say what is inside")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found() {
        for path in ["log/src/util.rs", "log/src/segment_helpers.rs", "log/src/common/x.rs", "log/src/data.rs"] {
            assert_eq!(complaints(&[path.to_owned()]).len(), 1, "{path}");
        }
        assert_eq!(complaints(&["log/src/data_dir.rs".to_owned(), "docs/data.md".to_owned()]), [""; 0]);
    }
}
