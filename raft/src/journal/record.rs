//! Records of the journal.
//!
//! Layout, little-endian: `crc u32 | length u16 | kind u16 | sequence u64 | durable_end u64 | payload`. The payload is
//! `topic id [16] | partition u32 | flags u32 | numbers [u64]`, or nothing. `crc` is the crc32 of everything behind it,
//! started from the seed of the file.

use tidelog_log::LogIdentity;
use tidelog_proto::ids::{PartitionId, RaftIndex, RaftTerm, TopicId};

use super::error::JournalFault;
use super::file_header::FileSeed;
use crate::hard_state::{PurgeMark, Vote};
use crate::replica_id::ReplicaId;

/// Bytes before the payload.
pub(super) const RECORD_HEADER_BYTES: usize = 24;

/// Every length is a multiple of this, so that a search for records behind damage looks at every eighth byte only.
pub(super) const RECORD_ALIGNMENT: usize = 8;

/// Most bytes of a record. Twenty times what is needed today: a kind of a later release must still be seen to be whole
/// here, or it would pass for a torn tail.
pub(super) const RECORD_BYTES_MAX: usize = 1280;

/// The largest sequence number that is believed. Numbers near it still add up.
pub(super) const SEQUENCE_MAX: u64 = i64::MAX.unsigned_abs();

const CRC_BYTES: usize = 4;
const GROUP_BYTES: usize = 24;
const VOTE_COMMITTED: u32 = 1;

/// Most bytes that the state of one group takes: a vote, a purge mark and a committed index, of five numbers together.
pub(super) const GROUP_STATE_BYTES_MAX: u64 = (3 * (RECORD_HEADER_BYTES + GROUP_BYTES) + 5 * 8) as u64;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Vote(LogIdentity, Vote),
    Committed(LogIdentity, RaftIndex),
    Purged(LogIdentity, PurgeMark),
    Removed(LogIdentity),
    /// Nothing but the `durable_end` that every record carries.
    Durable,
}

/// What every record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Its number: one more than that of the record before it.
    pub(super) sequence: u64,
    /// Every record below this number was durable when this one was written. Never above `sequence`.
    pub(super) durable_end: u64,
}

/// A record whose checksum holds.
#[derive(Debug)]
pub(super) struct SoundRecord<'a> {
    kind: u16,
    pub(super) stamp: Stamp,
    payload: &'a [u8],
}

impl Entry {
    fn kind(&self) -> u16 {
        match self {
            Self::Vote(..) => 1,
            Self::Committed(..) => 2,
            Self::Purged(..) => 3,
            Self::Removed(_) => 4,
            Self::Durable => 5,
        }
    }

    /// Adds the record to `bytes`.
    pub(super) fn encode_into(&self, stamp: Stamp, seed: FileSeed, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; CRC_BYTES + 2]);
        bytes.extend_from_slice(&self.kind().to_le_bytes());
        bytes.extend_from_slice(&stamp.sequence.to_le_bytes());
        bytes.extend_from_slice(&stamp.durable_end.to_le_bytes());
        let mut payload = |group: &LogIdentity, flags: u32, numbers: &[u64]| {
            bytes.extend_from_slice(group.topic_id.as_bytes());
            bytes.extend_from_slice(&group.partition.get().to_le_bytes());
            bytes.extend_from_slice(&flags.to_le_bytes());
            numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        };
        match self {
            Self::Vote(group, vote) => {
                let flags = if vote.committed { VOTE_COMMITTED } else { 0 };
                payload(group, flags, &[vote.term.get(), vote.replica.get()]);
            }
            Self::Committed(group, index) => payload(group, 0, &[index.get()]),
            Self::Purged(group, mark) => payload(group, 0, &[mark.term.get(), mark.index.get()]),
            Self::Removed(group) => payload(group, 0, &[]),
            Self::Durable => {}
        }
        let length = bytes.len() - start;
        assert!(length <= RECORD_BYTES_MAX && length.is_multiple_of(RECORD_ALIGNMENT), "a record of {length} bytes");
        let length_field = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
        bytes[start + CRC_BYTES..start + CRC_BYTES + 2].copy_from_slice(&length_field);
        let crc = seed.checksum(&bytes[start + CRC_BYTES..]);
        bytes[start..start + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

impl<'a> SoundRecord<'a> {
    /// Reads the record at the start of `bytes`; `None` if there is none whose length, checksum and numbers hold.
    pub(super) fn read(bytes: &'a [u8], seed: FileSeed) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let [c0, c1, c2, c3, l0, l1, k0, k1, numbers @ ..] = *header;
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        if !(RECORD_HEADER_BYTES..=RECORD_BYTES_MAX).contains(&length) || !length.is_multiple_of(RECORD_ALIGNMENT) {
            return None;
        }
        let covered = bytes.get(CRC_BYTES..length)?;
        if seed.checksum(covered) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return None;
        }
        let (numbers, _) = numbers.as_chunks::<8>();
        let [sequence, durable_end] = <[[u8; 8]; 2]>::try_from(numbers).ok()?.map(u64::from_le_bytes);
        let stamp = Stamp { sequence, durable_end };
        let is_possible = durable_end <= sequence && sequence <= SEQUENCE_MAX;
        let payload = &bytes[RECORD_HEADER_BYTES..length];
        is_possible.then_some(Self { kind: u16::from_le_bytes([k0, k1]), stamp, payload })
    }

    pub(super) fn len_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload.len()
    }

    /// Reads what it says. Its position is for the error.
    ///
    /// # Errors
    /// The kind is of a later release, or a field is out of bounds.
    pub(super) fn entry(&self, position_bytes: u64) -> Result<Entry, JournalFault> {
        let content = JournalFault::Content { position_bytes };
        match self.kind {
            1..=4 => {}
            5 if self.payload.is_empty() => return Ok(Entry::Durable),
            5 => return Err(content),
            kind => return Err(JournalFault::UnknownKind { kind, position_bytes }),
        }
        let (group, numbers) = self.payload.split_first_chunk::<GROUP_BYTES>().ok_or(content)?;
        let (topic_id, rest) = group.split_first_chunk::<16>().ok_or(content)?;
        let [p0, p1, p2, p3, f0, f1, f2, f3] = *<&[u8; 8]>::try_from(rest).map_err(|_| content)?;
        let group = LogIdentity {
            topic_id: TopicId::new(*topic_id),
            partition: PartitionId::new(u32::from_le_bytes([p0, p1, p2, p3])),
        };
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        let (numbers, odd) = numbers.as_chunks::<8>();
        let index = |number: [u8; 8]| {
            let number = u64::from_le_bytes(number);
            if number <= RaftIndex::MAX.get() { Ok(RaftIndex::new(number)) } else { Err(content) }
        };
        let term = |number: [u8; 8]| RaftTerm::new(u64::from_le_bytes(number));
        match (self.kind, flags, numbers, odd) {
            (1, 0 | VOTE_COMMITTED, &[in_term, replica], []) => {
                let replica = ReplicaId::from_number(u64::from_le_bytes(replica));
                Ok(Entry::Vote(group, Vote { term: term(in_term), replica, committed: flags == VOTE_COMMITTED }))
            }
            (2, 0, &[committed], []) => Ok(Entry::Committed(group, index(committed)?)),
            (3, 0, &[in_term, last], []) => {
                Ok(Entry::Purged(group, PurgeMark { term: term(in_term), index: index(last)? }))
            }
            (4, 0, &[], []) => Ok(Entry::Removed(group)),
            _ => Err(content),
        }
    }
}
