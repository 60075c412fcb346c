//! The values of records, made before any clock starts.

use bytes::Bytes;
use tidelog_benches::batches::FIRST_TIMESTAMP_MS;
use tidelog_benches::json_lines::JsonLines;
use tidelog_client::Record;

/// Values of one size: JSON lines, cut to it. They lie behind one another in memory.
#[derive(Debug)]
pub(crate) struct Values {
    values: Vec<Bytes>,
}

impl Values {
    /// Makes about `text_bytes` of values of `record_bytes` each.
    pub(crate) fn new(record_bytes: usize, text_bytes: u64) -> Self {
        let count = usize::try_from(text_bytes).unwrap_or(usize::MAX) / record_bytes;
        let mut lines = JsonLines::new(1);
        let mut text = Vec::with_capacity(count * record_bytes);
        for timestamp_ms in (FIRST_TIMESTAMP_MS..).take(count) {
            text.extend_from_slice(&lines.line(timestamp_ms, record_bytes).as_bytes()[..record_bytes]);
        }
        let text = Bytes::from(text);
        let value = |number: usize| text.slice(number * record_bytes..(number + 1) * record_bytes);
        Self { values: (0..count).map(value).collect() }
    }

    /// Makes `count` records of them, over and over.
    pub(crate) fn records(&self, topic: &str, count: u64) -> Vec<Record> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.values.iter().cycle().take(count).map(|value| Record::to(topic).value(value.clone())).collect()
    }
}
