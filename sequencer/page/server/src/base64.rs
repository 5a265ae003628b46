//! Bytes as text (RFC 4648, section 4). Two dozen lines: what reads it is the browser, or whoever
//! the node tells something.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Four characters for each three bytes, with padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_that_of_the_standard() {
        // Section 10 of RFC 4648, and every letter once.
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
            .into_iter()
            .enumerate();
        for (length, expected) in vectors {
            assert_eq!(encode(&b"foobar"[..length]), expected);
        }
        let all: Vec<u8> = (0..64_u8)
            .collect::<Vec<_>>()
            .chunks(4)
            .flat_map(|four| {
                let bits = four.iter().fold(0_u32, |bits, six| bits << 6 | u32::from(*six));
                bits.to_be_bytes()[1..].to_vec()
            })
            .collect();
        assert_eq!(encode(&all).as_bytes(), LETTERS);
    }
}
