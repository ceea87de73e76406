//! Follows the live tally of a poll and pushes it to Grafana Live, as Influx lines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use reqwest::Url;
use reqwest::header::ACCEPT;
use serde_json::Value;
use tokio::time::Instant;

use crate::grafana::{Bounds, Grafana, GrafanaError, builder};

/// The Live stream; its measurements are polls.
const STREAM: &str = "cabildo";

/// What is followed, and how.
#[derive(Clone, Debug)]
pub struct Push {
    /// The gateway.
    pub server: String,
    /// The poll.
    pub poll: String,
    /// Shortest time between two pushes; of the states that come meanwhile, the last is pushed.
    pub every: Duration,
    /// Longest silence of the gateway before the connection is made anew.
    pub silence_max: Duration,
    /// Most options that are pushed, those with the most votes.
    pub options_max: usize,
}

/// Why a tally is not pushed any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Grafana does not take it.
    #[error(transparent)]
    Grafana(#[from] GrafanaError),
    /// The gateway cannot be used as it was given.
    #[error("`{0}` is no address of a gateway: use http://HOST:PORT")]
    Server(String),
    /// The gateway knows no such poll.
    #[error("there is no poll `{0}`: `GET /api/v1/polls` lists them")]
    NoPoll(String),
    /// The gateway does not answer.
    #[error("the gateway at {server} does not answer: {reason}")]
    Unreachable {
        /// Where it was looked for.
        server: String,
        /// What came instead.
        reason: String,
    },
}

impl Push {
    /// Follows and pushes until it fails; it begins again when the connection is lost, a bounded number of times in a row.
    /// Tells each push, with the channel on which a panel reads it.
    ///
    /// # Errors
    /// If there is no such poll, or if the gateway or Grafana do not answer.
    pub async fn run(&self, grafana: &Grafana, bounds: &Bounds, mut told: impl FnMut(&str)) -> Result<(), PushError> {
        let channel = format!("stream/{STREAM}/{}", measurement(&self.poll));
        let (mut wait, mut tries) = (bounds.retry_first, 1);
        let mut next_push = Instant::now();
        loop {
            let failed = match self.follow(bounds).await {
                Ok(mut states) => {
                    let mut waiting: Option<Value> = None;
                    loop {
                        tokio::select! {
                            state = tokio::time::timeout(self.silence_max, states.next()) => match state {
                                Ok(Some(Ok(state))) => {
                                    (wait, tries) = (bounds.retry_first, 1);
                                    waiting = Some(state);
                                }
                                Ok(Some(Err(reason))) => break reason,
                                Ok(None) => break "it ended the stream".to_owned(),
                                Err(_) => break format!("nothing came for {} s", self.silence_max.as_secs()),
                            },
                            () = tokio::time::sleep_until(next_push), if waiting.is_some() => {
                                let lines = waiting.take().and_then(|state| self.line(&state, SystemTime::now()));
                                if let Some(line) = lines {
                                    grafana.push(STREAM, line).await?;
                                    told(&channel);
                                }
                                next_push = Instant::now() + self.every;
                            }
                        }
                    }
                }
                Err(PushError::Unreachable { reason, .. }) => reason,
                Err(error) => return Err(error),
            };
            if tries >= bounds.tries_max {
                return Err(PushError::Unreachable { server: self.server.clone(), reason: failed });
            }
            tries += 1;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(bounds.retry_longest);
        }
    }

