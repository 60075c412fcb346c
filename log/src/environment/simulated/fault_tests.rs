#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::path::{Path, PathBuf};

use super::{CrashPoint, FaultTarget, Rng, SimulatedEnvironment};
use crate::environment::{Environment, OpenMode};

fn path() -> &'static Path {
    Path::new("/file")
}

/// A machine with one durable file of 8 KiB.
fn machine_with_file() -> SimulatedEnvironment {
    let machine = SimulatedEnvironment::new(1);
    machine.set_contents(path(), &[1; 8192]);
    machine
}

/// Writes, renames and syncs some files as a seed says, until something fails.
fn random_work(machine: &SimulatedEnvironment, seed: u64) -> io::Result<()> {
    let mut rng = Rng::new(seed);
    for round in 0..20 {
        let path = PathBuf::from(format!("/{}", rng.below(4)));
        let file = machine.open_file(&path, OpenMode::CreateEmpty)?;
        file.allocate(0..20_000)?;
        let mut content = vec![0; rng.index(20_000)];
        rng.fill(&mut content);
        file.write_all_at(&content, rng.below(5_000))?;
        if rng.percent(50) {
            file.sync_data()?;
        }
        machine.rename(&path, Path::new(&format!("/renamed {}", rng.below(4))))?;
        if rng.percent(30) {
            machine.sync_dir(Path::new("/"))?;
        }
        file.set_len(round * 100)?;
    }
    Ok(())
}

fn whole_disk(machine: &SimulatedEnvironment) -> Vec<(PathBuf, Vec<u8>)> {
    let content = |path: PathBuf| machine.read_contents(&path).map(|content| (path, content));
    machine.files().into_iter().filter_map(content).collect()
}

#[test]
fn equal_seeds_give_equal_traces_and_equal_survivors() {
    let live = |work_seed: u64, crash_seed: u64| {
        let machine = SimulatedEnvironment::new(work_seed);
        machine.start_trace();
        machine.fail(FaultTarget::Sync, 4..5);
        machine.crash_at(60, CrashPoint::Torn);
        random_work(&machine, work_seed).unwrap_err();
        let survivors = whole_disk(&machine.crash(crash_seed));
        (machine.take_trace(), survivors)
    };
    for seed in 0..30 {
        assert_eq!(live(seed, seed), live(seed, seed));
    }
    assert_ne!(live(1, 1).0, live(2, 1).0);
    assert!((2..20).any(|crash_seed| live(1, 1).1 != live(1, crash_seed).1));
}

#[test]
fn every_operation_of_a_workload_can_be_its_last() {
    let whole = SimulatedEnvironment::new(1);
    random_work(&whole, 1).unwrap();
    let operations = whole.operations();
    assert!(operations > 100);
    for number in 0..operations {
        for point in [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After] {
            let machine = SimulatedEnvironment::new(1);
            machine.crash_at(number, point);
            random_work(&machine, 1).unwrap_err();
            assert!(machine.is_down());
            assert_eq!(machine.operations(), number + 1, "nothing was asked for after the crash");
            random_work(&machine.crash(number), 1).unwrap();
        }
    }
}

#[test]
fn a_crash_in_a_write_leaves_none_part_or_all_of_it_in_the_live_image() {
    let written_at = |point, seed| {
        let machine = SimulatedEnvironment::new(seed);
        machine.set_contents(path(), &[1; 8192]);
        let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
        machine.crash_at(machine.operations(), point);
        file.write_all_at(&[2; 8192], 0).unwrap_err();
        machine.read_contents(path()).unwrap().iter().filter(|&&byte| byte == 2).count()
    };
    assert_eq!(written_at(CrashPoint::Before, 1), 0);
    assert_eq!(written_at(CrashPoint::After, 1), 8192);
    assert!((0..10).any(|seed| (1..8192).contains(&written_at(CrashPoint::Torn, seed))));
}

