//! How many elements the messages of a call have, counted before they are decoded.
//!
//! An empty element takes two bytes on the wire and a hundred in memory: eight mebibytes of them would take half a gibibyte
//! before anybody could look at the message. The bytes pass through here as they arrive, a part of a message at a time, and
//! nothing is kept of them.

use std::sync::Arc;

use crate::message_limits::{ELEMENTS_MAX, MESSAGE_BYTES_MAX};
use crate::message_shapes::{Field, MessageShapes, ShapeId};

/// The flag and the length in front of every message.
const PREFIX_BYTES: usize = 5;

/// Messages within messages: more than any request has.
const DEPTH_MAX: usize = 16;

/// The longest varint.
const VARINT_BYTES_MAX: u32 = 10;

/// A call's requests as they arrive. No I/O.
#[derive(Debug)]
pub(crate) struct MessageScan {
    shapes: Arc<MessageShapes>,
    request: ShapeId,
    at: At,
    /// Bytes of the message that are still to come.
    message_left: usize,
    /// The messages that are open, the innermost last, and how many bytes each still has.
    open: Vec<(ShapeId, usize)>,
    elements: usize,
    /// The length of the message that began last, until somebody asks.
    begun: Option<usize>,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum At {
    Prefix {
        bytes: [u8; PREFIX_BYTES],
        count: usize,
    },
    /// A field's number and wire type.
    Tag(Varint),
    /// The length of a field.
    Length {
        number: u32,
        length: Varint,
    },
    /// A number that means nothing here.
    Number,
    /// Bytes that mean nothing here.
    Skip {
        left: usize,
    },
    /// The rest of a message that is not well-formed: decoding it fails at the same place.
    GivenUp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Varint {
    value: u64,
    count: u32,
}

/// A message passes a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    Bytes(usize),
    Elements,
}

impl MessageScan {
    pub(crate) fn new(shapes: Arc<MessageShapes>, request: ShapeId) -> Self {
        let at = At::Prefix { bytes: [0; PREFIX_BYTES], count: 0 };
        Self { shapes, request, at, message_left: 0, open: Vec::new(), elements: 0, begun: None }
    }

    /// Tells the length of the message that has begun since the last time, the last one if there were several.
    pub(crate) fn take_begun(&mut self) -> Option<usize> {
        self.begun.take()
    }

