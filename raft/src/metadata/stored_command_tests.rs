//! Commands as bytes: what they are, and which bytes are none.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use proptest::prelude::*;

use super::test_commands::{
    add_partitions, allocate, alter, assignments, confirm, create, delete, format, register, set, topic, unset,
};
use super::{COMMAND_BYTES_MAX, ClusterVersion, MetadataCommand, StoredError};

/// Bytes of the ids that the tests use.
const TOPIC_1: &str = "aaaaaaaaaaaaaaaaaaaaaaaa00000001";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(bytes: Vec<u8>) -> Result<MetadataCommand, StoredError> {
    MetadataCommand::decode(&Bytes::from(bytes))
}

/// One of each kind, with its bytes. They stand in logs: they never change.
fn golden() -> [(MetadataCommand, String); 9] {
    let mut with_configs = topic(1, "orders", &[&[1, 2], &[2, 300]]);
    with_configs.configs = vec![set("retention_ms", "5"), unset("segment_ms")];
    let version = MetadataCommand::SetClusterVersion { cluster_version: ClusterVersion::new(2) };
    let (cluster, directory) = ("c1".repeat(16), "02".repeat(16));
    [
        (format(), format!("0a140a10{cluster}1001")),
        (version, "12020802".to_owned()),
        (
            register(2),
            format!(
                "1a3f0802120d62726f6b65722d323a373432301a046576656e2210{directory}2801\
                 3210b0b0b0b0b0b0b0b000000000000000013801"
            ),
        ),
        (
            MetadataCommand::CreateTopic(with_configs),
            format!(
                "22480a10{TOPIC_1}12066f726465727322040a02010222050a0302ac02\
                 2a110a0c726574656e74696f6e5f6d731201352a0c0a0a7365676d656e745f6d73"
            ),
        ),
        (delete(1), format!("2a120a10{TOPIC_1}")),
        (alter(1, &[set("retention_ms", "")]), format!("32240a10{TOPIC_1}12100a0c726574656e74696f6e5f6d731200")),
        (add_partitions(1, 2, &[&[1]]), format!("3a190a10{TOPIC_1}10021a030a0101")),
        (allocate(3, 1000), "4205080310e807".to_owned()),
        (confirm(3, 1), format!("4a1408031210{TOPIC_1}")),
    ]
}

#[test]
fn stored_commands_stay_as_they_are() {
    for (command, bytes) in golden() {
        let encoded = command.encode().unwrap();
        assert_eq!(hex(&encoded), bytes, "{command:?}");
        assert_eq!(MetadataCommand::decode(&encoded), Ok(command));
    }
}

#[test]
fn a_command_that_is_cut_or_continued_is_refused() {
    for (command, _) in golden() {
        let encoded = command.encode().unwrap();
        for length in 0..encoded.len() {
            assert!(MetadataCommand::decode(&encoded.slice(..length)).is_err(), "{command:?} cut at {length}");
        }
        for more in [&b"\0"[..], b"\x52\x00", b"\x2a\x00", &encoded] {
            let continued = [&encoded, more].concat();
            assert!(decode(continued).is_err(), "{command:?} and {more:?}");
        }
    }
}

#[test]
fn what_only_a_later_release_knows_is_refused() {
    assert_eq!(decode(Vec::new()), Err(StoredError::NotOurs));
    assert_eq!(decode(b"\x52\x00".to_vec()), Err(StoredError::NotOurs), "verb 10");
    assert_eq!(decode(b"\x12\x04\x08\x02\x10\x01".to_vec()), Err(StoredError::NotOurs), "a second field of verb 2");
    assert_eq!(decode(b"\x12\x02\x08\x02".to_vec()).map(|_| ()), Ok(()));
    assert_eq!(decode(b"\x12\x03\x08\x82\x00".to_vec()), Err(StoredError::NotOurs), "a longer way to write 2");
    assert_eq!(decode(b"\x12\x02\x08".to_vec()), Err(StoredError::Encoding));
}

#[test]
fn a_field_that_is_out_of_its_form_is_named() {
    for (bytes, field) in [
        (&b"\x0a\x03\x0a\x01\x00"[..], "cluster_id"),
        (b"\x2a\x03\x0a\x01\x00", "topic_id"),
        (b"\x2a\x00", "topic_id"),
        (b"\x1a\x02\x08\x01", "address"),
        (b"\x1a\x07\x12\x03a:1\x1a\x00", "rack"),
        (b"\x1a\x05\x12\x03a:1", "directory_id"),
        (b"\x22\x15\x0a\x10xxxxxxxxxxxxxxxx\x12\x01/", "name"),
    ] {
        assert_eq!(decode(bytes.to_vec()), Err(StoredError::Field { field }), "{bytes:?}");
    }
}

#[test]
fn the_largest_topic_fits_and_more_is_refused_on_both_sides() {
    let mut command = topic(1, &"n".repeat(249), &[]);
    let brokers = [u32::MAX, u32::MAX - 1, u32::MAX - 2, u32::MAX - 3, u32::MAX - 4, u32::MAX - 5, u32::MAX - 6];
    command.assignments = vec![assignments(&[&brokers]).remove(0); 4096];
    command.configs = vec![set("retention_ms", &"1".repeat(16 * 1024))];
    assert!(MetadataCommand::CreateTopic(command).encode().unwrap().len() < COMMAND_BYTES_MAX / 3);

    let too_long = alter(1, &[set("retention_ms", &"1".repeat(COMMAND_BYTES_MAX))]);
    assert!(matches!(too_long.encode(), Err(StoredError::TooLarge { bytes_max: COMMAND_BYTES_MAX, .. })));
    let (bytes, bytes_max) = (COMMAND_BYTES_MAX + 1, COMMAND_BYTES_MAX);
    assert_eq!(decode(vec![0; bytes]), Err(StoredError::TooLarge { bytes, bytes_max }));
}

proptest! {
    #[test]
    fn any_bytes_are_a_command_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(command) = decode(bytes.clone()) {
            prop_assert_eq!(command.encode().unwrap(), bytes);
        }
    }

    /// Bytes that are almost a command.
    #[test]
    fn a_damaged_command_is_another_one_or_refused(
        which in 0..9_usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (command, _) = golden()[which].clone();
        let mut bytes = command.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        let is_damaged = bytes[at] != byte;
        bytes[at] = byte;
        if let Ok(decoded) = decode(bytes.clone()) {
            prop_assert_eq!(decoded != command, is_damaged);
            prop_assert_eq!(decoded.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn commands_round_trip(
        number in any::<u32>(),
        topic_name in "[a-zA-Z0-9_-]{1,249}",
        brokers in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..5), 0..20),
        configs in prop::collection::vec((".{0,20}", prop::option::of(".{0,20}")), 0..5),
    ) {
        let brokers: Vec<&[u32]> = brokers.iter().map(Vec::as_slice).collect();
        let changes: Vec<_> = configs.into_iter().map(|(key, value)| super::ConfigChange { key, value }).collect();
        let mut with_configs = topic(number, &topic_name, &brokers);
        with_configs.configs.clone_from(&changes);
        for command in [
            MetadataCommand::CreateTopic(with_configs),
            create(number, &topic_name, &brokers),
            add_partitions(number, number, &brokers),
            alter(number, &changes),
            allocate(number, number),
            confirm(number, number),
            register(number),
        ] {
            prop_assert_eq!(MetadataCommand::decode(&command.encode().unwrap()), Ok(command));
        }
    }
}
