//! Makes an `:authority` that names several servers readable.
//!
//! For a target such as `ipv4:10.0.0.1:50051,10.0.0.2:50051`, gRPC's C core sends the whole list as the authority, and for
//! `unix:/tmp/socket` a path. The `http` crate accepts neither, so h2 resets the stream before any other code sees it,
//! and the client retries until its deadline. Neither crate has an option for it. The service does not use the
//! authority, so this replaces the characters that `http` rejects in place: the header block keeps its length, and HPACK's
//! dynamic table stores the readable value for later calls.
//!
//! Only literals without Huffman coding are changed. The C core sends no others.

/// Frame types and flags of RFC 9113, section 6.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_LENGTH: usize = 5;

/// Reads what a client sends after the preface.
pub(super) struct AuthorityReader {
    part: Part,
    block: HeaderBlock,
}

/// The next part of the frames.
enum Part {
    /// The bytes received so far, and their number.
    FrameHeader([u8; 9], usize),
    Payload(Payload),
}

/// The rest of a frame's payload, in this order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Payload {
    /// Whether it begins with the length of the padding.
    is_padded: bool,
    skipped: usize,
    block: usize,
    padding: usize,
}

impl Default for AuthorityReader {
    fn default() -> Self {
        Self { part: Part::FrameHeader([0; 9], 0), block: HeaderBlock::Field }
    }
}

impl AuthorityReader {
    /// Reads the next bytes, and replaces those of an unreadable authority.
    pub(super) fn read(&mut self, mut bytes: &mut [u8]) {
        while let Some(&first) = bytes.first() {
            let read = match &mut self.part {
                Part::FrameHeader(header, length) => {
                    header[*length] = first;
                    *length += 1;
                    if *length == header.len() {
                        let header = *header;
                        if header[3] == HEADERS {
                            self.block = HeaderBlock::Field;
                        }
                        self.part = Payload::of(header).into_part();
                    }
                    1
                }
                Part::Payload(payload) => {
                    let read = payload.read(bytes, &mut self.block);
                    self.part = payload.into_part();
                    read
                }
            };
            bytes = &mut bytes[read..];
        }
    }
}

impl Payload {
    fn of(header: [u8; 9]) -> Self {
        let [length @ .., kind, flags, _, _, _, _] = header;
        let length = length.into_iter().fold(0, |length, byte| length << 8 | usize::from(byte));
        match kind {
            HEADERS => {
                let is_padded = flags & PADDED != 0;
                let priority = if flags & PRIORITY != 0 { PRIORITY_LENGTH } else { 0 };
                let left = length.saturating_sub(is_padded.into());
                let skipped = priority.min(left);
                Self { is_padded: is_padded && length > 0, skipped, block: left - skipped, padding: 0 }
            }
            CONTINUATION => Self { block: length, ..Self::default() },
            _ => Self { skipped: length, ..Self::default() },
        }
    }

    /// Returns how many bytes it has read: at least one.
    fn read(&mut self, bytes: &mut [u8], block: &mut HeaderBlock) -> usize {
        if self.is_padded {
            self.is_padded = false;
            // h2 reports padding that is longer than the payload.
            self.padding = usize::from(bytes[0]).min(self.block);
            self.block -= self.padding;
            return 1;
        }
        let is_block = self.skipped == 0 && self.block > 0;
        let left = match (self.skipped, self.block) {
            (0, 0) => &mut self.padding,
            (0, _) => &mut self.block,
            _ => &mut self.skipped,
        };
        let length = bytes.len().min(*left);
        *left -= length;
        if is_block {
            bytes[..length].iter_mut().for_each(|byte| block.read(byte));
        }
        length
    }

    fn into_part(self) -> Part {
        if self == Self::default() { Part::FrameHeader([0; 9], 0) } else { Part::Payload(self) }
    }
}

/// The next part of a header block (RFC 7541, section 6).
#[derive(Clone, Copy)]
enum HeaderBlock {
    Field,
    /// The rest of a number that does not fit into its first byte, and the part after it.
    Number {
        number: u32,
        shift: u32,
        then: fn(u32) -> HeaderBlock,
    },
    NameLength,
    Name {
        left: u32,
        read: usize,
        is_authority: bool,
    },
    ValueLength {
        is_authority: bool,
    },
    Value {
        left: u32,
        is_authority: bool,
        is_list: bool,
    },
}

const NAME: &[u8] = b":authority";
/// Its index in the static table (RFC 7541, appendix A).
const NAME_INDEX: u32 = 1;

impl HeaderBlock {
    fn read(&mut self, byte: &mut u8) {
        let is_plain = *byte & 0x80 == 0;
        *self = match *self {
            Self::Field => match *byte {
                0x80.. => number(*byte, 7, |_| Self::Field),
                0x40.. => number(*byte, 6, Self::after_name_index),
                // A size of the dynamic table.
                0x20.. => number(*byte, 5, |_| Self::Field),
                _ => number(*byte, 4, Self::after_name_index),
            },
            Self::Number { number, shift, then } => {
                let more = u32::from(*byte & 0x7f).checked_shl(shift).unwrap_or(u32::MAX);
                let number = number.saturating_add(more);
                if is_plain { then(number) } else { Self::Number { number, shift: shift + 7, then } }
            }
            Self::NameLength if is_plain => {
                number(*byte, 7, |length| Self::name(length, usize::try_from(length) == Ok(NAME.len())))
            }
            Self::NameLength => number(*byte, 7, |length| Self::name(length, false)),
            Self::Name { left, read, is_authority } => {
                let is_authority = is_authority && NAME.get(read) == Some(byte);
                match left {
                    0 | 1 => Self::ValueLength { is_authority },
                    _ => Self::Name { left: left - 1, read: read + 1, is_authority },
                }
            }
            Self::ValueLength { is_authority: true } if is_plain => {
                number(*byte, 7, |length| Self::value(length, true))
            }
            Self::ValueLength { .. } => number(*byte, 7, |length| Self::value(length, false)),
            Self::Value { left, is_authority, is_list } => {
                let is_list = is_list || *byte == b',';
                if is_authority && (is_list && !byte.is_ascii_alphanumeric() || *byte == b'%') {
                    *byte = b'-';
                }
                match left {
                    0 | 1 => Self::Field,
                    _ => Self::Value { left: left - 1, is_authority, is_list },
                }
            }
        };
    }

