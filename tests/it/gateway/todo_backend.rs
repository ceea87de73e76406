//! The contract of the Todo-Backend project (<https://www.todobackend.com/specs>), line by line, by a page of another origin: a
//! client that knows one address, follows the addresses it is given, and may do only what a browser lets it do.

use reqwest::{Client, Method, Response, header::HeaderMap};
use serde_json::{Value, json};

use super::{Front, Gateway};
use cabildo_gateway::{Patience, Tries};

/// A page that a browser shows.
struct Page {
    client: Client,
    origin: &'static str,
    /// The only address that it knows.
    root: String,
}

impl Page {
    fn new(gateway: &Gateway, origin: &'static str) -> Self {
        Self { client: gateway.client.clone(), origin, root: gateway.url("/api/v1/lists/todo/tasks") }
    }

    /// Whether the browser lets the page have the answer.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let allowed = headers.get("access-control-allow-origin").and_then(|value| value.to_str().ok());
        allowed == Some("*") || allowed == Some(self.origin)
    }

    /// Asks before the request, as a browser does of whatever a form could not send.
    async fn preflight(&self, method: &Method, url: &str) {
        let asked = self
            .client
            .request(Method::OPTIONS, url)
            .header("Origin", self.origin)
            .header("Access-Control-Request-Method", method.as_str())
            .header("Access-Control-Request-Headers", "content-type,if-match");
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success() && self.admits(answer.headers()), "{method} {url}: {answer:?}");
        let lists = |name: &str, wanted: &str| {
            let value = answer.headers()[name].to_str().unwrap().to_lowercase();
            value.split(',').any(|one| one.trim() == wanted.to_lowercase())
        };
        assert!(lists("access-control-allow-methods", method.as_str()), "{method} {url}: {answer:?}");
        assert!(lists("access-control-allow-headers", "content-type"), "{method} {url}: {answer:?}");
        assert!(lists("access-control-allow-headers", "if-match"), "{method} {url}: {answer:?}");
    }

    /// What comes of a request, whatever it is.
    async fn ask(&self, method: Method, url: &str, body: Option<Value>) -> Response {
        self.preflight(&method, url).await;
        let mut request = self.client.request(method.clone(), url).header("Origin", self.origin);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(self.admits(answer.headers()), "{method} {url}: {answer:?}");
        answer
    }

    async fn done(&self, method: Method, url: &str, body: Option<Value>) -> Value {
        let answer = self.ask(method, url, body).await;
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json().await.unwrap()
    }

    async fn get(&self, url: &str) -> Value {
        self.done(Method::GET, url, None).await
    }

    async fn post(&self, body: Value) -> Value {
        self.done(Method::POST, &self.root, Some(body)).await
    }

    async fn patch(&self, url: &str, body: Value) -> Value {
        self.done(Method::PATCH, url, Some(body)).await
    }

    async fn all(&self) -> Vec<Value> {
        self.get(&self.root).await.as_array().expect("an array").clone()
    }

    /// One task on an otherwise empty list.
    async fn one(&self, body: Value) -> Value {
        self.done(Method::DELETE, &self.root, None).await;
        self.post(body).await
    }
}

fn url(task: &Value) -> &str {
    let url = task["url"].as_str().expect("a url");
    assert!(url.starts_with("http://"), "{url} is not absolute");
    url
}

