use super::samples::{build, reseal, small_samples};
use super::{
    BATCH_BYTES_MAX, BATCH_BYTES_MIN, BATCH_HEADER_BYTES, BatchBuilder, BatchError, BatchHeader, Compression,
    NewRecord, ProducerStamp, RecordBatch, TimestampType,
};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

/// A batch of a producer, with each field another value.
fn full() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None).transactional().producer(ProducerStamp {
        id: ProducerId::new(0x0102_0304),
        epoch: ProducerEpoch::new(0x0506),
        base_sequence: Some(Sequence::new(0x0708)),
    });
    builder.push(&NewRecord { timestamp: 1000, ..NewRecord::default() }).unwrap();
    builder.push(&NewRecord { timestamp: 3000, ..NewRecord::default() }).unwrap();
    builder.push(&NewRecord { timestamp: -2000, ..NewRecord::default() }).unwrap();
    let batch = builder.finish().unwrap().assigned(Offset::new(0x1112), LeaderEpoch::new(0x1314)).unwrap();
    batch.bytes().to_vec()
}

fn parse_with(at: usize, field: &[u8]) -> Result<(), BatchError> {
    let mut bytes = full();
    bytes[at..at + field.len()].copy_from_slice(field);
    BatchHeader::parse(&bytes).map(|_| ())
}

#[test]
fn accessors_read_what_the_builder_was_given() {
    let bytes = full();
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!(header.base_offset(), Offset::new(0x1112));
    assert_eq!(header.total_bytes() as usize, bytes.len());
    assert_eq!(header.leader_epoch(), Some(LeaderEpoch::new(0x1314)));
    assert_eq!(header.compression(), Compression::None);
    assert_eq!(header.attributes().timestamp_type(), TimestampType::CreateTime);
    assert!(header.is_transactional() && !header.is_control() && !header.has_delete_horizon());
    assert_eq!(header.last_offset_delta(), 2);
    assert_eq!(header.last_offset(), Offset::new(0x1114));
    assert_eq!(header.next_offset(), Offset::new(0x1115));
    assert_eq!((header.base_timestamp(), header.max_timestamp()), (1000, 3000));
    assert_eq!(header.record_count(), 3);
    let producer = header.producer().unwrap();
    assert_eq!((producer.id.get(), producer.epoch.get()), (0x0102_0304, 0x0506));
    assert_eq!(producer.base_sequence, Some(Sequence::new(0x0708)));
    assert_eq!(header.as_bytes()[..], bytes[..BATCH_HEADER_BYTES]);
}

#[test]
fn what_a_producer_leaves_out_is_none() {
    let batch = build(Compression::None, &small_samples());
    assert_eq!(batch.header().leader_epoch(), None);
    assert_eq!(batch.header().producer(), None);
    assert_eq!(batch.header().base_offset(), Offset::ZERO);
}

#[test]
fn fields_out_of_range_are_refused() {
    let truncated = BatchError::Truncated { needed: 61, available: 60 };
    assert_eq!(BatchHeader::parse(&full()[..60]).unwrap_err(), truncated);
    assert_eq!(parse_with(16, &[1]), Err(BatchError::Magic(1)));
    assert_eq!(parse_with(8, &48_i32.to_be_bytes()), Err(BatchError::LengthField(48)));
    assert_eq!(parse_with(8, &(-1_i32).to_be_bytes()), Err(BatchError::LengthField(-1)));
    assert_eq!(parse_with(8, &i32::MAX.to_be_bytes()), Err(BatchError::LengthField(i32::MAX)));
    assert_eq!(parse_with(12, &(-2_i32).to_be_bytes()), Err(BatchError::LeaderEpoch(-2)));
    assert_eq!(parse_with(21, &0x0080_u16.to_be_bytes()), Err(BatchError::UnknownAttributes(0x80)));
    assert_eq!(parse_with(21, &5_u16.to_be_bytes()), Err(BatchError::UnknownCodec(5)));
    assert_eq!(parse_with(0, &(-1_i64).to_be_bytes()), Err(BatchError::BaseOffset(-1)));
    let passes_the_end = BatchError::LastOffsetDelta { base_offset: i64::MAX - 1, last_offset_delta: 2 };
    assert_eq!(parse_with(0, &(i64::MAX - 1).to_be_bytes()), Err(passes_the_end));
    let negative = BatchError::LastOffsetDelta { base_offset: 0x1112, last_offset_delta: -1 };
    assert_eq!(parse_with(23, &(-1_i32).to_be_bytes()), Err(negative));
    let count = |record_count| Err(BatchError::RecordCount { record_count, last_offset_delta: 2 });
    assert_eq!(parse_with(57, &(-1_i32).to_be_bytes()), count(-1));
    assert_eq!(parse_with(57, &4_i32.to_be_bytes()), count(4));
    let producer = |id, epoch, base_sequence| Err(BatchError::Producer { id, epoch, base_sequence });
    assert_eq!(parse_with(43, &(-2_i64).to_be_bytes()), producer(-2, 0x0506, 0x0708));
    assert_eq!(parse_with(51, &(-1_i16).to_be_bytes()), producer(0x0102_0304, -1, 0x0708));
    assert_eq!(parse_with(53, &(-2_i32).to_be_bytes()), producer(0x0102_0304, 0x0506, -2));
}

#[test]
fn fields_at_the_ends_of_their_ranges_pass() {
    assert_eq!(parse_with(0, &(i64::MAX - 2).to_be_bytes()), Ok(()));
    assert_eq!(parse_with(8, &(BATCH_BYTES_MIN - 12).to_be_bytes()), Ok(()));
    assert_eq!(parse_with(8, &(BATCH_BYTES_MAX - 12).to_be_bytes()), Ok(()));
    assert_eq!(parse_with(57, &0_i32.to_be_bytes()), Ok(()));
    assert_eq!(parse_with(21, &0x007c_u16.to_be_bytes()), Ok(()));
    // Some clients leave a sequence of 0 in batches without a producer id.
    assert_eq!(parse_with(43, &(-1_i64).to_be_bytes()), Ok(()));
}

#[test]
fn a_batch_is_exactly_as_long_as_it_declares() {
    let mut bytes = full();
    let declared = bytes.len() as u64;
    bytes.push(0);
    let error = RecordBatch::parse(bytes.clone().into()).unwrap_err();
    assert_eq!(error, BatchError::TrailingBytes { declared, available: declared + 1 });
    bytes.truncate(bytes.len() - 2);
    let error = RecordBatch::parse(bytes.into()).unwrap_err();
    assert_eq!(error, BatchError::Truncated { needed: declared, available: declared - 1 });
}

#[test]
fn the_crc_covers_all_but_the_prefix() {
    let bytes = full();
    for at in 21..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let caught = RecordBatch::parse(damaged.into()).and_then(|batch| batch.verify_crc());
        assert!(caught.is_err(), "byte {at}");
    }
    let mut resealed = bytes;
    resealed[60] -= 1;
    reseal(&mut resealed);
    assert_eq!(RecordBatch::parse(resealed.into()).unwrap().verify_crc(), Ok(()));
}
