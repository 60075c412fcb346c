//! Messages as bytes: what is shared, what is left alone, what hostile bytes do.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::v1;

fn lies_within(part: &Bytes, whole: &Bytes) -> bool {
    whole.as_ptr_range().contains(&part.as_ptr()) && part.as_ptr_range().end <= whole.as_ptr_range().end
}

#[test]
fn batches_are_decoded_without_a_copy() {
    let batch = Bytes::from(vec![7; 1000]);
    let request = v1::ProduceRequest {
        batches: vec![v1::ProduceBatch { record_batch: batch.clone(), ..v1::ProduceBatch::default() }],
        ..v1::ProduceRequest::default()
    };
    let encoded = Bytes::from(request.encode_to_vec());
    let decoded = v1::ProduceRequest::decode(encoded.clone()).unwrap();
    assert_eq!(decoded.batches[0].record_batch, batch);
    assert!(lies_within(&decoded.batches[0].record_batch, &encoded));

    let pushed = v1::FetchBatches { record_batches: vec![batch.clone(), batch], ..v1::FetchBatches::default() };
    let encoded = Bytes::from(pushed.encode_to_vec());
    let decoded = v1::FetchBatches::decode(encoded.clone()).unwrap();
    assert!(decoded.record_batches.iter().all(|batch| lies_within(batch, &encoded)));
}

#[test]
fn null_and_empty_differ_on_the_wire() {
    for payload in [None, Some(Bytes::new()), Some(Bytes::from_static(b"x"))] {
        let record = v1::NewRecord { key: payload.clone(), value: payload, ..v1::NewRecord::default() };
        assert_eq!(v1::NewRecord::decode(record.encode_to_vec().as_slice()), Ok(record));
    }
}

#[test]
fn fields_of_a_newer_version_are_ignored() {
    let known = v1::TopicRef { by: Some(v1::topic_ref::By::Name("orders".to_owned())) };
    let mut encoded = known.encode_to_vec();
    encoded.extend(b"\xfa\x3f\x05newer\xf0\x3f\x09"); // fields 1023 (bytes) and 1022 (number)
    assert_eq!(v1::TopicRef::decode(encoded.as_slice()), Ok(known));
}

/// An empty element of a list takes two bytes on the wire. How much memory a request can claim follows from this.
#[test]
fn an_empty_element_of_a_request_takes_at_most_128_bytes() {
    for (element, bytes) in [
        ("ProduceBatch", size_of::<v1::ProduceBatch>()),
        ("NewRecord", size_of::<v1::NewRecord>()),
        ("RecordHeader", size_of::<v1::RecordHeader>()),
        ("FetchCommand", size_of::<v1::FetchCommand>()),
        ("ListOffsetsQuery", size_of::<v1::ListOffsetsQuery>()),
        ("TopicRef", size_of::<v1::TopicRef>()),
        ("NewTopic", size_of::<v1::NewTopic>()),
        ("NewConfig", size_of::<v1::NewConfig>()),
        ("TopicConfigChanges", size_of::<v1::TopicConfigChanges>()),
        ("ConfigChange", size_of::<v1::ConfigChange>()),
        ("ConfigResource", size_of::<v1::ConfigResource>()),
        ("TopicPartitionCount", size_of::<v1::TopicPartitionCount>()),
        ("DeleteRecordsPartition", size_of::<v1::DeleteRecordsPartition>()),
    ] {
        assert!(bytes <= 128, "{element}: {bytes}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = v1::ProduceRequest::decode(bytes.as_slice()) {
            prop_assert_eq!(v1::ProduceRequest::decode(request.encode_to_vec().as_slice()), Ok(request));
        }
        if let Ok(request) = v1::FetchRequest::decode(bytes.as_slice()) {
            prop_assert_eq!(v1::FetchRequest::decode(request.encode_to_vec().as_slice()), Ok(request));
        }
        if let Ok(request) = v1::CreateTopicsRequest::decode(bytes.as_slice()) {
            prop_assert_eq!(v1::CreateTopicsRequest::decode(request.encode_to_vec().as_slice()), Ok(request));
        }
    }
}
