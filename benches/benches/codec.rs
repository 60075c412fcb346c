//! Record batches and frames in memory: building, reading, checking, and the checksum that all of it rests on.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails ends")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use tidelog_benches::batches::{Frames, batch, identity};
use tidelog_proto::batch::{
    BatchBuilder, Compression, DecodeLimits, ProduceLimits, Record, RecordBatch, validate_produced,
};
use tidelog_proto::frame::{Frame, FrameView};

const CODECS: [(&str, Compression); 3] =
    [("none", Compression::None), ("gzip", Compression::Gzip), ("lz4", Compression::Lz4)];

/// Bytes of a batch before compression.
const BATCH_BYTES: [usize; 2] = [16 * 1024, 256 * 1024];

/// Bytes of frames that are scanned at once.
const SCAN_BYTES: usize = 1024 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    batches(&mut criterion);
    checksum(&mut criterion);
    frames(&mut criterion);
    criterion.final_summary();
}

fn id(name: &str, batch_bytes: usize) -> BenchmarkId {
    BenchmarkId::new(name, format!("{} KiB", batch_bytes / 1024))
}

/// Throughput counts the bytes before compression, whatever the codec makes of them.
fn batches(criterion: &mut Criterion) {
    for (name, compression) in CODECS {
        let mut group = criterion.benchmark_group(format!("batch, {name}"));
        for batch_bytes in BATCH_BYTES {
            group.throughput(Throughput::Bytes(batch_bytes as u64));
            let batch = batch(1, compression, batch_bytes);
            let records: Vec<Record> = batch.records(DecodeLimits::DEFAULT).unwrap().map(Result::unwrap).collect();
            group.bench_function(id("build", batch_bytes), |bencher| bencher.iter(|| build(compression, &records)));
            group.bench_function(id("read records", batch_bytes), |bencher| bencher.iter(|| read(black_box(&batch))));
            // As it comes from the wire: not verified yet.
            let received = || RecordBatch::parse(batch.bytes().clone()).unwrap();
            let limits = ProduceLimits { walk_compressed: true, ..ProduceLimits::default() };
            group.bench_function(id("validate", batch_bytes), |bencher| {
                bencher.iter(|| validate_produced(black_box(received()), &limits).unwrap());
            });
        }
        group.finish();
    }
}

fn build(compression: Compression, records: &[Record]) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression);
    for record in records {
        builder.push(&record.as_new(&mut Vec::new())).unwrap();
    }
    builder.finish().unwrap()
}

fn read(batch: &RecordBatch) -> usize {
    let records = batch.records(DecodeLimits::DEFAULT).unwrap();
    records.map(|record| record.unwrap().value.map_or(0, |value| value.len())).sum()
}

fn checksum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("CRC-32C");
    for batch_bytes in BATCH_BYTES {
        let batch = batch(1, Compression::None, batch_bytes);
        group.throughput(Throughput::Bytes(batch_bytes as u64));
        group.bench_function(id("verify", batch_bytes), |bencher| {
            bencher.iter(|| black_box(&batch).verify_crc().unwrap());
        });
    }
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    let seed = identity(0).seed();
    for batch_bytes in BATCH_BYTES {
        let frames: Vec<Frame> = Frames::new(identity(0), batch_bytes).take(SCAN_BYTES / batch_bytes).collect();
        let mut encoded = Vec::new();
        frames.iter().for_each(|frame| frame.encode_into(&mut encoded));
        let encoded = Bytes::from(encoded);
        group.bench_function(id("parse", batch_bytes), |bencher| {
            bencher.iter(|| FrameView::parse(seed, black_box(&encoded)).unwrap().next_offset());
        });
        group.throughput(Throughput::Bytes(encoded.len() as u64));
        group.bench_function(id("scan 1 MiB", batch_bytes), |bencher| {
            bencher.iter(|| {
                let mut rest = black_box(encoded.clone());
                while !rest.is_empty() {
                    let frame = Frame::decode(seed, &rest).unwrap();
                    rest = rest.slice(frame.frame_bytes()..);
                }
            });
        });
    }
}
