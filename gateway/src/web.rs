//! The web front end: its pages and what they are made of, from the binary itself.
//!
//! `make web` builds `web/dist`, and the build of this crate takes it in (a debug build reads it from the folder as it
//! runs). Without it the pages say in words how to get it. All addresses in the pages are relative, so that a reverse proxy
//! may serve the gateway under any path.

use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use rust_embed::{Embed, EmbeddedFile};

use crate::problem::{METHOD_NOT_ALLOWED, Problem};

/// Which route the front end counts as, for a label.
pub(crate) const ROUTE: &str = "web";

/// The pages that the front end has: each is the same document, which looks at its own address.
const PAGES: [&str; 3] = ["/", "/record", "/live"];
const INDEX: &str = "index.html";
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Scripts, styles and connections of our own and nothing else; nobody puts the pages into a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Names of built files carry a hash of what is in them.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Cabildo</title>\
    <h1>The web front end is not in this binary</h1>\
    <p>Run <code>make web</code> (it needs Node.js 20.19 or newer, and fetches one if there is none), then build the binary \
    again. <code>make run</code> does both.</p>\
    <p>The API is here all the same: see <a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>.</p></html>";

#[derive(Embed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Dist;

/// Whether the front end has something at an address.
pub(crate) fn is_known(path: &str) -> bool {
    PAGES.contains(&path) || asset(path).is_some()
}

/// The answer to a request for a page or a file of the front end; for an address where nothing is, if a person asks for it
/// with a browser, the page that says so. `None`: the front end has no part in it.
pub(crate) fn answer(request: &Parts) -> Option<Result<Response<Bytes>, Problem>> {
    let path = request.uri.path();
    let found = PAGES.contains(&path);
    let file = if found { None } else { asset(path) };
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    if !reads {
        let detail = format!("{path} does not take {}", request.method);
        let refused = Problem::new(&METHOD_NOT_ALLOWED, detail).allow(&["GET", "HEAD", "OPTIONS"]);
        return (found || file.is_some()).then_some(Err(refused));
    }
    if let Some(file) = file {
        return Some(Ok(whole_or_unchanged(&request.headers, path.trim_start_matches('/'), file)));
    }
    let program = ["/api", "/assets"].iter().any(|root| path == *root || path.starts_with(&format!("{root}/")));
    let lost = !program && accepts(&request.headers, "text/html");
    (found || lost).then(|| Ok(page(path, found, &request.headers)))
}

fn page(path: &str, found: bool, headers: &HeaderMap) -> Response<Bytes> {
    let Some(index) = Dist::get(INDEX) else {
        return document(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(NOT_BUILT.as_bytes()));
    };
    if found {
        let mut response = whole_or_unchanged(headers, INDEX, index);
        guard(&mut response);
        return response;
    }
    // The document names its files from beside itself: from further down, the way leads up first.
    let up = "../".repeat(path.matches('/').count().saturating_sub(1));
    let text = String::from_utf8_lossy(&index.data).replace("\"./", &format!("\"./{up}"));
    document(StatusCode::NOT_FOUND, text.into())
}

fn document(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HTML);
    response.headers_mut().insert(header::CACHE_CONTROL, ASK_AGAIN);
    guard(&mut response);
    response
}

fn guard(response: &mut Response<Bytes>) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// A built file that may be asked for by its address: not the document, and not the packed twins.
fn asset(path: &str) -> Option<EmbeddedFile> {
    let name = path.strip_prefix('/')?;
    content_type(name)?;
    (name != INDEX).then(|| Dist::get(name)).flatten()
}

fn content_type(name: &str) -> Option<HeaderValue> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(HeaderValue::from_static(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "woff2" => "font/woff2",
        _ => return None,
    }))
}

/// The file, packed if the client takes it so, or 304 if the client has it.
fn whole_or_unchanged(headers: &HeaderMap, name: &str, plain: EmbeddedFile) -> Response<Bytes> {
    let tag_of = |suffix: &str| {
        let hash = plain.metadata.sha256_hash();
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}{suffix}\"")
    };
    let packed = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(coding, extension)| {
        let file = accepts_coding(headers, coding).then(|| Dist::get(&format!("{name}.{extension}"))).flatten()?;
        Some((coding, file))
    });
    let tag = tag_of(packed.as_ref().map_or("", |(coding, _)| coding));
    let unchanged = headers
        .get_all(header::IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*");
    let (coding, file) = packed.map_or((None, plain), |(coding, file)| (Some(coding), file));
    let mut response = Response::new(if unchanged { Bytes::new() } else { owned(file.data) });
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, content_type(name).unwrap_or(HTML));
    out.insert(header::CACHE_CONTROL, if name.starts_with("assets/") { FOR_EVER } else { ASK_AGAIN });
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    if let Some(coding) = coding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_ENCODING);
    }
    response
}

fn owned(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    }
}

/// Whether a media type is asked for by name.
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    listed(headers, &header::ACCEPT).any(|range| range == media)
}

/// Whether a content coding is asked for by name, and not ruled out with `q=0`.
fn accepts_coding(headers: &HeaderMap, coding: &str) -> bool {
    listed(headers, &header::ACCEPT_ENCODING).any(|name| name == coding)
}

/// The names in a list of preferences, without those that are ruled out.
fn listed<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next()?;
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
            weight.is_some_and(|weight| weight <= 0.0)
        });
        (!refused).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn what_is_ruled_out_is_not_accepted() {
        let encodings = headers(header::ACCEPT_ENCODING, "gzip, deflate;q=0.5, br;q=0");
        assert!(accepts_coding(&encodings, "gzip") && accepts_coding(&encodings, "deflate"));
        assert!(!accepts_coding(&encodings, "br") && !accepts_coding(&HeaderMap::new(), "gzip"));
        assert!(accepts(&headers(header::ACCEPT, "text/html,application/xml;q=0.9,*/*;q=0.8"), "text/html"));
        assert!(!accepts(&headers(header::ACCEPT, "*/*"), "text/html"));
    }

    #[test]
    fn the_api_is_never_shadowed() {
        let request = |path: &str| {
            let request = http::Request::get(path).header("accept", "text/html").body(()).unwrap();
            answer(&request.into_parts().0)
        };
        for path in ["/api/v1/nothing", "/api/", "/assets/gone.js"] {
            assert!(request(path).is_none(), "{path}");
        }
        for path in ["/", "/record", "/live", "/lost", "/lost/further/down"] {
            assert!(request(path).is_some(), "{path}");
        }
        for path in ["/api/v1/rooms", "/livez", "/index.html", "/assets/../../Cargo.toml", "/index.html.br"] {
            assert!(!is_known(path), "{path}");
        }
    }
}
