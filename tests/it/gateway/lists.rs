//! Task lists: what is added, changed, undone and remembered, who may see it, and what changed meanwhile.

use cabildo_events::task::{self, Command as TaskCommand, Wish};
use cabildo_events::{Command, Facts, Timestamp, UserId};
use cabildo_gateway::Patience;
use cabildo_storage::{Circumstances, Receipt};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::live::Stream;
use super::{Answer, Front, Gateway, Stores, until};
use crate::servers::{Mongo, Nats, Redis};

const TASKS: &str = "/api/v1/lists/casa/tasks";
const ANA: UserId = UserId(Uuid::from_u128(1));

async fn add(gateway: &Gateway, title: &str) -> Answer {
    gateway.post(TASKS, json!({"title": title})).await.expect(201)
}

async fn patch(gateway: &Gateway, path: &str, body: Value) -> Answer {
    gateway.send("PATCH", path, &[], Some(body)).await.expect(200)
}

async fn titles(gateway: &Gateway, path: &str) -> Vec<String> {
    let tasks = gateway.get(path).await.expect(200).json();
    tasks.as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap().to_owned()).collect()
}

/// As somebody who is known: what the people's own doors will say of who asks.
async fn wish(gateway: &Gateway, list: &str, by: UserId, wish: Wish) -> Receipt {
    let at = Circumstances {
        idempotency_key: None,
        time: Timestamp::from(jiff::Timestamp::now()),
        actor: None,
        correlation: None,
        causation: None,
        traceparent: None,
    };
    let command = TaskCommand { by: Some(by), matching: None, wish };
    gateway.front.commands.execute(Command::Task(list.parse().unwrap(), command), Facts::default(), at).await.unwrap()
}

async fn on_servers() -> (Gateway, (Nats, Redis, Mongo)) {
    let (nats, redis, mongo) = (Nats::start().await, Redis::start().await, Mongo::start().await);
    let stores = Stores::on(&nats.url(), &redis.url(), &mongo.url()).await;
    (Gateway::over(stores).await, (nats, redis, mongo))
}

#[tokio::test]
async fn a_list_is_opened_read_and_changed() {
    let gateway = Gateway::start().await;
    let opened = gateway.post("/api/v1/lists", json!({"title": "La casa"})).await.expect(201);
    assert_eq!((opened.header("location"), &opened.json()["list"]), ("/api/v1/lists/la-casa", &json!("la-casa")));
    let again = gateway.post("/api/v1/lists", json!({"title": "La casa"})).await.expect(201);
    assert_ne!(again.json()["list"], "la-casa");
    gateway.post("/api/v1/lists", json!({"id": "la-casa", "title": "Otra"})).await.problem(
        409,
        "already-exists",
        "casa",
    );

    let path = "/api/v1/lists/la-casa";
    let read = gateway.get(path).await.expect(200);
    assert_eq!((&read.json()["title"], &read.json()["visibility"]), (&json!("La casa"), &json!("open")));
    let etag = format!("\"{}\"", opened.position());
    assert_eq!(read.header("etag"), etag);
    let known = [("If-Match", &*etag)];
    let change = |title: &str| gateway.send("PATCH", path, &known, Some(json!({"title": title})));
    let changed = change("Finca").await.expect(200);
    assert_eq!(
        (&changed.json()["title"], changed.header("etag")),
        (&json!("Finca"), &*format!("\"{}\"", changed.position()))
    );
    let stale = change("Rancho").await.expect(412);
    assert_eq!((&stale.json()["title"], stale.header("etag")), (&json!("Finca"), changed.header("etag")));
    // A list of nobody cannot be kept from anybody, nor be made somebody's.
    let member = format!("{path}/members/{}", ANA.0);
    let private = gateway.send("PATCH", path, &[], Some(json!({"visibility": "private"}))).await;
    private.problem(422, "no-owner", "everybody's");
    gateway.post("/api/v1/lists", json!({"title": "x", "visibility": "private"})).await.problem(
        422,
        "no-owner",
        "everybody's",
    );
    let share = |role: &str| gateway.put(&member, json!({"role": role}));
    share("owner").await.problem(422, "no-owner", "everybody's");
    let shared = share("editor").await.expect(200);
    assert_eq!(shared.json()["members"], json!({ANA.0.to_string(): "editor"}));
    gateway.send("DELETE", &member, &[], None).await.expect(200);
    share("king").await.problem(400, "wrong-shape", "unknown variant");

    let lists = gateway.get_from("/api/v1/lists", &changed.position()).await.expect(200).json();
    assert_eq!(lists["lists"].as_array().unwrap().len(), 2);
    assert_eq!((&lists["lists"][0]["list"], &lists["lists"][0]["title"]), (&json!("la-casa"), &json!("Finca")));
    let first = gateway.get("/api/v1/lists?limit=1").await.expect(200);
    let next = first.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    assert_eq!(gateway.get(&next).await.expect(200).json()["lists"][0]["list"], again.json()["list"]);

    // As it was.
    let then = gateway.get(&format!("{path}?at={}", opened.position())).await.expect(200);
    assert_eq!((&then.json()["title"], then.header("cabildo-as-of")), (&json!("La casa"), &*opened.position()));
    let other = format!("/api/v1/lists/{}?at={}", again.json()["list"].as_str().unwrap(), opened.position());
    gateway.get(&other).await.problem(404, "not-found", &format!("it is there since {}", again.position()));
}

