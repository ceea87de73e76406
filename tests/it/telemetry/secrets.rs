//! What must stay secret is told to nobody: neither in a trace, nor in a line of the log, nor by a metric.

use serde_json::{Value, json};

use super::Role;
use super::collector::Collector;

const PASSWORD: &str = "correcto-caballo-8675309";

#[tokio::test]
async fn nobody_is_told_a_password_or_a_token() {
    let (collector, folder) = (Collector::start().await, tempfile::tempdir().unwrap());
    let log = "trace,hyper=info,hyper_util=info,h2=info,mio=info";
    let traces = ["--otlp-endpoint", &collector.url, "--trace-sample", "1", "--log", log];
    let up = Role::start(folder.path(), &[&["up", "--listen", "127.0.0.1:0"][..], &traces].concat()).await;

    let registered = up.post("/api/v1/users", &[], json!({"name": "Ana", "password": PASSWORD})).await;
    let signed_in = up.post("/api/v1/sessions", &[], json!({"name": "Ana", "password": PASSWORD})).await;
    let refresh = |session: &Value| {
        let body = json!({"refresh_token": session["refresh_token"]});
        up.client.post(up.url("/api/v1/sessions/refresh")).json(&body).send()
    };
    let refreshed: Value = refresh(&signed_in).await.unwrap().json().await.unwrap();
    assert_eq!(refresh(&signed_in).await.unwrap().status(), 401);
    let new = format!("{PASSWORD}-otro");
    let change = up.client.put(up.url("/api/v1/me/password")).json(&json!({"current": PASSWORD, "new": new}));
    let changed = change.bearer_auth(registered["access_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    let wrong = json!({"name": "Ana", "password": format!("{PASSWORD}-no")});
    assert_eq!(up.client.post(up.url("/api/v1/sessions")).json(&wrong).send().await.unwrap().status(), 401);
    let request = collector.wait_for("the request", |span| span.name == "PUT /api/v1/me/password").await;
    collector.wait_for("its decision", |span| span.trace == request.trace && span.name.starts_with("decide ")).await;

    let metrics = up.get("/metrics").await;
    let log = up.stop().await;
    assert!(log.contains("was used twice"), "{log}");
    let sessions = [registered, signed_in, refreshed];
    let tokens = sessions.iter().flat_map(|session| ["access_token", "refresh_token"].map(|name| &session[name]));
    let secrets = tokens.map(|token| token.as_str().expect("a token")).chain([PASSWORD, "argon2id$"]);
    let spans = format!("{:?}", collector.spans());
    for secret in secrets {
        for (where_, told) in [("a trace", &spans), ("the log", &log), ("the metrics", &metrics)] {
            assert!(!told.contains(secret), "{secret} is in {where_}: {told}");
        }
    }
}
