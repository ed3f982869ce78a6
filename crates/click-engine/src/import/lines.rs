//! Lines of a file with their numbers, bounded in length: a file without line ends cannot fill the
//! memory. Must never drop a line without saying so.

use std::io::{self, BufRead};

/// Longest line that is read, bytes.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Reads line after line into one buffer.
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
    read: u64,
}

/// A line without its end, or why there is none.
pub type Line<'a> = Result<&'a str, String>;

impl<R: BufRead> Lines<R> {
    pub fn new(input: R) -> Self {
        Lines { input, buffer: Vec::new(), number: 0, read: 0 }
    }

    /// Bytes consumed so far.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next line with its number from 1; `None` at the end of the file.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        self.buffer.clear();
        let before = self.read;
        let whole = self.fill()?;
        if self.read == before {
            return Ok(None);
        }
        self.number += 1;
        if !whole {
            let reason = format!("line is longer than {MAX_LINE_BYTES} bytes");
            return Ok(Some((self.number, Err(reason))));
        }
        let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let first = if self.number == 1 { text.strip_prefix(b"\xef\xbb\xbf") } else { None };
        let line = std::str::from_utf8(first.unwrap_or(text));
        Ok(Some((self.number, line.map_err(|_| "line is not UTF-8".to_owned()))))
    }

    /// False if the line was too long; what is above the limit is skipped.
    fn fill(&mut self) -> io::Result<bool> {
        let mut whole = true;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(whole);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            if self.buffer.len() + taken <= MAX_LINE_BYTES {
                self.buffer.extend_from_slice(&available[..taken]);
            } else {
                whole = false;
            }
            self.input.consume(taken);
            self.read += taken as u64;
            if end.is_some() {
                return Ok(whole);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_foreign_lines_keep_their_place() {
        let mut bytes = b"\xef\xbb\xbfone\r\n\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', MAX_LINE_BYTES + 1));
        bytes.extend(b"\n\xff\xff\nlast");
        let mut lines = Lines::new(&bytes[..]);
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next_line().unwrap() {
            seen.push((number, line.map(str::to_owned)));
        }
        assert_eq!(seen[0], (1, Ok("one".to_owned())));
        assert_eq!(seen[1], (2, Ok(String::new())));
        assert!(seen[2].1.as_ref().unwrap_err().contains("longer than"));
        assert_eq!(seen[3], (4, Err("line is not UTF-8".to_owned())));
        assert_eq!(seen[4], (5, Ok("last".to_owned())));
        assert_eq!(lines.bytes_read(), bytes.len() as u64);
    }
}
