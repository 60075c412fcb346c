//! A Rust file as the rules see it: code without comments and literals, and which lines are tests.

/// One Rust file.
pub(super) struct Source {
    pub(super) path: String,
    /// The text with comments, strings and characters blanked; line numbers stay.
    pub(super) code: String,
    /// Whether each line belongs to a test.
    in_test: Vec<bool>,
}

impl Source {
    pub(super) fn parse(path: &str, text: &str) -> Self {
        let code = blank_comments_and_literals(text);
        let in_test = if is_test_file(path) { vec![true; code.lines().count()] } else { test_lines(&code) };
        Self { path: path.to_owned(), code, in_test }
    }

    /// Lists the lines of code outside tests, with their numbers from 1.
    pub(super) fn lines_outside_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.lines().zip(&self.in_test).enumerate();
        lines.filter(|(_, (_, in_test))| !**in_test).map(|(line, (code, _))| (line + 1, code))
    }

    /// Lists all lines of code, with their numbers from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(line, code)| (line + 1, code))
    }
}

/// Finds `words` where no letter, digit or underscore touches them on either side.
pub(super) fn contains_words(line: &str, words: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(words).any(|(at, found)| {
        let before = line[..at].chars().next_back();
        let after = line[at + found.len()..].chars().next();
        let joined_before = words.starts_with(part_of_word) && before.is_some_and(part_of_word);
        let joined_after = words.ends_with(part_of_word) && after.is_some_and(part_of_word);
        !joined_before && !joined_after
    })
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("_tests.rs") || path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

/// Marks every line from a `#[cfg(test)]` to the end of the item behind it.
fn test_lines(code: &str) -> Vec<bool> {
    let mut in_test = Vec::new();
    let mut depth = 0_usize;
    // The depth that the test item stands at, and whether its braces were opened.
    let mut item: Option<(usize, bool)> = None;
    for line in code.lines() {
        if item.is_none() && line.trim_start().starts_with("#[cfg(test)]") {
            item = Some((depth, false));
        }
        in_test.push(item.is_some());
        for c in line.chars() {
            match c {
                '{' => {
                    depth += 1;
                    item = item.map(|(start, _)| (start, true));
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    item = item.filter(|&(start, opened)| !(opened && depth == start));
                }
                ';' => item = item.filter(|&(start, opened)| opened || depth != start),
                _ => {}
            }
        }
    }
    in_test
}

/// Replaces comments and literals by blanks, so that a rule sees code only. Line breaks stay.
fn blank_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut last = ' ';
    while let Some(c) = rest.chars().next() {
        let part_of_word = last.is_alphanumeric() || last == '_';
        let blanked = comment_bytes(rest).or_else(|| literal_bytes(rest, part_of_word));
        let taken = blanked.unwrap_or(c.len_utf8());
        let (token, after) = rest.split_at(taken);
        if blanked.is_some() {
            code.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            last = ' ';
        } else {
            code.push(c);
            last = c;
        }
        rest = after;
    }
    code
}

/// Measures the comment at the start of `text`.
fn comment_bytes(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    Some(text.len())
}

/// Measures the string or character literal at the start of `text`; lifetimes are none.
fn literal_bytes(text: &str, after_word: bool) -> Option<usize> {
    let prefix = if after_word {
        ""
    } else {
        ["br", "cr", "r", "b", "c"].into_iter().find(|p| text.starts_with(p)).unwrap_or("")
    };
    let body = &text[prefix.len()..];
    let hashes = if prefix.ends_with('r') { body.len() - body.trim_start_matches('#').len() } else { 0 };
    let quoted = &body[hashes..];
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = quoted.strip_prefix('"')?;
        let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + length);
    }
    let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = &quoted[1..];
    if quote == '\'' && !inner.starts_with('\\') {
        // `'a'` is a character, `'a` a lifetime.
        let character = inner.chars().next()?.len_utf8();
        return inner[character..].starts_with('\'').then_some(prefix.len() + 1 + character + 1);
    }
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        if c == quote && !escaped {
            return Some(prefix.len() + 1 + at + 1);
        }
        escaped = c == '\\' && !escaped;
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a // unsafe\nb /* x /* y */ unsafe\n */ c \"un\\\"safe\n\" d 'u' 'life r#\"un\"safe\"# e b'\\'' f br\"\\\" g";
        let code = blank_comments_and_literals(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains("unsafe"), "{code}");
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "b", "c", "d", "'life", "e", "f", "g"]);
    }

    #[test]
    fn lines_of_test_items_are_known() {
        let text = "one();\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}\ntwo();\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod t;\nthree();";
        let source = Source::parse("log/src/x.rs", text);
        let outside: Vec<(usize, &str)> = source.lines_outside_tests().collect();
        assert_eq!(outside, [(1, "one();"), (6, "two();"), (10, "three();")]);
        assert_eq!(Source::parse("log/src/x_tests.rs", text).lines_outside_tests().count(), 0);
    }

    #[test]
    fn words_are_found_whole() {
        assert!(contains_words("an unsafe block", "unsafe"));
        assert!(!contains_words("#![forbid(unsafe_code)]", "unsafe"));
        assert!(contains_words("std::fs::read", "std::fs"));
        assert!(!contains_words("std::fsync", "std::fs"));
    }
}
