//! Compaction, and which records it may remove.

use std::collections::BTreeMap;

use tidelog_log::environment::Environment;
use tidelog_log::{LogReader, ReadError};
use tidelog_proto::batch::{DecodeLimits, Record, RecordBatch};
use tidelog_proto::ids::Offset;

use super::{Failure, TrackedLog};
use crate::log_fixture::model::{LogModel, records_of};

impl TrackedLog {
    /// Runs one round of compaction, if one is due, with `appended` entries added while it runs.
    pub(crate) fn compact(&mut self, appended: usize) -> Result<(), Failure> {
        let now_ms = self.machine.now_ms();
        let Some(plan) = self.log().writer.plan_compaction(now_ms, DecodeLimits::DEFAULT) else { return Ok(()) };
        let compaction = plan.run()?;
        if appended > 0 {
            self.append(appended)?;
        }
        self.model.is_compacting = true;
        let segments = self.model.segments.take();
        let outcome = self.log().writer.install_compaction(compaction);
        if self.log().writer.is_poisoned() {
            return outcome.map(drop).map_err(Failure::from);
        }
        // Should it have failed, some of the segments may have been replaced.
        self.model.is_compacting = false;
        let active = segments.and_then(|segments| segments.last().copied());
        let reader = self.log().reader.clone();
        let adopted = adopt(&reader, &mut self.model, self.machine.now_ms());
        if adopted.is_err() && self.reads_may_fail {
            adopt(&reader, &mut self.model, self.machine.now_ms())?;
        }
        self.adopt_segments();
        assert_eq!(self.model.segments.as_ref().and_then(|segments| segments.last().copied()), active);
        adopted?;
        outcome.map(drop).map_err(Failure::from)
    }
}

/// Checks what compaction left of the records below the Raft start, and takes it over.
///
/// # Panics
/// If a record is gone that is neither superseded nor an old tombstone, or if anything else has changed.
pub(super) fn adopt(reader: &LogReader, model: &mut LogModel, now_ms: i64) -> Result<(), ReadError> {
    let mut left: BTreeMap<Offset, RecordBatch> = BTreeMap::new();
    let end = model.offset_at(model.raft_start);
    let mut from = model.log_start_offset;
    while from < end {
        let read = reader.read(from, end, u64::MAX)?;
        assert!(read.next_offset > from, "reading stands still at {from}");
        left.extend(read.batches.into_iter().map(|batch| (batch.header().base_offset(), batch)));
        from = read.next_offset;
    }
    let last_offsets = last_offset_of_each_key(model, end);
    let below = model.number_of(model.raft_start);
    let log_start_offset = model.log_start_offset;
    let delete_retention_ms = model.config.delete_retention_ms;
    for entry in &mut model.entries[..below] {
        let Some(before) = entry.batch.take() else { continue };
        let is_deleted = before.header().next_offset() <= log_start_offset;
        let after = left.remove(&before.header().base_offset());
        if is_deleted {
            assert_eq!(after, None, "a batch below the log start is served");
            entry.records.clear();
            continue;
        }
        let kept = after.as_ref().map(records_of).unwrap_or_default();
        let is_fixed = before.header().is_control() || before.header().is_transactional();
        assert!(!is_fixed || after.as_ref() == Some(&before), "a batch that compaction must leave alone has changed");
        check_header(&before, after.as_ref());
        let may_expire = now_ms.abs_diff(entry.appended_at_ms) >= delete_retention_ms;
        check_removed(&entry.records, &kept, &last_offsets, may_expire);
        entry.records = kept;
        entry.batch = after;
    }
    assert!(left.is_empty(), "batches that were never written: {left:?}");
    Ok(())
}

/// Finds the last record of each key that may supersede others.
fn last_offset_of_each_key(model: &LogModel, below: Offset) -> BTreeMap<Vec<u8>, Offset> {
    let mut last = BTreeMap::new();
    for entry in &model.entries {
        if entry.batch.as_ref().is_none_or(|batch| batch.header().is_transactional()) {
            continue;
        }
        for record in entry.records.iter().filter(|record| record.offset < below) {
            if let Some(key) = &record.key {
                last.insert(key.to_vec(), record.offset);
            }
        }
    }
    last
}

/// Checks that a batch kept its place, its producer and its times.
fn check_header(before: &RecordBatch, after: Option<&RecordBatch>) {
    let Some(after) = after else { return };
    let (before, after) = (before.header(), after.header());
    assert_eq!(after.next_offset(), before.next_offset());
    assert_eq!(after.producer(), before.producer());
    assert_eq!(after.leader_epoch(), before.leader_epoch());
    assert_eq!((after.base_timestamp(), after.max_timestamp()), (before.base_timestamp(), before.max_timestamp()));
}

fn check_removed(before: &[Record], kept: &[Record], last_offsets: &BTreeMap<Vec<u8>, Offset>, may_expire: bool) {
    assert!(kept.iter().all(|record| before.contains(record)), "a record has changed: {kept:?} of {before:?}");
    for removed in before.iter().filter(|record| !kept.contains(record)) {
        let key = removed.key.as_ref().unwrap_or_else(|| panic!("a record without a key is gone: {removed:?}"));
        let last = last_offsets.get(&key[..]).copied();
        let is_superseded = last.is_some_and(|last| last > removed.offset);
        let is_expired = may_expire && removed.value.is_none();
        assert!(is_superseded || is_expired, "the last record of a key is gone: {removed:?}");
    }
}
