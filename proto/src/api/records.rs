//! Plain records, for those who do not speak batches.

use super::v1;
use crate::batch::{self, TimestampType};

impl v1::NewRecord {
    /// Returns the record in the form that [`BatchBuilder::push`](batch::BatchBuilder::push) takes, with `headers` as a
    /// place to lay its headers out. A record without a time gets `now_ms`.
    #[must_use]
    pub fn as_new<'a>(&'a self, headers: &'a mut Vec<batch::RecordHeader<'a>>, now_ms: i64) -> batch::NewRecord<'a> {
        headers.extend(
            self.headers.iter().map(|header| batch::RecordHeader { key: &header.key, value: header.value.as_deref() }),
        );
        batch::NewRecord {
            timestamp: self.timestamp_ms.unwrap_or(now_ms),
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
        }
    }
}

impl v1::Record {
    /// Makes the plain form of a record out of a batch whose timestamps are of this type. Key and value are shared with
    /// it, headers are copied.
    #[must_use]
    pub fn from_batch(record: batch::Record, timestamp_type: TimestampType) -> Self {
        let headers = record.headers.iter().map(|header| v1::RecordHeader {
            key: header.key.to_owned(),
            value: header.value.map(bytes::Bytes::copy_from_slice),
        });
        let headers = headers.collect();
        Self {
            offset: record.offset.get(),
            timestamp_ms: record.timestamp,
            timestamp_type: v1::TimestampType::from(timestamp_type).into(),
            key: record.key,
            value: record.value,
            headers,
        }
    }
}

impl From<TimestampType> for v1::TimestampType {
    fn from(timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self::CreateTime,
            TimestampType::LogAppendTime => Self::LogAppendTime,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{BatchBuilder, Compression, DecodeLimits};

    fn payload() -> impl Strategy<Value = Option<Bytes>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
    }

    fn header() -> impl Strategy<Value = v1::RecordHeader> {
        (".{0,8}", payload()).prop_map(|(key, value)| v1::RecordHeader { key, value })
    }

    fn record() -> impl Strategy<Value = v1::NewRecord> {
        let headers = proptest::collection::vec(header(), 0..4);
        (payload(), payload(), headers, proptest::option::of(0..1_i64 << 50))
            .prop_map(|(key, value, headers, timestamp_ms)| v1::NewRecord { key, value, headers, timestamp_ms })
    }

    proptest! {
        #[test]
        fn plain_records_come_back_out_of_a_batch(sent in proptest::collection::vec(record(), 1..8)) {
            let mut builder = BatchBuilder::new(Compression::None);
            for record in &sent {
                builder.push(&record.as_new(&mut Vec::new(), 7)).unwrap();
            }
            let batch = builder.finish().unwrap();
            for (place, (record, sent)) in batch.records(DecodeLimits::default()).unwrap().zip(&sent).enumerate() {
                let received = v1::Record::from_batch(record.unwrap(), TimestampType::CreateTime);
                prop_assert_eq!(received.offset, place as u64);
                prop_assert_eq!(received.timestamp_ms, sent.timestamp_ms.unwrap_or(7));
                prop_assert_eq!(received.timestamp_type(), v1::TimestampType::CreateTime);
                prop_assert_eq!(&received.key, &sent.key);
                prop_assert_eq!(&received.value, &sent.value);
                prop_assert_eq!(&received.headers, &sent.headers);
            }
        }
    }
}
