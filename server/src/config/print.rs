//! The file with every default.

use std::fmt::Write;

use tidelog_raft::metadata::TopicConfigKey;

use super::key::{BrokerConfigKey, Kind};

/// Writes `tidelog.toml` with what every config does, and its default behind a `#` (nothing where it has none).
///
/// # Panics
/// Never: writing to a string does not fail.
#[must_use]
pub fn print_default() -> String {
    let mut text = String::new();
    write_all(&mut text).expect("writing to a string does not fail");
    text
}

fn write_all(text: &mut String) -> std::fmt::Result {
    for key in BrokerConfigKey::ALL {
        writeln!(text, "# {}", key.description())?;
        match key.unit() {
            Some(unit) => writeln!(text, "# {}; in {unit}", sentence(&key.kind().to_string()))?,
            None => writeln!(text, "# {}", sentence(&key.kind().to_string()))?,
        }
        let quote = if matches!(key.kind(), Kind::Number { .. } | Kind::Flag) { "" } else { "\"" };
        match key.default_value() {
            Some(value) => writeln!(text, "#{key} = {quote}{value}{quote}\n")?,
            None if *key == BrokerConfigKey::DataDir => writeln!(text, "#{key} = \"data\"\n")?,
            None => writeln!(text, "#{key} =\n")?,
        }
    }
    writeln!(text, "# For every topic that does not set its own:\n[topic]")?;
    for key in TopicConfigKey::ALL {
        writeln!(text, "\n# {}", key.description())?;
        match key.unit() {
            Some(unit) => writeln!(text, "# {}; in {unit}", sentence(&key.kind().to_string()))?,
            None => writeln!(text, "# {}", sentence(&key.kind().to_string()))?,
        }
        writeln!(text, "#{key} = \"{}\"", key.default_value())?;
    }
    Ok(())
}

/// Begins with a capital.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), characters.as_str()))
}