    /// The states of the tally as they come.
    async fn follow(&self, bounds: &Bounds) -> Result<BoxStream<'static, Result<Value, String>>, PushError> {
        let wrong = || PushError::Server(self.server.clone());
        let mut url = Url::parse(&self.server).map_err(|_| wrong())?;
        url.path_segments_mut()
            .map_err(|()| wrong())?
            .pop_if_empty()
            .extend(["api", "v1", "polls", &self.poll, "tally"]);
        let unreachable = |reason: String| PushError::Unreachable { server: self.server.clone(), reason };
        let client = builder(&self.server, bounds).build();
        let client = client.map_err(|error| unreachable(error.to_string()))?;
        let asked = client.get(url).header(ACCEPT, "text/event-stream").send();
        let response = match tokio::time::timeout(bounds.request, asked).await {
            Ok(response) => response.map_err(|error| unreachable(error.without_url().to_string()))?,
            Err(_) => return Err(unreachable("it took too long".to_owned())),
        };
        match response.status().as_u16() {
            200 => {}
            404 => return Err(PushError::NoPoll(self.poll.clone())),
            status => return Err(unreachable(format!("status {status}"))),
        }
        let chunks = response.bytes_stream().map_err(|error| error.without_url().to_string()).boxed();
        let frames = Frames { chunks, buffer: Vec::new(), bytes_max: bounds.answer_bytes_max };
        Ok(futures::stream::try_unfold(frames, async |mut frames| {
            Ok(frames.next().await?.map(|state| (state, frames)))
        })
        .boxed())
    }

    /// A tally as one line; `None` if nobody has voted yet.
    fn line(&self, tally: &Value, now: SystemTime) -> Option<String> {
        let options = tally["options"].as_array()?.iter().take(self.options_max);
        let fields: Vec<_> = options
            .filter_map(|option| Some(format!("{}={}i", key(option["option"].as_str()?), option["votes"].as_i64()?)))
            .collect();
        let time_ns = now.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        (!fields.is_empty()).then(|| format!("{} {} {time_ns}\n", measurement(&self.poll), fields.join(",")))
    }
}

/// A poll as part of a channel's name, which may hold few characters.
fn measurement(poll: &str) -> String {
    poll.chars().map(|char| if char.is_ascii_alphanumeric() || "_-.".contains(char) { char } else { '_' }).collect()
}

/// An option as the key of a field.
fn key(option: &str) -> String {
    let mut key = String::with_capacity(option.len());
    for char in option.chars() {
        match char {
            ',' | '=' | ' ' => key.extend(['\\', char]),
            // Before a `=` it would take that for its own.
            '\\' => key.push('/'),
            char if char.is_control() => key.push('_'),
            char => key.push(char),
        }
    }
    key
}

/// The data of server-sent events (the WHATWG format).
struct Frames {
    chunks: BoxStream<'static, Result<Bytes, String>>,
    buffer: Vec<u8>,
    bytes_max: usize,
}

impl Frames {
    /// The data of the next event, `None` at the end. Comments are passed over.
    async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let data = frame.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data: "));
                match data {
                    Some(data) => return serde_json::from_slice(data).map(Some).map_err(|error| error.to_string()),
                    None => continue,
                }
            }
            match self.chunks.next().await {
                Some(chunk) => self.buffer.extend_from_slice(&chunk?),
                None => return Ok(None),
            }
            if self.buffer.len() > self.bytes_max {
                return Err(format!("an event is larger than {} bytes", self.bytes_max));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn push(poll: &str) -> Push {
        let second = Duration::from_secs(1);
        Push { server: String::new(), poll: poll.to_owned(), every: second, silence_max: second, options_max: 2 }
    }

    #[test]
    fn a_tally_is_one_line() {
        let tally = json!({"options": [
            {"option": "Bohemia Suburbana, GT", "votes": 3}, {"option": "a=b\\", "votes": 2}, {"option": "c", "votes": 1},
        ]});
        let now = UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        let line = push("bands/2026").line(&tally, now).unwrap();
        assert_eq!(line, "bands_2026 Bohemia\\ Suburbana\\,\\ GT=3i,a\\=b/=2i 1700000000000000005\n");
        assert_eq!(push("bands").line(&json!({"options": []}), now), None);
    }

    #[tokio::test]
    async fn events_are_read_however_they_are_cut() {
        let text = b": here\n\nid: 0-1\nevent: tally\ndata: {\"a\":1}\n\nid: 0-2\ndata: {\"a\":2}\n\n";
        for size in [1, 7, text.len()] {
            let chunks: Vec<_> = text.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
            let chunks = futures::stream::iter(chunks).boxed();
            let mut frames = Frames { chunks, buffer: Vec::new(), bytes_max: 1_000 };
            assert_eq!(frames.next().await.unwrap(), Some(json!({"a": 1})));
            assert_eq!(frames.next().await.unwrap(), Some(json!({"a": 2})));
            assert_eq!(frames.next().await.unwrap(), None);
        }
        let chunks = futures::stream::iter([Ok(Bytes::from_static(b"data: 12345"))]).boxed();
        assert!(Frames { chunks, buffer: Vec::new(), bytes_max: 10 }.next().await.is_err());
    }
}
