//! Everything that reads or rewrites a record batch, each held against the others.

use bytes::Bytes;
use tidelog_proto::batch::{
    BatchBuilder, BatchError, BatchHeader, Compression, DecodeLimits, DecompressError, ProduceLimits, PushError,
    Record, RecordBatch, Retained, TimestampType, assign, emptied, retain_records, stamp_log_append_time,
    validate_produced,
};
use tidelog_proto::ids::{LeaderEpoch, Offset};

use crate::checksums::{BATCH_HEADER_BYTES, batch_crc};

/// Small enough for thousands of runs a second, large enough for more than one window of LZ4.
pub const LIMITS: DecodeLimits = DecodeLimits { decompressed_bytes_max: 256 * 1024, ratio_max: 1000 };

/// Reads all records, and what ended them.
///
/// # Panics
/// If the records break a promise of [`RecordBatch::records`].
#[must_use]
pub fn read(batch: &RecordBatch, limits: DecodeLimits) -> (Vec<Record>, Option<BatchError>) {
    let mut iterator = match batch.records(limits) {
        Ok(records) => records,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let header = batch.header();
    let (_, upper) = iterator.size_hint();
    let mut records = Vec::new();
    let mut error = None;
    for record in iterator.by_ref() {
        match record {
            Ok(record) => records.push(record),
            Err(found) => error = Some(found),
        }
    }
    assert!(iterator.next().is_none() && iterator.next().is_none(), "records follow the last");
    assert!(upper.is_some_and(|upper| records.len() + usize::from(error.is_some()) <= upper));
    assert!(records.is_sorted_by(|earlier, later| earlier.offset < later.offset), "offsets do not rise");
    let range = header.base_offset()..=header.last_offset();
    assert!(records.iter().all(|record| range.contains(&record.offset)), "a record lies outside its batch");
    if header.attributes().timestamp_type() == TimestampType::LogAppendTime {
        assert!(records.iter().all(|record| record.timestamp == header.max_timestamp()));
    }
    assert!(error.is_some() || records.len() == header.record_count() as usize, "records are missing");
    let held: usize = records.iter().map(held_bytes).sum();
    let bytes_max = match header.compression() {
        Compression::None => batch.bytes().len(),
        _ => limits.decompressed_bytes_max as usize,
    };
    assert!(held <= bytes_max, "{held} bytes of records where {bytes_max} are allowed");
    (records, error)
}

/// Counts the bytes that a record's parts take.
fn held_bytes(record: &Record) -> usize {
    let parts = [&record.key, &record.value].into_iter().flatten().map(Bytes::len).sum::<usize>();
    let headers = record.headers.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len));
    assert_eq!(record.headers.iter().count(), record.headers.len());
    parts + headers.sum::<usize>()
}

/// Checks everything about `bytes` as a batch; `choices` says what is tried with it.
///
/// # Panics
/// If one reader or writer of batches disagrees with another.
pub fn check_batch(bytes: Bytes, choices: [u8; 8]) {
    let header = BatchHeader::parse(&bytes).map(|header| header.total_bytes());
    let batch = match RecordBatch::parse(bytes.clone()) {
        Ok(batch) => batch,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(header.is_err() || header != Ok(u32::try_from(bytes.len()).expect("inputs are small")));
            return;
        }
    };
    let is_intact = batch_crc(&bytes) == Some(batch.header().crc());
    assert_eq!(batch.verify_crc().is_ok(), is_intact);
    let (records, error) = read(&batch, LIMITS);
    assert!(error.is_none_or(|error| !error.to_string().is_empty()));
    check_tight_limits(&batch, choices, &(records.clone(), error));
    check_produced(&batch, choices, is_intact, (&records, error));
    check_retained(&batch, choices[3], is_intact, (&records, error));
    check_emptied(&batch);
    check_stamped(&batch, choices, &records);
    if error.is_none() && !records.is_empty() {
        check_built_again(&records, choices[4]);
    }
}

/// Tighter limits refuse a batch for its size, or change nothing.
fn check_tight_limits(batch: &RecordBatch, choices: [u8; 8], wide: &(Vec<Record>, Option<BatchError>)) {
    let limits =
        DecodeLimits { decompressed_bytes_max: u32::from(choices[0]) * 16, ratio_max: u32::from(choices[1] % 32) };
    let tight = read(batch, limits);
    if !matches!(tight.1, Some(BatchError::Decompress(DecompressError::OutputLimit { .. }))) {
        assert_eq!(&tight, wide);
    }
}

/// A broker takes exactly the batches that its rules allow.
fn check_produced(
    batch: &RecordBatch,
    choices: [u8; 8],
    is_intact: bool,
    (records, error): (&[Record], Option<BatchError>),
) {
    let limits = ProduceLimits {
        headers_max: u32::from(choices[2] % 4),
        keys_required: choices[2] & 4 != 0,
        walk_compressed: choices[2] & 8 != 0,
        timestamp_ms_max: if choices[2] & 16 == 0 { i64::MAX } else { 1_700_000_000_000 },
        decode: LIMITS,
        ..ProduceLimits::default()
    };
    let outcome = validate_produced(batch.clone(), &limits);
    if let Err(error) = outcome {
        assert!(!error.to_string().is_empty());
        let _ = error.error_code();
    }
    let header = batch.header();
    let attributes = header.attributes();
    let is_producers = !attributes.is_control()
        && !attributes.has_delete_horizon()
        && attributes.timestamp_type() == TimestampType::CreateTime
        && matches!(attributes.compression(), Compression::None | Compression::Gzip | Compression::Lz4);
    let is_whole = header.base_offset() == Offset::ZERO
        && u64::from(header.record_count()) == u64::from(header.last_offset_delta()) + 1
        && match header.producer() {
            Some(producer) => producer.base_sequence.is_some(),
            None => !attributes.is_transactional(),
        }
        && header.max_timestamp() <= limits.timestamp_ms_max;
    let records_fit = || {
        error.is_none()
            && records.iter().all(|record| {
                record.headers.len() <= limits.headers_max as usize
                    && (record.key.is_some() || !limits.keys_required)
                    && record.timestamp <= limits.timestamp_ms_max
            })
            && records.iter().map(|record| record.timestamp).max() == Some(header.max_timestamp())
    };
    let is_walked = attributes.compression() == Compression::None || limits.walk_compressed;
    let expected = is_intact && is_producers && is_whole && (!is_walked || records_fit());
    assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
}