#[tokio::test]
async fn a_task_has_all_that_was_said_of_it_and_null_takes_it_away() {
    let gateway = Gateway::start().await;
    let user = ANA.0.to_string();
    let body = json!({"title": "Pintar", "description": "La puerta\nazul", "due": "2026-12-24",
        "labels": ["casa", "azul", "casa"], "assignee": user, "order": 7, "completed": true});
    let made = gateway.post(TASKS, body).await.expect(201);
    let task = made.json();
    let path = made.header("location").to_owned();
    assert_eq!(task["url"], gateway.url(&path));
    assert_eq!((&task["labels"], &task["due"]), (&json!(["azul", "casa"]), &json!("2026-12-24")));
    assert_eq!((&task["assignee"], &task["order"], &task["completed"]), (&json!(user), &json!(7), &json!(true)));
    let less = patch(&gateway, &path, json!({"description": null, "due": null, "assignee": null, "labels": []})).await;
    for field in ["description", "due", "assignee", "labels"] {
        assert!(less.json()[field].is_null(), "{field}: {less:?}");
    }
    assert_eq!((&less.json()["title"], &less.json()["order"]), (&json!("Pintar"), &json!(7)));
    // What is so already is no change.
    let head = gateway.stores.journal.head().await.unwrap();
    let same = patch(&gateway, &path, json!({"title": "Pintar", "due": null})).await;
    assert_eq!(
        (gateway.stores.journal.head().await.unwrap(), &same.json()["version"]),
        (head, &less.json()["version"])
    );

    for (body, field) in [
        (json!({"title": " "}), "title"),
        (json!({"due": "2026-02-30"}), "due"),
        (json!({"order": 9_007_199_254_740_992_i64}), "order"),
        (json!({"labels": ["ok", " no"]}), "labels[1]"),
        (json!({"assignee": "ana"}), "assignee"),
        (json!({"description": "x".repeat(4_001)}), "description"),
    ] {
        let problem = gateway.send("PATCH", &path, &[], Some(body)).await.problem(422, "bad-value", "");
        assert_eq!(problem["field"], field);
    }
    let labels: Vec<_> = (0..21).map(|number| format!("l{number}")).collect();
    let many = gateway.send("PATCH", &path, &[], Some(json!({"labels": labels}))).await;
    assert_eq!(many.problem(422, "label-count", "at most 20")["field"], "labels");
}

#[tokio::test]
async fn the_same_key_or_id_is_one_task() {
    let gateway = Gateway::start().await;
    let key = [("Idempotency-Key", "k-1")];
    let post = || gateway.send("POST", TASKS, &key, Some(json!({"title": "barrer"})));
    let (first, again) = (post().await.expect(201), post().await.expect(201));
    assert_eq!((&first.json()["id"], &again.json()["repeated"]), (&again.json()["id"], &json!(true)));
    let id = "0190f3a0-0000-7000-8000-000000000001";
    let post = || gateway.post(TASKS, json!({"id": id, "title": "trapear"}));
    let (first, again) = (post().await.expect(201), post().await.expect(201));
    assert_eq!((first.position(), &again.json()["id"]), (again.position(), &json!(id)));
    assert_eq!(titles(&gateway, TASKS).await, ["barrer", "trapear"]);
}

#[tokio::test]
async fn tasks_are_reordered() {
    let gateway = Gateway::start().await;
    let mut made = Vec::new();
    for title in ["uno", "dos", "tres"] {
        made.push(add(&gateway, title).await.json());
    }
    let order = |index: usize| made[index]["order"].as_i64().unwrap();
    let between = (order(0) + order(1)) / 2;
    let path = format!("{TASKS}/{}", made[2]["id"].as_str().unwrap());
    patch(&gateway, &path, json!({"order": between})).await;
    assert_eq!(titles(&gateway, TASKS).await, ["uno", "tres", "dos"]);
}

