//! Records as text, by a format string, or as JSON.

use serde_json::{Map, Value, json};
use tidelog_client::ConsumedRecord;

use crate::byte_codec::{write_base64, write_hex};
use crate::byte_text::put_bytes;
use crate::format_parts::{Encoding, Field, FormatParts, Part};
use crate::timestamp::Timestamp;

/// How a record is written.
#[derive(Clone, Debug)]
pub(crate) enum OutputRecord {
    /// By a format string.
    Format(FormatParts),
    /// One object a line.
    Json,
    /// As a line: where it is, its time, and how large it is.
    MetaText,
    /// As an object: the same.
    MetaJson,
}

impl OutputRecord {
    /// The value and a line break.
    pub(crate) fn value_line() -> Self {
        Self::Format(FormatParts(vec![Part::Field(Field::Value(Encoding::Raw)), Part::Literal(b"\n".to_vec())]))
    }

    /// Appends a record.
    pub(crate) fn write(&self, record: &ConsumedRecord, to: &mut Vec<u8>) {
        let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map(bytes::Bytes::len);
        match self {
            Self::Format(parts) => {
                for part in &parts.0 {
                    match part {
                        Part::Literal(bytes) => to.extend_from_slice(bytes),
                        Part::Field(field) => write_field(field, record, to),
                    }
                }
            }
            Self::Json => {
                let mut object = place(record);
                put_bytes(&mut object, "key", record.key.as_deref());
                put_bytes(&mut object, "value", record.value.as_deref());
                let headers = record.headers.iter().map(|header| {
                    let mut object = Map::new();
                    object.insert("key".to_owned(), header.key.into());
                    put_bytes(&mut object, "value", header.value);
                    Value::Object(object)
                });
                object.insert("headers".to_owned(), headers.collect());
                line(&object.into(), to);
            }
            Self::MetaJson => {
                let mut object = place(record);
                object.insert("key_bytes".to_owned(), json!(length(&record.key)));
                object.insert("value_bytes".to_owned(), json!(length(&record.value)));
                object.insert("header_count".to_owned(), json!(record.headers.len()));
                line(&object.into(), to);
            }
            Self::MetaText => {
                let bytes = |bytes| length(bytes).map_or_else(|| "null".to_owned(), |bytes| format!("{bytes} bytes"));
                let text = format!(
                    "{}/{} offset {} {} key {} value {} headers {}\n",
                    record.topic,
                    record.partition,
                    record.offset,
                    Timestamp(record.timestamp_ms),
                    bytes(&record.key),
                    bytes(&record.value),
                    record.headers.len()
                );
                to.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn place(record: &ConsumedRecord) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("topic".to_owned(), record.topic.as_str().into());
    object.insert("partition".to_owned(), record.partition.get().into());
    object.insert("offset".to_owned(), record.offset.get().into());
    object.insert("timestamp_ms".to_owned(), record.timestamp_ms.into());
    object
}

fn line(value: &Value, to: &mut Vec<u8>) {
    to.extend_from_slice(value.to_string().as_bytes());
    to.push(b'\n');
}

fn write_field(field: &Field, record: &ConsumedRecord, to: &mut Vec<u8>) {
    match field {
        Field::Key(encoding) => write_bytes(record.key.as_deref(), *encoding, to),
        Field::Value(encoding) => write_bytes(record.value.as_deref(), *encoding, to),
        Field::Topic => to.extend_from_slice(record.topic.as_str().as_bytes()),
        Field::Partition => to.extend_from_slice(record.partition.to_string().as_bytes()),
        Field::Offset => to.extend_from_slice(record.offset.to_string().as_bytes()),
        Field::Timestamp => to.extend_from_slice(record.timestamp_ms.to_string().as_bytes()),
        Field::Header(name) => {
            // Where a key repeats, the last one counts.
            let value =
                record.headers.iter().filter(|header| header.key == name).last().and_then(|header| header.value);
            write_bytes(value, Encoding::Raw, to);
        }
    }
}

fn write_bytes(bytes: Option<&[u8]>, encoding: Encoding, to: &mut Vec<u8>) {
    match (encoding, bytes) {
        (Encoding::Json, None) => to.extend_from_slice(b"null"),
        (_, None) => {}
        (Encoding::Raw, Some(bytes)) => to.extend_from_slice(bytes),
        (Encoding::Hex, Some(bytes)) => write_hex(bytes, to),
        (Encoding::Base64, Some(bytes)) => write_base64(bytes, to),
        (Encoding::Json, Some(bytes)) => {
            to.extend_from_slice(Value::from(String::from_utf8_lossy(bytes)).to_string().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tidelog_client::{Compression, DecodeLimits, Headers, Offset, PartitionId, TimestampType, TopicName};
    use tidelog_proto::batch::{BatchBuilder, NewRecord, RecordHeader};

    use super::*;

    /// Only a batch makes headers.
    fn headers(headers: &[RecordHeader<'_>]) -> Headers {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord { headers, ..NewRecord::default() }).unwrap();
        let batch = builder.finish().unwrap();
        let record = batch.records(DecodeLimits::DEFAULT).unwrap().next().unwrap();
        record.unwrap().headers
    }

    fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> ConsumedRecord {
        ConsumedRecord {
            topic: Arc::new(TopicName::new("orders").unwrap()),
            partition: PartitionId::new(3),
            offset: Offset::new(42),
            leader_epoch: None,
            timestamp_ms: 1_700_000_000_123,
            timestamp_type: TimestampType::CreateTime,
            key: key.map(Bytes::from_static),
            value: value.map(Bytes::from_static),
            headers: headers(&[
                RecordHeader { key: "a", value: Some(b"1") },
                RecordHeader { key: "a", value: Some(b"2") },
                RecordHeader { key: "none", value: None },
            ]),
        }
    }

    fn written(format: &OutputRecord, record: &ConsumedRecord) -> Vec<u8> {
        let mut text = Vec::new();
        format.write(record, &mut text);
        text
    }

    #[test]
    fn formats_are_filled_in() {
        let full = record(Some(b"k1"), Some(b"a\"\xff"));
        let nothing = record(None, None);
        for (format, of, expected) in [
            ("%t/%p/%o %T", &full, &b"orders/3/42 1700000000123"[..]),
            ("%k=%v\\n", &full, b"k1=a\"\xff\n"),
            ("%v{hex} %v{base64} %v{json}", &full, "6122ff YSL/ \"a\\\"\u{fffd}\"".as_bytes()),
            ("%k{hex}%h{missing}|%h{a}|%h{none}", &full, b"6b31|2|"),
            ("[%k][%v][%v{hex}][%v{json}]", &nothing, b"[][][][null]"),
        ] {
            assert_eq!(written(&OutputRecord::Format(format.parse().unwrap()), of), expected, "{format}");
        }
        assert_eq!(written(&OutputRecord::value_line(), &record(None, Some(b"x"))), b"x\n");
    }

    #[test]
    fn objects_and_metadata_are_lines() {
        let read = |format, record| -> Value { serde_json::from_slice(&written(format, record)).unwrap() };
        let full = record(Some(b"k"), Some(b"\xff"));
        let place = json!({ "topic": "orders", "partition": 3, "offset": 42, "timestamp_ms": 1_700_000_000_123_i64 });
        let with = |more: Value| {
            let mut object = place.clone();
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            object
        };
        let headers =
            json!([{ "key": "a", "value": "1" }, { "key": "a", "value": "2" }, { "key": "none", "value": null }]);
        let expected = with(json!({ "key": "k", "value": "\u{fffd}", "value_hex": "ff", "headers": headers }));
        assert_eq!(read(&OutputRecord::Json, &full), expected);
        let expected = with(json!({ "key_bytes": 1, "value_bytes": 1, "header_count": 3 }));
        assert_eq!(read(&OutputRecord::MetaJson, &full), expected);
        let text = String::from_utf8(written(&OutputRecord::MetaText, &record(None, Some(b"abc")))).unwrap();
        assert_eq!(text, "orders/3 offset 42 2023-11-14T22:13:20.123Z key null value 3 bytes headers 3\n");
    }
}
