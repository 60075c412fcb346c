//! A file holds one idea. Past 500 lines without its tests, it most likely holds a second one.

use super::source::Source;

/// Most lines of a file, tests left out.
const FILE_LINES_MAX: usize = 500;

/// Files that may be longer: path, their own limit, and why they are one idea all the same.
const LONGER: [(&str, usize, &str); 0] = [];

/// Complains about files above their limit, and about exceptions that are no longer needed.
pub(super) fn complaints(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let lines = source.lines_outside_tests().count();
        let longer = LONGER.iter().find(|(path, ..)| *path == source.path);
        let limit = longer.map_or(FILE_LINES_MAX, |(_, limit, _)| *limit);
        if lines > limit {
            complaints.push(format!("{}: {lines} lines without tests, more than {limit}", source.path));
        }
        if longer.is_some() && lines <= FILE_LINES_MAX {
            complaints.push(format!("{}: {lines} lines need no exception", source.path));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = "f();\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(complaints(&[Source::parse("log/src/x.rs", &long)]).len(), 1);
        let tested = format!("#[cfg(test)]\nmod tests {{\n{long}}}");
        assert_eq!(complaints(&[Source::parse("log/src/x.rs", &tested)]), [""; 0]);
    }
}