/// What one of them wrote, the other has, at once and though no view has it yet.
async fn what_is_stale_is_refused_and_what_is_undone_is_as_it_was(gateway: &Gateway, other: &Gateway) {
    let made = add(gateway, "barrer").await;
    let path = made.header("location").to_owned();
    assert_eq!(other.get(&path).await.expect(200).json()["title"], "barrer");
    let etag = other.get(&path).await.header("etag").to_owned();
    assert_eq!(made.header("etag"), etag);
    let completed = patch(gateway, &path, json!({"completed": true})).await;
    let stale = other.send("PATCH", &path, &[("If-Match", &etag)], Some(json!({"title": "trapear"}))).await.expect(412);
    assert_eq!(stale.header("content-type"), "application/json");
    assert_eq!((&stale.json()["completed"], &stale.json()["title"]), (&json!(true), &json!("barrer")));
    assert_eq!(stale.header("etag"), completed.header("etag"));
    // That it is so already is said of what is there, not of what one remembers.
    patch(other, &path, json!({"completed": false})).await;
    assert_eq!(patch(gateway, &path, json!({"completed": true})).await.json()["completed"], true);
    for (method, path) in [("DELETE", path.clone()), ("POST", format!("{path}/undo"))] {
        let stale = other.send(method, &path, &[("If-Match", &etag)], None).await.expect(412);
        assert_eq!(stale.json()["completed"], true);
    }
    let all = other.send("DELETE", TASKS, &[("If-Match", &etag)], None).await.expect(412);
    assert_eq!(all.json()[0]["completed"], true);
    // Of many who know the same, one is first.
    let etag = gateway.get(&path).await.header("etag").to_owned();
    let wishes = (0..8).map(|number| {
        let gateway = if number % 2 == 0 { gateway } else { other };
        let (path, etag) = (path.clone(), etag.clone());
        async move {
            let title = json!({"title": format!("wish {number}")});
            gateway.send("PATCH", &path, &[("If-Match", etag.as_str())], Some(title)).await
        }
    });
    let mut statuses: Vec<u16> = join_all(wishes).await.into_iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);

    // Undone, done again, undone.
    let title = |answer: &Answer| answer.json()["task"]["title"].clone();
    let undo = async |gateway: &Gateway| gateway.send("POST", &format!("{path}/undo"), &[], None).await.expect(200);
    assert_eq!(title(&undo(other).await), "barrer");
    assert_ne!(title(&undo(gateway).await), "barrer");
    let undone = undo(other).await;
    assert_eq!((title(&undone), &undone.json()["task"]["completed"]), (json!("barrer"), &json!(true)));
    // What was taken off comes back, also after all was taken off.
    gateway.send("DELETE", &path, &[], None).await.expect(200);
    other.get(&path).await.problem(404, "not-found", "there is no task");
    assert_eq!(title(&undo(other).await), "barrer");
    let etag = gateway.get(TASKS).await.header("etag").to_owned();
    let emptied = gateway.send("DELETE", TASKS, &[("If-Match", &etag)], None).await.expect(200);
    assert!(titles(other, TASKS).await.is_empty());
    assert_eq!(title(&undo(other).await), "barrer");
    assert_eq!(titles(gateway, TASKS).await, ["barrer"]);

    // All of it is remembered.
    let history = gateway.get(&format!("{path}/history")).await.expect(200).json();
    let types: Vec<&str> =
        history["changes"].as_array().unwrap().iter().map(|change| change["type"].as_str().unwrap()).collect();
    let expected = [
        "task.added",
        "task.completed",
        "task.reopened",
        "task.completed",
        "task.changed",
        "task.restored",
        "task.restored",
        "task.restored",
        "task.removed",
        "task.restored",
        "task.list.emptied",
        "task.restored",
    ];
    assert_eq!(types, expected);
    assert_eq!(
        (&history["changes"][0]["task"]["completed"], &history["changes"][8]["task"]),
        (&json!(false), &Value::Null)
    );
    let page = gateway.get(&format!("{path}/history?limit=3")).await.expect(200);
    assert_eq!(page.json()["changes"][0]["type"], "task.restored");
    let older = page.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    let older = other.get(&older).await.expect(200).json();
    assert_eq!(older["changes"].as_array().unwrap().last().unwrap()["type"], "task.removed");

    // As it was.
    let at = made.position();
    let then = other.get(&format!("{path}?at={at}")).await.expect(200);
    assert_eq!((&then.json()["completed"], then.header("cabildo-as-of")), (&json!(false), &*at));
    assert!(titles(other, &format!("{TASKS}?at={}", emptied.position())).await.is_empty());
    assert_eq!(titles(other, &format!("{TASKS}?at={at}")).await, ["barrer"]);
    other.get(&format!("{path}?at={}", emptied.position())).await.problem(404, "not-found", "there is no task");
    other.get(&format!("{TASKS}?at=0-1")).await.expect(200);
    other.get(&format!("{path}?at=0-1")).await.problem(404, "not-found", &format!("it is there since {at}"));
    other.get(&format!("{TASKS}?at=0-999999")).await.problem(422, "bad-value", "is past the last event");
    other.get(&format!("{TASKS}/{}/history", Uuid::nil())).await.problem(404, "not-found", "there is no task");
}

