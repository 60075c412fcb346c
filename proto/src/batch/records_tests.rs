use bytes::Bytes;
use proptest::prelude::*;

use super::samples::{CODECS, Sample, any_codec, any_samples, build, raw_batch, read, reseal, small_samples};
use super::varint::put_varint;
use super::{
    BatchError, Compression, DecodeLimits, DecompressError, NewRecord, RecordBatch, RecordFault, stamp_log_append_time,
};
use crate::ids::{LeaderEpoch, Offset};

/// The first fault of a batch with one hand-made record, which is given without its length field.
fn fault_of(body: &[u8]) -> RecordFault {
    let mut record = Vec::new();
    put_varint(&mut record, i32::try_from(body.len()).unwrap());
    record.extend_from_slice(body);
    // Behind the fault, so that the bytes suffice for the count.
    record.extend_from_slice(&EMPTY_RECORD);
    match first_error(raw_batch(0, 0, 1, &record)) {
        BatchError::Record { record: 0, fault } => fault,
        error => panic!("not a record's fault: {error}"),
    }
}

fn first_error(bytes: Vec<u8>) -> BatchError {
    read_all(bytes.into()).unwrap_err()
}

fn read_all(bytes: Bytes) -> Result<Vec<Sample>, BatchError> {
    let batch = RecordBatch::parse(bytes)?;
    batch.records(DecodeLimits::DEFAULT)?.map(|record| record.map(|record| Sample::of_record(&record))).collect()
}

/// The shortest record.
const EMPTY_RECORD: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];

#[test]
fn golden_bytes_of_a_small_batch() {
    // Written by kafka-python 3.0.12, but for its leader epoch of 0 where we write "none".
    let golden = "00000000000000000000004e ffffffff 02 0eee9508 0000 00000001 0000018bcfe56800 0000018bcfe56800\
                  ffffffffffffffff ffff ffffffff 00000002\
                  2a 00 00 00 02 6b 0a 76616c7565 06 02 68 02 01 02 68 01 00 00\
                  0c 00 01 02 00 01 00";
    let golden: String = golden.split_whitespace().collect();
    let batch = build(Compression::None, &small_samples());
    let written: String = batch.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, golden);
}

#[test]
fn null_and_empty_stay_apart_and_headers_keep_order_and_repeats() {
    for codec in CODECS {
        assert_eq!(read(&build(codec, &small_samples())), small_samples());
    }
}

#[test]
fn records_of_an_uncompressed_batch_share_its_bytes() {
    let batch = build(Compression::None, &small_samples());
    let range = batch.bytes().as_ptr_range();
    let record = batch.records(DecodeLimits::DEFAULT).unwrap().next().unwrap().unwrap();
    assert!(range.contains(&record.value.unwrap().as_ptr()));
}

#[test]
fn offsets_count_from_the_base_offset() {
    let batch = build(Compression::Lz4, &vec![Sample::of_value(&[7; 50]); 3]);
    let batch = batch.assigned(Offset::new(100), LeaderEpoch::new(1)).unwrap();
    let offsets: Vec<u64> =
        batch.records(DecodeLimits::DEFAULT).unwrap().map(|record| record.unwrap().offset.get()).collect();
    assert_eq!(offsets, [100, 101, 102]);
}

#[test]
fn append_time_stands_for_every_record() {
    let mut bytes = build(Compression::None, &small_samples()).bytes().to_vec();
    stamp_log_append_time(&mut bytes, 5).unwrap();
    let batch = RecordBatch::parse(bytes.into()).unwrap();
    batch.verify_crc().unwrap();
    assert!(read(&batch).iter().all(|sample| sample.timestamp == 5));
}

#[test]
fn a_record_can_be_written_again_as_it_was_read() {
    let batch = build(Compression::None, &small_samples());
    let mut builder = super::BatchBuilder::new(Compression::None);
    for record in batch.records(DecodeLimits::DEFAULT).unwrap() {
        let record = record.unwrap();
        builder.push(&record.as_new(&mut Vec::new())).unwrap();
    }
    assert_eq!(builder.finish().unwrap(), batch);
}

