use super::samples::{Sample, build, read};
use super::{
    BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BatchBuilder, BuildError, Compression, NewRecord, ProducerStamp, PushError,
    RecordHeader,
};
use crate::ids::{ProducerEpoch, ProducerId, Sequence};

fn of_value(value: &[u8]) -> NewRecord<'_> {
    NewRecord { value: Some(value), ..NewRecord::default() }
}

fn finish_with(producer: ProducerStamp) -> Result<(), BuildError> {
    let mut builder = BatchBuilder::new(Compression::None).producer(producer);
    builder.push(&NewRecord::default()).unwrap();
    builder.finish().map(|_| ())
}

#[test]
fn a_full_batch_takes_no_more_and_loses_nothing() {
    // 8 bytes a record: the length, 6 of the body, and the value's one byte.
    let mut builder = BatchBuilder::new(Compression::None).batch_bytes_max(61 + 8 + 8);
    builder.push(&of_value(b"a")).unwrap();
    let full = PushError::Full { batch_bytes: 78, batch_bytes_max: 77 };
    assert_eq!(builder.push(&of_value(b"bb")), Err(full));
    assert_eq!((builder.len(), builder.encoded_bytes()), (1, 69));
    builder.push(&of_value(b"c")).unwrap();
    let batch = builder.finish().unwrap();
    assert_eq!(batch.header().total_bytes(), 77);
    assert_eq!(read(&batch), [Sample::of_value(b"a"), Sample::of_value(b"c")]);
}

#[test]
fn a_record_that_fits_no_batch_is_told_apart() {
    let mut builder = BatchBuilder::new(Compression::None).batch_bytes_max(68);
    let too_large = PushError::RecordTooLarge { batch_bytes: 69, batch_bytes_max: 68 };
    assert_eq!(builder.push(&of_value(b"a")), Err(too_large));
    assert!(builder.is_empty());
    builder.push(&NewRecord::default()).unwrap();
    assert_eq!(builder.push(&of_value(b"a")), Err(too_large));
}

#[test]
fn no_limit_is_above_what_decoders_take() {
    let mut builder = BatchBuilder::new(Compression::None).batch_bytes_max(u32::MAX);
    let value = vec![0; BATCH_BYTES_MAX as usize];
    let result = builder.push(&of_value(&value));
    assert!(matches!(result, Err(PushError::RecordTooLarge { batch_bytes_max: BATCH_BYTES_MAX, .. })));
}

#[test]
fn headers_count_into_the_size() {
    let headers = [RecordHeader { key: "key", value: Some(b"value") }, RecordHeader { key: "", value: None }];
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord { headers: &headers, ..NewRecord::default() }).unwrap();
    assert_eq!(builder.encoded_bytes(), BATCH_HEADER_BYTES + 7 + (1 + 3 + 1 + 5) + (1 + 1));
    let encoded_bytes = builder.encoded_bytes();
    assert_eq!(builder.finish().unwrap().bytes().len(), encoded_bytes);
}

#[test]
fn a_time_too_far_from_the_first_goes_into_another_batch() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord { timestamp: -2, ..NewRecord::default() }).unwrap();
    let far = NewRecord { timestamp: i64::MAX, ..NewRecord::default() };
    let error = PushError::TimestampDelta { base_timestamp: -2, timestamp: i64::MAX };
    assert_eq!(builder.push(&far), Err(error));
    assert_eq!(builder.finish().unwrap().header().max_timestamp(), -2);
    BatchBuilder::new(Compression::None).push(&far).unwrap();
}

#[test]
fn the_codec_is_used_only_where_the_batch_shrinks() {
    let short = [Sample::of_value(b"abc")];
    let long = [Sample::of_value(&b"abc".repeat(100))];
    for codec in [Compression::Gzip, Compression::Lz4] {
        let plain = build(Compression::None, &short);
        assert_eq!(build(codec, &short), plain);
        let batch = build(codec, &long);
        assert_eq!(batch.header().compression(), codec);
        assert!(batch.bytes().len() < build(Compression::None, &long).bytes().len());
    }
}

#[test]
fn the_same_records_make_the_same_bytes() {
    let samples = [Sample::of_value(&b"abc".repeat(100))];
    for codec in [Compression::Gzip, Compression::Lz4] {
        assert_eq!(build(codec, &samples), build(codec, &samples));
    }
}

#[test]
fn what_cannot_be_a_batch_is_refused() {
    assert_eq!(BatchBuilder::new(Compression::None).finish(), Err(BuildError::Empty));
    for codec in [Compression::Snappy, Compression::Zstd] {
        let mut builder = BatchBuilder::new(codec);
        builder.push(&NewRecord::default()).unwrap();
        assert_eq!(builder.finish(), Err(BuildError::UnsupportedCodec(codec)));
    }
}

#[test]
fn producer_numbers_beyond_the_wire_are_refused() {
    let fits = ProducerStamp {
        id: ProducerId::new(i64::MAX.unsigned_abs()),
        epoch: ProducerEpoch::new(i16::MAX.unsigned_abs()),
        base_sequence: Some(Sequence::MAX),
    };
    assert_eq!(finish_with(fits), Ok(()));
    assert_eq!(finish_with(ProducerStamp { base_sequence: None, ..fits }), Ok(()));
    for beyond in [
        ProducerStamp { id: ProducerId::new(1 << 63), ..fits },
        ProducerStamp { epoch: ProducerEpoch::new(1 << 15), ..fits },
        ProducerStamp { base_sequence: Some(Sequence::new(1 << 31)), ..fits },
    ] {
        assert_eq!(finish_with(beyond), Err(BuildError::Producer(beyond)));
    }
}

#[test]
fn room_made_ahead_changes_no_byte_and_is_not_kept_for_nothing() {
    let record = NewRecord { value: Some(b"value"), ..NewRecord::default() };
    let plain = BatchBuilder::new(Compression::None);
    let roomy = plain.clone().batch_bytes_max(64 * 1024).reserve(u32::MAX);
    let [plain, roomy] = [plain, roomy].map(|mut builder| {
        builder.push(&record).unwrap();
        builder.finish().unwrap()
    });
    assert_eq!(plain.bytes(), roomy.bytes());
    let kept = roomy.into_bytes().try_into_mut().unwrap();
    assert!(kept.capacity() <= 2 * kept.len(), "{} bytes for {}", kept.capacity(), kept.len());
}
