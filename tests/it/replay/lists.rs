//! Task lists in their view: checked against the journal, made anew beside the live one, mended alone, and shown as they were.

use serde_json::{Value, json};

use super::footing::Footing;

struct Town {
    client: reqwest::Client,
    gateway: String,
}

impl Town {
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (String, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}/api/v1/lists/{path}", self.gateway));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let position = answer.headers()["cabildo-position"].to_str().unwrap().to_owned();
        (position, answer.json().await.unwrap())
    }
}

async fn play(footing: Footing) {
    let town = Town { client: crate::http_client().build().unwrap(), gateway: footing.gateways[0].clone() };
    let mut tasks = Vec::new();
    for number in 0..20 {
        let task = json!({"title": format!("task {number}"), "labels": ["casa"]});
        let list = ["casa", "finca"][number % 2];
        let (_, made) = town.send("POST", &format!("{list}/tasks"), Some(task)).await;
        tasks.push(format!("{list}/tasks/{}", made["id"].as_str().unwrap()));
    }
    town.send("PATCH", &tasks[0], Some(json!({"title": "barrer", "due": "2026-12-24"}))).await;
    town.send("PATCH", &tasks[2], Some(json!({"completed": true}))).await;
    town.send("DELETE", &tasks[4], None).await;
    town.send("POST", &format!("{}/undo", tasks[4]), None).await;
    let (before, _) = town.send("POST", &format!("{}/undo", tasks[0]), None).await;
    let (last, _) = town.send("DELETE", "finca/tasks", None).await;

    // What the view holds is what the journal says; nothing to wait for but what is acknowledged.
    let lists = format!("{}/api/v1/lists", town.gateway);
    let read = town.client.get(lists).header("cabildo-min-position", &last).send().await.unwrap();
    assert!(!read.headers().contains_key("cabildo-stale"), "{read:?}");
    let listed: Value = read.json().await.unwrap();
    assert_eq!(listed["lists"].as_array().unwrap().len(), 2, "{listed}");
    let (code, out, err) = footing.run(&["verify", "lists"]).await;
    assert_eq!(code, 0, "{out} {err}");

    // Made anew, it is the same.
    let (code, out, err) = footing.run(&["replay", "lists", "--diff", "-o", "json"]).await;
    assert_eq!(code, 0, "{out} {err}");
    let (code, out, err) = footing.run(&["replay", "lists", "--promote"]).await;
    assert_eq!(code, 0, "{out} {err}");
    assert!(err.contains("lists.v2 is read from"), "{err}");
    let (code, out, err) = footing.run(&["replay", "lists", "--aggregate", "task/casa", "-o", "json"]).await;
    assert_eq!(code, 0, "{out} {err}");
    let mended: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&mended["aggregate"], &mended["changed"]), (&json!("task/casa"), &json!(0)), "{out}");
    let (code, out, err) = footing.run(&["verify", "lists"]).await;
    assert_eq!(code, 0, "{out} {err}");

    // As it was, and what changed.
    let (code, out, err) = footing.run(&["show", "list", "finca", "--at", &before, "-o", "json"]).await;
    assert_eq!(code, 0, "{out} {err}");
    let then: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&then["list"]["title"], then["tasks"].as_array().unwrap().len()), (&json!("finca"), 10));
    let (code, out, _) = footing.run(&["show", "list", "casa"]).await;
    assert!(code == 0 && out.contains("10 tasks, 1 done") && out.contains("[x] task 2 #casa"), "{out}");
    let (code, out, _) = footing.run(&["diff", "list", "finca", "--from", &before]).await;
    assert_eq!((code, out.matches("\n- [ ]").count()), (3, 10), "{out}");
    let (code, out, _) = footing.run(&["diff", "list", "casa", "--from", &before]).await;
    assert!(code == 0 && out.contains("nothing changed"), "{out}");
    let (code, _, err) = footing.run(&["show", "list", "finca", "--at", "begin"]).await;
    assert!(code != 0 && err.contains("there was no list `finca`"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_lists_is_checked_made_anew_and_mended_over_servers() {
    play(Footing::distributed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_lists_is_checked_made_anew_and_mended_beside_a_running_up() {
    play(Footing::embedded().await).await;
}
