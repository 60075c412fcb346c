//! An export is the batches of the log, byte for byte, or nothing at all.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use tidelog_proto::ids::Offset;

use super::sample_logs::{Sample, change, dir, open};
use super::{ExportError, Exported, Overwrite, Reason, export};
use crate::environment::Environment;
use crate::environment::simulated::{FaultTarget, SimulatedEnvironment};

const TARGET: &str = "/exports/plain.log";

fn export_on(machine: &SimulatedEnvironment, overwrite: Overwrite) -> Result<Exported, ExportError> {
    machine.create_dir_all(Path::new("/exports")).unwrap();
    let environment: Arc<dyn Environment> = Arc::new(machine.clone());
    export(&environment, &dir(), Path::new(TARGET), overwrite, &mut |_| {})
}

fn exported_bytes(machine: &SimulatedEnvironment) -> Option<Vec<u8>> {
    machine.read_contents(Path::new(TARGET))
}

/// Reads the same batches through the log.
fn batches(machine: &SimulatedEnvironment) -> Vec<u8> {
    let log = open(&machine.duplicate()).unwrap();
    let end = log.reader.log_end_offset();
    let read = log.reader.read(log.reader.log_start_offset(), end, u64::MAX).unwrap();
    read.batches.iter().flat_map(|batch| batch.bytes().to_vec()).collect()
}

#[test]
fn an_export_is_the_batches_byte_for_byte() {
    let mut sample = Sample::new(1);
    sample.append_no_op();
    sample.append_batches(12);
    sample.append_marker();
    sample.append_no_op();
    sample.append_batches(2);
    let exported = export_on(&sample.machine, Overwrite::Refuse).unwrap();
    let bytes = exported_bytes(&sample.machine).unwrap();
    assert_eq!(bytes, batches(&sample.machine));
    let end = sample.log.reader.log_end_offset();
    let expected = Exported { batches: 15, records: 43, bytes: bytes.len() as u64, offsets: Some((Offset::ZERO, end)) };
    assert_eq!(exported, expected);
    let after = sample.machine.crash(1);
    assert_eq!(exported_bytes(&after).unwrap(), bytes, "it is durable");
}

#[test]
fn an_export_begins_at_the_log_start() {
    let mut sample = Sample::new(1);
    sample.append_batches(15);
    sample.drop_first_segment().unwrap();
    // In the middle of a batch, which is then exported whole.
    let start = Offset::new(sample.log.reader.log_start_offset().get() + 4);
    sample.log.writer.advance_start(start, sample.log.reader.raft_start()).unwrap();
    let exported = export_on(&sample.machine, Overwrite::Refuse).unwrap();
    assert_eq!(exported.offsets.unwrap().0, Offset::new(start.get() - 1));
    assert_eq!(exported_bytes(&sample.machine).unwrap(), batches(&sample.machine));
}

#[test]
fn a_torn_tail_is_left_out() {
    let machine = Sample::unclosed();
    let path = dir().join("00000000000000000000-0.log");
    let whole = batches(&machine);
    change(&machine, &path, |contents| {
        let end = contents.iter().rposition(|byte| *byte != 0).unwrap();
        contents[end - 3] ^= 1;
    });
    let exported = export_on(&machine, Overwrite::Refuse).unwrap();
    assert_eq!(exported.offsets, Some((Offset::ZERO, Offset::new(6))));
    assert_eq!(exported_bytes(&machine).unwrap(), whole[..usize::try_from(exported.bytes).unwrap()]);
}

#[test]
fn an_empty_log_gives_an_empty_file() {
    let sample = Sample::new(1);
    let exported = export_on(&sample.machine, Overwrite::Refuse).unwrap();
    assert_eq!((exported.batches, exported.offsets), (0, None));
    assert_eq!(exported_bytes(&sample.machine).unwrap(), []);
}

#[test]
fn a_file_that_is_there_is_replaced_on_demand_only() {
    let machine = Sample::closed();
    machine.create_dir_all(Path::new("/exports")).unwrap();
    machine.set_contents(Path::new(TARGET), b"precious");
    assert!(matches!(export_on(&machine, Overwrite::Refuse), Err(ExportError::TargetExists { .. })));
    assert_eq!(exported_bytes(&machine).unwrap(), b"precious");
    export_on(&machine, Overwrite::Replace).unwrap();
    assert_eq!(exported_bytes(&machine).unwrap(), batches(&machine));

    let environment: Arc<dyn Environment> = Arc::new(machine.clone());
    let target = dir().join("00000000000000000000-0.log");
    let error = export(&environment, &dir(), &target, Overwrite::Replace, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ExportError::TargetInLog { .. }), "{error}");
}

#[test]
fn nothing_is_exported_from_a_damaged_log() {
    let machine = Sample::closed();
    let path = dir().join("00000000000000000000-0.log");
    machine.flip_bit(&path, 300, 0);
    let files = machine.files();
    match export_on(&machine, Overwrite::Refuse) {
        Err(ExportError::Damaged(finding)) => assert_eq!(finding.path, path),
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(machine.files(), files, "nothing is left behind");
    machine.flip_bit(&path, 300, 0);

    machine.flip_bit(&dir().join("00000000000000000000-0.index"), 130, 0);
    export_on(&machine, Overwrite::Refuse).unwrap();
}

#[test]
fn a_failed_write_or_sync_leaves_the_target_as_it_was() {
    for target in [FaultTarget::Write, FaultTarget::Sync] {
        let machine = Sample::closed();
        machine.create_dir_all(Path::new("/exports")).unwrap();
        machine.set_contents(Path::new(TARGET), b"precious");
        let files = machine.files();
        machine.fail(target, 0..1);
        let error = export_on(&machine, Overwrite::Replace).unwrap_err();
        assert!(matches!(error, ExportError::Target { .. }), "{error}");
        assert_eq!(exported_bytes(&machine).unwrap(), b"precious");
        assert_eq!(machine.files(), files);
    }
}

#[test]
fn a_batch_whose_records_cannot_be_read_is_damage() {
    let mut sample = Sample::new(1);
    sample.append_unreadable_batch();
    match export_on(&sample.machine, Overwrite::Refuse) {
        Err(ExportError::Damaged(finding)) => assert!(matches!(finding.reason, Reason::Records(_)), "{finding}"),
        outcome => panic!("{outcome:?}"),
    }
}
