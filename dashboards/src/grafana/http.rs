//! One request, one answer: credentials, bounds, tries, and what the statuses mean.

use std::fmt;
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, Url, redirect};
use serde_json::Value;

use super::error::GrafanaError;

/// Longest part of an unexpected answer that is shown, in characters.
const SAID_CHARS_MAX: usize = 200;

/// How long, how much and how often. They are the caller's to choose: this crate knows no other of the house.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long it may take to connect.
    pub connect: Duration,
    /// How long a request may take, with its answer.
    pub request: Duration,
    /// Largest answer that is read, in bytes; a larger one is a failure.
    pub answer_bytes_max: usize,
    /// Most tries of one request while Grafana is starting, overloaded or not reached.
    pub tries_max: u32,
    /// The wait after the first try; each further one doubles it.
    pub retry_first: Duration,
    /// The longest wait between two tries.
    pub retry_longest: Duration,
    /// Most times that something is read and compared again because somebody else changed it meanwhile.
    pub conflict_tries_max: u32,
}

/// Who is asking. Shown nowhere.
#[derive(Clone)]
pub enum Access {
    /// A service account's token.
    Token(String),
    /// A user's name and password.
    Password {
        /// The user's login.
        user: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Password { .. } => "Password(…)",
        })
    }
}

/// What is being done, for errors: in words that follow "to", and the permission that it takes.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    pub(super) what: String,
    pub(super) permission: &'static str,
}

impl Doing {
    pub(super) fn new(what: impl Into<String>, permission: &'static str) -> Self {
        Self { what: what.into(), permission }
    }
}

/// What Grafana answered.
pub(super) struct Answer {
    pub(super) status: u16,
    location: Option<String>,
    text: String,
}

impl Answer {
    /// The body, if it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }

    /// What Grafana says about it: `message` is where both of its APIs say it.
    pub(super) fn said(&self) -> String {
        let message = self.json().and_then(|json| json["message"].as_str().map(str::to_owned));
        if let Some(message) = message.filter(|message| !message.is_empty()) {
            return message;
        }
        if let Some(location) = &self.location {
            return format!("it sends on to {location}");
        }
        let text = self.text.trim();
        if text.starts_with('<') {
            return "it answers with a web page".to_owned();
        }
        if text.is_empty() {
            return format!("status {}", self.status);
        }
        text.chars().take(SAID_CHARS_MAX).collect()
    }
}

/// A client of one Grafana.
pub(super) struct Client {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    access: Access,
    pub(super) bounds: Bounds,
}

