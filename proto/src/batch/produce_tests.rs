use super::samples::{CODECS, Sample, build, reseal};
use super::{
    AssignError, BatchBuilder, BatchError, Compression, NewRecord, ProduceError, ProduceLimits, ProducerStamp,
    RecordBatch, RecordFault, assign, stamp_log_append_time, validate_produced,
};
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Two records that compress, at times 10 and 30.
fn samples() -> Vec<Sample> {
    let header = ("h".to_owned(), None);
    [10, 30]
        .map(|timestamp| Sample {
            timestamp,
            key: None,
            headers: vec![header.clone(); 3],
            ..Sample::of_value(&[b'v'; 100])
        })
        .to_vec()
}

fn batch_of(codec: Compression) -> RecordBatch {
    let batch = build(codec, &samples());
    assert_eq!(batch.header().compression(), codec);
    batch
}

fn validate(batch: &RecordBatch, change: impl Fn(&mut ProduceLimits)) -> Result<(), ProduceError> {
    let mut limits = ProduceLimits { walk_compressed: true, ..ProduceLimits::default() };
    change(&mut limits);
    validate_produced(batch.clone(), &limits).map(drop)
}

/// Validates the uncompressed batch after a change of one field, under a true CRC.
fn validate_with(at: usize, field: &[u8]) -> Result<(), ProduceError> {
    let mut bytes = batch_of(Compression::None).bytes().to_vec();
    bytes[at..at + field.len()].copy_from_slice(field);
    reseal(&mut bytes);
    validate(&RecordBatch::parse(bytes.into()).unwrap(), |_| {})
}

#[test]
fn what_a_builder_makes_is_taken() {
    for codec in CODECS {
        assert_eq!(validate(&batch_of(codec), |_| {}), Ok(()));
    }
}

#[test]
fn limits_are_checked_in_the_header_and_in_every_record() {
    for codec in CODECS {
        let batch = batch_of(codec);
        let batch_bytes = batch.header().total_bytes();
        assert_eq!(validate(&batch, |limits| limits.batch_bytes_max = batch_bytes), Ok(()));
        let too_large = ProduceError::TooLarge { batch_bytes, batch_bytes_max: batch_bytes - 1 };
        assert_eq!(validate(&batch, |limits| limits.batch_bytes_max = batch_bytes - 1), Err(too_large));
        let ahead = ProduceError::TimestampAhead { timestamp: 30, timestamp_ms_max: 29 };
        assert_eq!(validate(&batch, |limits| limits.timestamp_ms_max = 29), Err(ahead));
        assert_eq!(validate(&batch, |limits| limits.timestamp_ms_max = 30), Ok(()));
        let headers = ProduceError::TooManyHeaders { record: 0, headers: 3, headers_max: 2 };
        assert_eq!(validate(&batch, |limits| limits.headers_max = 2), Err(headers));
        assert_eq!(validate(&batch, |limits| limits.keys_required = true), Err(ProduceError::NoKey { record: 0 }));
    }
}

#[test]
fn compressed_records_are_walked_only_where_asked() {
    let batch = batch_of(Compression::Lz4);
    let unwalked = |limits: &mut ProduceLimits| {
        limits.walk_compressed = false;
        limits.keys_required = true;
    };
    assert_eq!(validate(&batch, unwalked), Ok(()));
    assert!(validate(&batch_of(Compression::None), unwalked).is_err());
}

#[test]
fn fields_that_only_a_broker_sets_are_refused() {
    for bits in [1_u16 << 3, 1 << 5, 1 << 6] {
        assert_eq!(validate_with(21, &bits.to_be_bytes()), Err(ProduceError::BrokerAttributes(bits)));
    }
    assert_eq!(validate_with(0, &7_i64.to_be_bytes()), Err(ProduceError::BaseOffset(Offset::new(7))));
}

#[test]
fn codecs_that_are_not_read_are_refused() {
    for codec in [Compression::Snappy, Compression::Zstd] {
        let result = validate_with(22, &[codec.number()]);
        assert_eq!(result, Err(ProduceError::UnsupportedCodec(codec)));
    }
}

#[test]
fn a_produced_batch_has_one_record_for_every_offset() {
    let counts = |record_count, last_offset_delta| ProduceError::RecordCount { record_count, last_offset_delta };
    assert_eq!(validate_with(57, &1_i32.to_be_bytes()), Err(counts(1, 1)));
    assert_eq!(validate_with(57, &0_i32.to_be_bytes()), Err(counts(0, 1)));
    assert_eq!(validate_with(23, &2_i32.to_be_bytes()), Err(counts(2, 2)));
    assert_eq!(validate_with(23, &i32::MAX.to_be_bytes()), Err(counts(2, i32::MAX.unsigned_abs())));
}

