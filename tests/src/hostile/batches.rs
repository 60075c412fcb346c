//! Record batches that are not what a topic takes.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use tidelog_proto::batch::{BATCH_HEADER_BYTES, BatchBuilder, Compression, NewRecord, RecordHeader};
use tidelog_proto::error_code::ErrorCode;

use super::host::{COMPACTED, Host, PLAIN, SMALL, SMALL_BATCH_BYTES, by_name};
use super::row::{Row, Seen, body};

/// Where the fields of a batch's header lie (`docs/FORMAT.md`).
mod at {
    pub(super) const BASE_OFFSET: usize = 0;
    pub(super) const LENGTH: usize = 8;
    pub(super) const MAGIC: usize = 16;
    pub(super) const CRC: usize = 17;
    pub(super) const ATTRIBUTES: usize = 21;
    pub(super) const LAST_OFFSET_DELTA: usize = 23;
    pub(super) const MAX_TIMESTAMP: usize = 35;
    pub(super) const PRODUCER_ID: usize = 43;
    pub(super) const PRODUCER_EPOCH: usize = 51;
    pub(super) const RECORD_COUNT: usize = 57;
}

/// Past what the records of a batch may decompress to, 64 MiB.
const BOMB_BYTES: usize = 65 << 20;

/// One record with a key, as every topic takes it.
pub(super) fn good_batch() -> Bytes {
    one_record(&NewRecord { timestamp: 1_700_000_000_000, key: Some(b"k"), value: Some(b"good"), headers: &[] })
}

fn one_record(record: &NewRecord<'_>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(record).expect("it fits");
    builder.finish().expect("it has a record").into_bytes()
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = malformed();
    rows.extend(forbidden());
    rows.extend(lying());
    rows.extend(broken_records());
    rows.extend(of_the_topic());
    rows.extend(bombs());
    rows
}

fn refused(what: &str, code: ErrorCode, batch: impl Into<Bytes>) -> Row {
    refused_by(PLAIN, what, body(code), batch)
}

fn refused_by(topic: &'static str, what: &str, must: Seen, batch: impl Into<Bytes>) -> Row {
    let batch = batch.into();
    Row::new(format!("Produce of {what}"), must, async move |host: &Host| host.produce(by_name(topic), 0, batch).await)
}

/// A good batch with other bytes in its header, under a true CRC.
fn edited(edits: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = good_batch().to_vec();
    for (at, edit) in edits {
        bytes[*at..at + edit.len()].copy_from_slice(edit);
    }
    sealed(bytes)
}

