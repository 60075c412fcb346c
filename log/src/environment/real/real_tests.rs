#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::environment::{Environment, OpenMode, RealEnvironment, Step, Task};

#[test]
fn positioned_writes_are_read_back_by_calls_and_through_the_mapping() {
    let dir = tempfile::tempdir().unwrap();
    let environment = RealEnvironment::new();
    let file = environment.open_file(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"hello", 3).unwrap();
    file.sync_data().unwrap();
    environment.sync_dir(dir.path()).unwrap();

    assert_eq!(file.len_bytes().unwrap(), 8);
    let mut read = [1; 8];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"\0\0\0hello");
    assert_eq!(file.read_exact_at(&mut read, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let mapping = file.map(8).unwrap();
    assert_eq!(mapping.bytes(3..8).unwrap(), b"hello"[..]);
}

#[test]
fn open_modes_treat_existing_and_missing_files_as_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let environment = RealEnvironment::new();
    let path = dir.path().join("a");
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        assert_eq!(environment.open_file(&path, mode).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    environment.open_file(&path, OpenMode::CreateNew).unwrap().write_all_at(b"a", 0).unwrap();
    let again = environment.open_file(&path, OpenMode::CreateNew).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(environment.open_file(&path, OpenMode::ReadWrite).unwrap().len_bytes().unwrap(), 1);
    assert!(environment.open_file(&path, OpenMode::Read).unwrap().write_all_at(b"b", 0).is_err());
    assert_eq!(environment.open_file(&path, OpenMode::CreateEmpty).unwrap().len_bytes().unwrap(), 0);
}

#[test]
fn allocated_space_extends_the_file_and_owns_blocks() {
    use std::os::unix::fs::MetadataExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let file = RealEnvironment::new().open_file(&path, OpenMode::CreateNew).unwrap();
    file.write_all_at(b"kept", 0).unwrap();
    file.allocate(0..1 << 20).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.len(), 1 << 20);
    assert!(metadata.blocks() * 512 >= 1 << 20, "{} blocks", metadata.blocks());
    assert_eq!(fs::read(&path).unwrap()[..5], *b"kept\0");
    file.allocate(7..7).unwrap();
}

#[test]
fn an_allocation_that_does_not_fit_is_storage_full_and_leaves_the_length() {
    let dir = tempfile::tempdir().unwrap();
    let environment = RealEnvironment::new();
    let file = environment.open_file(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
    file.allocate(0..5_000).unwrap();
    // More than any file may have, so that no disk of a tester is filled.
    let error = file.allocate(0..i64::MAX.unsigned_abs()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len_bytes().unwrap(), 5_000);
}

#[test]
fn created_directories_may_exist_already_but_not_as_files() {
    let dir = tempfile::tempdir().unwrap();
    let environment = RealEnvironment::new();
    let nested = dir.path().join("a/b/c");
    environment.create_dir_all(&nested).unwrap();
    environment.create_dir_all(&nested).unwrap();
    environment.open_file(&nested.join("file"), OpenMode::CreateNew).unwrap();
    environment.create_dir_all(&nested).unwrap();
    assert!(environment.create_dir_all(&nested.join("file")).is_err());
    assert!(environment.create_dir_all(&nested.join("file/below")).is_err());
}

#[test]
fn listed_files_are_sorted_and_leave_directories_out() {
    let dir = tempfile::tempdir().unwrap();
    let environment = RealEnvironment::new();
    for name in ["b", "a", "c"] {
        environment.open_file(&dir.path().join(name), OpenMode::CreateNew).unwrap();
    }
    environment.create_dir_all(&dir.path().join("directory")).unwrap();
    environment.rename(&dir.path().join("a"), &dir.path().join("d")).unwrap();
    environment.remove_file(&dir.path().join("c")).unwrap();
    assert_eq!(environment.list_files(dir.path()).unwrap(), ["b", "d"]);
    assert_eq!(environment.remove_file(&dir.path().join("c")).unwrap_err().kind(), io::ErrorKind::NotFound);
    let missing = environment.list_files(&dir.path().join("missing")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_lock_is_held_once_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let environment = RealEnvironment::new();
    let path = dir.path().join("lock");
    let lock = environment.lock_file(&path).unwrap();
    assert_eq!(environment.lock_file(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    environment.lock_file(&path).unwrap();
}

#[test]
fn clocks_run_and_random_numbers_differ() {
    let environment = RealEnvironment::new();
    assert!(environment.now_ms() > 1_735_689_600_000, "this was written in 2025 or later");
    let earlier = environment.monotonic();
    assert!(environment.clone().monotonic() >= earlier);
    assert_ne!(environment.random_u64(), environment.random_u64());
}

#[test]
fn a_file_system_reports_free_space_and_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let environment = RealEnvironment::new();
    let free_bytes = environment.free_bytes(dir.path()).unwrap();
    assert!(free_bytes > 0 && free_bytes < environment.total_bytes(dir.path()).unwrap());
    environment.open_filesystem(dir.path()).unwrap().sync_all().unwrap();
    assert!(environment.free_bytes(Path::new("/no/such/directory")).is_err());
}

/// Answers each step with what the test sends, after telling that it was stepped.
struct Scripted {
    stepped: SyncSender<()>,
    answers: Receiver<Step>,
}

impl Task for Scripted {
    fn step(&mut self) -> Step {
        self.stepped.send(()).unwrap();
        self.answers.recv().unwrap()
    }
}

#[test]
fn a_wake_during_a_step_is_not_lost() {
    let (stepped, steps) = sync_channel(1);
    let (answer, answers) = sync_channel(1);
    let task = RealEnvironment::new().spawn("scripted", Box::new(Scripted { stepped, answers })).unwrap();
    steps.recv().unwrap();
    task.wake();
    answer.send(Step::Wait).unwrap();
    // Without the memory of the wake this would wait for ever.
    steps.recv().unwrap();
    answer.send(Step::Again).unwrap();
    steps.recv().unwrap();
    answer.send(Step::Done).unwrap();
    task.join();
    task.join();
}

#[test]
fn a_waiting_task_is_woken() {
    let (stepped, steps) = sync_channel(1);
    let (answer, answers) = sync_channel(1);
    let task = RealEnvironment::new().spawn("scripted", Box::new(Scripted { stepped, answers })).unwrap();
    for _ in 0..100 {
        steps.recv().unwrap();
        answer.send(Step::Wait).unwrap();
        task.wake();
    }
    steps.recv().unwrap();
    answer.send(Step::Done).unwrap();
    task.join();
}

#[test]
fn a_task_that_panics_is_joined() {
    struct Panics;
    impl Task for Panics {
        fn step(&mut self) -> Step {
            panic!("on purpose, in a test");
        }
    }
    let task = RealEnvironment::new().spawn("panics", Box::new(Panics)).unwrap();
    task.join();
    task.join();
}
