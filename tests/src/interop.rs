//! Batches written here are read by others, and theirs here.
//!
//! kafka-python goes through files that are checked in (`tests/interop/README.md`), the `kafka-protocol` crate is called
//! directly. Neither shares code with us beyond the compression libraries that `kafka-protocol` is given.

mod exported_log;
mod manifest;
mod oracle;

use manifest::{Vector, described, vectors};
use proptest::prelude::*;
use serde_json::Value;
use tidelog_proto::batch::{
    BatchBuilder, Compression, DecodeLimits, NewRecord, ProducerStamp, RecordBatch, RecordHeader, TimestampType,
};

/// Reads a vector of whatever origin: its CRC is true and it holds exactly what its manifest says.
fn assert_read(vector: &Vector) -> RecordBatch {
    let batch = RecordBatch::parse(vector.bytes.clone()).unwrap_or_else(|error| panic!("{}: {error}", vector.file));
    assert_eq!(batch.verify_crc(), Ok(()), "{}", vector.file);
    assert_eq!(described(&batch), vector.expected, "{}", vector.file);
    batch
}

#[test]
fn batches_of_kafka_python_are_read_here() {
    let vectors = vectors("from-kafka-python");
    assert_eq!(vectors.len(), 19);
    for vector in &vectors {
        assert_read(vector);
    }
}

#[test]
fn our_checked_in_batches_are_still_read() {
    let vectors = vectors("from-tidelog");
    assert_eq!(vectors.len(), 21);
    for vector in &vectors {
        assert_read(vector);
    }
}

#[test]
fn the_vectors_hold_every_codec() {
    for folder in ["from-kafka-python", "from-tidelog"] {
        for codec in ["none", "gzip", "lz4"] {
            assert!(vectors(folder).iter().any(|vector| vector.expected["codec"] == codec), "{folder} {codec}");
        }
    }
}

#[test]
fn the_records_of_kafka_python_are_written_here_byte_for_byte() {
    let mut written = 0;
    for vector in vectors("from-kafka-python") {
        let theirs = assert_read(&vector);
        if theirs.header().compression() != Compression::None {
            continue;
        }
        let mut bytes = rewrite(&theirs).bytes().to_vec();
        // It sends an epoch of 0 where we say "none"; the CRC does not cover it.
        bytes[12..16].fill(0);
        assert_eq!(bytes, vector.bytes, "{}", vector.file);
        written += 1;
    }
    assert_eq!(written, 8);
}

/// Builds a batch of the same records.
fn rewrite(batch: &RecordBatch) -> RecordBatch {
    let header = batch.header();
    let mut builder = BatchBuilder::new(header.compression());
    if let Some(producer) = header.producer() {
        builder = builder.producer(producer);
    }
    for record in batch.records(DecodeLimits::DEFAULT).expect("read before") {
        let record = record.expect("read before");
        builder.push(&record.as_new(&mut Vec::new())).expect("the same records fit");
    }
    builder.finish().expect("the same records make a batch")
}

#[test]
fn our_checked_in_batches_are_read_by_kafka_protocol() {
    for vector in vectors("from-tidelog") {
        let batch = RecordBatch::parse(vector.bytes.clone()).expect("a batch");
        // It ignores the append time, so that the records' own times are left.
        if batch.header().attributes().timestamp_type() == TimestampType::CreateTime {
            oracle::assert_reads(&batch, &vector.file);
        }
    }
}

/// Timestamp, key, value, headers.
type Sample = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn build(compression: Compression, producer: Option<ProducerStamp>, samples: &[Sample]) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression);
    if let Some(producer) = producer {
        builder = builder.producer(producer);
    }
    for (timestamp, key, value, headers) in samples {
        let headers: Vec<RecordHeader<'_>> =
            headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect();
        let record =
            NewRecord { timestamp: *timestamp, key: key.as_deref(), value: value.as_deref(), headers: &headers };
        builder.push(&record).expect("small records fit");
    }
    builder.finish().expect("there are records")
}

fn any_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    // Few different bytes, so that the codecs find something to compress.
    prop::option::of(prop::collection::vec(0_u8..4, 0..300))
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    // Any two of these times differ by less than 2^63.
    let timestamp = i64::MIN / 2..i64::MAX / 2;
    let headers = prop::collection::vec((".{0,6}", any_bytes()), 0..4);
    prop::collection::vec((timestamp, any_bytes(), any_bytes(), headers), 1..20)
}

fn any_codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![Compression::None, Compression::Gzip, Compression::Lz4])
}

proptest! {
    #[test]
    fn our_batches_are_read_by_kafka_protocol(samples in any_samples(), codec in any_codec()) {
        oracle::assert_reads(&build(codec, None, &samples), "random");
    }

    #[test]
    fn batches_of_kafka_protocol_are_read_here(samples in any_samples(), codec in any_codec()) {
        let batch = build(Compression::None, None, &samples);
        let theirs = oracle::rewrite(&batch, codec);
        prop_assert_eq!(theirs.verify_crc(), Ok(()));
        prop_assert_eq!(theirs.header().compression(), codec);
        let records = |batch: &RecordBatch| -> Value { described(batch)["records"].take() };
        prop_assert_eq!(records(&theirs), records(&oracle::without_repeated_headers(&batch)));
    }
}
