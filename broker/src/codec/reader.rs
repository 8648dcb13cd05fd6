//! A cursor over one packet's bytes. Owns bounds checking; must never index without a check.

use super::CodecError;

const SHORT: CodecError = CodecError::Malformed("the packet ends inside a field");

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Reader { rest }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn skip_rest(&mut self) {
        self.rest = &[];
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// What is left, not taken.
    pub fn peek(&self) -> &'a [u8] {
        self.rest
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8], CodecError> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(SHORT)?;
        self.rest = tail;
        Ok(head)
    }

    pub fn u8(&mut self) -> Result<u8, CodecError> {
        let (&b, tail) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = tail;
        Ok(b)
    }

    pub fn u16(&mut self) -> Result<u16, CodecError> {
        let (head, tail) = self.rest.split_first_chunk::<2>().ok_or(SHORT)?;
        self.rest = tail;
        Ok(u16::from_be_bytes(*head))
    }

    pub fn u32(&mut self) -> Result<u32, CodecError> {
        let (head, tail) = self.rest.split_first_chunk::<4>().ok_or(SHORT)?;
        self.rest = tail;
        Ok(u32::from_be_bytes(*head))
    }

    /// A variable byte integer in its shortest form.
    pub fn varint(&mut self) -> Result<u32, CodecError> {
        let mut value = 0u32;
        for i in 0..4 {
            let b = self.u8()?;
            value |= u32::from(b & 0x7f) << (7 * i);
            if b & 0x80 == 0 {
                if i > 0 && b == 0 {
                    return Err(CodecError::Malformed("a variable byte integer is not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(CodecError::Malformed("a variable byte integer has more than four bytes"))
    }

    /// Binary data: two bytes of length, then the bytes.
    pub fn bin(&mut self) -> Result<&'a [u8], CodecError> {
        let n = self.u16()?;
        self.take(usize::from(n))
    }

    /// A UTF-8 string, without U+0000 (MQTT-1.5.3-2, MQTT-1.5.4-2).
    pub fn str(&mut self) -> Result<&'a str, CodecError> {
        let s = std::str::from_utf8(self.bin()?).map_err(|_| CodecError::Malformed("a string is not UTF-8"))?;
        if s.as_bytes().contains(&0) {
            return Err(CodecError::Malformed("a string holds U+0000"));
        }
        Ok(s)
    }

    /// A packet id, which is never 0.
    pub fn packet_id(&mut self) -> Result<u16, CodecError> {
        match self.u16()? {
            0 => Err(CodecError::Protocol("packet id 0")),
            id => Ok(id),
        }
    }
}
