//! `cabildo users`, and the way in that `cabildo up` prints.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{PATIENCE, Up, cabildo, run};

async fn events(address: &str, token: &str) -> u16 {
    let client = crate::http_client().build().unwrap();
    client.get(format!("{address}/api/v1/events")).bearer_auth(token).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_first_operator_is_made_on_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let client = crate::http_client().build().unwrap();
    let body = json!({"name": "Ana", "password": "correcto caballo"});
    let registered = client.post(format!("{}/api/v1/users", up.address)).json(&body).send().await.unwrap();
    let session: Value = registered.json().await.unwrap();
    assert_eq!(events(&up.address, session["access_token"].as_str().unwrap()).await, 403);

    run(folder.path(), &["users", "promote", "Nadie", "--role", "operator"]).await.expect(1).says("there is no person");
    run(folder.path(), &["users", "promote", "Ana", "--role", "emperor"]).await.expect(2).says("member, moderator");
    run(folder.path(), &["users", "promote", "Ana", "--role", "guest"]).await.expect(2).says("use member");
    let promoted = run(folder.path(), &["users", "promote", "ana", "--role", "operator"]).await.expect(0);
    assert!(promoted.out.contains("operator from now on; on record at 0-2"), "{promoted:?}");
    let again = run(folder.path(), &["users", "promote", "ana", "--role", "operator"]).await.expect(0);
    assert!(again.out.contains("operator already"), "{again:?}");

    let refresh = json!({"refresh_token": session["refresh_token"]});
    let refreshed = client.post(format!("{}/api/v1/sessions/refresh", up.address)).json(&refresh).send().await.unwrap();
    let session: Value = refreshed.json().await.unwrap();
    assert_eq!(
        (session["role"].as_str(), events(&up.address, session["access_token"].as_str().unwrap()).await),
        (Some("operator"), 200)
    );

    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let listed = run(folder.path(), &["users", "list", "-o", "json"]).await.expect(0);
        let listed: Value = serde_json::from_str(&listed.out).unwrap();
        if listed[0]["name"] == "Ana" {
            assert_eq!((listed.as_array().unwrap().len(), &listed[0]["role"]), (1, &json!("operator")));
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{listed}");
    }
    for (arguments, status) in [(&["users", "token", "ana"][..], 200), (&["users", "token", "--operator"], 200)] {
        let token = run(folder.path(), arguments).await.expect(0).out;
        assert_eq!(events(&up.address, token.trim()).await, status, "{arguments:?}");
    }
    run(folder.path(), &["users", "token", "Nadie"]).await.expect(1).says("there is no person");
    run(folder.path(), &["users", "token"]).await.expect(2);
    up.stop().await.expect(0);
}

#[tokio::test]
async fn up_prints_a_link_that_signs_an_operator_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = cabildo(folder.path(), &["up", "--listen", "127.0.0.1:0", "--log", "warn"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = async || tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let (ready, link) = (line().await, line().await);
    let address = ready.strip_prefix("cabildo is ready: ").unwrap();
    let (_, token) = link.split_once(&format!("{address}/#token=")).unwrap_or_else(|| panic!("{link}"));
    assert_eq!(events(address, token).await, 200);
    child.kill().await.unwrap();
}