async fn every_line(page: &Page) {
    // The pre-requisites.
    // The api root responds to a GET (the server is up and accessible, CORS headers are set up).
    assert_eq!(page.get(&page.root).await, json!([]));
    // The api root responds to a POST with the todo which was posted to it.
    assert_eq!(page.post(json!({"title": "a todo"})).await["title"], "a todo");
    // The api root responds successfully to a DELETE.
    page.done(Method::DELETE, &page.root, None).await;
    // After a DELETE the api root responds to a GET with a JSON representation of an empty array.
    assert_eq!(page.get(&page.root).await, json!([]));

    // Storing new todos by posting to the root url.
    // Adds a new todo to the list of todos at the root url.
    page.post(json!({"title": "walk the dog"})).await;
    let all = page.all().await;
    assert_eq!((all.len(), &all[0]["title"]), (1, &json!("walk the dog")));
    // Sets up a new todo as initially not completed.
    page.one(json!({"title": "blah"})).await;
    assert_eq!(page.all().await[0]["completed"], false);
    // Each new todo has a url.
    page.one(json!({"title": "blah"})).await;
    let listed = page.all().await.remove(0);
    // Each new todo has a url, which returns a todo.
    let fetched = page.get(url(&listed)).await;
    assert_eq!((&fetched["title"], url(&fetched)), (&json!("blah"), url(&listed)));

    // Working with an existing todo.
    // Can navigate from a list of todos to an individual todo via urls.
    page.done(Method::DELETE, &page.root, None).await;
    for title in ["todo the first", "todo the second"] {
        page.post(json!({"title": title})).await;
    }
    let all = page.all().await;
    assert_eq!(all.len(), 2);
    let first = page.get(url(&all[0])).await;
    assert_eq!(first["title"], "todo the first");
    // Can change the todo's title by PATCHing to the todo's url.
    let made = page.one(json!({"title": "initial title"})).await;
    assert_eq!(page.patch(url(&made), json!({"title": "bathe the cat"})).await["title"], "bathe the cat");
    // Can change the todo's completedness by PATCHing to the todo's url.
    let changed = page.patch(url(&made), json!({"completed": true})).await;
    assert_eq!((&changed["completed"], &changed["title"]), (&json!(true), &json!("bathe the cat")));
    // Changes to a todo are persisted and show up when re-fetched.
    for shown in [page.get(url(&made)).await, page.all().await.remove(0)] {
        assert_eq!((&shown["title"], &shown["completed"]), (&json!("bathe the cat"), &json!(true)));
    }
    // Can delete a todo making a DELETE request to the todo's url.
    page.done(Method::DELETE, url(&made), None).await;
    assert_eq!(page.get(&page.root).await, json!([]));

    // Tracking todo order.
    // Can create a todo with an order field.
    let made = page.one(json!({"title": "blah", "order": 523})).await;
    assert_eq!(made["order"], 523);
    // Can PATCH a todo to change its order.
    assert_eq!(page.patch(url(&made), json!({"order": 95})).await["order"], 95);
    // Remembers changes to a todo's order.
    assert_eq!(page.get(url(&made)).await["order"], 95);
}

#[tokio::test]
async fn every_line_of_the_contract_for_a_page_of_this_machine() {
    let gateway = Gateway::start().await;
    every_line(&Page::new(&gateway, "http://localhost:5173")).await;
}

#[tokio::test]
async fn every_line_of_the_contract_for_a_page_of_anywhere_where_the_gateway_serves_others() {
    let mut gateway = Gateway::start().await;
    gateway.front = Front::bound("0.0.0.0:0", &gateway.stores, Patience::default(), Tries::default()).await;
    every_line(&Page::new(&gateway, "https://www.todobackend.com")).await;
}

#[tokio::test]
async fn a_page_also_gets_to_know_what_is_wrong() {
    let gateway = Gateway::start().await;
    let page = Page::new(&gateway, "http://localhost:5173");
    let made = page.post(json!({"title": "blah"})).await;
    let (made, missing) = (url(&made), format!("{}/0190f3a0-0000-7000-8000-000000000009", page.root));
    let other = page.root.replace("/todo/", "/other/");
    for (method, url, body, status) in [
        (Method::GET, missing.as_str(), None, 404),
        (Method::PATCH, &missing, Some(json!({"title": "x"})), 404),
        (Method::DELETE, &missing, None, 404),
        (Method::PATCH, made, Some(json!({"title": ""})), 422),
        (Method::PATCH, made, Some(json!({"colour": "red"})), 400),
        (Method::POST, &page.root, Some(json!({})), 400),
        (Method::GET, &other.replace("/tasks", ""), None, 404),
    ] {
        let answer = page.ask(method.clone(), url, body).await;
        assert_eq!(answer.status(), status, "{method} {url}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    // What it goes by next time, it may read.
    let answer = page.ask(Method::GET, made, None).await;
    let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap().to_lowercase();
    assert!(exposed.split(',').any(|name| name.trim() == "etag"), "{exposed}");
    // For each address, each method is asked for first.
    for path in ["", "/undo", "/history"] {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            page.preflight(&method, &format!("{made}{path}")).await;
        }
    }
    // A page of somewhere else has no business on this machine.
    let foreign = Page::new(&gateway, "https://www.todobackend.com");
    let answer = foreign.client.get(&foreign.root).header("Origin", foreign.origin).send().await.unwrap();
    assert!(!foreign.admits(answer.headers()), "{answer:?}");
}
