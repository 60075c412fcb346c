//! Text that looks and compresses like the access log of a web service.

use std::fmt::Write;

const LEVELS: [&str; 8] = ["INFO", "INFO", "INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"];
const SERVICES: [&str; 6] = ["checkout", "catalog", "identity", "payments", "search", "shipping"];
const METHODS: [&str; 4] = ["GET", "GET", "POST", "PUT"];
const PATHS: [&str; 6] = ["orders", "users", "carts", "products", "invoices", "sessions"];
const STATUSES: [u16; 8] = [200, 200, 200, 201, 204, 304, 404, 500];
const WORDS: [&str; 12] = [
    "request",
    "completed",
    "retry",
    "upstream",
    "cache",
    "miss",
    "timeout",
    "after",
    "queue",
    "drained",
    "by",
    "worker",
];

/// Makes one line after the other, the same ones from the same seed.
#[derive(Clone, Debug)]
pub struct JsonLines {
    state: u64,
}

impl JsonLines {
    /// Starts a sequence of lines.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Makes a line of exactly `bytes` bytes, if that is enough for all its fields: the message at its end is as long as
    /// it takes.
    #[must_use]
    pub fn line(&mut self, timestamp_ms: i64, bytes: usize) -> String {
        let mut line = String::with_capacity(bytes + 16);
        write!(
            line,
            r#"{{"ts":{timestamp_ms},"level":"{}","service":"{}","host":"web-{:02}","trace_id":"{:016x}{:016x}","user":"{}","method":"{}","path":"/api/v1/{}/{}","status":{},"ms":{}.{:03},"msg":""#,
            self.pick(&LEVELS),
            self.pick(&SERVICES),
            self.below(24),
            self.next(),
            self.next(),
            self.user(),
            self.pick(&METHODS),
            self.pick(&PATHS),
            self.below(1_000_000),
            self.pick(&STATUSES),
            self.below(900),
            self.below(1000),
        )
        .expect("a string takes everything");
        const CLOSING: &str = "\"}";
        let message_end = bytes.saturating_sub(CLOSING.len()).max(line.len());
        while line.len() < message_end {
            line.push_str(self.pick(&WORDS));
            line.push(' ');
        }
        line.truncate(message_end);
        line.push_str(CLOSING);
        line
    }

    /// Draws a user id, a likely key.
    pub fn user(&mut self) -> String {
        format!("u-{:05}", self.below(50_000))
    }

    /// Draws a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let choice = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices[choice]
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_of_the_length_asked_for() {
        let mut lines = JsonLines::new(1);
        for bytes in [300, 301, 500, 4000] {
            let line = lines.line(1_700_000_000_000, bytes);
            assert_eq!(line.len(), bytes);
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(parsed["ts"], 1_700_000_000_000_i64);
        }
    }
}
