#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Rng, SimulatedEnvironment};
use crate::environment::{Environment, OpenMode, StorageFile};

fn path() -> &'static Path {
    Path::new("/file")
}

fn file_with(content: &[u8]) -> (SimulatedEnvironment, Arc<dyn StorageFile>) {
    let machine = SimulatedEnvironment::new(1);
    machine.set_contents(path(), content);
    let file = machine.open_file(path(), OpenMode::ReadWrite).unwrap();
    (machine, file)
}

#[test]
fn a_file_reads_like_the_bytes_that_were_written() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let (machine, file) = file_with(b"");
        let mut model = Vec::new();
        for _ in 0..60 {
            let position = rng.index(20_000);
            match rng.below(5) {
                0 => {
                    model.resize(position, 0);
                    file.set_len(position as u64).unwrap();
                }
                1 => {
                    model.resize(model.len().max(position), 0);
                    file.allocate(position as u64 / 2..position as u64).unwrap();
                }
                2 => file.sync_data().unwrap(),
                _ => {
                    let mut bytes = vec![0; 1 + rng.index(9_000)];
                    rng.fill(&mut bytes);
                    model.resize(model.len().max(position + bytes.len()), 0);
                    model[position..position + bytes.len()].copy_from_slice(&bytes);
                    file.write_all_at(&bytes, position as u64).unwrap();
                }
            }
            assert_eq!(file.len_bytes().unwrap(), model.len() as u64, "seed {seed}");
            let start = rng.index(model.len() + 1);
            let mut read = vec![1; rng.index(model.len() - start + 1)];
            file.read_exact_at(&mut read, start as u64).unwrap();
            assert_eq!(read, model[start..start + read.len()], "seed {seed}");
        }
        assert_eq!(machine.read_contents(path()).unwrap(), model, "seed {seed}");
    }
}