    /// Takes the next bytes of the call.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), TooMuch> {
        while let Some((first, rest)) = bytes.split_first() {
            if let At::Prefix { bytes: prefix, count } = &mut self.at {
                prefix[*count] = *first;
                *count += 1;
                bytes = rest;
                if *count == PREFIX_BYTES {
                    let [_, length @ ..] = *prefix;
                    self.begin_message(u32::from_be_bytes(length) as usize)?;
                }
                continue;
            }
            let taken = match &mut self.at {
                At::Skip { left } => {
                    let taken = (*left).min(bytes.len());
                    *left -= taken;
                    if *left == 0 {
                        self.at = At::Tag(Varint::default());
                    }
                    taken
                }
                At::GivenUp => bytes.len().min(self.message_left),
                _ => {
                    self.step(*first)?;
                    1
                }
            };
            self.consume(taken);
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn begin_message(&mut self, length: usize) -> Result<(), TooMuch> {
        if length > MESSAGE_BYTES_MAX {
            return Err(TooMuch::Bytes(length));
        }
        self.message_left = length;
        self.begun = Some(length);
        self.elements = 0;
        self.open.clear();
        self.open.push((self.request, length));
        self.at = At::Tag(Varint::default());
        self.end_message();
        Ok(())
    }

    /// Takes a byte that means something.
    fn step(&mut self, byte: u8) -> Result<(), TooMuch> {
        match &mut self.at {
            At::Tag(tag) => {
                let Some(done) = tag.push(byte) else { return Ok(()) };
                self.at = done.map_or(At::GivenUp, after_tag);
            }
            At::Length { number, length } => {
                let Some(done) = length.push(byte) else { return Ok(()) };
                let number = *number;
                match done.and_then(|length| usize::try_from(length).ok()) {
                    Some(length) => self.begin_field(number, length)?,
                    None => self.at = At::GivenUp,
                }
            }
            At::Number if byte & 0x80 == 0 => self.at = At::Tag(Varint::default()),
            At::Number | At::Prefix { .. } | At::Skip { .. } | At::GivenUp => {}
        }
        Ok(())
    }

    /// Begins a field of as many bytes, its length's last byte not consumed yet.
    fn begin_field(&mut self, number: u32, length: usize) -> Result<(), TooMuch> {
        let Some((shape, left)) = self.open.last().copied() else { return Ok(()) };
        let field = self.shapes.field(shape, number);
        if field.is_some() {
            self.elements += 1;
            if self.elements > ELEMENTS_MAX {
                return Err(TooMuch::Elements);
            }
        }
        self.at = match field {
            _ if length >= left && length > 0 => At::GivenUp,
            Some(Field::Message(_)) if self.open.len() == DEPTH_MAX => At::GivenUp,
            Some(Field::Message(inner)) if length > 0 => {
                // One more for the byte that is consumed next.
                self.open.push((inner, length + 1));
                At::Tag(Varint::default())
            }
            _ if length == 0 => At::Tag(Varint::default()),
            _ => At::Skip { left: length },
        };
        Ok(())
    }

    /// Notes that bytes have passed.
    fn consume(&mut self, count: usize) {
        self.message_left -= count;
        if matches!(self.at, At::GivenUp) {
            return self.end_message();
        }
        for (_, left) in &mut self.open {
            if *left < count {
                self.at = At::GivenUp;
                return self.end_message();
            }
            *left -= count;
        }
        while self.open.last().is_some_and(|(_, left)| *left == 0) && self.open.len() > 1 {
            self.open.pop();
        }
        self.end_message();
    }

    fn end_message(&mut self) {
        if self.message_left == 0 {
            self.at = At::Prefix { bytes: [0; PREFIX_BYTES], count: 0 };
        }
    }
}

/// Gives what follows a field's number and wire type.
fn after_tag(tag: u64) -> At {
    let Ok(number) = u32::try_from(tag >> 3) else { return At::GivenUp };
    match tag & 7 {
        0 => At::Number,
        1 => At::Skip { left: 8 },
        2 => At::Length { number, length: Varint::default() },
        // Groups: what is in them is looked at as if it were outside.
        3 | 4 => At::Tag(Varint::default()),
        5 => At::Skip { left: 4 },
        _ => At::GivenUp,
    }
}

impl Varint {
    /// Takes a byte; `Some` at the end: the value, unless it is too long.
    fn push(&mut self, byte: u8) -> Option<Option<u64>> {
        self.value |= u64::from(byte & 0x7f).checked_shl(7 * self.count).unwrap_or(0);
        self.count += 1;
        let is_last = byte & 0x80 == 0;
        match (is_last, self.count > VARINT_BYTES_MAX) {
            (_, true) => Some(None),
            (true, false) => Some(Some(self.value)),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use tidelog_proto::api::{FILE_DESCRIPTOR_SET, v1};

    use super::*;

    fn scan(call: &str) -> MessageScan {
        let shapes = Arc::new(MessageShapes::new(FILE_DESCRIPTOR_SET));
        let request = shapes.request(&format!("/tidelog.v1.Broker/{call}")).unwrap();
        MessageScan::new(shapes, request)
    }

    fn on_the_wire(message: &impl Message) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
        message.encode(&mut bytes).unwrap();
        bytes
    }

    fn records(counts: &[usize]) -> v1::ProduceRecordsRequest {
        let record = |headers: &usize| v1::NewRecord {
            key: Some(bytes::Bytes::from_static(b"\x0a\x00\x0a\x00 looks like elements")),
            value: Some(bytes::Bytes::new()),
            headers: vec![v1::RecordHeader { key: String::new(), value: None }; *headers],
            timestamp_ms: Some(-1),
        };
        v1::ProduceRecordsRequest { records: counts.iter().map(record).collect(), ..Default::default() }
    }

    fn is_between_messages(scan: &MessageScan) -> bool {
        matches!(scan.at, At::Prefix { count: 0, .. })
    }

    proptest! {
        #[test]
        fn elements_are_counted_however_the_bytes_are_cut(
            counts in proptest::collection::vec(0..5_usize, 0..20),
            cuts in proptest::collection::vec(1..40_usize, 1..50),
        ) {
            let mut scan = scan("ProduceRecords");
            let mut bytes = on_the_wire(&records(&counts));
            let first = bytes.len();
            bytes.extend(on_the_wire(&records(&counts)));
            let mut fed = 0;
            for cut in cuts.iter().cycle() {
                let end = (fed + cut).min(first);
                scan.feed(&bytes[fed..end]).unwrap();
                fed = end;
                if fed == first { break; }
            }
            prop_assert_eq!(scan.elements, counts.len() + counts.iter().sum::<usize>());
            prop_assert!(is_between_messages(&scan));
            scan.feed(&bytes[first..]).unwrap();
            prop_assert_eq!(scan.elements, counts.len() + counts.iter().sum::<usize>());
        }

        #[test]
        fn any_bytes_pass_without_a_panic(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..30)) {
            let mut scan = scan("Fetch");
            for part in parts {
                // Small messages, so that many begin.
                let mut bytes = vec![0, 0, 0, 0, u8::try_from(part.len()).unwrap()];
                bytes.extend(part);
                scan.feed(&bytes).unwrap();
                prop_assert!(is_between_messages(&scan));
            }
        }

        #[test]
        fn any_stream_passes_without_a_panic(bytes: Vec<u8>) {
            let _ = scan("Produce").feed(&bytes);
        }
    }

    #[test]
    fn empty_elements_are_refused_while_they_arrive() {
        let batches = vec![v1::ProduceBatch::default(); ELEMENTS_MAX + 1];
        let bytes = on_the_wire(&v1::ProduceRequest { batches, ..Default::default() });
        assert_eq!(bytes.len(), 5 + 2 * (ELEMENTS_MAX + 1));
        let mut produce = scan("Produce");
        assert_eq!(produce.feed(&bytes[..bytes.len() - 2]), Ok(()));
        assert_eq!(produce.feed(&bytes[bytes.len() - 2..]), Err(TooMuch::Elements));

        let bytes = on_the_wire(&records(&[ELEMENTS_MAX]));
        assert_eq!(scan("ProduceRecords").feed(&bytes), Err(TooMuch::Elements));
    }

    #[test]
    fn a_message_that_declares_too_much_is_refused_before_it_arrives() {
        let allowed = u32::try_from(MESSAGE_BYTES_MAX).unwrap();
        let prefix = |length: u32| [&[0][..], &length.to_be_bytes()].concat();
        assert_eq!(scan("Produce").feed(&prefix(allowed)), Ok(()));
        assert_eq!(scan("Produce").feed(&prefix(allowed + 1)), Err(TooMuch::Bytes(MESSAGE_BYTES_MAX + 1)));
    }
}