impl Client {
    pub(super) fn new(address: &str, access: Access, bounds: Bounds) -> Result<Self, GrafanaError> {
        let http = builder(address, &bounds)
            .timeout(bounds.request)
            // A Grafana that sends on is one whose address is another: the token must not follow.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| {
                GrafanaError::Usage(format!(
                    "there can be no HTTP client here: {}. If it is about certificates, install the system's (ca-certificates)",
                    innermost(&error)
                ))
            })?;
        Ok(Self { http, base: base(address)?, access: checked(access)?, bounds })
    }

    pub(super) fn address(&self) -> &str {
        &self.base
    }

    /// Sends a request, again while Grafana is not reached or says that it cannot serve now, within the bounds. Any answer is
    /// given back, whatever its status, except that the credentials are wrong.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Answer, GrafanaError> {
        let mut wait = self.bounds.retry_first;
        let mut tries = 1;
        loop {
            let answer = self.exchange(method, path, headers, body.clone()).await;
            let again = match &answer {
                Ok(answer) => matches!(answer.status, 429 | 502 | 503 | 504),
                Err(failure) => failure.unsent,
            };
            if !again || tries >= self.bounds.tries_max {
                let answer = answer.map_err(|failure| self.unreachable(failure.reason))?;
                return match answer.status {
                    401 => Err(GrafanaError::Credentials { said: answer.said() }),
                    _ => Ok(answer),
                };
            }
            tries += 1;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.bounds.retry_longest);
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, GrafanaError> {
        self.send(&Method::GET, path, &HeaderMap::new(), None).await
    }

    /// Sends JSON and takes JSON back; anything but a success is an error that says what to do.
    pub(super) async fn put_json(
        &self,
        doing: &Doing,
        (method, path): (Method, &str),
        headers: &HeaderMap,
        body: &Value,
    ) -> Result<Value, GrafanaError> {
        let body = body.to_string().into_bytes();
        let answer = self.send(&method, path, headers, Some(("application/json", body))).await?;
        self.success(doing, &answer)
    }

    /// What is at an address; `None` if there is nothing.
    pub(super) async fn read(&self, doing: &Doing, path: &str) -> Result<Option<Value>, GrafanaError> {
        let answer = self.get(path).await?;
        if answer.status == 404 && answer.json().is_some() {
            return Ok(None);
        }
        // Some of Grafana's own 404 have no body at all.
        if answer.status == 404 && answer.text.trim().is_empty() {
            return Ok(None);
        }
        self.success(doing, &answer).map(Some)
    }

    /// The JSON of a success, else what to do.
    pub(super) fn success(&self, doing: &Doing, answer: &Answer) -> Result<Value, GrafanaError> {
        if (200..300).contains(&answer.status) {
            if answer.text.trim().is_empty() {
                return Ok(Value::Null);
            }
            return answer.json().ok_or_else(|| self.not_grafana(answer));
        }
        let (what, said) = (doing.what.clone(), answer.said());
        let from_file = said.contains("provisioned") || said.contains("read-only");
        Err(match answer.status {
            300..400 => self.not_grafana(answer),
            400 | 403 | 409 if from_file => GrafanaError::Provisioned { doing: what, said },
            403 => GrafanaError::Forbidden { doing: what, permission: doing.permission, said },
            404 => GrafanaError::Missing { doing: what, address: self.base.clone(), said },
            409 | 412 => GrafanaError::Conflict { doing: what, said },
            status => GrafanaError::Refused { doing: what, status, said },
        })
    }

    pub(super) fn not_grafana(&self, answer: &Answer) -> GrafanaError {
        GrafanaError::NotGrafana { address: self.base.clone(), said: answer.said() }
    }

    fn unreachable(&self, reason: String) -> GrafanaError {
        GrafanaError::Unreachable { address: self.base.clone(), reason }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Answer, Failure> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        request = request.headers(headers.clone());
        // Both mark the header as one that is not to be shown.
        request = match &self.access {
            Access::Token(token) => request.bearer_auth(token),
            Access::Password { user, password } => request.basic_auth(user, Some(password)),
        };
        if let Some((media, body)) = body {
            request = request.header(CONTENT_TYPE, media).body(body);
        }
        let response = request.send().await.map_err(Failure::from)?;
        let status = response.status().as_u16();
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut text = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(Failure::from)?;
            if text.len() + chunk.len() > self.bounds.answer_bytes_max {
                let reason = format!("its answer is larger than {} bytes", self.bounds.answer_bytes_max);
                return Err(Failure { unsent: false, reason });
            }
            text.extend_from_slice(&chunk);
        }
        Ok(Answer { status, location, text: String::from_utf8_lossy(&text).into_owned() })
    }
}

/// No answer came.
struct Failure {
    /// Whether the request cannot have reached Grafana.
    unsent: bool,
    reason: String,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let unsent = error.is_connect();
        // The outermost words only repeat the address; the cause is at the end of the chain.
        let error = error.without_url();
        Self { unsent, reason: if error.is_timeout() { "it took too long".to_owned() } else { innermost(&error) } }
    }
}

/// A client for one address. Without TLS it needs no certificates, and so works where the system has none.
pub(crate) fn builder(address: &str, bounds: &Bounds) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().connect_timeout(bounds.connect);
    if address.starts_with("http://") { builder.tls_certs_only([]) } else { builder }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn base(address: &str) -> Result<String, GrafanaError> {
    // Whatever it is, it may hold a password.
    let shown = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
    let wrong = |what: &str| {
        GrafanaError::Usage(format!(
            "`{shown}` is no address of a Grafana: {what}. Use http://HOST:3000 or https://HOST/SUB-PATH"
        ))
    };
    let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("credentials do not belong there; use --token-file, or --user with --password-file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Refuses what cannot be sent as a token: most likely the file holds something else.
fn checked(access: Access) -> Result<Access, GrafanaError> {
    match &access {
        Access::Token(token) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(GrafanaError::Usage(
                "the file of the token is empty or holds more than a token: it must hold the token alone".to_owned(),
            ))
        }
        _ => Ok(access),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_with_its_sub_path() {
        assert_eq!(base("http://127.0.0.1:3000").unwrap(), "http://127.0.0.1:3000");
        assert_eq!(base("https://example.org/grafana/").unwrap(), "https://example.org/grafana");
        for wrong in ["localhost:3000", "ftp://host", "http://ana:s3cret@host", "http://host/?orgId=1", ""] {
            let error = base(wrong).unwrap_err().to_string();
            assert!(error.contains("http://HOST:3000") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn credentials_are_shown_nowhere() {
        let access = Access::Token("s3cret".to_owned());
        assert_eq!(format!("{access:?}"), "Token(…)");
        let error = checked(Access::Token("s3cret\nmore".to_owned())).unwrap_err();
        assert!(!error.to_string().contains("s3cret"));
    }
}
