//! What a value says about itself, so that whoever reads it knows whether it is the next one.

use bytes::{BufMut, Bytes, BytesMut};
use tidelog_benches::Outcome;

/// Bytes of the numbers at the beginning of a value.
const HEAD_BYTES: usize = 16;

/// Who sent a record, and how many it had sent to that partition before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) producer: u64,
    pub(crate) number: u64,
}

impl Origin {
    pub(crate) fn value(self, bytes: usize) -> Bytes {
        let mut value = BytesMut::with_capacity(bytes);
        value.put_u64(self.producer);
        value.put_u64(self.number);
        value.resize(bytes.max(HEAD_BYTES), b'.');
        value.freeze()
    }

    pub(crate) fn of(value: &[u8]) -> Outcome<Self> {
        let number = |place: usize| value.get(place..place + 8).and_then(|bytes| bytes.first_chunk().copied());
        match (number(0), number(8)) {
            (Some(producer), Some(number)) => {
                Ok(Self { producer: u64::from_be_bytes(producer), number: u64::from_be_bytes(number) })
            }
            _ => Err(format!("a value of {} bytes, which nobody has sent", value.len()).into()),
        }
    }
}