/// Gives a batch a true CRC.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[at::ATTRIBUTES..]);
    bytes[at::CRC..at::ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The header of a good batch with other records, under a true length and CRC.
fn with_records(attributes: u16, record_count: i32, records: &[u8]) -> Vec<u8> {
    let mut bytes = good_batch()[..BATCH_HEADER_BYTES].to_vec();
    bytes.extend_from_slice(records);
    let length = i32::try_from(bytes.len() - 12).expect("it is small");
    bytes[at::LENGTH..at::LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    bytes[at::ATTRIBUTES..at::ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    bytes[at::LAST_OFFSET_DELTA..at::LAST_OFFSET_DELTA + 4].copy_from_slice(&(record_count - 1).to_be_bytes());
    bytes[at::RECORD_COUNT..at::RECORD_COUNT + 4].copy_from_slice(&record_count.to_be_bytes());
    sealed(bytes)
}

fn malformed() -> Vec<Row> {
    let good = good_batch();
    let length = |change: i32| {
        let length = i32::try_from(good.len() - 12).expect("it is small") + change;
        edited(&[(at::LENGTH, &length.to_be_bytes())])
    };
    let mut flipped = good.to_vec();
    *flipped.last_mut().expect("it is not empty") ^= 1;
    let twice = [&good[..], &good[..]].concat();
    let code = ErrorCode::InvalidRecord;
    vec![
        refused("no bytes", code, Bytes::new()),
        refused("a header that is a byte short", code, good.slice(..BATCH_HEADER_BYTES - 1)),
        refused("a header without its records", code, good.slice(..BATCH_HEADER_BYTES)),
        refused("a batch that is a byte short", code, good.slice(..good.len() - 1)),
        refused("two batches as one", code, twice),
        refused("a length that is one too large", code, length(1)),
        refused("a length that is one too small", code, length(-1)),
        refused("a length of 0", code, edited(&[(at::LENGTH, &[0; 4])])),
        refused("a negative length", code, edited(&[(at::LENGTH, &(-1_i32).to_be_bytes())])),
        refused("a length of 2 GiB", code, edited(&[(at::LENGTH, &i32::MAX.to_be_bytes())])),
        refused("magic 0", code, edited(&[(at::MAGIC, &[0])])),
        refused("magic 1", code, edited(&[(at::MAGIC, &[1])])),
        refused("magic 3", code, edited(&[(at::MAGIC, &[3])])),
        refused("a flipped bit", ErrorCode::CorruptBatch, flipped),
        refused("bytes that are no batch", code, vec![0xff; 4096]),
    ]
}

fn forbidden() -> Vec<Row> {
    let attributes = |bits: u16| edited(&[(at::ATTRIBUTES, &bits.to_be_bytes())]);
    let (code, codec) = (ErrorCode::InvalidRecord, ErrorCode::UnsupportedCompressionType);
    vec![
        refused("codec 2, snappy", codec, attributes(2)),
        refused("codec 4, zstd", codec, attributes(4)),
        refused("codec 7, which is none", code, attributes(7)),
        refused("a control batch", code, attributes(0x20)),
        refused("the broker's append time", code, attributes(0x08)),
        refused("a delete horizon", code, attributes(0x40)),
        refused("an attribute that means nothing", code, attributes(0x80)),
        refused("a transaction without a producer", code, attributes(0x10)),
        refused("base offset 5", code, edited(&[(at::BASE_OFFSET, &5_i64.to_be_bytes())])),
        refused("a negative base offset", code, edited(&[(at::BASE_OFFSET, &(-1_i64).to_be_bytes())])),
        refused(
            "a producer without a sequence",
            code,
            edited(&[(at::PRODUCER_ID, &7_i64.to_be_bytes()), (at::PRODUCER_EPOCH, &[0, 0])]),
        ),
        refused(
            "a negative producer epoch",
            code,
            edited(&[(at::PRODUCER_ID, &7_i64.to_be_bytes()), (at::PRODUCER_EPOCH, &[0xff, 0xfe])]),
        ),
    ]
}

fn lying() -> Vec<Row> {
    let counts = |last_offset_delta: i32, record_count: i32| {
        edited(&[
            (at::LAST_OFFSET_DELTA, &last_offset_delta.to_be_bytes()),
            (at::RECORD_COUNT, &record_count.to_be_bytes()),
        ])
    };
    let code = ErrorCode::InvalidRecord;
    vec![
        refused("zero records", code, counts(0, 0)),
        refused("zero records and a delta of -1", code, counts(-1, 0)),
        refused("one record that says it is five", code, counts(4, 5)),
        refused("one record with a last offset delta of five", code, counts(5, 1)),
        refused("one record that says it is 2^31 - 1", code, counts(i32::MAX - 1, i32::MAX)),
        refused("a negative count", code, counts(0, -1)),
        refused("a negative last offset delta", code, counts(-1, 1)),
        refused("a max timestamp that is no record's", code, edited(&[(at::MAX_TIMESTAMP, &1_i64.to_be_bytes())])),
    ]
}

/// Records, encoded by hand: length, attributes, timestamp delta, offset delta, key, value, header count. Varints are
/// zigzag: 1 is -1, 2 is 1.
fn broken_records() -> Vec<Row> {
    let code = ErrorCode::InvalidRecord;
    let one = |what: &str, record: &[u8]| refused(what, code, with_records(0, 1, record));
    vec![
        one("a record with a negative length", &[1, 0, 0, 0, 1, 1, 0]),
        one("a record that is longer than its batch", &[126, 0, 0, 0, 1, 1, 0]),
        one("a record that is shorter than it says", &[12, 0, 0, 0, 1, 1]),
        one("a length that never ends", &[0xff; 16]),
        one("a negative offset delta", &[12, 0, 0, 1, 1, 1, 0]),
        one("a key of length -2", &[12, 0, 0, 0, 3, 1, 0]),
        one("a key that is longer than its record", &[12, 0, 0, 0, 100, 1, 0]),
        one("a negative count of headers", &[12, 0, 0, 0, 1, 1, 1]),
        one("a thousand headers in no bytes", &[14, 0, 0, 0, 1, 1, 0xd0, 0x0f]),
        one("a byte behind the last record", &[12, 0, 0, 0, 1, 1, 0, 0]),
    ]
}

fn of_the_topic() -> Vec<Row> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let ahead = i64::try_from(now).expect("for long") + 2 * 3_600_000;
    let record = NewRecord { timestamp: 1_700_000_000_000, key: Some(b"k"), ..NewRecord::default() };
    let headers = [RecordHeader { key: "h", value: None }; 65];
    let large = one_record(&NewRecord { value: Some(&vec![0; 2 << 20]), ..record });
    let of_size = |bytes: usize| {
        let empty = one_record(&NewRecord { value: Some(&[0; 500]), ..record }).len() - 500;
        let value = vec![0; bytes - empty];
        let batch = one_record(&NewRecord { value: Some(&value), ..record });
        assert_eq!(batch.len(), bytes);
        batch
    };
    let too_large = body(ErrorCode::BatchTooLarge).of_limit("batch_bytes_max");
    let largest = of_size(SMALL_BATCH_BYTES);
    vec![
        refused_by(SMALL, "a batch that is a byte too large", too_large.clone(), of_size(SMALL_BATCH_BYTES + 1)),
        Row::new("Produce of a batch of exactly the limit", Seen::Answered, async move |host: &Host| {
            host.stored(SMALL, 0, 1);
            host.produce(by_name(SMALL), 0, largest).await
        }),
        refused_by(PLAIN, "2 MiB where 1 MiB is the default", too_large, large),
        refused(
            "a timestamp two hours ahead",
            ErrorCode::InvalidTimestamp,
            one_record(&NewRecord { timestamp: ahead, ..record }),
        ),
        refused(
            "a timestamp at the end of time",
            ErrorCode::InvalidTimestamp,
            one_record(&NewRecord { timestamp: i64::MAX, ..record }),
        ),
        refused_by(
            PLAIN,
            "65 headers",
            body(ErrorCode::InvalidRecord).of_limit("headers_max"),
            one_record(&NewRecord { headers: &headers, ..record }),
        ),
        refused_by(
            COMPACTED,
            "a record without a key on a compacted topic",
            body(ErrorCode::InvalidRecord),
            one_record(&NewRecord { key: None, ..record }),
        ),
    ]
}

/// Where batches are looked into, what they become is bounded.
fn bombs() -> Vec<Row> {
    let mut gzip = GzEncoder::new(Vec::new(), Level::best());
    gzip.write_all(&vec![0; BOMB_BYTES]).expect("to memory");
    let gzip = gzip.finish().expect("to memory");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&vec![0; BOMB_BYTES]).expect("to memory");
    let lz4 = lz4.finish().expect("to memory");
    // A frame that says it holds 2^60 bytes, and ends.
    let mut declared = vec![0x04, 0x22, 0x4d, 0x18, 0x68, 0x40];
    declared.extend_from_slice(&(1_u64 << 60).to_le_bytes());
    declared.extend_from_slice(&[0, 0, 0, 0, 0]);
    let bomb = body(ErrorCode::InvalidRecord).of_limit("decompressed_bytes_max");
    let code = body(ErrorCode::InvalidRecord);
    let on = |what: &str, must: Seen, batch: Vec<u8>| refused_by(COMPACTED, what, must, batch);
    vec![
        on("a gzip bomb on a compacted topic", bomb.clone(), with_records(1, 1, &gzip)),
        on("an LZ4 bomb on a compacted topic", bomb, with_records(3, 1, &lz4)),
        on("an LZ4 frame that declares 2^60 bytes", code.clone(), with_records(3, 1, &declared)),
        on("gzip that is cut off", code.clone(), with_records(1, 1, &gzip[..100])),
        on("LZ4 that is cut off", code.clone(), with_records(3, 1, &lz4[..100])),
        on("gzip that is none", code.clone(), with_records(1, 1, &[0x55; 100])),
        on("LZ4 that is none", code, with_records(3, 1, &[0x55; 100])),
    ]
}
