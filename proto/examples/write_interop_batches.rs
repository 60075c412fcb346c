//! Writes batches for an independent decoder to read, and a manifest that says what is in them.
//!
//! `cargo run -p tidelog-proto --example write_interop_batches tests/interop/from-tidelog`, then
//! `tests/interop/kafka_python_vectors.py --check tests/interop/from-tidelog`. The same code writes the same bytes.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use serde_json::{Value, json};
use tidelog_proto::batch::{
    BatchBuilder, Compression, DecodeLimits, NewRecord, ProducerStamp, Record, RecordBatch, RecordHeader, Retained,
    TimestampType, emptied, retain_records, stamp_log_append_time,
};
use tidelog_proto::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

const NOW: i64 = 1_700_000_000_000;

/// The largest numbers that a batch can hold.
const LAST_PRODUCER: ProducerStamp = ProducerStamp {
    id: ProducerId::new(i64::MAX.unsigned_abs()),
    epoch: ProducerEpoch::new(i16::MAX.unsigned_abs()),
    base_sequence: Some(Sequence::MAX),
};

/// A batch and the name of its file.
type Case = (&'static str, RecordBatch);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("usage: write_interop_batches DIR")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    let mut batches = Vec::new();
    for (name, batch) in cases()? {
        let file = format!("{name}.bin");
        fs::write(folder.join(&file), batch.bytes())?;
        batches.push(describe(&file, &batch)?);
    }
    let manifest = json!({ "encoder": format!("tidelog-proto {}", env!("CARGO_PKG_VERSION")), "batches": batches });
    fs::write(folder.join("manifest.json"), format!("{manifest:#}\n"))?;
    println!("{} batches written to {}", batches.len(), folder.display());
    Ok(())
}

fn cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = codec_cases()?;
    cases.extend(timestamp_cases()?);
    cases.extend(producer_cases()?);
    cases.extend(leader_cases()?);
    cases.extend(compaction_cases()?);
    Ok(cases)
}

/// Every shape of record under every codec.
fn codec_cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let longer = b"tidelog".repeat(10_000);
    let long = [record(NOW, None, Some(&longer)), record(NOW, Some(b"k"), Some(&longer))];
    Ok(vec![
        ("shapes-none", shapes(BatchBuilder::new(Compression::None))?),
        ("shapes-gzip", shapes(BatchBuilder::new(Compression::Gzip))?),
        ("shapes-lz4", shapes(BatchBuilder::new(Compression::Lz4))?),
        // More than one LZ4 block.
        ("long-gzip", build(BatchBuilder::new(Compression::Gzip), &long)?),
        ("long-lz4", build(BatchBuilder::new(Compression::Lz4), &long)?),
        ("one-empty-record", build(BatchBuilder::new(Compression::None), &[NewRecord::default()])?),
        ("not-worth-compressing", build(BatchBuilder::new(Compression::Lz4), &[record(NOW, None, Some(b"x"))])?),
    ])
}

fn timestamp_cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let at = |times: &[i64]| {
        let records: Vec<_> = times.iter().map(|time| record(*time, None, Some(b"x"))).collect();
        build(BatchBuilder::new(Compression::None), &records)
    };
    Ok(vec![
        ("timestamps-negative", at(&[-1, -2, 0, -1_000_000_000_000, 5])?),
        ("timestamps-largest", at(&[i64::MAX, i64::MAX - 1, 1 << 62, 0])?),
        ("timestamps-smallest", at(&[i64::MIN, i64::MIN + 1, -(1 << 62), -1])?),
        ("timestamps-far-apart", at(&[NOW, NOW + (1 << 40), NOW - (1 << 40)])?),
    ])
}

fn producer_cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let first =
        ProducerStamp { id: ProducerId::new(0), epoch: ProducerEpoch::new(0), base_sequence: Some(Sequence::new(0)) };
    // A commit marker: key is version 0 and type 1, value is version 0 and the coordinator's epoch.
    let marker = BatchBuilder::new(Compression::None)
        .producer(ProducerStamp { base_sequence: None, ..LAST_PRODUCER })
        .transactional()
        .control();
    let commit = record(NOW, Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 9]));
    Ok(vec![
        ("idempotent", shapes(BatchBuilder::new(Compression::None).producer(first))?),
        ("transactional", shapes(BatchBuilder::new(Compression::Gzip).producer(LAST_PRODUCER).transactional())?),
        ("commit-marker", build(marker, &[commit])?),
    ])
}

