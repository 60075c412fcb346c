//! What somebody may have meant.

/// How much of an unknown key is compared; no key is as long.
const COMPARED_CHARS_MAX: usize = 64;

/// Finds the known key with the fewest typing errors; dots, hyphens and capitals are none.
pub(super) fn nearest(key: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let folded = fold(key);
    known.min_by_key(|name| edits(&fold(name), &folded))
}

fn fold(key: &str) -> Vec<char> {
    let plain = |c: char| if matches!(c, '.' | '-' | ' ') { '_' } else { c.to_ascii_lowercase() };
    key.chars().take(COMPARED_CHARS_MAX).map(plain).collect()
}

/// Counts the characters to add, drop or replace that make `to` of `from` (Levenshtein's distance).
fn edits(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, from_char) in from.iter().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, to_char) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(from_char != to_char);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_and_other_spellings_are_near() {
        let known = || ["listen", "http_listen", "topic.retention_ms"].map(str::to_owned).into_iter();
        for (key, meant) in
            [("lisen", "listen"), ("HTTP-Listen", "http_listen"), ("topic.retention.ms", "topic.retention_ms")]
        {
            assert_eq!(nearest(key, known()).as_deref(), Some(meant));
        }
    }
}
