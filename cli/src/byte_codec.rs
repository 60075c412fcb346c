//! Bytes as hexadecimal digits and as base64 (RFC 4648, with padding), both ways.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends two digits for each byte.
pub(crate) fn write_hex(bytes: &[u8], to: &mut Vec<u8>) {
    for byte in bytes {
        to.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Reads two digits for each byte; `None` if there is anything else.
pub(crate) fn read_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Appends four characters for each three bytes.
pub(crate) fn write_base64(bytes: &[u8], to: &mut Vec<u8>) {
    for three in bytes.chunks(3) {
        let at = |place: usize| three.get(place).copied().map_or(0, usize::from);
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let character =
            |place: usize| if place <= three.len() { ALPHABET[bits >> (18 - 6 * place) & 63] } else { b'=' };
        to.extend([character(0), character(1), character(2), character(3)]);
    }
}

/// Reads what [`write_base64`] writes; `None` if it is anything else.
pub(crate) fn read_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let groups = text.chunks_exact(4);
    if !groups.remainder().is_empty() {
        return None;
    }
    let last = groups.len().wrapping_sub(1);
    for (place, group) in groups.enumerate() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || (padding > 0 && place != last) {
            return None;
        }
        let mut bits = 0_u32;
        for byte in &group[..4 - padding] {
            let six = ALPHABET.iter().position(|known| known == byte)?;
            bits = bits << 6 | u32::try_from(six).ok()?;
        }
        bits <<= 6 * padding;
        let [_, three @ ..] = bits.to_be_bytes();
        let (kept, rest) = three.split_at(3 - padding);
        // Bits that no byte takes are zero, so that each text means something of its own.
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: fn(&[u8], &mut Vec<u8>), bytes: &[u8]) -> String {
        let mut text = Vec::new();
        write(bytes, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(written(write_base64, bytes.as_bytes()), text);
            assert_eq!(read_base64(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(written(write_base64, &[0xfb, 0xff]), "+/8=");
        for text in ["Z", "Zg=", "Zg", "Z===", "====", "Zg==Zg==", "Zh==", "Zm9=", "Zg-=", "Z g=", "=Zg="] {
            assert_eq!(read_base64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hexadecimal_digits_are_read_and_written() {
        assert_eq!(written(write_hex, &[0, 0x1f, 0xff]), "001fff");
        assert_eq!(read_hex(b"001FfF"), Some(vec![0, 0x1f, 0xff]));
        for text in ["0", "0g", "0x00", "é"] {
            assert_eq!(read_hex(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn all_bytes_come_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=256 {
            let bytes = &bytes[..length];
            assert_eq!(read_hex(written(write_hex, bytes).as_bytes()).as_deref(), Some(bytes));
            assert_eq!(read_base64(written(write_base64, bytes).as_bytes()).as_deref(), Some(bytes));
        }
    }
}