/// What a leader writes into a batch.
fn leader_cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let assigned = shapes(BatchBuilder::new(Compression::Lz4))?.assigned(Offset::new(1 << 40), LeaderEpoch::new(77))?;
    let last = Offset::new(Offset::MAX.get() - 6);
    let last_epoch = LeaderEpoch::new(i32::MAX.unsigned_abs());
    let at_the_end = shapes(BatchBuilder::new(Compression::None))?.assigned(last, last_epoch)?;
    let mut stamped = shapes(BatchBuilder::new(Compression::Gzip))?.into_bytes().to_vec();
    stamp_log_append_time(&mut stamped, NOW + 1)?;
    Ok(vec![
        ("assigned", assigned),
        ("assigned-last-offsets", at_the_end),
        ("log-append-time", RecordBatch::parse(stamped.into())?),
    ])
}

/// What compaction leaves: gaps, and headers without records.
fn compaction_cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = Vec::new();
    for (name, compression) in [
        ("compacted-none", Compression::None),
        ("compacted-gzip", Compression::Gzip),
        ("compacted-lz4", Compression::Lz4),
    ] {
        let builder = BatchBuilder::new(compression).producer(LAST_PRODUCER);
        let batch = shapes(builder)?.assigned(Offset::new(1000), LeaderEpoch::new(3))?;
        let odd = |record: &Record| record.offset.get() % 2 == 1 || !record.headers.is_empty();
        let Retained::Some(kept) = retain_records(&batch, DecodeLimits::DEFAULT, odd)? else {
            return Err("some records are kept".into());
        };
        cases.push((name, kept));
    }
    let batch = shapes(BatchBuilder::new(Compression::Lz4).producer(LAST_PRODUCER))?;
    cases.push(("emptied", emptied(&batch)));
    Ok(cases)
}

/// Null, empty and neither, as key, value and header value; repeated header keys; the last record compresses.
fn shapes(builder: BatchBuilder) -> Result<RecordBatch, Box<dyn Error>> {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let headers = [
        RecordHeader { key: "repeated", value: Some(b"1") },
        RecordHeader { key: "other", value: Some(b"2") },
        RecordHeader { key: "repeated", value: Some(b"3") },
        RecordHeader { key: "null", value: None },
        RecordHeader { key: "empty", value: Some(b"") },
        RecordHeader { key: "", value: Some(b"empty key") },
        RecordHeader { key: "schlüssel-鍵", value: Some(&every_byte) },
    ];
    let long = b"0123456789abcdef".repeat(30);
    let records = [
        record(NOW, Some(b"key"), Some(b"value")),
        record(NOW, None, Some(b"null key")),
        record(NOW, Some(b""), Some(b"empty key")),
        record(NOW, Some(b"tombstone"), None),
        record(NOW, Some(b"empty value"), Some(b"")),
        record(NOW, None, None),
        NewRecord { headers: &headers, ..record(NOW, Some(b"headers"), Some(&long)) },
    ];
    build(builder, &records)
}

fn record<'a>(timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> NewRecord<'a> {
    NewRecord { timestamp, key, value, headers: &[] }
}

fn build(mut builder: BatchBuilder, records: &[NewRecord<'_>]) -> Result<RecordBatch, Box<dyn Error>> {
    for record in records {
        builder.push(record)?;
    }
    Ok(builder.finish()?)
}

/// Says what is in the batch: bytes in hexadecimal, null as null.
fn describe(file: &str, batch: &RecordBatch) -> Result<Value, Box<dyn Error>> {
    let header = batch.header();
    let producer = header.producer().map(|producer| {
        let base_sequence = producer.base_sequence.map(Sequence::get);
        json!({ "id": producer.id.get(), "epoch": producer.epoch.get(), "base_sequence": base_sequence })
    });
    let records = batch.records(DecodeLimits::DEFAULT)?.map(|record| Ok(describe_record(&record?)));
    Ok(json!({
        "file": file,
        "codec": header.compression().name(),
        "base_offset": header.base_offset().get(),
        "last_offset": header.last_offset().get(),
        "leader_epoch": header.leader_epoch().map(LeaderEpoch::get),
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "log_append_time": header.attributes().timestamp_type() == TimestampType::LogAppendTime,
        "max_timestamp": header.max_timestamp(),
        "producer": producer,
        "records": records.collect::<Result<Vec<_>, Box<dyn Error>>>()?,
    }))
}

fn describe_record(record: &Record) -> Value {
    let headers: Vec<Value> = record.headers.iter().map(|header| json!([header.key, hex(header.value)])).collect();
    json!({
        "offset": record.offset.get(),
        "timestamp": record.timestamp,
        "key": hex(record.key.as_deref()),
        "value": hex(record.value.as_deref()),
        "headers": headers,
    })
}

fn hex(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Null,
        // The one long pattern of these batches, so that the manifest stays short.
        Some(bytes) if bytes.len() > 1000 => json!({ "hex": hex(Some(&bytes[..7])), "times": bytes.len() / 7 }),
        Some(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    }
}
