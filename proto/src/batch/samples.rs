//! Records and batches for the tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    BATCH_HEADER_BYTES, BatchBuilder, Compression, DecodeLimits, NewRecord, Record, RecordBatch, RecordHeader,
};

/// A record that owns its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Sample {
    pub(super) fn of_value(value: &[u8]) -> Self {
        Self { value: Some(value.to_vec()), ..Self::default() }
    }

    pub(super) fn of_record(record: &Record) -> Self {
        let bytes = |part: &Option<bytes::Bytes>| part.as_deref().map(<[u8]>::to_vec);
        Self {
            timestamp: record.timestamp,
            key: bytes(&record.key),
            value: bytes(&record.value),
            headers: record.headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
        }
    }

    pub(super) fn push_to(&self, builder: &mut BatchBuilder) {
        let headers: Vec<RecordHeader<'_>> =
            self.headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect();
        let record = NewRecord {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
        };
        builder.push(&record).unwrap();
    }
}

pub(super) const CODECS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Lz4];

pub(super) fn build(compression: Compression, samples: &[Sample]) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression);
    for sample in samples {
        sample.push_to(&mut builder);
    }
    builder.finish().unwrap()
}

pub(super) fn read(batch: &RecordBatch) -> Vec<Sample> {
    batch.records(DecodeLimits::DEFAULT).unwrap().map(|record| Sample::of_record(&record.unwrap())).collect()
}

/// Two records with everything in them.
pub(super) fn small_samples() -> Vec<Sample> {
    vec![
        Sample {
            timestamp: 1_700_000_000_000,
            key: Some(b"k".to_vec()),
            value: Some(b"value".to_vec()),
            headers: vec![("h".to_owned(), Some(vec![1])), ("h".to_owned(), None), (String::new(), Some(vec![]))],
        },
        Sample { timestamp: 1_699_999_999_999, key: Some(vec![]), value: None, headers: vec![] },
    ]
}

/// A batch of `records`, encoded by hand, under a true length and CRC but with whatever counts.
pub(super) fn raw_batch(attributes: u16, last_offset_delta: i32, record_count: i32, records: &[u8]) -> Vec<u8> {
    let mut bytes = build(Compression::None, &[Sample::default()]).bytes()[..BATCH_HEADER_BYTES].to_vec();
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    bytes[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
    bytes[57..61].copy_from_slice(&record_count.to_be_bytes());
    bytes.extend_from_slice(records);
    reseal(&mut bytes);
    bytes
}

/// Gives changed bytes a true length and CRC again.
pub(super) fn reseal(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

pub(super) fn any_codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(&CODECS[..])
}

fn any_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    // Few different bytes, so that the codecs find something to compress.
    option::of(vec(0_u8..4, 0..200))
}

pub(super) fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    // Any two of these times differ by less than 2^63.
    let timestamp = i64::MIN / 2..i64::MAX / 2;
    let headers = vec((".{0,8}", any_bytes()), 0..4);
    let sample = (timestamp, any_bytes(), any_bytes(), headers).prop_map(|(timestamp, key, value, headers)| Sample {
        timestamp,
        key,
        value,
        headers,
    });
    vec(sample, 1..30)
}