    fn after_name_index(index: u32) -> Self {
        if index == 0 { Self::NameLength } else { Self::ValueLength { is_authority: index == NAME_INDEX } }
    }

    fn name(length: u32, is_authority: bool) -> Self {
        match length {
            0 => Self::ValueLength { is_authority: false },
            _ => Self::Name { left: length, read: 0, is_authority },
        }
    }

    fn value(length: u32, is_authority: bool) -> Self {
        if length == 0 { Self::Field } else { Self::Value { left: length, is_authority, is_list: false } }
    }
}

/// Reads the first byte of a number, which holds so many bits of it (RFC 7541, section 5.1).
fn number(byte: u8, bits: u32, then: fn(u32) -> HeaderBlock) -> HeaderBlock {
    let largest = (1 << bits) - 1;
    let number = u32::from(byte) & largest;
    if number == largest { HeaderBlock::Number { number, shift: 0, then } } else { then(number) }
}

#[cfg(test)]
mod tests {
    use http::uri::Authority;
    use proptest::prelude::*;

    use super::*;

    /// A literal field with a new name, as the C core sends it, or with one of the static table.
    fn literal(name: &[u8], value: &str) -> Vec<u8> {
        let string = |bytes: &[u8]| {
            assert!(bytes.len() < 127);
            [&[bytes.len() as u8], bytes].concat()
        };
        let name = if name.is_empty() { vec![0x41] } else { [&[0x40], &*string(name)].concat() };
        [name, string(value.as_bytes())].concat()
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// The bytes after they were read in pieces of this size.
    fn read(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut bytes, mut reader) = (bytes.to_vec(), AuthorityReader::default());
        bytes.chunks_mut(piece).for_each(|bytes| reader.read(bytes));
        bytes
    }

    /// Connections whose second header block has this authority, one for each form of a block, with the position of the
    /// authority.
    fn connections(authority: &str) -> Vec<(Vec<u8>, usize)> {
        let settings = frame(4, 0, &[0, 3, 0, 0, 0, 100]);
        let path = literal(b":path", "/a.B/C,d:e%");
        let begin = [&*settings, &frame(HEADERS, 4, &path), &frame(0, 1, b"a,b:c,d")].concat();
        [NAME, b""]
            .into_iter()
            .flat_map(|name| {
                let before = [&path, &*literal(name, "")].concat();
                let before = &before[..before.len() - 1];
                let length = [authority.len() as u8];
                let block = [before, &length, authority.as_bytes(), &[0x83, 0x86], &path].concat();
                let plain = frame(HEADERS, 4, &block);
                let padded = [&[3, 0, 0, 0, 0, 0], &*block, b",,,"].concat();
                let padded = frame(HEADERS, 4 | PADDED | PRIORITY, &padded);
                let at = block.len() - path.len() - 2 - authority.len();
                let (first, second) = block.split_at(at + 1);
                let continued = [frame(HEADERS, 0, first), frame(CONTINUATION, 4, second)].concat();
                [
                    (plain, at + 9, begin.len()),
                    (padded, at + 9 + 6, begin.len()),
                    (continued, usize::MAX, begin.len()),
                ]
            })
            .map(|(frames, at, before)| ([&*begin, &frames].concat(), at.saturating_add(before)))
            .collect()
    }

    #[test]
    fn an_authority_that_names_several_servers_becomes_readable() {
        for (authority, readable) in [
            ("127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1-127-0-0-1-2"),
            ("[::1]:1,[::1]:2", "[::1]:1----1--2"),
            ("tmp%2Fa.sock", "tmp-2Fa.sock"),
        ] {
            assert!(authority.parse::<Authority>().is_err(), "{authority}");
            assert!(readable.parse::<Authority>().is_ok(), "{readable}");
            for (bytes, at) in connections(authority) {
                for piece in [1, 2, 7, bytes.len()] {
                    let read = read(&bytes, piece);
                    if at == usize::MAX {
                        let changed = read.iter().zip(&bytes).filter(|(read, sent)| read != sent).count();
                        let to_change = authority.bytes().zip(readable.bytes()).filter(|(a, b)| a != b);
                        assert_eq!(changed, to_change.count());
                    } else {
                        let end = at + authority.len();
                        assert_eq!(read[at..end], *readable.as_bytes(), "{piece}");
                        assert_eq!((&read[..at], &read[end..]), (&bytes[..at], &bytes[end..]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_readable_authority_is_not_changed() {
        for authority in ["127.0.0.1:50051", "[::1]:50051", "service.namespace.svc:50051", "user@host", ""] {
            for (bytes, _) in connections(authority) {
                assert_eq!(read(&bytes, bytes.len()), bytes, "{authority}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_pieces_make_no_difference(bytes: Vec<u8>, piece in 1usize..9) {
            let frames = [&frame(HEADERS, 4, &bytes), &*bytes].concat();
            prop_assert_eq!(read(&frames, piece), read(&frames, frames.len()));
        }
    }
}