/// Compaction keeps the chosen records and changes nothing else.
fn check_retained(batch: &RecordBatch, choice: u8, is_intact: bool, (records, error): (&[Record], Option<BatchError>)) {
    let is_kept = |record: &Record| choice >> (record.offset.get() % 8) & 1 == 1;
    let kept: Vec<Record> = records.iter().filter(|record| is_kept(record)).cloned().collect();
    match retain_records(batch, LIMITS, is_kept) {
        Err(BatchError::Checksum { .. }) => assert!(!is_intact),
        Err(found) => assert_eq!(Some(found), error),
        Ok(Retained::All) => assert_eq!(kept.len(), records.len()),
        Ok(Retained::None) => assert!(kept.is_empty() && !records.is_empty()),
        Ok(Retained::Some(left)) => {
            assert!(is_intact && error.is_none());
            assert!(!kept.is_empty() && kept.len() < records.len());
            assert_eq!(left.verify_crc(), Ok(()));
            assert_eq!(read(&left, LIMITS), (kept, None));
            check_same_place(batch, &left);
        }
    }
}

fn check_emptied(batch: &RecordBatch) {
    let empty = emptied(batch);
    assert_eq!(empty.bytes().len(), BATCH_HEADER_BYTES);
    assert_eq!(empty.verify_crc(), Ok(()));
    assert_eq!(read(&empty, LIMITS), (Vec::new(), None));
    check_same_place(batch, &empty);
}

/// Checks that a batch takes the same offsets as the one that it was made from, and says the same of its producer.
fn check_same_place(batch: &RecordBatch, rewritten: &RecordBatch) {
    let (old, new) = (batch.header(), rewritten.header());
    assert_eq!(new.attributes().with_compression(old.compression()), old.attributes());
    // Base offset; leader epoch and magic; then all from the last offset delta to the base sequence.
    for range in [0..8, 12..17, 23..57] {
        assert_eq!(old.as_bytes()[range.clone()], new.as_bytes()[range]);
    }
}

/// A leader's stamps change what they say and nothing else.
fn check_stamped(batch: &RecordBatch, choices: [u8; 8], records: &[Record]) {
    let base_offset = Offset::new(u64::from_le_bytes(choices) >> 1);
    let mut bytes = batch.bytes().to_vec();
    match assign(&mut bytes, base_offset, LeaderEpoch::new(7)) {
        Ok(()) => {
            let assigned = RecordBatch::parse(bytes.clone().into()).expect("a header that was sane stays so");
            assert_eq!(assigned.header().base_offset(), base_offset);
            assert_eq!(assigned.header().leader_epoch(), Some(LeaderEpoch::new(7)));
            assert_eq!(assigned.verify_crc().is_ok(), batch.verify_crc().is_ok());
            assert_eq!(bytes[16..], batch.bytes()[16..]);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(bytes, *batch.bytes(), "a refused stamp changed the batch");
        }
    }
    let mut bytes = batch.bytes().to_vec();
    assert_eq!(stamp_log_append_time(&mut bytes, 5), Ok(()));
    let stamped = RecordBatch::parse(bytes.into()).expect("a header that was sane stays so");
    assert_eq!(stamped.verify_crc(), Ok(()));
    let (found, _) = read(&stamped, LIMITS);
    // The times of records are not looked at where the broker's counts, so a fault in them is gone.
    assert!(found.len() >= records.len());
    for (found, record) in found.iter().zip(records) {
        assert_eq!(found, &Record { timestamp: 5, ..record.clone() });
    }
}

/// What was read can be written, by any codec, is read again, and a broker takes it.
fn check_built_again(records: &[Record], choice: u8) {
    let codecs = [Compression::None, Compression::Gzip, Compression::Lz4];
    let mut builder = BatchBuilder::new(codecs[usize::from(choice) % codecs.len()]);
    for record in records {
        let mut headers = Vec::new();
        match builder.push(&record.as_new(&mut headers)) {
            Ok(()) => {}
            Err(PushError::TimestampDelta { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
    let encoded_bytes = builder.encoded_bytes();
    let built = builder.finish().expect("what was read can be written");
    assert!(built.bytes().len() <= encoded_bytes);
    let (found, error) = read(&built, DecodeLimits::DEFAULT);
    assert_eq!(error, None);
    assert_eq!(found.len(), records.len());
    for ((found, record), number) in found.iter().zip(records).zip(0..) {
        assert_eq!(found, &Record { offset: Offset::new(number), ..record.clone() });
    }
    let limits = ProduceLimits { headers_max: u32::MAX, walk_compressed: true, ..ProduceLimits::default() };
    assert_eq!(validate_produced(built.clone(), &limits), Ok(built));
}