#[test]
fn reading_past_the_end_by_a_call_is_an_error() {
    let (_machine, file) = file_with(b"1234");
    assert_eq!(file.read_exact_at(&mut [0; 3], 2).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(file.read_exact_at(&mut [0; 2], u64::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(file.write_all_at(b"x", u64::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(file.set_len(u64::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_mapping_sees_later_writes_and_ends_where_it_was_asked_to() {
    let (_machine, file) = file_with(b"1234");
    let mapping = file.map(100).unwrap();
    file.write_all_at(b"5678", 4).unwrap();
    assert_eq!(Arc::clone(&mapping).bytes(2..8).unwrap(), b"345678"[..]);
    let mut read = [0; 2];
    mapping.read_exact_at(&mut read, 6).unwrap();
    assert_eq!(&read, b"78");
    assert_eq!(mapping.read_exact_at(&mut read, 99).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(mapping.bytes(50..101).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
#[should_panic(expected = "SIGBUS")]
fn touching_a_mapping_past_the_end_of_the_file_is_sigbus() {
    let (_machine, file) = file_with(b"1234");
    let _ = file.map(100).unwrap().read_exact_at(&mut [0], 4);
}

#[test]
#[should_panic(expected = "SIGBUS")]
fn cutting_a_file_beneath_a_reader_is_sigbus() {
    let (_machine, file) = file_with(b"1234");
    let _held = file.map(4).unwrap().bytes(0..4).unwrap();
    let _ = file.set_len(3);
}

#[test]
#[should_panic(expected = "SIGBUS")]
fn emptying_a_file_beneath_a_reader_is_sigbus() {
    let (machine, file) = file_with(b"1234");
    let _held = file.map(4).unwrap().bytes(0..4).unwrap();
    let _ = machine.open_file(path(), OpenMode::CreateEmpty);
}

#[test]
#[should_panic(expected = "changes published bytes that are held: 1..3")]
fn changing_bytes_that_a_reader_holds_is_found() {
    let (_machine, file) = file_with(b"1234");
    let _held = file.map(4).unwrap().bytes(1..3).unwrap();
    let _ = file.write_all_at(b"x4", 2);
}

#[test]
fn bytes_may_change_around_a_reader_and_once_it_has_let_go() {
    let (_machine, file) = file_with(b"12345678");
    let mapping = file.map(8).unwrap();
    let held = Arc::clone(&mapping).bytes(2..4).unwrap();
    let part = held.slice(1..);
    file.write_all_at(b"xx34xx", 0).unwrap();
    file.set_len(4).unwrap();
    drop((held, part));
    file.write_all_at(b"yyyy", 0).unwrap();
    let mut copied = [0; 4];
    mapping.read_exact_at(&mut copied, 0).unwrap();
    file.write_all_at(b"zzzz", 0).unwrap();
    assert_eq!(&copied, b"yyyy");
}

#[test]
fn a_thousand_dropped_slices_leave_nothing_to_search() {
    let (_machine, file) = file_with(&[1; 4096]);
    let mapping = file.map(4096).unwrap();
    let held = Arc::clone(&mapping).bytes(0..10).unwrap();
    for _ in 0..1_000 {
        drop(Arc::clone(&mapping).bytes(10..4096).unwrap());
        file.write_all_at(&[1, 2, 1], 9).unwrap();
        file.write_all_at(&[1, 1, 1], 9).unwrap();
    }
    assert_eq!(held, [1; 10][..]);
}

#[test]
fn a_removed_file_stays_readable_through_what_is_open() {
    let (machine, file) = file_with(b"1234");
    let mapping = file.map(4).unwrap();
    machine.remove_file(path()).unwrap();
    machine.sync_dir(Path::new("/")).unwrap();
    assert_eq!(machine.open_file(path(), OpenMode::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
    file.write_all_at(b"x", 0).unwrap();
    assert_eq!(mapping.bytes(0..4).unwrap(), b"x234"[..]);
}

#[test]
fn open_modes_treat_existing_and_missing_files_as_they_say() {
    let machine = SimulatedEnvironment::new(1);
    let kind_of = |path: &str, mode| machine.open_file(Path::new(path), mode).unwrap_err().kind();
    assert_eq!(kind_of("/a", OpenMode::Read), io::ErrorKind::NotFound);
    assert_eq!(kind_of("/a", OpenMode::ReadWrite), io::ErrorKind::NotFound);
    assert_eq!(kind_of("/missing/a", OpenMode::CreateNew), io::ErrorKind::NotFound);
    machine.open_file(Path::new("/a"), OpenMode::CreateNew).unwrap().write_all_at(b"a", 0).unwrap();
    assert_eq!(kind_of("/a", OpenMode::CreateNew), io::ErrorKind::AlreadyExists);
    let read_only = machine.open_file(Path::new("/a"), OpenMode::Read).unwrap();
    assert!(read_only.write_all_at(b"b", 0).is_err());
    assert!(read_only.set_len(0).is_err());
    let emptied = machine.open_file(Path::new("/a"), OpenMode::CreateEmpty).unwrap();
    assert_eq!(emptied.len_bytes().unwrap(), 0);
}

#[test]
fn directories_are_made_with_their_parents_and_listed_without_them() {
    let machine = SimulatedEnvironment::new(1);
    machine.create_dir_all(Path::new("/a/b/c")).unwrap();
    machine.create_dir_all(Path::new("/a/b/c")).unwrap();
    assert_eq!(machine.operations(), 3);
    for name in ["/a/b/2", "/a/b/1"] {
        machine.open_file(Path::new(name), OpenMode::CreateNew).unwrap();
    }
    assert_eq!(machine.list_files(Path::new("/a/b")).unwrap(), ["1", "2"]);
    assert_eq!(machine.list_files(Path::new("/x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(machine.create_dir_all(Path::new("/a/b/1/below")).is_err());
    assert_eq!(machine.open_file(Path::new("/a/b"), OpenMode::Read).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    let moved = machine.rename(Path::new("/a/b/1"), Path::new("/a/1"));
    assert_eq!(moved.unwrap_err().kind(), io::ErrorKind::Unsupported);
    machine.rename(Path::new("/a/b/1"), Path::new("/a/b/1")).unwrap();
    assert_eq!(machine.crash(1).list_files(Path::new("/a/b/c")).unwrap(), [""; 0]);
}

#[test]
fn only_an_empty_directory_is_removed() {
    let machine = SimulatedEnvironment::new(1);
    machine.create_dir_all(Path::new("/a/b")).unwrap();
    let remove = |path: &str| machine.remove_dir(Path::new(path)).map_err(|error| error.kind());
    assert_eq!(remove("/a"), Err(io::ErrorKind::DirectoryNotEmpty));
    machine.open_file(Path::new("/a/b/file"), OpenMode::CreateNew).unwrap();
    assert_eq!(remove("/a/b"), Err(io::ErrorKind::DirectoryNotEmpty));
    machine.remove_file(Path::new("/a/b/file")).unwrap();
    assert_eq!(remove("/a/b"), Ok(()));
    assert_eq!(remove("/a/b"), Err(io::ErrorKind::NotFound));
    assert_eq!(remove("/a"), Ok(()));
}

#[test]
fn a_lock_is_held_once_until_it_is_dropped() {
    let machine = SimulatedEnvironment::new(1);
    let lock = machine.lock_file(Path::new("/lock")).unwrap();
    assert_eq!(machine.lock_file(Path::new("/lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    machine.lock_file(Path::new("/lock")).unwrap();
}

#[test]
fn clocks_stand_still_until_they_are_told_otherwise() {
    let machine = SimulatedEnvironment::new(1);
    let (now_ms, monotonic) = (machine.now_ms(), machine.monotonic());
    machine.advance(Duration::from_millis(1_500));
    assert_eq!(machine.now_ms(), now_ms + 1_500);
    assert_eq!(machine.monotonic(), monotonic + Duration::from_millis(1_500));
    machine.set_now_ms(5);
    assert_eq!(machine.now_ms(), 5);
    assert_eq!(machine.monotonic(), monotonic + Duration::from_millis(1_500));
}

#[test]
fn random_numbers_follow_from_the_seed() {
    let draw = |seed| SimulatedEnvironment::new(seed).random_u64();
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
