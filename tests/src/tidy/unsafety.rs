//! One file holds every `unsafe`; every other crate forbids it.

use super::source::{Source, contains_words};

/// The one file.
const UNSAFE_FILE: &str = "log/src/mapped_file.rs";

/// The one crate that may lift the ban, in that file.
const UNSAFE_CRATE_ROOT: &str = "log/src/lib.rs";

/// Complains about `unsafe` elsewhere and about crate roots that would let it in.
pub(super) fn complaints(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let path = &source.path;
        for (line, code) in source.lines() {
            if path != UNSAFE_FILE && contains_words(code, "unsafe") {
                complaints.push(format!("{path}:{line}: unsafe outside {UNSAFE_FILE}"));
            }
            if path != UNSAFE_FILE && code.contains("allow(unsafe_code") {
                complaints.push(format!("{path}:{line}: lifts the ban on unsafe"));
            }
        }
        let ban = if path == UNSAFE_CRATE_ROOT { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        if is_crate_root(path) && !source.code.contains(ban) {
            complaints.push(format!("{path}: {ban} is missing"));
        }
    }
    complaints
}

/// Tells whether a file is the root of a library, a binary, a benchmark or an example. Fuzz targets are left out: the
/// fuzzing engine's macro exports a symbol, which the ban counts as unsafe.
fn is_crate_root(path: &str) -> bool {
    let in_root_folder = path
        .rsplit_once('/')
        .is_some_and(|(folder, _)| ["/benches", "/examples", "/bin"].iter().any(|root| folder.ends_with(root)));
    in_root_folder || path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_about(path: &str, text: &str) -> usize {
        complaints(&[Source::parse(path, text)]).len()
    }

    #[test]
    fn unsafe_elsewhere_is_found_even_in_tests() {
        let text = "#[cfg(test)]\nmod tests {\n    fn f() { unsafe { g() } }\n}";
        assert_eq!(complaints_about("log/src/segment.rs", text), 1);
        assert_eq!(complaints_about(UNSAFE_FILE, text), 0);
        assert_eq!(complaints_about("log/src/segment.rs", "// unsafe\nlet s = \"unsafe\";"), 0);
    }

    #[test]
    fn crate_roots_without_the_ban_are_found() {
        assert_eq!(complaints_about("proto/src/lib.rs", "#![deny(unsafe_code)]"), 1);
        assert_eq!(complaints_about("proto/src/lib.rs", "#![forbid(unsafe_code)]"), 0);
        assert_eq!(complaints_about("log/src/lib.rs", "#![deny(unsafe_code)]"), 0);
        assert_eq!(complaints_about("benches/benches/codec.rs", ""), 1);
        assert_eq!(complaints_about("log/src/lib.rs", "#![deny(unsafe_code)]\n#[allow(unsafe_code)]\nmod m;"), 1);
    }
}
