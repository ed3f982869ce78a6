//! One keep-alive HTTP/1.1 connection, as light as can be: a request is written whole, a response
//! is read to the end of its body. Knows the little that the tracker answers with, no more.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest response head, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Largest response body, bytes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A connection that is opened again when it breaks.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The tracker said that the click is not recorded.
    pub unlogged: bool,
    body: (usize, usize),
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client { address, stream: None, buffer: Vec::with_capacity(4096) }
    }

    /// Sends `request` and waits for the answer. After an error the outcome is unknown, and the
    /// next call opens a new connection.
    pub async fn ask(&mut self, request: &[&[u8]]) -> io::Result<Answer> {
        let result = self.exchange(request).await;
        if result.is_err() {
            self.stream = None;
        }
        let (answer, close) = result?;
        if close {
            self.stream = None;
        }
        Ok(answer)
    }

    /// The body of the last answer.
    pub fn body(&self, answer: Answer) -> &[u8] {
        &self.buffer[answer.body.0..answer.body.1]
    }

    async fn exchange(&mut self, request: &[&[u8]]) -> io::Result<(Answer, bool)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                self.stream.insert(stream)
            }
        };
        for part in request {
            stream.write_all(part).await?;
        }
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(bad("response head is too long"));
            }
            more(stream, &mut self.buffer).await?;
        };
        let (mut answer, length, close) = parse(&self.buffer[..head])?;
        answer.body = (head, head + length);
        while self.buffer.len() < head + length {
            more(stream, &mut self.buffer).await?;
        }
        Ok((answer, close))
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Status and headers; the length of the body; whether the connection ends here.
fn parse(head: &[u8]) -> io::Result<(Answer, usize, bool)> {
    let text = std::str::from_utf8(head).map_err(|_| bad("response head is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| bad("response has no status"))?;
    let (mut length, mut close, mut unlogged) = (None, false, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("x-click-logged") {
            unlogged = value == "no";
        }
    }
    // Without a length (an answer to HEAD) the connection is not used again.
    let bodiless = status == 204 || (300..400).contains(&status);
    close |= bodiless && length.is_none() && status != 204;
    let length = length.or(bodiless.then_some(0));
    let length = length.filter(|length| *length <= MAX_BODY);
    let length = length.ok_or_else(|| bad("response has no usable content-length"))?;
    Ok((Answer { status, unlogged, body: (0, 0) }, length, close))
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let head = b"HTTP/1.1 302 Found\r\nLocation: x\r\ncontent-length: 7\r\n\
            x-click-logged: no\r\nconnection: close\r\n\r\n";
        let (answer, length, close) = parse(head).unwrap();
        assert_eq!((answer.status, answer.unlogged, length, close), (302, true, 7, true));
        assert!(!parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().2);
        assert!(parse(b"HTTP/1.1 302 Found\r\nlocation: x\r\n\r\n").unwrap().2);
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }
}
