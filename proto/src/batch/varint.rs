//! Zig-zag variable-length integers, as in Protocol Buffers' `sint32` and `sint64`.

use std::ops::Range;

use super::RecordFault;

/// The longest encoding of 32 bits, 7 to a byte.
const VARINT_BYTES_MAX: usize = 5;
/// The longest encoding of 64 bits, 7 to a byte.
const VARLONG_BYTES_MAX: usize = 10;

const MORE: u8 = 0x80;

/// Reads the parts of a record from front to back.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    /// No read goes past this position, which is at most the number of bytes.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at `position`; both bounds are cut to the number of bytes.
    pub(super) fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        let end = range.end.min(bytes.len());
        Self { bytes, position: range.start.min(end), end }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    pub(super) const fn remaining(&self) -> usize {
        self.end - self.position
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordFault> {
        let byte = self.bytes[..self.end].get(self.position).ok_or(RecordFault::Truncated)?;
        self.position += 1;
        Ok(*byte)
    }

    /// Passes over `length` bytes and returns where they lie.
    pub(super) fn range(&mut self, length: usize) -> Result<Range<usize>, RecordFault> {
        if length > self.remaining() {
            return Err(RecordFault::Truncated);
        }
        let start = self.position;
        self.position += length;
        Ok(start..self.position)
    }

    /// Reads 32 bits from at most 5 bytes.
    ///
    /// Needless leading zero groups pass, as in Kafka's readers; bits beyond the 32nd do not.
    pub(super) fn varint(&mut self) -> Result<i32, RecordFault> {
        let bits = self.unsigned(VARINT_BYTES_MAX)?;
        let bits = u32::try_from(bits).map_err(|_| RecordFault::Varint)?;
        Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    /// Reads 64 bits from at most 10 bytes, by the rules of [`Cursor::varint`].
    pub(super) fn varlong(&mut self) -> Result<i64, RecordFault> {
        let bits = self.unsigned(VARLONG_BYTES_MAX)?;
        Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    fn unsigned(&mut self, bytes_max: usize) -> Result<u64, RecordFault> {
        // Nearly all numbers of a record are one byte.
        let first = self.byte()?;
        let mut bits = u64::from(first & !MORE);
        if first & MORE == 0 {
            return Ok(bits);
        }
        for group in 1..bytes_max {
            let byte = self.byte()?;
            let shift = 7 * group;
            let low = u64::from(byte & !MORE);
            if (low << shift) >> shift != low {
                return Err(RecordFault::Varint);
            }
            bits |= low << shift;
            if byte & MORE == 0 {
                return Ok(bits);
            }
        }
        Err(RecordFault::Varint)
    }

    /// Reads a length that may not be absent.
    pub(super) fn length(&mut self) -> Result<usize, RecordFault> {
        let length = self.varint()?;
        usize::try_from(length).map_err(|_| RecordFault::Length(length))
    }

    /// Reads a length and passes over as many bytes; -1 stands for null, which is not empty.
    pub(super) fn nullable(&mut self) -> Result<Option<Range<usize>>, RecordFault> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| RecordFault::Length(length))?;
                self.range(length).map(Some)
            }
        }
    }
}

/// Appends a 32-bit integer.
pub(super) fn put_varint(buffer: &mut Vec<u8>, number: i32) {
    put_varlong(buffer, number.into());
}

/// Appends a 64-bit integer.
pub(super) fn put_varlong(buffer: &mut Vec<u8>, number: i64) {
    let mut bits = zig_zag(number);
    loop {
        let [low, ..] = bits.to_le_bytes();
        bits >>= 7;
        if bits == 0 {
            buffer.push(low);
            return;
        }
        buffer.push(low | MORE);
    }
}

/// Returns how many bytes [`put_varint`] and [`put_varlong`] append.
pub(super) const fn varlong_bytes(number: i64) -> u64 {
    let significant_bits = 64 - (zig_zag(number) | 1).leading_zeros() as u64;
    significant_bits.div_ceil(7)
}

/// Maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...; the same for 32 bits as for 64.
const fn zig_zag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(bytes: &[u8]) -> Result<i32, RecordFault> {
        Cursor::new(bytes, 0..bytes.len()).varint()
    }

    fn varlong(bytes: &[u8]) -> Result<i64, RecordFault> {
        Cursor::new(bytes, 0..bytes.len()).varlong()
    }

    #[test]
    fn golden_encodings() {
        for (number, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut buffer = Vec::new();
            put_varint(&mut buffer, number);
            assert_eq!(buffer, bytes, "{number}");
            assert_eq!(varint(bytes), Ok(number));
        }
        let mut buffer = Vec::new();
        put_varlong(&mut buffer, i64::MIN);
        assert_eq!(buffer, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn bits_beyond_the_width_are_refused() {
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(RecordFault::Varint));
        assert_eq!(varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), Err(RecordFault::Varint));
        let mut ten = [0xff; 10];
        ten[9] = 0x02;
        assert_eq!(varlong(&ten), Err(RecordFault::Varint));
        assert_eq!(varlong(&[0x80; 11]), Err(RecordFault::Varint));
    }

    #[test]
    fn padding_within_the_width_passes() {
        assert_eq!(varint(&[0x82, 0x80, 0x80, 0x80, 0x00]), Ok(1));
    }

    #[test]
    fn cut_integers_are_truncated() {
        assert_eq!(varint(&[]), Err(RecordFault::Truncated));
        assert_eq!(varint(&[0x80, 0x80]), Err(RecordFault::Truncated));
    }

    proptest! {
        #[test]
        fn integers_round_trip(number: i64, small: i32) {
            let mut buffer = Vec::new();
            put_varlong(&mut buffer, number);
            prop_assert_eq!(varlong(&buffer), Ok(number));
            prop_assert_eq!(buffer.len() as u64, varlong_bytes(number));
            buffer.clear();
            put_varint(&mut buffer, small);
            prop_assert_eq!(varint(&buffer), Ok(small));
            prop_assert_eq!(buffer.len() as u64, varlong_bytes(small.into()));
        }
    }
}