#[test]
fn a_crash_after_a_sync_has_synced_and_a_crash_before_it_has_not() {
    let found = |point, seed| {
        let machine = machine_with_file();
        let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[2; 8192], 0).unwrap();
        machine.crash_at(machine.operations(), point);
        file.sync_data().unwrap_err();
        machine.crash(seed).read_contents(path()).unwrap()
    };
    assert!((0..50).all(|seed| found(CrashPoint::After, seed) == [2; 8192]));
    for point in [CrashPoint::Before, CrashPoint::Torn] {
        assert!((0..50).any(|seed| found(point, seed) == [1; 8192]));
    }
}

#[test]
fn after_a_failed_sync_a_second_one_succeeds_and_the_content_is_lost_all_the_same() {
    let machine = machine_with_file();
    let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
    machine.fail(FaultTarget::Sync, 0..1);
    file.write_all_at(&[2; 4096], 0).unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    file.sync_data().unwrap();
    assert_eq!(machine.read_contents(path()).unwrap()[..4096], [2; 4096], "programs still see it");
    for seed in 0..100 {
        assert_eq!(machine.crash(seed).read_contents(path()).unwrap(), [1; 8192]);
    }
}

#[test]
fn a_page_written_again_after_a_failed_sync_can_be_synced() {
    let machine = machine_with_file();
    let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
    machine.fail(FaultTarget::Sync, 0..1);
    file.write_all_at(&[2; 4096], 0).unwrap();
    file.sync_data().unwrap_err();
    file.write_all_at(&[3], 0).unwrap();
    file.sync_data().unwrap();
    let found = machine.crash(1).read_contents(path()).unwrap();
    assert_eq!((found[0], &found[1..4096]), (3, &[2; 4095][..]));
}

#[test]
fn a_failed_sync_of_many_pages_loses_at_least_one_of_them() {
    for seed in 0..100 {
        let machine = SimulatedEnvironment::new(seed);
        machine.set_contents(path(), &[1; 20_480]);
        let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[2; 20_480], 0).unwrap();
        machine.fail(FaultTarget::Sync, 0..1);
        machine.open_filesystem(Path::new("/")).unwrap().sync_all().unwrap_err();
        file.sync_data().unwrap();
        let found = machine.crash(seed).read_contents(path()).unwrap();
        assert!(found.chunks(4096).any(|page| page == [1; 4096]), "seed {seed}");
        assert!(found.chunks(4096).all(|page| page.iter().all(|&byte| byte == page[0])), "seed {seed}");
    }
}

#[test]
fn after_a_failed_sync_of_a_directory_its_names_are_never_durable() {
    let machine = SimulatedEnvironment::new(1);
    machine.fail(FaultTarget::Sync, 0..1);
    machine.open_file(path(), OpenMode::CreateNew).unwrap();
    machine.sync_dir(Path::new("/")).unwrap_err();
    machine.sync_dir(Path::new("/")).unwrap();
    assert!((0..50).any(|seed| machine.crash(seed).files().is_empty()));
}

#[test]
fn injected_errors_hit_the_requests_they_name_and_no_others() {
    let machine = machine_with_file();
    let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    machine.fail(FaultTarget::Write, 1..3);
    machine.fail(FaultTarget::Read, 0..1);
    machine.fail(FaultTarget::Resize, 0..1);
    machine.fail(FaultTarget::Name, 0..1);
    let writes: Vec<bool> = (0..5).map(|_| file.write_all_at(b"x", 0).is_ok()).collect();
    assert_eq!(writes, [true, false, false, true, true]);
    assert!(file.read_exact_at(&mut [0], 0).is_err());
    assert!(file.read_exact_at(&mut [0], 0).is_ok());
    assert!(file.allocate(0..10_000).is_err());
    assert_eq!(file.len_bytes().unwrap(), 8192);
    assert!(machine.remove_file(path()).is_err());
    assert!(machine.remove_file(path()).is_ok());

    machine.fail(FaultTarget::Write, 0..u64::MAX);
    file.write_all_at(b"x", 0).unwrap_err();
    machine.clear_faults();
    file.write_all_at(b"x", 0).unwrap();
}

