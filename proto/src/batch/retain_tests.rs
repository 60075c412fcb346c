use proptest::prelude::*;

use super::samples::{CODECS, Sample, any_codec, any_samples, build, raw_batch, read};
use super::{
    BATCH_HEADER_BYTES, BatchBuilder, BatchError, Compression, DecodeLimits, DecompressError, ProducerStamp,
    RecordBatch, Retained, emptied, retain_records,
};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

/// Five records of a producer at offsets 50 to 54, the third with the largest time.
fn batch_of(codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new(codec).producer(ProducerStamp {
        id: ProducerId::new(5),
        epoch: ProducerEpoch::new(6),
        base_sequence: Some(Sequence::new(7)),
    });
    for timestamp in [10, 20, 90, 30, 40] {
        Sample { timestamp, key: Some(vec![b'k'; 40]), ..Sample::default() }.push_to(&mut builder);
    }
    builder.finish().unwrap().assigned(Offset::new(50), LeaderEpoch::new(2)).unwrap()
}

fn retain(batch: &RecordBatch, offsets: &[u64]) -> Retained {
    retain_records(batch, DecodeLimits::DEFAULT, |record| offsets.contains(&record.offset.get())).unwrap()
}

#[test]
fn kept_records_stay_where_they_were() {
    for codec in CODECS {
        let batch = batch_of(codec);
        let Retained::Some(kept) = retain(&batch, &[50, 51, 54]) else { panic!("some are kept") };
        kept.verify_crc().unwrap();
        let records: Vec<_> = kept.records(DecodeLimits::DEFAULT).unwrap().map(Result::unwrap).collect();
        let places: Vec<_> = records.iter().map(|record| (record.offset.get(), record.timestamp)).collect();
        assert_eq!(places, [(50, 10), (51, 20), (54, 40)]);
        assert_eq!(kept.header().record_count(), 3);
        assert_eq!(kept.header().compression(), codec);
        assert_keeps_place(&kept, &batch);
    }
}

fn assert_keeps_place(after: &RecordBatch, before: &RecordBatch) {
    let (after, before) = (after.header(), before.header());
    assert_eq!(after.base_offset(), before.base_offset());
    assert_eq!(after.last_offset(), before.last_offset());
    assert_eq!(after.leader_epoch(), before.leader_epoch());
    assert_eq!(after.producer(), before.producer());
    assert_eq!(after.base_timestamp(), before.base_timestamp());
    assert_eq!(after.max_timestamp(), before.max_timestamp());
    let plain = |attributes: super::Attributes| attributes.with_compression(Compression::None);
    assert_eq!(plain(after.attributes()), plain(before.attributes()));
}

#[test]
fn all_and_none_need_no_new_batch() {
    for codec in CODECS {
        let batch = batch_of(codec);
        assert_eq!(retain(&batch, &[50, 51, 52, 53, 54]), Retained::All);
        assert_eq!(retain(&batch, &[]), Retained::None);
    }
}

#[test]
fn an_emptied_batch_is_a_header_that_keeps_the_place() {
    for codec in CODECS {
        let batch = batch_of(codec);
        let empty = emptied(&batch);
        empty.verify_crc().unwrap();
        assert_eq!(empty.bytes().len(), BATCH_HEADER_BYTES);
        assert_eq!(empty.header().record_count(), 0);
        assert_eq!(read(&empty), []);
        assert_keeps_place(&empty, &batch);
        assert_eq!(retain(&empty, &[50]), Retained::All);
    }
}

#[test]
fn damage_is_not_given_a_true_checksum() {
    let mut bytes = batch_of(Compression::None).bytes().to_vec();
    bytes[100] ^= 1;
    let batch = RecordBatch::parse(bytes.into()).unwrap();
    let result = retain_records(&batch, DecodeLimits::DEFAULT, |_| true);
    assert!(matches!(result, Err(BatchError::Checksum { .. })));
}

#[test]
fn codecs_that_are_not_read_are_refused() {
    let batch = RecordBatch::parse(raw_batch(2, 0, 1, &[0; 20]).into()).unwrap();
    let error = retain_records(&batch, DecodeLimits::DEFAULT, |_| true).unwrap_err();
    assert_eq!(error, DecompressError::UnsupportedCodec(Compression::Snappy).into());
}

proptest! {
    #[test]
    fn exactly_the_chosen_records_are_kept(samples in any_samples(), codec in any_codec(), choice: u32) {
        let batch = build(codec, &samples);
        let chosen = |offset: u64| choice >> (offset % 32) & 1 == 1;
        let kept = match retain_records(&batch, DecodeLimits::DEFAULT, |record| chosen(record.offset.get())).unwrap() {
            Retained::All => batch.clone(),
            Retained::Some(kept) => kept,
            Retained::None => emptied(&batch),
        };
        prop_assert_eq!(kept.verify_crc(), Ok(()));
        prop_assert_eq!(kept.header().next_offset(), batch.header().next_offset());
        let expected: Vec<Sample> =
            samples.into_iter().enumerate().filter(|(at, _)| chosen(*at as u64)).map(|(_, sample)| sample).collect();
        prop_assert_eq!(read(&kept), expected);
    }
}
