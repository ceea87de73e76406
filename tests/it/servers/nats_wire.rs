//! Enough of the NATS protocol to do what Cabildo itself would not: write foreign messages, make foreign streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection to a NATS server, without TLS or credentials.
pub(crate) struct Wire {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    requests: u32,
}

impl Wire {
    /// Connects to the server at a `nats://` URL.
    pub(crate) fn connect(url: &str) -> Self {
        let address = url.trim_start_matches("nats://").split(['/', '?']).next().unwrap_or_default();
        let writer = TcpStream::connect(address).expect("the NATS server answers");
        writer.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let reader = BufReader::new(writer.try_clone().expect("the socket"));
        let mut wire = Self { reader, writer, requests: 0 };
        wire.send(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB inbox.* 1\r\n");
        wire
    }

    /// Asks, and waits for the answer's body; empty if nobody answers on that subject.
    pub(crate) fn request(&mut self, subject: &str, body: &str) -> String {
        self.requests += 1;
        let inbox = format!("inbox.{}", self.requests);
        self.send(format!("PUB {subject} {inbox} {}\r\n{body}\r\n", body.len()).as_bytes());
        self.answer(&inbox)
    }

    /// Writes a message with headers to a stream, and waits for the acknowledgement.
    pub(crate) fn publish(&mut self, subject: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
        self.requests += 1;
        let inbox = format!("inbox.{}", self.requests);
        let mut head = "NATS/1.0\r\n".to_owned();
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let line = format!("HPUB {subject} {inbox} {} {}\r\n", head.len(), head.len() + body.len());
        self.send(&[line.as_bytes(), head.as_bytes(), body, b"\r\n"].concat());
        self.answer(&inbox)
    }

    fn answer(&mut self, inbox: &str) -> String {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("the NATS server answers in time");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["MSG", subject, _, length] => {
                    let body = self.body(length);
                    if subject == inbox {
                        return body;
                    }
                }
                ["HMSG", subject, _, head, length] => {
                    let body = self.body(length);
                    if subject == inbox {
                        return body[head.parse::<usize>().expect("a length")..].to_owned();
                    }
                }
                ["PING"] => self.send(b"PONG\r\n"),
                ["-ERR", ..] | [] => panic!("the NATS server says {line:?}"),
                _ => {}
            }
        }
    }

    fn body(&mut self, length: &str) -> String {
        let mut body = vec![0; length.parse::<usize>().expect("a length") + 2];
        self.reader.read_exact(&mut body).expect("the NATS server sends what it announced");
        body.truncate(body.len() - 2);
        String::from_utf8_lossy(&body).into_owned()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).expect("the NATS server takes it");
    }
}
