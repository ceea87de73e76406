//! Request bodies: bounded, in time, JSON, and of the shape that the operation takes.

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cabildo_events::limits::BODY_BYTES_MAX;
use futures::{Stream, StreamExt};
use http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use warp::{Filter, Rejection};

use crate::problem::{self, Problem};

/// The request's body as `T`, or why it is none. Fields that `T` does not have must be refused by `T` itself.
pub(crate) fn json<T: DeserializeOwned + Send + 'static>(
    read: Duration,
) -> impl Filter<Extract = (Result<T, Problem>,), Error = Rejection> + Clone {
    warp::header::headers_cloned().and(warp::body::stream()).then(move |headers: HeaderMap, body| async move {
        check_head(&headers)?;
        let bytes = tokio::time::timeout(read, collect(body)).await.map_err(|_| Problem::body_timeout(read))??;
        parse(&bytes)
    })
}

/// Says what can be said before the body is read; a client that waits for `100 Continue` need not send it then.
fn check_head(headers: &HeaderMap) -> Result<(), Problem> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = if media.is_empty() { "the Content-Type is missing".to_owned() } else { format!("not `{media}`") };
        return Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail).allowed(["application/json"]));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > BODY_BYTES_MAX => Err(Problem::body_too_large()),
        _ => Ok(()),
    }
}

/// The edge wraps every body in `Limited`, so a chunked one is bounded as well.
async fn collect<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> Result<Bytes, Problem> {
    let mut body = std::pin::pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        bytes.put(chunk.map_err(|error| broken(&error))?);
    }
    Ok(bytes.freeze())
}

fn broken(error: &warp::Error) -> Problem {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Problem::body_too_large();
        }
        cause = error.source();
    }
    Problem::new(&problem::BAD_REQUEST, "the body broke off")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let place = error.valid_up_to();
        Problem::new(&problem::INVALID_UTF8, format!("the body is not UTF-8 from byte {place} on"))
    })?;
    // An array in the order of the fields would do for serde: it would not for the next version's fields.
    if text.trim_start().starts_with('[') {
        return Err(Problem::new(&problem::WRONG_SHAPE, "the body must be a JSON object, not an array"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let problem = misfit(error.inner());
        // Where the text breaks off there may be no field yet: `.` and `?` stand for none.
        if field == "." || field.ends_with('?') { problem } else { problem.field(&field) }
    })?;
    deserializer.end().map_err(|error| misfit(&error))?;
    Ok(value)
}

fn misfit(error: &serde_json::Error) -> Problem {
    let kind = match error.classify() {
        Category::Data => &problem::WRONG_SHAPE,
        Category::Syntax | Category::Eof | Category::Io => &problem::MALFORMED_JSON,
    };
    Problem::new(kind, error.to_string()).at(error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        text: String,
        #[serde(default)]
        tags: Vec<String>,
    }

    fn refused(body: &[u8]) -> (&'static str, Option<String>, Option<(usize, usize)>) {
        let problem = parse::<Input>(body).unwrap_err();
        (problem.kind().code, problem.field_name().map(str::to_owned), problem.place())
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        assert_eq!(refused(br#"{"text": "a""#), ("malformed-json", None, Some((1, 12))));
        assert_eq!(refused(br#"{"text": 5}"#), ("wrong-shape", Some("text".into()), Some((1, 10))));
        assert_eq!(refused(b"{\"text\": \"a\",\n \"txt\": 1}").2, Some((2, 6)));
        assert_eq!(refused(br#"{"text": "a", "tags": ["b", 7]}"#).1, Some("tags[1]".into()));
        assert_eq!(refused(br#"{"text": "a"} {}"#).0, "malformed-json");
        assert_eq!(refused(br#"{"text": "a", "text": "b"}"#).0, "wrong-shape");
        assert_eq!(refused(b"{\"text\": \"\xff\"}").0, "invalid-utf8");
        assert_eq!(refused(b"").0, "malformed-json");
        assert_eq!(refused(br#"["a", []]"#).0, "wrong-shape");
        assert_eq!(refused("[".repeat(10_000).as_bytes()).0, "wrong-shape");
    }

    #[test]
    fn json_with_a_charset_is_json_and_a_form_is_not() {
        let head = |media: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, media.parse().unwrap());
            check_head(&headers)
        };
        assert!(head("application/json").is_ok() && head("Application/JSON; charset=utf-8").is_ok());
        assert_eq!(head("text/plain").unwrap_err().kind().code, "unsupported-media-type");
        assert_eq!(check_head(&HeaderMap::new()).unwrap_err().kind().status, 415);
    }

    #[test]
    fn a_body_that_says_it_is_too_large_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert(header::CONTENT_LENGTH, (BODY_BYTES_MAX + 1).into());
        assert_eq!(check_head(&headers).unwrap_err().kind().status, 413);
    }
}
