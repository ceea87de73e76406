//! The web front end over real sockets. Its pages are tried in a browser (`web/tests`); here is what holds around them, whether
//! or not the front end has been built.

use super::Gateway;

#[tokio::test]
async fn every_page_is_one_document_behind_a_strict_policy() {
    let gateway = Gateway::start().await;
    for path in ["/", "/record", "/live?poll=bands"] {
        let answer = gateway.get(path).await;
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        if answer.status == 503 {
            assert!(answer.text.contains("make web"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn what_is_built_is_kept_for_ever_and_the_document_asked_for_again() {
    let gateway = Gateway::start().await;
    let page = gateway.get("/").await;
    if page.status == 503 {
        return;
    }
    assert!(!page.text.contains("=\"/"), "an address that is not relative: {}", page.text);
    let script = page.text.split('"').find(|part| part.starts_with("./assets/") && part.ends_with(".js")).unwrap();
    let script = script.trim_start_matches('.');
    let plain = gateway.get(script).await.expect(200);
    assert_eq!(plain.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
    let mut tags = vec![plain.header("etag").to_owned()];
    for coding in ["gzip", "br"] {
        let packed = gateway.send("HEAD", script, &[("accept-encoding", coding)], None).await.expect(200);
        assert_eq!((packed.header("content-encoding"), packed.header("vary")), (coding, "accept-encoding"));
        tags.push(packed.header("etag").to_owned());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3);
    let known = page.header("etag");
    let again = gateway.send("GET", "/record", &[("if-none-match", known)], None).await.expect(304);
    assert!(again.text.is_empty() && again.header("etag") == known, "{again:?}");
}

#[tokio::test]
async fn a_lost_person_gets_a_page_and_a_lost_program_a_problem() {
    let gateway = Gateway::start().await;
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let lost = gateway.send("GET", "/some/where/else", &browser, None).await;
    assert!([404, 503].contains(&lost.status) && lost.text.starts_with("<!doctype html>"), "{lost:?}");
    assert!(lost.status == 503 || lost.text.contains("\"./../../assets/"), "{lost:?}");
    gateway.get("/some/where/else").await.problem(404, "no-such-route", "there is nothing at /some/where/else");
    for path in ["/api/v1/nothing", "/assets/gone.js", "/api"] {
        gateway.send("GET", path, &browser, None).await.problem(404, "no-such-route", "there is nothing at");
    }
    let refused = gateway.post("/record", serde_json::json!({})).await;
    assert_eq!(refused.header("allow"), "GET, HEAD, OPTIONS");
    refused.problem(405, "method-not-allowed", "/record does not take POST");
}

#[tokio::test]
async fn pages_are_measured_under_one_label() {
    let gateway = Gateway::start().await;
    gateway.get("/record").await;
    gateway.get("/live").await;
    let metrics = gateway.get("/metrics").await.expect(200);
    let line = metrics.text.lines().find(|line| line.starts_with("cabildo_gateway_requests_total{route=\"web\""));
    assert!(line.is_some_and(|line| line.ends_with(" 2")), "{}", metrics.text);
}
