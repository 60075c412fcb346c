#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::SimulatedEnvironment;
use crate::environment::{Environment, OpenMode, StorageFile};

const SEEDS: u64 = 500;

fn machine() -> SimulatedEnvironment {
    let machine = SimulatedEnvironment::new(1);
    machine.create_dir_all(dir()).unwrap();
    machine
}

fn dir() -> &'static Path {
    Path::new("/logs")
}

fn path() -> &'static Path {
    Path::new("/logs/file")
}

/// A file of one byte value whose content, length and name are durable.
fn synced_file(machine: &SimulatedEnvironment, byte: u8, len: usize) -> Arc<dyn StorageFile> {
    let file = machine.open_file(path(), OpenMode::CreateNew).unwrap();
    file.write_all_at(&vec![byte; len], 0).unwrap();
    file.sync_data().unwrap();
    machine.sync_dir(dir()).unwrap();
    file
}

/// What each seed finds of the file.
fn found_after_crash(machine: &SimulatedEnvironment) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| machine.crash(seed).read_contents(path())).collect()
}

#[test]
fn what_was_synced_survives_every_crash() {
    let machine = machine();
    synced_file(&machine, 7, 10_000);
    assert_eq!(found_after_crash(&machine), BTreeSet::from([Some(vec![7; 10_000])]));
}

#[test]
fn an_unsynced_page_is_found_in_any_state_since_the_last_sync_and_in_no_other() {
    let machine = machine();
    let file = synced_file(&machine, 1, 512);
    for byte in 2..=3 {
        file.write_all_at(&[byte; 512], 0).unwrap();
    }
    let found = found_after_crash(&machine);
    assert_eq!(found, (1..=3).map(|byte| Some(vec![byte; 512])).collect());
}

#[test]
fn a_page_may_be_torn_between_sectors_but_not_within_one() {
    let machine = machine();
    let file = synced_file(&machine, 1, 4096);
    file.write_all_at(&[2; 4096], 0).unwrap();
    let mut torn = 0;
    for page in found_after_crash(&machine).into_iter().flatten() {
        let sectors: BTreeSet<&[u8]> = page.chunks(512).collect();
        assert!(sectors.iter().all(|sector| sector.iter().all(|byte| byte == &sector[0])));
        torn += usize::from(sectors.len() > 1);
    }
    assert!(torn > 10, "{torn} of {SEEDS} seeds");
}

#[test]
fn a_later_page_may_reach_the_disk_before_an_earlier_one() {
    let machine = machine();
    let file = synced_file(&machine, 1, 8192);
    file.write_all_at(&[2; 4096], 0).unwrap();
    file.write_all_at(&[2; 4096], 4096).unwrap();
    let reordered = [[1; 4096], [2; 4096]].concat();
    assert!(found_after_crash(&machine).contains(&Some(reordered)));
}

#[test]
fn a_later_file_may_reach_the_disk_before_an_earlier_one() {
    let machine = machine();
    let first = synced_file(&machine, 1, 512);
    machine.set_contents(Path::new("/logs/second"), &[1; 512]);
    let second = machine.open_file(Path::new("/logs/second"), OpenMode::ReadWrite).unwrap();
    first.write_all_at(&[2; 512], 0).unwrap();
    second.write_all_at(&[2; 512], 0).unwrap();
    let reordered = (0..SEEDS).map(|seed| machine.crash(seed)).any(|found| {
        let starts_with = |path, byte| found.read_contents(Path::new(path)).unwrap()[0] == byte;
        starts_with("/logs/file", 1) && starts_with("/logs/second", 2)
    });
    assert!(reordered);
}

#[test]
fn a_file_may_keep_its_length_and_lose_its_pages() {
    let machine = machine();
    let file = synced_file(&machine, 1, 4096);
    file.write_all_at(&[2; 4096], 4096).unwrap();
    let found = found_after_crash(&machine);
    let grown_with = |byte| Some([[1; 4096], [byte; 4096]].concat());
    assert!(found.contains(&Some(vec![1; 4096])), "the length was lost");
    assert!(found.contains(&grown_with(0)), "the length was kept, the page was lost");
    assert!(found.contains(&grown_with(2)), "both were kept");
}

#[test]
fn an_unsynced_cut_may_be_undone_and_never_shows_more_than_there_was() {
    let machine = machine();
    let file = synced_file(&machine, 1, 10_000);
    file.set_len(5_000).unwrap();
    let found = found_after_crash(&machine);
    assert!(found.contains(&Some(vec![1; 5_000])), "cut");
    assert!(found.contains(&Some(vec![1; 10_000])), "not cut");
    assert!(found.iter().flatten().all(|content| content[..5_000] == [1; 5_000]));

    let machine = machine.duplicate();
    let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
    file.sync_data().unwrap();
    file.set_len(10_000).unwrap();
    file.sync_data().unwrap();
    let zeros_behind = [vec![1; 5_000], vec![0; 5_000]].concat();
    assert_eq!(found_after_crash(&machine), BTreeSet::from([Some(zeros_behind)]));
}