#[test]
fn extreme_timestamps_are_read_back() {
    for timestamps in
        [[i64::MIN, i64::MIN + 1], [i64::MAX, i64::MAX - 1], [i64::MIN, -1], [0, i64::MAX], [-1, i64::MIN]]
    {
        let samples = timestamps.map(|timestamp| Sample { timestamp, ..Sample::default() });
        let batch = build(Compression::None, &samples);
        assert_eq!(read(&batch), samples);
        assert_eq!(batch.header().max_timestamp(), timestamps[0].max(timestamps[1]));
    }
}

#[test]
fn a_timestamp_that_overflows_is_refused() {
    let mut bytes =
        build(Compression::None, &[1, 2].map(|timestamp| Sample { timestamp, ..Sample::default() })).bytes().to_vec();
    bytes[27..35].copy_from_slice(&i64::MAX.to_be_bytes());
    reseal(&mut bytes);
    assert_eq!(first_error(bytes), BatchError::Record { record: 1, fault: RecordFault::TimestampDelta(1) });
}

#[test]
fn malformed_records_are_refused_with_their_fault() {
    assert_eq!(fault_of(&[]), RecordFault::Truncated);
    assert_eq!(fault_of(&[1, 0, 0, 1, 1, 0]), RecordFault::Attributes(1));
    assert_eq!(fault_of(&[0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]), RecordFault::Varint);
    assert_eq!(fault_of(&[0, 0, 0x80, 0x80, 0x80, 0x80, 0x10]), RecordFault::Varint);
    assert_eq!(fault_of(&[0, 0, 1, 1, 1, 0]), RecordFault::OffsetDelta(-1));
    assert_eq!(fault_of(&[0, 0, 2, 1, 1, 0]), RecordFault::OffsetDelta(1));
    assert_eq!(fault_of(&[0, 0, 0, 3, 1, 0]), RecordFault::Length(-2));
    assert_eq!(fault_of(&[0, 0, 0, 1, 3, 0]), RecordFault::Length(-2));
    assert_eq!(fault_of(&[0, 0, 0, 20, 1, 0]), RecordFault::Truncated);
    assert_eq!(fault_of(&[0, 0, 0, 1, 1, 1]), RecordFault::HeaderCount(-1));
    assert_eq!(fault_of(&[0, 0, 0, 1, 1, 2, 0]), RecordFault::HeaderCount(1));
    assert_eq!(fault_of(&[0, 0, 0, 1, 1, 2, 1, 1]), RecordFault::Length(-1));
    assert_eq!(fault_of(&[0, 0, 0, 1, 1, 2, 2, 0xff, 1]), RecordFault::HeaderKey);
    assert_eq!(fault_of(&[0, 0, 0, 1, 1, 2, 0, 3]), RecordFault::Length(-2));
    assert_eq!(fault_of(&[0, 0, 0, 1, 1, 0, 0]), RecordFault::TrailingBytes);
}

#[test]
fn a_record_length_out_of_bounds_is_refused() {
    let mut record = EMPTY_RECORD;
    record[0] = 14;
    let truncated = BatchError::Record { record: 0, fault: RecordFault::Truncated };
    assert_eq!(first_error(raw_batch(0, 0, 1, &record)), truncated);
    record[0] = 1;
    let negative = BatchError::Record { record: 0, fault: RecordFault::Length(-1) };
    assert_eq!(first_error(raw_batch(0, 0, 1, &record)), negative);
}

#[test]
fn offsets_that_do_not_rise_are_refused() {
    let twice = [EMPTY_RECORD, EMPTY_RECORD].concat();
    let error = first_error(raw_batch(0, 1, 2, &twice));
    assert_eq!(error, BatchError::Record { record: 1, fault: RecordFault::OffsetDelta(0) });
}

#[test]
fn offsets_may_leave_gaps_as_after_compaction() {
    let mut later = EMPTY_RECORD;
    later[3] = 18;
    let bytes = raw_batch(0, 9, 2, &[EMPTY_RECORD, later].concat());
    assert_eq!(read_all(bytes.into()).unwrap().len(), 2);
}

#[test]
fn bytes_after_the_last_record_are_refused_once() {
    let batch = RecordBatch::parse(raw_batch(0, 0, 1, &[EMPTY_RECORD, EMPTY_RECORD].concat()).into()).unwrap();
    let mut records = batch.records(DecodeLimits::DEFAULT).unwrap();
    assert!(records.next().unwrap().is_ok());
    assert_eq!(records.next().unwrap().unwrap_err(), BatchError::TrailingRecordBytes(7));
    assert!(records.next().is_none());
    let headless = raw_batch(0, 0, 0, &EMPTY_RECORD);
    assert_eq!(first_error(headless), BatchError::TrailingRecordBytes(7));
}

