//! What somebody may have meant who wrote the name of a config.

/// How much of an unknown name is compared; no config's is as long.
const COMPARED_CHARS_MAX: usize = 64;

/// Finds the known name with the fewest typing errors; dots, hyphens and capitals are none. `None` where none is known.
pub fn nearest<N: AsRef<str>>(name: &str, known: impl IntoIterator<Item = N>) -> Option<N> {
    let folded = fold(name);
    known.into_iter().min_by_key(|known| edits(&fold(known.as_ref()), &folded))
}

fn fold(name: &str) -> Vec<char> {
    let plain = |c: char| if matches!(c, '.' | '-' | ' ') { '_' } else { c.to_ascii_lowercase() };
    name.chars().take(COMPARED_CHARS_MAX).map(plain).collect()
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

    #[test]
    fn edits_are_counted() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (from, to, count) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("same", "same", 0)] {
            assert_eq!(edits(&chars(from), &chars(to)), count, "{from} {to}");
        }
    }
}