/// Another gateway over the same stores.
async fn beside(gateway: &Gateway) -> Gateway {
    let front = Front::start(&gateway.stores, Patience::default()).await;
    Gateway { stores: gateway.stores.beside(), front, client: gateway.client.clone() }
}

#[tokio::test]
async fn stale_undone_and_remembered_embedded() {
    let gateway = Gateway::start().await;
    what_is_stale_is_refused_and_what_is_undone_is_as_it_was(&gateway, &beside(&gateway).await).await;
}

#[tokio::test]
async fn stale_undone_and_remembered_at_two_gateways_over_servers() {
    let (gateway, _servers) = on_servers().await;
    what_is_stale_is_refused_and_what_is_undone_is_as_it_was(&gateway, &beside(&gateway).await).await;
}

#[tokio::test]
async fn everybody_on_one_list_is_heard() {
    let (gateway, _servers) = on_servers().await;
    let other = beside(&gateway).await;
    add(&gateway, "first").await;
    let adding = (0..10).map(|number| {
        let gateway = if number % 2 == 0 { &gateway } else { &other };
        async move {
            // Others may keep changing it: then one tries again.
            loop {
                let answer = gateway.post(TASKS, json!({"title": format!("task {number}")})).await;
                if answer.status != 409 {
                    return answer.expect(201).json()["order"].as_i64().unwrap();
                }
            }
        }
    });
    let mut orders = join_all(adding).await;
    orders.sort_unstable();
    orders.dedup();
    assert_eq!((orders.len(), titles(&other, TASKS).await.len()), (10, 11));
}

#[tokio::test]
async fn two_people_at_two_gateways_see_each_others_changes_live_and_miss_none() {
    let (gateway, _servers) = on_servers().await;
    let other = beside(&gateway).await;
    add(&gateway, "barrer").await;
    let (mut here, mut there) = (Stream::open(&gateway, TASKS, &[]).await, Stream::open(&other, TASKS, &[]).await);
    for stream in [&mut here, &mut there] {
        let first = stream.next().await.expect("how it is");
        assert_eq!((&*first.event, &first.data["tasks"][0]["title"]), ("snapshot", &json!("barrer")));
        assert_eq!(first.data["list"]["list"], "casa");
    }
    let made = add(&other, "trapear").await;
    let path = made.header("location").to_owned();
    gateway.post("/api/v1/lists/otra/tasks", json!({"title": "not theirs"})).await.expect(201);
    let done = patch(&gateway, &path, json!({"completed": true})).await;
    for stream in [&mut here, &mut there] {
        let added = stream.next().await.expect("the addition");
        assert_eq!(
            (&*added.event, &*added.id, &added.data["tasks"][0]["title"]),
            ("task.added", &*made.position(), &json!("trapear"))
        );
        let completed = stream.next().await.expect("the completion");
        assert_eq!((&*completed.event, &*completed.id), ("task.completed", &*done.position()));
        assert_eq!(
            (&completed.data["tasks"][0]["completed"], &completed.data["tasks"][0]["title"]),
            (&json!(true), &json!("trapear"))
        );
    }
    // Whoever was away takes up where they left, at another gateway; `after` says the same.
    drop(here);
    let gone = other.send("DELETE", &path, &[], None).await.expect(200);
    let renamed = other.send("PATCH", "/api/v1/lists/casa", &[], Some(json!({"title": "Finca"}))).await.expect(200);
    let position = done.position();
    let after = format!("{TASKS}?after={position}");
    let again = Stream::open(&other, TASKS, &[("Last-Event-ID", &position)]).await;
    for mut stream in [again, there, Stream::open(&gateway, &after, &[]).await] {
        let removed = stream.next().await.expect("the removal");
        assert_eq!((&*removed.id, &removed.data["removed"]), (&*gone.position(), &json!([made.json()["id"]])));
        let altered = stream.next().await.expect("the new title");
        assert_eq!((&*altered.id, &altered.data["list"]["title"]), (&*renamed.position(), &json!("Finca")));
    }
    let live = [("Accept", "text/event-stream")];
    gateway.send("GET", &format!("{TASKS}?at=0-1"), &live, None).await.problem(422, "bad-value", "shows what is");
    gateway.get(&after).await.problem(422, "bad-value", "text/event-stream");
}