#[test]
fn idempotent_batches_have_a_sequence_and_transactional_ones_a_producer() {
    let producer = ProducerStamp { id: ProducerId::new(1), epoch: ProducerEpoch::new(0), base_sequence: None };
    let mut builder = BatchBuilder::new(Compression::None).producer(producer);
    builder.push(&NewRecord::default()).unwrap();
    assert_eq!(validate(&builder.finish().unwrap(), |_| {}), Err(ProduceError::NoSequence));
    let mut builder = BatchBuilder::new(Compression::None).transactional();
    builder.push(&NewRecord::default()).unwrap();
    assert_eq!(validate(&builder.finish().unwrap(), |_| {}), Err(ProduceError::NoProducer));
}

#[test]
fn a_wrong_max_timestamp_is_refused() {
    let wrong = ProduceError::MaxTimestamp { stored: 31, computed: 30 };
    assert_eq!(validate_with(35, &31_i64.to_be_bytes()), Err(wrong));
}

#[test]
fn damage_may_be_sent_again_but_nonsense_may_not() {
    let mut bytes = batch_of(Compression::None).bytes().to_vec();
    bytes[80] ^= 1;
    let error = validate(&RecordBatch::parse(bytes.clone().into()).unwrap(), |_| {}).unwrap_err();
    assert!(matches!(error, ProduceError::Batch(BatchError::Checksum { .. })));
    assert_eq!(error.error_code(), ErrorCode::CorruptBatch);
    assert!(error.error_code().retriable());

    // The second record's attributes, after the first record of 117 bytes and its length of two.
    let second = bytes.len() - (bytes.len() - 61) / 2 + 2;
    bytes[80] ^= 1;
    bytes[second] = 1;
    reseal(&mut bytes);
    let error = validate(&RecordBatch::parse(bytes.into()).unwrap(), |_| {}).unwrap_err();
    let fault = RecordFault::Attributes(1);
    assert_eq!(error, ProduceError::Batch(BatchError::Record { record: 1, fault }));
    assert_eq!(error.error_code(), ErrorCode::InvalidRecord);
    assert!(!error.error_code().retriable());
}

#[test]
fn assigning_leaves_the_crc_true() {
    let batch = batch_of(Compression::Gzip);
    let shared = batch.clone();
    let assigned = batch.assigned(Offset::new(1 << 40), LeaderEpoch::new(9)).unwrap();
    assert_eq!(assigned.header().base_offset(), Offset::new(1 << 40));
    assert_eq!(assigned.header().leader_epoch(), Some(LeaderEpoch::new(9)));
    assert_eq!(assigned.verify_crc(), Ok(()));
    // Bytes that somebody else holds are copied, not changed.
    assert_eq!(shared.header().base_offset(), Offset::ZERO);
}

#[test]
fn numbers_that_a_batch_cannot_hold_are_not_assigned() {
    let batch = batch_of(Compression::None);
    let too_high = AssignError::Offset { base_offset: Offset::MAX, last_offset_delta: 1 };
    assert_eq!(batch.clone().assigned(Offset::MAX, LeaderEpoch::new(0)), Err(too_high));
    let epoch = LeaderEpoch::new(1 << 31);
    assert_eq!(batch.assigned(Offset::ZERO, epoch), Err(AssignError::LeaderEpoch(epoch)));
    let no_batch = AssignError::Batch(BatchError::Truncated { needed: 61, available: 3 });
    assert_eq!(assign(&mut [0; 3], Offset::ZERO, LeaderEpoch::new(0)), Err(no_batch));
}

#[test]
fn append_time_changes_attributes_max_timestamp_and_crc_only() {
    let before = batch_of(Compression::Lz4).bytes().to_vec();
    let mut after = before.clone();
    stamp_log_append_time(&mut after, 77).unwrap();
    let changed: Vec<usize> = (0..after.len()).filter(|at| before[*at] != after[*at]).collect();
    assert!(changed.iter().all(|at| (17..23).contains(at) || (35..43).contains(at)), "{changed:?}");
    let batch = RecordBatch::parse(after.into()).unwrap();
    assert_eq!(batch.verify_crc(), Ok(()));
    assert_eq!(batch.header().max_timestamp(), 77);
    assert_eq!(batch.header().compression(), Compression::Lz4);
}
