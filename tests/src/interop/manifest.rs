//! The checked-in vectors and what their manifest says of them.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use tidelog_proto::batch::{DecodeLimits, Record, RecordBatch, TimestampType};
use tidelog_proto::ids::{LeaderEpoch, Sequence};

/// One batch in a file.
pub(super) struct Vector {
    pub(super) file: String,
    pub(super) bytes: Bytes,
    /// The manifest's entry, long fields written out.
    pub(super) expected: Value,
}

/// Loads the vectors of one origin.
pub(super) fn vectors(origin: &str) -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(origin);
    let manifest = fs::read(folder.join("manifest.json")).expect("the manifest is checked in");
    let mut manifest: Value = serde_json::from_slice(&manifest).expect("the manifest is JSON");
    let Value::Array(batches) = manifest["batches"].take() else { panic!("the manifest lists batches") };
    batches.into_iter().map(|batch| vector(&folder, batch)).collect()
}

fn vector(folder: &Path, mut expected: Value) -> Vector {
    let entry = expected.as_object_mut().expect("an entry is an object");
    let file = entry.remove("file").and_then(|file| file.as_str().map(str::to_owned)).expect("an entry names its file");
    for record in entry["records"].as_array_mut().expect("an entry lists records") {
        write_out(&mut record["key"]);
        write_out(&mut record["value"]);
    }
    let bytes = fs::read(folder.join(&file)).expect("the vector is checked in").into();
    Vector { file, bytes, expected }
}

/// Makes `{"hex": .., "times": ..}` plain hexadecimal.
fn write_out(field: &mut Value) {
    if let (Some(pattern), Some(times)) = (field["hex"].as_str(), field["times"].as_u64()) {
        *field = pattern.repeat(usize::try_from(times).expect("a short time")).into();
    }
}

/// Says what we read in a batch, in the form of the manifest.
pub(super) fn described(batch: &RecordBatch) -> Value {
    let header = batch.header();
    let producer = header.producer().map(|producer| {
        let base_sequence = producer.base_sequence.map(Sequence::get);
        json!({ "id": producer.id.get(), "epoch": producer.epoch.get(), "base_sequence": base_sequence })
    });
    let records = batch.records(DecodeLimits::DEFAULT).expect("the records are readable");
    let records: Vec<Value> = records.map(|record| described_record(&record.expect("a record"))).collect();
    json!({
        "codec": header.compression().name(),
        "base_offset": header.base_offset().get(),
        "last_offset": header.last_offset().get(),
        "leader_epoch": header.leader_epoch().map(LeaderEpoch::get),
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "log_append_time": header.attributes().timestamp_type() == TimestampType::LogAppendTime,
        "max_timestamp": header.max_timestamp(),
        "producer": producer,
        "records": records,
    })
}

fn described_record(record: &Record) -> Value {
    let headers: Vec<Value> = record.headers.iter().map(|header| json!([header.key, hex(header.value)])).collect();
    json!({
        "offset": record.offset.get(),
        "timestamp": record.timestamp,
        "key": hex(record.key.as_deref()),
        "value": hex(record.value.as_deref()),
        "headers": headers,
    })
}

fn hex(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
