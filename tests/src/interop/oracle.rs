//! The `kafka-protocol` crate as a second opinion, with its codecs replaced by pure Rust ones.

use std::io::{Read, Write};

use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression as TheirCompression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord, Record, RecordBatch, RecordHeader};

/// Lets it read our batch and compares everything that it tells.
pub(super) fn assert_reads(batch: &RecordBatch, name: &str) {
    let mut bytes = batch.bytes().clone();
    assert_reads_next(&mut bytes, batch, name);
    assert!(bytes.is_empty(), "{name}: it reads to the end");
}

/// Lets it read a file of our batches, back to back, and compares everything that it tells.
pub(super) fn assert_reads_file(mut file: Bytes, batches: &[RecordBatch]) {
    for batch in batches {
        // It takes all that it is given for one set of records, so it is given one batch at a time.
        let len = batch.bytes().len();
        assert!(len <= file.len(), "the file ends before offset {}", batch.header().base_offset());
        let mut bytes = file.split_to(len);
        assert_reads_next(&mut bytes, batch, &format!("offset {}", batch.header().base_offset()));
        assert!(bytes.is_empty(), "offset {}: it reads to the end", batch.header().base_offset());
    }
    assert!(file.is_empty(), "{} bytes are left", file.len());
}

fn assert_reads_next(bytes: &mut Bytes, batch: &RecordBatch, name: &str) {
    let set = RecordBatchDecoder::decode_with_custom_compression(
        bytes,
        Some(|stored: &mut Bytes, codec| Ok(decompress(stored, codec))),
    )
    .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(set.compression as u8, batch.header().compression().number(), "{name}");
    let ours: Vec<TheirRecord> = records(batch).map(|record| translated(&record, batch)).collect();
    assert_eq!(set.records, ours, "{name}");
}

/// Lets it write the records of our batch, which is not an idempotent producer's.
pub(super) fn rewrite(batch: &RecordBatch, codec: Compression) -> RecordBatch {
    let records: Vec<TheirRecord> = records(batch).map(|record| translated(&record, batch)).collect();
    let mut bytes = BytesMut::new();
    let put_compressed = |plain: &mut BytesMut, buffer: &mut BytesMut, codec| {
        buffer.extend_from_slice(&compress(plain, codec));
        Ok(())
    };
    let options = RecordEncodeOptions { version: 2, compression: their_codec(codec) };
    RecordBatchEncoder::encode_with_custom_compression(&mut bytes, &records, &options, Some(put_compressed))
        .expect("it writes what we wrote");
    RecordBatch::parse(bytes.freeze()).expect("it writes one batch")
}

/// Its records keep headers in a map: of a repeated key the first place and the last value are left.
pub(super) fn without_repeated_headers(batch: &RecordBatch) -> RecordBatch {
    let mut builder = BatchBuilder::new(batch.header().compression());
    for record in records(batch) {
        let translated = translated(&record, batch);
        let headers: Vec<RecordHeader<'_>> =
            translated.headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let new = NewRecord { timestamp: record.timestamp, key, value, headers: &headers };
        builder.push(&new).expect("fewer headers fit");
    }
    builder.finish().expect("there are records")
}

fn records(batch: &RecordBatch) -> impl Iterator<Item = Record> {
    batch.records(DecodeLimits::DEFAULT).expect("our own records").map(|record| record.expect("our own record"))
}

/// Our record as it sees it.
fn translated(record: &Record, batch: &RecordBatch) -> TheirRecord {
    let header = batch.header();
    let offset = i64::try_from(record.offset.get()).expect("an offset of a batch");
    let delta = i32::try_from(record.offset.get() - header.base_offset().get()).expect("a delta of a batch");
    let base_sequence = header.producer().and_then(|producer| producer.base_sequence);
    let base_sequence = base_sequence.map_or(-1, |sequence| sequence.get().cast_signed());
    TheirRecord {
        transactional: header.is_transactional(),
        control: header.is_control(),
        delete_horizon: false,
        partition_leader_epoch: header
            .leader_epoch()
            .map_or(NO_PARTITION_LEADER_EPOCH, |epoch| epoch.get().cast_signed()),
        producer_id: header.producer().map_or(NO_PRODUCER_ID, |producer| producer.id.get().cast_signed()),
        producer_epoch: header.producer().map_or(NO_PRODUCER_EPOCH, |producer| producer.epoch.get().cast_signed()),
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: base_sequence.wrapping_add(delta),
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(translated_header).collect(),
    }
}

fn translated_header(header: RecordHeader<'_>) -> (StrBytes, Option<Bytes>) {
    (header.key.to_owned().into(), header.value.map(Bytes::copy_from_slice))
}

fn their_codec(codec: Compression) -> TheirCompression {
    match codec {
        Compression::None => TheirCompression::None,
        Compression::Gzip => TheirCompression::Gzip,
        Compression::Snappy => TheirCompression::Snappy,
        Compression::Lz4 => TheirCompression::Lz4,
        Compression::Zstd => TheirCompression::Zstd,
    }
}

fn decompress(mut stored: &[u8], codec: TheirCompression) -> Bytes {
    let mut plain = Vec::new();
    match codec {
        TheirCompression::None => stored.read_to_end(&mut plain),
        TheirCompression::Gzip => GzDecoder::new(stored).read_to_end(&mut plain),
        TheirCompression::Lz4 => FrameDecoder::new(stored).read_to_end(&mut plain),
        TheirCompression::Snappy | TheirCompression::Zstd => panic!("{codec:?} is not written here"),
    }
    .expect("a well-formed stream");
    plain.into()
}

/// Compresses as it would itself: LZ4 with checksums of blocks, which we never write.
fn compress(plain: &[u8], codec: TheirCompression) -> Vec<u8> {
    match codec {
        TheirCompression::None => plain.to_vec(),
        TheirCompression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish()).expect("to memory")
        }
        TheirCompression::Lz4 => {
            let info = FrameInfo::new()
                .block_mode(BlockMode::Independent)
                .block_size(BlockSize::Max64KB)
                .block_checksums(true);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(plain).expect("to memory");
            encoder.finish().expect("to memory")
        }
        TheirCompression::Snappy | TheirCompression::Zstd => panic!("{codec:?} is not asked for"),
    }
}
