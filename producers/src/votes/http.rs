//! A client that keeps one connection to a gateway, and opens it anew when it is lost.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use cabildo_events::limits::{CLIENT_ANSWER_BYTES_MAX, CLIENT_REQUEST_MS};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::DoorError;

/// A gateway's address: `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    authority: String,
    host: String,
    port: u16,
}

impl FromStr for Server {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| bad(text))?;
        let (Some("http"), Some(authority), "" | "/") = (uri.scheme_str(), uri.authority(), uri.path()) else {
            return Err(bad(text));
        };
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err("the address of a gateway has neither credentials nor a query: use http://HOST:PORT".to_owned());
        }
        // A host in brackets is an IPv6 address, which is looked up without them.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { authority: authority.to_string(), host, port: authority.port_u16().unwrap_or(80) })
    }
}

fn bad(text: &str) -> String {
    // Whatever it is, it may hold a password.
    let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
    format!("`{shown}` is no address of a gateway: use http://HOST:PORT")
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl Server {
    /// The processor time that the gateway's process has used, in seconds; `None` if its metrics do not say.
    ///
    /// # Errors
    /// See [`DoorError`].
    pub async fn cpu_seconds(&self) -> Result<Option<f64>, DoorError> {
        let answer = HttpClient::new(self.clone()).send(Method::GET, "/metrics", &[], None).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let value = text.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total "));
        Ok(value.and_then(|value| value.trim().parse().ok()))
    }
}

/// What the gateway answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The type of the problem document, if it is one.
    pub(super) fn problem(&self) -> String {
        self.text("type").unwrap_or_default()
    }

    /// What went wrong, in the gateway's words.
    pub(super) fn reason(&self) -> String {
        let said = self.text("detail").or_else(|| self.text("title"));
        said.map_or_else(|| self.status.to_string(), |said| format!("{} ({})", said, self.status.as_u16()))
    }

    fn text(&self, name: &str) -> Option<String> {
        let value: Value = serde_json::from_slice(&self.body).ok()?;
        value.get(name)?.as_str().map(str::to_owned)
    }
}

/// One client with one connection, opened when it is first needed.
pub(super) struct HttpClient {
    server: Server,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl HttpClient {
    pub(super) const fn new(server: Server) -> Self {
        Self { server, connection: None }
    }

    /// Sends a request and reads the whole answer, within [`CLIENT_REQUEST_MS`]. A connection that fails is dropped; what
    /// was sent on it may have been done.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, DoorError> {
        let mut request =
            Request::builder().method(method).uri(path).header(http::header::HOST, &self.server.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| DoorError::Refused(error.to_string()))?;
        let limit = Duration::from_millis(CLIENT_REQUEST_MS);
        let answer = match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(lost(true, format_args!("{} did not answer within {} s", self.server, limit.as_secs()))),
        };
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, DoorError> {
        // A connection that the other side closed meanwhile shows as not ready: nothing was sent on it.
        let mut open = self.connection.take();
        if let Some(connection) = &mut open
            && connection.ready().await.is_err()
        {
            open = None;
        }
        let mut connection = match open {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| lost(false, format_args!("{}: {error}", self.server)))?,
        };
        let gone = |error: &dyn fmt::Display| lost(true, format_args!("the connection was lost: {error}"));
        let (head, body) = connection.send_request(request).await.map_err(|error| gone(&error))?.into_parts();
        let body = Limited::new(body, CLIENT_ANSWER_BYTES_MAX).collect().await.map_err(|error| gone(&error))?;
        self.connection = Some(connection);
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect((self.server.host.as_str(), self.server.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; what went wrong shows where the answer is awaited.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

fn lost(may_have_happened: bool, reason: impl fmt::Display) -> DoorError {
    DoorError::Later { reason: reason.to_string(), after: None, may_have_happened }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for (text, host, port) in
            [("http://127.0.0.1:8080", "127.0.0.1", 8080), ("http://[::1]:1/", "::1", 1), ("http://a.b", "a.b", 80)]
        {
            let server: Server = text.parse().unwrap();
            assert_eq!((server.host.as_str(), server.port), (host, port));
        }
        for text in ["", "127.0.0.1:8080", "https://u:s3cret@host", "http://u:s3cret@host", "http://host/path"] {
            let error = text.parse::<Server>().unwrap_err();
            assert!(error.contains("http://HOST:PORT") && !error.contains("s3cret"), "{error}");
        }
    }
}
