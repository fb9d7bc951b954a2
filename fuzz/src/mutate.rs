//! Changes of an input: bits, integers, ranges, numbers in text, tokens of its format, and parts of other inputs.

use zegclip_foundation::RandomStream;

/// Integers at which sizes overflow, become negative or exceed limits.
const INTEGERS: [u64; 24] = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    31,
    63,
    64,
    127,
    128,
    255,
    256,
    1023,
    32_767,
    65_535,
    65_536,
    0x00FF_FFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// Numbers as text, of all kinds that parsers distinguish.
const NUMBERS: [&[u8]; 14] = [
    b"0",
    b"-1",
    b"1",
    b"7",
    b"255",
    b"256",
    b"65536",
    b"4000000000",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e999",
    b"-0.0",
    b"nan",
    b"inf",
];

/// Makes a new input of `parent`; `others` are spliced in, `tokens` are words of the format.
pub(crate) fn mutate(
    random: &mut RandomStream,
    parent: &[u8],
    others: &[Vec<u8>],
    tokens: &[&[u8]],
    max_length: usize,
) -> Vec<u8> {
    let mut bytes = parent.to_vec();
    for _ in 0..1 << random.below(4) {
        edit(random, &mut bytes, others, tokens);
        bytes.truncate(max_length);
    }
    bytes
}

fn place(random: &mut RandomStream, length: usize) -> usize {
    random.below(length as u64) as usize
}

/// A short range more often than a long one.
fn range(random: &mut RandomStream, length: usize) -> std::ops::Range<usize> {
    let start = place(random, length);
    let longest = (length - start).min(1 << random.below(10));
    start..start + place(random, longest + 1)
}

fn edit(random: &mut RandomStream, bytes: &mut Vec<u8>, others: &[Vec<u8>], tokens: &[&[u8]]) {
    let length = bytes.len();
    if length == 0 {
        bytes.extend((0..random.below(16)).map(|_| 0_u8));
        bytes.push(random.next_u64() as u8);
        return;
    }
    match random.below(16) {
        0 | 1 => bytes[place(random, length)] ^= 1 << random.below(8),
        2 | 3 => bytes[place(random, length)] = random.next_u64() as u8,
        4 => {
            let at = place(random, length);
            bytes[at] = bytes[at].wrapping_add(random.below(33) as u8).wrapping_sub(16);
        }
        5 | 6 => integer(random, bytes),
        7 => {
            let range = range(random, length);
            bytes.drain(range);
        }
        8 => {
            // Once, or often: what costs little once may cost much a hundred times.
            let copied = bytes[range(random, length)].to_vec();
            let times = if random.chance(0.1) { 1 << random.below(8) } else { 1 };
            let at = place(random, length + 1);
            bytes.splice(at..at, copied.repeat(times));
        }
        9 => {
            let inserted: Vec<u8> = (0..random.below(9)).map(|_| random.next_u64() as u8).collect();
            let at = place(random, length + 1);
            bytes.splice(at..at, inserted);
        }
        10 => {
            let copied = bytes[range(random, length)].to_vec();
            let at = place(random, length);
            bytes
                .iter_mut()
                .skip(at)
                .zip(copied)
                .for_each(|(byte, copied)| *byte = copied);
        }
        11 if random.chance(0.3) => bytes.truncate(place(random, length)),
        11 | 12 => number(random, bytes),
        13 if !others.is_empty() => {
            let other = &others[place(random, others.len())];
            if !other.is_empty() {
                let part = other[range(random, other.len())].to_vec();
                let replaced = range(random, length);
                bytes.splice(replaced, part);
            }
        }
        _ if !tokens.is_empty() => {
            let token = tokens[place(random, tokens.len())];
            let at = place(random, length + 1);
            let end = if random.chance(0.5) {
                at
            } else {
                length.min(at + token.len())
            };
            bytes.splice(at..end, token.iter().copied());
        }
        _ => bytes[place(random, length)] = 0,
    }
}

/// An integer of 1, 2, 4 or 8 bytes in either byte order, special or near to the one before.
fn integer(random: &mut RandomStream, bytes: &mut [u8]) {
    let width = 1 << random.below(4);
    if bytes.len() < width {
        return;
    }
    let at = place(random, bytes.len() - width + 1);
    let little = random.chance(0.5);
    let field = &mut bytes[at..at + width];
    let mut value = [0; 8];
    value[..width].copy_from_slice(field);
    if !little {
        value[..width].reverse();
    }
    let before = u64::from_le_bytes(value);
    let value = match random.below(4) {
        0 => before.wrapping_add(random.below(9)).wrapping_sub(4),
        1 => before << random.below(5),
        2 => (1_u64 << random.below(64)).wrapping_sub(random.below(2)),
        _ => INTEGERS[place(random, INTEGERS.len())],
    };
    let mut value = value.to_le_bytes();
    if !little {
        value[..width].reverse();
    }
    field.copy_from_slice(&value[..width]);
}

/// Replaces a number in text.
fn number(random: &mut RandomStream, bytes: &mut Vec<u8>) {
    let from = place(random, bytes.len());
    let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let start = from + start;
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    bytes.splice(
        start..start + digits,
        NUMBERS[place(random, NUMBERS.len())].iter().copied(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_inputs() {
        let inputs = |seed| {
            let mut random = RandomStream::from_key([seed]);
            let others = vec![b"other".to_vec()];
            let inputs =
                (0..200).map(|_| mutate(&mut random, b"parent 12 of \x01\x02\x03\x04", &others, &[b"token"], 40));
            inputs.collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(3).iter().all(|input| input.len() <= 40));
    }
}