#[test]
fn nothing_follows_a_fault() {
    let batch = RecordBatch::parse(raw_batch(0, 1, 2, &[EMPTY_RECORD, EMPTY_RECORD].concat()).into()).unwrap();
    let results: Vec<bool> = batch.records(DecodeLimits::DEFAULT).unwrap().map(|record| record.is_ok()).collect();
    assert_eq!(results, [true, false]);
}

#[test]
fn counts_above_what_the_bytes_can_hold_are_refused_before_any_work() {
    let bytes = raw_batch(0, i32::MAX - 1, i32::MAX, &EMPTY_RECORD);
    let error = BatchError::CountAboveBytes { record_count: i32::MAX.unsigned_abs(), records_bytes: 7 };
    assert_eq!(first_error(bytes), error);
    let mut many_headers = vec![0, 0, 0, 1, 1];
    put_varint(&mut many_headers, i32::MAX);
    assert_eq!(fault_of(&many_headers), RecordFault::HeaderCount(i32::MAX));
}

#[test]
fn a_batch_without_records_is_empty_whatever_its_codec() {
    for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4] {
        let bytes = raw_batch(codec.number().into(), 4, 0, &[]);
        assert_eq!(read_all(bytes.into()), Ok(vec![]));
    }
}

#[test]
fn codecs_known_by_number_only_are_refused_by_name() {
    for codec in [Compression::Snappy, Compression::Zstd] {
        let error = first_error(raw_batch(codec.number().into(), 0, 1, &EMPTY_RECORD));
        assert_eq!(error, BatchError::Decompress(DecompressError::UnsupportedCodec(codec)));
    }
}

#[test]
fn every_truncation_is_an_error() {
    let samples = vec![Sample { headers: small_samples()[0].headers.clone(), ..Sample::of_value(&[9; 80]) }; 3];
    for codec in CODECS {
        let batch = build(codec, &samples);
        assert_eq!(batch.header().compression(), codec);
        let bytes = batch.bytes();
        for length in 0..bytes.len() {
            assert!(RecordBatch::parse(bytes.slice(..length)).is_err(), "{codec} cut to {length}");
            // The same with a length and a CRC that do not give the cut away.
            if length >= 61 {
                let mut resealed = bytes[..length].to_vec();
                reseal(&mut resealed);
                assert!(read_all(resealed.into()).is_err(), "{codec} resealed at {length}");
            }
        }
    }
}

#[test]
fn the_default_record_is_all_null() {
    let mut builder = super::BatchBuilder::new(Compression::None);
    builder.push(&NewRecord::default()).unwrap();
    assert_eq!(builder.finish().unwrap().records_bytes()[..], EMPTY_RECORD);
}

proptest! {
    #[test]
    fn records_round_trip(samples in any_samples(), codec in any_codec()) {
        let batch = build(codec, &samples);
        prop_assert_eq!(batch.verify_crc(), Ok(()));
        prop_assert_eq!(batch.header().record_count() as usize, samples.len());
        let max = samples.iter().map(|sample| sample.timestamp).max().unwrap();
        prop_assert_eq!(batch.header().max_timestamp(), max);
        prop_assert_eq!(read(&batch), samples);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        records in prop::collection::vec(any::<u8>(), 0..300),
        attributes in 0_u16..0x80,
        last_offset_delta in 0..40_i32,
        record_count in 0..40_i32,
    ) {
        // The result does not matter: no panic, no overflow, no endless loop.
        let _ = read_all(raw_batch(attributes, last_offset_delta, record_count, &records).into());
    }

    #[test]
    fn damaged_records_under_a_true_crc_never_panic(
        samples in any_samples(),
        codec in any_codec(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = build(codec, &samples).bytes().to_vec();
        for (index, byte) in damage {
            let at = 61 + index.index(bytes.len() - 61);
            bytes[at] = byte;
        }
        reseal(&mut bytes);
        if let Ok(read) = read_all(bytes.into()) {
            prop_assert_eq!(read.len(), samples.len());
        }
    }
}