#[test]
fn a_file_without_a_synced_name_may_vanish_however_well_its_content_was_synced() {
    let machine = machine();
    let file = machine.open_file(path(), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"content", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(found_after_crash(&machine), BTreeSet::from([None, Some(b"content".to_vec())]));
}

#[test]
fn an_unsynced_rename_may_revert_and_is_never_seen_in_part() {
    let machine = machine();
    synced_file(&machine, 1, 100);
    machine.set_contents(Path::new("/logs/new"), &[2; 100]);
    machine.rename(Path::new("/logs/new"), path()).unwrap();
    let found: BTreeSet<_> = (0..SEEDS)
        .map(|seed| machine.crash(seed))
        .map(|found| (found.read_contents(path()), found.read_contents(Path::new("/logs/new"))))
        .collect();
    let reverted = (Some(vec![1; 100]), Some(vec![2; 100]));
    let renamed = (Some(vec![2; 100]), None);
    assert_eq!(found, BTreeSet::from([reverted, renamed.clone()]));

    machine.sync_dir(dir()).unwrap_err();
    let machine = machine.duplicate();
    machine.sync_dir(dir()).unwrap();
    let found = machine.crash(1);
    assert_eq!((found.read_contents(path()), found.read_contents(Path::new("/logs/new"))), renamed);
}

#[test]
fn a_removed_name_may_come_back_with_its_synced_content() {
    let machine = machine();
    synced_file(&machine, 1, 100);
    machine.remove_file(path()).unwrap();
    assert_eq!(found_after_crash(&machine), BTreeSet::from([None, Some(vec![1; 100])]));
}

#[test]
fn name_changes_survive_up_to_some_point_and_not_beyond_it() {
    let machine = machine();
    for name in ["/logs/a", "/logs/b", "/logs/c"] {
        machine.open_file(Path::new(name), OpenMode::CreateNew).unwrap();
    }
    machine.remove_file(Path::new("/logs/a")).unwrap();
    let found: BTreeSet<_> = (0..SEEDS).map(|seed| machine.crash(seed).list_files(dir()).unwrap()).collect();
    let prefixes: [&[&str]; 5] = [&[], &["a"], &["a", "b"], &["a", "b", "c"], &["b", "c"]];
    let prefixes = prefixes.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    assert_eq!(found, BTreeSet::from(prefixes));
}

#[test]
fn syncing_the_file_system_makes_everything_durable() {
    let machine = machine();
    let file = machine.open_file(path(), OpenMode::CreateNew).unwrap();
    file.write_all_at(&[5; 9_000], 0).unwrap();
    machine.open_filesystem(dir()).unwrap().sync_all().unwrap();
    assert_eq!(found_after_crash(&machine), BTreeSet::from([Some(vec![5; 9_000])]));
}

#[test]
fn a_killed_process_loses_nothing_but_its_unsynced_state_stays_unsynced() {
    let machine = machine();
    let file = synced_file(&machine, 1, 512);
    file.write_all_at(&[2; 512], 0).unwrap();
    let killed = machine.kill();
    assert_eq!(killed.read_contents(path()), Some(vec![2; 512]));
    assert!(found_after_crash(&killed).contains(&Some(vec![1; 512])));
}

#[test]
fn the_end_of_a_life_ends_its_handles_and_releases_its_locks() {
    let machine = machine();
    let file = synced_file(&machine, 1, 512);
    let mapping = file.map(512).unwrap();
    let _lock = machine.lock_file(Path::new("/logs/lock")).unwrap();
    machine.sync_dir(dir()).unwrap();
    let now_ms = machine.now_ms();

    for next in [machine.kill(), machine.crash(1)] {
        next.lock_file(Path::new("/logs/lock")).unwrap();
        assert!(next.now_ms() > now_ms);
    }
    assert!(machine.is_down());
    assert!(file.len_bytes().is_err());
    assert!(mapping.bytes(0..1).is_err());
    assert!(machine.open_file(path(), OpenMode::Read).is_err());
}

#[test]
fn a_duplicate_shares_nothing() {
    let machine = machine();
    let file = synced_file(&machine, 1, 5_000);
    let duplicate = machine.duplicate();
    duplicate.open_file(path(), OpenMode::ReadWrite).unwrap().write_all_at(b"changed", 0).unwrap();
    duplicate.remove_file(path()).unwrap();
    let mut read = [0; 5_000];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, [1; 5_000]);
}

#[test]
fn a_crash_can_be_followed_by_another_life_and_another_crash() {
    let mut machine = machine();
    let mut durable = Vec::new();
    for life in 0..50_u8 {
        let file = machine.open_file(path(), OpenMode::CreateEmpty).unwrap();
        file.write_all_at(&durable, 0).unwrap();
        durable.extend([life; 700]);
        file.write_all_at(&durable, 0).unwrap();
        file.sync_data().unwrap();
        machine.sync_dir(dir()).unwrap();
        machine = machine.crash(u64::from(life));
        assert_eq!(machine.read_contents(path()).unwrap(), durable);
    }
}