#[test]
fn a_failed_write_may_be_done_in_part() {
    let partly = (0..20).any(|seed| {
        let machine = SimulatedEnvironment::new(seed);
        let file = machine.open_file(path(), OpenMode::CreateNew).unwrap();
        machine.fail(FaultTarget::Write, 0..1);
        file.write_all_at(&[1; 1000], 0).unwrap_err();
        (1..1000).contains(&file.len_bytes().unwrap())
    });
    assert!(partly);
}

#[test]
fn a_full_disk_refuses_to_allocate_and_leaves_the_length() {
    let machine = SimulatedEnvironment::new(1);
    machine.set_capacity_bytes(10 * 4096);
    let file = machine.open_file(path(), OpenMode::CreateNew).unwrap();
    file.allocate(0..8 * 4096).unwrap();
    assert_eq!(machine.free_bytes(Path::new("/")).unwrap(), 2 * 4096);
    assert_eq!(file.allocate(0..11 * 4096).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len_bytes().unwrap(), 8 * 4096);
    file.write_all_at(&[1; 8 * 4096], 0).unwrap();
    assert_eq!(machine.free_bytes(path()).unwrap(), 2 * 4096, "allocated blocks are not counted twice");

    let error = file.write_all_at(&[2; 5 * 4096], 7 * 4096).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let content = machine.read_contents(path()).unwrap();
    assert_eq!(content[7 * 4096..], [2; 4096], "what fitted into its own blocks was written");
}

#[test]
fn space_returns_when_the_last_handle_of_a_removed_file_goes() {
    let machine = SimulatedEnvironment::new(1);
    machine.set_capacity_bytes(10 * 4096);
    let file = machine.open_file(path(), OpenMode::CreateNew).unwrap();
    file.allocate(0..8 * 4096).unwrap();
    let mapping = file.map(4096).unwrap();
    machine.remove_file(path()).unwrap();
    drop(file);
    assert_eq!(machine.free_bytes(Path::new("/")).unwrap(), 2 * 4096);
    drop(mapping);
    assert_eq!(machine.free_bytes(Path::new("/")).unwrap(), 10 * 4096);
}

#[test]
fn cutting_a_file_gives_its_blocks_back() {
    let machine = SimulatedEnvironment::new(1);
    machine.set_capacity_bytes(10 * 4096);
    let file = machine.open_file(path(), OpenMode::CreateNew).unwrap();
    file.allocate(0..8 * 4096).unwrap();
    file.set_len(4097).unwrap();
    assert_eq!(machine.free_bytes(Path::new("/")).unwrap(), 8 * 4096);
}

#[test]
fn a_flipped_bit_is_there_before_and_after_a_crash_until_it_is_overwritten() {
    let machine = machine_with_file();
    let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
    file.write_all_at(&[1], 100).unwrap();
    machine.flip_bit(path(), 100, 7);
    machine.flip_bit(path(), 5000, 0);
    assert_eq!(machine.read_contents(path()).unwrap()[100], 0x81);
    for seed in 0..50 {
        let found = machine.crash(seed).read_contents(path()).unwrap();
        assert_eq!((found[100], found[5000]), (0x81, 0));
    }
}

#[test]
fn placed_content_is_durable_under_a_durable_name() {
    let machine = machine_with_file();
    machine.set_contents(path(), b"shorter");
    for seed in 0..50 {
        assert_eq!(machine.crash(seed).read_contents(path()).unwrap(), b"shorter");
    }
}

#[test]
#[should_panic(expected = "operation 0 is past")]
fn a_crash_cannot_be_planned_in_the_past() {
    let machine = SimulatedEnvironment::new(1);
    machine.open_file(path(), OpenMode::CreateNew).unwrap();
    machine.crash_at(0, CrashPoint::After);
}