#[tokio::test]
async fn anothers_private_list_is_not_there() {
    let gateway = Gateway::start().await;
    let opened =
        task::ListOpened { title: "Diario".parse().unwrap(), owner: Some(ANA), visibility: task::Visibility::Private };
    wish(&gateway, "casa", ANA, Wish::Open(opened)).await;
    let id = cabildo_events::TaskId(Uuid::from_u128(7));
    let secret = task::TaskAdded {
        task: id,
        title: "secreto".parse().unwrap(),
        description: None,
        completed: false,
        order: None,
        due: None,
        labels: Default::default(),
        assignee: None,
    };
    let added = wish(&gateway, "casa", ANA, Wish::Add(secret)).await;
    let (list, path) = ("/api/v1/lists/casa", format!("{TASKS}/{id}"));
    let (at, body) = (added.position, || Some(json!({"title": "x"})));
    for (method, path, body) in [
        ("GET", list.to_owned(), None),
        ("GET", format!("{list}?at={at}"), None),
        ("PATCH", list.to_owned(), body()),
        ("PUT", format!("{list}/members/{}", ANA.0), Some(json!({"role": "reader"}))),
        ("DELETE", format!("{list}/members/{}", ANA.0), None),
        ("GET", TASKS.to_owned(), None),
        ("GET", format!("{TASKS}?at={at}"), None),
        ("POST", TASKS.to_owned(), body()),
        ("DELETE", TASKS.to_owned(), None),
        ("GET", path.clone(), None),
        ("GET", format!("{path}?at={at}"), None),
        ("PATCH", path.clone(), body()),
        ("DELETE", path.clone(), None),
        ("GET", format!("{path}/history"), None),
        ("POST", format!("{path}/undo"), None),
    ] {
        // Neither what it holds nor as of when.
        let answer = gateway.send(method, &path, &[("If-Match", "\"0-1\"")], body).await;
        assert!(answer.headers.get("etag").is_none(), "{answer:?}");
        let problem = answer.problem(404, "not-found", "there is no list `casa`");
        assert!(!problem.to_string().contains("secreto"));
    }
    let live = gateway.send("GET", TASKS, &[("Accept", "text/event-stream")], None).await;
    live.problem(404, "not-found", "there is no list");
    let lists = gateway.get_from("/api/v1/lists", &added.position.to_string()).await.expect(200).json();
    assert_eq!(lists["lists"], json!([]));

    // Opened to all, it is worked on by all, and governed by its owner alone.
    let alter = |visibility| Wish::Alter(task::ListChanged { title: None, visibility: Some(visibility) });
    wish(&gateway, "casa", ANA, alter(task::Visibility::Open)).await;
    assert_eq!(titles(&gateway, TASKS).await, ["secreto"]);
    patch(&gateway, &path, json!({"completed": true})).await;
    gateway.send("PATCH", list, &[], body()).await.problem(403, "forbidden", "your role");
    // Made private again, whoever watches it learns no more.
    let mut watching = Stream::open(&gateway, TASKS, &[]).await;
    watching.next().await.expect("how it is");
    wish(&gateway, "casa", ANA, alter(task::Visibility::Private)).await;
    wish(&gateway, "casa", ANA, Wish::Remove(id)).await;
    assert!(watching.next().await.is_none());
}

#[tokio::test]
async fn the_view_of_lists_has_what_happened() {
    let gateway = Gateway::start().await;
    add(&gateway, "barrer").await;
    let undone = format!("{TASKS}/{}/undo", add(&gateway, "trapear").await.json()["id"].as_str().unwrap());
    let last = gateway.send("POST", &undone, &[], None).await.expect(200);
    assert_eq!(last.json()["task"], Value::Null);
    let rows = || async {
        let view = cabildo_projections::lists::ID;
        let query = cabildo_storage::Query::of(view, cabildo_projections::lists::TASKS, 10);
        gateway.stores.documents.find(&query).await.unwrap().documents
    };
    until("the view has both tasks, one of them removed", || async {
        let rows = rows().await;
        rows.len() == 2 && rows.iter().filter(|row| row.body.contains("\"removed\":")).count() == 1
    })
    .await;
}
