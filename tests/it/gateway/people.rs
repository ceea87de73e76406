//! People: registered, signed in, let in; and what each of them may do.

use std::collections::BTreeSet;
use std::time::Duration;

use cabildo_events::identity::{self, Role};
use cabildo_events::{Command, Position, Timestamp, wire};
use cabildo_gateway::{Patience, Tries, rights};
use cabildo_storage::{Credentials, Right, SigningKey, decide_alone};
use data_encoding::BASE64URL_NOPAD;
use futures::{StreamExt, future::join_all};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{Answer, Front, Gateway, Stores, in_time, until};
use crate::servers::{Mongo, Nats};

const PASSWORD: &str = "correcto caballo";

/// No brakes that a test would feel.
const MANY: Tries = Tries {
    name_burst: 1_000,
    name_every: Duration::from_millis(1),
    address_burst: 1_000,
    address_every: Duration::from_millis(1),
};

/// Somebody who is signed in.
struct Somebody {
    access: String,
    refresh: String,
}

impl Somebody {
    fn of(answer: &Answer) -> Self {
        let session = answer.json();
        let text = |name: &str| session[name].as_str().unwrap_or_else(|| panic!("no {name} in {session}")).to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

impl Gateway {
    async fn unbraked() -> Self {
        let stores = Stores::embedded().await;
        let front = Front::start_with(&stores, Patience::default(), MANY).await;
        Self::before(stores, front)
    }

    async fn register(&self, name: &str) -> Somebody {
        let body = json!({"name": name, "password": PASSWORD});
        Somebody::of(&self.post("/api/v1/users", body).await.expect(201))
    }

    async fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.post("/api/v1/sessions", json!({"name": name, "password": password})).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/v1/sessions/refresh", json!({"refresh_token": token})).await
    }

    /// Sends with this token.
    async fn with_token(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send(method, path, &[("Authorization", &format!("Bearer {token}"))], body).await
    }

    /// Gives a role as `cabildo users promote` does, and signs in with it.
    async fn with_role(&self, name: &str, role: Role) -> Somebody {
        self.register(name).await;
        self.promote(name, role).await;
        Somebody::of(&self.sign_in(name, PASSWORD).await.expect(201))
    }

    async fn promote(&self, name: &str, role: Role) {
        let command = Command::Identity(name.parse().unwrap(), identity::Command::Grant(role));
        decide_alone(&*self.stores.journal, &command, None).await.unwrap();
    }

    async fn head(&self) -> Position {
        self.stores.journal.head().await.unwrap()
    }

    /// Everything on the journal, as it is exported.
    async fn everything(&self) -> Vec<String> {
        let pages = self.stores.journal.read(Position::START, self.head().await).await.unwrap();
        let pages: Vec<_> = pages.collect().await;
        pages.into_iter().flat_map(Result::unwrap).map(|event| wire::to_json(&event)).collect()
    }
}

#[tokio::test]
async fn of_a_hundred_who_register_one_name_at_two_gateways_one_wins() {
    let (nats, mongo) = tokio::join!(Nats::start(), Mongo::start());
    let gateway = async || {
        let stores = Stores::on(&nats.url(), "file:{}", &mongo.url()).await;
        let front = Front::start_with(&stores, Patience::default(), MANY).await;
        Gateway::before(stores, front)
    };
    let gateways = [gateway().await, gateway().await];
    let tries = (0..100).map(|number: usize| {
        let gateway = &gateways[number % 2];
        let name = ["Ana", "ANA", "ana"][number % 3];
        // A connection of its own.
        let client = crate::http_client().build().unwrap();
        let body = json!({"name": name, "password": format!("{PASSWORD} {number}")});
        async move {
            let answer = client.post(gateway.url("/api/v1/users")).json(&body).send().await.unwrap();
            (number, answer.status().as_u16())
        }
    });
    let answers = in_time("all are answered", join_all(tries)).await;
    let winners: Vec<usize> = answers.iter().filter(|(_, status)| *status == 201).map(|(number, _)| *number).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    // Who waited too long for their password to be hashed was told to come again.
    assert!(answers.iter().all(|(_, status)| [201, 409, 503].contains(status)), "{answers:?}");
    assert_eq!(gateways[0].everything().await.len(), 1);
    for (number, gateway) in [(winners[0], &gateways[0]), (winners[0], &gateways[1])] {
        gateway.sign_in("Ana", &format!("{PASSWORD} {number}")).await.expect(201);
    }
    let loser = (winners[0] + 1) % 100;
    gateways[0].sign_in("ana", &format!("{PASSWORD} {loser}")).await.problem(401, "sign-in-refused", "");

    // A token of one is a token of the other, although the other had not heard of the key.
    let session = Somebody::of(&gateways[0].sign_in("ana", &format!("{PASSWORD} {}", winners[0])).await.expect(201));
    let me = gateways[1].with_token(&session.access, "GET", "/api/v1/me", None).await.expect(200).json();
    assert_eq!((me["role"].as_str(), me["name"].is_string()), (Some("member"), true));
    let next = Somebody::of(&gateways[1].refresh(&session.refresh).await.expect(200));
    gateways[0].refresh(&session.refresh).await.problem(401, "refresh-reused", "the session has ended");
    gateways[1].refresh(&next.refresh).await.problem(401, "refresh-refused", "sign in again");
}

#[tokio::test]
async fn a_stolen_refresh_token_used_twice_ends_the_session() {
    let gateway = Gateway::unbraked().await;
    let ana = gateway.register("Ana").await;
    let other = Somebody::of(&gateway.sign_in("Ana", PASSWORD).await.expect(201));
    let thief = Somebody::of(&gateway.refresh(&ana.refresh).await.expect(200));
    assert_ne!(thief.refresh, ana.refresh);
    gateway.refresh(&ana.refresh).await.problem(401, "refresh-reused", "somebody else may have it");
    gateway.refresh(&thief.refresh).await.problem(401, "refresh-refused", "sign in again");
    gateway.refresh(&other.refresh).await.expect(200);
    for bad in ["", "x", &ana.access, &ana.refresh[2..]] {
        gateway.refresh(bad).await.problem(401, "refresh-refused", "sign in again");
    }
}

fn seconds() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}

fn signed(key: &SigningKey, kid: &str, claims: &Value) -> String {
    let pkcs8 = [&[48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32], &key.seed[..]].concat();
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&pkcs8)).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "it is written where it is used")]
fn claims(change: Value) -> Value {
    let mut claims = json!({"iss": "cabildo", "aud": "cabildo", "sub": uuid::Uuid::now_v7(), "iat": seconds(),
        "exp": seconds() + 600, "role": "operator"});
    for (name, value) in change.as_object().unwrap() {
        match value.is_null() {
            true => drop(claims.as_object_mut().unwrap().remove(name)),
            false => claims[name] = value.clone(),
        }
    }
    claims
}

async fn key(credentials: &dyn Credentials) -> SigningKey {
    credentials.keys().await.unwrap().pop().expect("a key")
}

/// What stands in for the names of an address.
fn address(route: &str) -> String {
    let names = [("{room}", "lobby"), ("{poll}", "bands"), ("{voter}", "eva"), ("{position}", "0-1")];
    let path = names.iter().fold(route.to_owned(), |path, (name, value)| path.replace(name, value));
    path.replace("{message}", "0190f3a0-0000-7000-8000-000000000001")
        .replace("{list}", "sound")
        .replace("{task}", "0190f3a0-0000-7000-8000-000000000001")
}

#[tokio::test]
async fn a_token_that_is_none_is_refused_everywhere_and_changes_nothing() {
    let gateway = Gateway::unbraked().await;
    let good = gateway.operator().await;
    let key = key(&*gateway.stores.credentials).await;
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let none = format!("{}.{}.", part(json!({"alg": "none", "typ": "JWT", "kid": key.kid})), part(claims(json!({}))));
    let public = good.rsplit_once('.').unwrap().0.to_owned();
    let symmetric = {
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims(json!({})), &EncodingKey::from_secret(&key.seed)).unwrap()
    };
    let foreign = SigningKey { seed: [7; 32], ..key.clone() };
    let bad = [
        ("expired", signed(&key, &key.kid, &claims(json!({"exp": seconds() - 60})))),
        ("for another", signed(&key, &key.kid, &claims(json!({"aud": "another"})))),
        ("for nobody", signed(&key, &key.kid, &claims(json!({"aud": null})))),
        ("of another maker", signed(&key, &key.kid, &claims(json!({"iss": "another"})))),
        ("without an end", signed(&key, &key.kid, &claims(json!({"exp": null})))),
        ("without a person", signed(&key, &key.kid, &claims(json!({"sub": null})))),
        ("of no role", signed(&key, &key.kid, &claims(json!({"role": "emperor"})))),
        ("not yet", signed(&key, &key.kid, &claims(json!({"nbf": seconds() + 600})))),
        ("without an algorithm", none),
        ("symmetric", symmetric),
        ("of a foreign key", signed(&foreign, &key.kid, &claims(json!({})))),
        ("of an unknown key", signed(&foreign, "another", &claims(json!({})))),
        ("unsigned", format!("{public}.")),
        ("garbage", "x.y.z".to_owned()),
        ("nothing", String::new()),
        ("endless", "a".repeat(5_000)),
    ];
    let head = gateway.head().await;
    for (method, route, _) in rights() {
        for (what, token) in &bad {
            let answer = gateway.with_token(token, method, &address(route), Some(json!({}))).await;
            assert_eq!(answer.status, 401, "{method} {route}, {what}: {answer:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{method} {route}, {what}");
        }
    }
    for (what, value) in [("basic", "Basic YTpi"), ("bare", good.as_str())] {
        let answer = gateway.send("GET", "/livez", &[("Authorization", value)], None).await;
        assert_eq!(answer.status, 401, "{what}");
    }
    assert_eq!(gateway.head().await, head);
    let signed = signed(&key, &key.kid, &claims(json!({})));
    gateway.with_token(&signed, "GET", "/api/v1/events", None).await.expect(200);
}

#[tokio::test]
async fn each_may_do_what_the_table_says_and_nothing_else() {
    let gateway = Gateway::unbraked().await;
    let guest = gateway.post("/api/v1/sessions/guest", json!({"name": "Visita"})).await.expect(201);
    let callers = [
        (None, Role::Guest),
        (Some(Somebody::of(&guest).access), Role::Guest),
        (Some(gateway.register("Miembro").await.access), Role::Member),
        (Some(gateway.with_role("Moderadora", Role::Moderator).await.access), Role::Moderator),
        (Some(gateway.with_role("Operadora", Role::Operator).await.access), Role::Operator),
    ];
    for (method, route, right) in rights() {
        for (token, role) in &callers {
            let head = gateway.head().await;
            let method: reqwest::Method = method.parse().unwrap();
            // Without a body: what is allowed does not get far, and live streams are not read.
            let mut request = gateway.client.request(method.clone(), gateway.url(&address(route)));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let caller = format!("{method} {route} as {role}, token: {}", token.is_some());
            let needs_token = right > Right::Guest;
            match token {
                None if needs_token => {
                    assert_eq!(
                        (status, &answer.headers()["www-authenticate"]),
                        (401, &"Bearer".parse().unwrap()),
                        "{caller}"
                    );
                }
                Some(_) if *role < right.role() => {
                    assert_eq!(status, 403, "{caller}");
                    let problem: Value = answer.json().await.unwrap();
                    assert_eq!(problem["type"], "urn:cabildo:problem:forbidden", "{caller}");
                }
                _ => {
                    assert!(![401, 403].contains(&status), "{caller}: {status}");
                    continue;
                }
            }
            assert_eq!(gateway.head().await, head, "{caller}");
        }
    }
}

#[tokio::test]
async fn who_may_not_is_told_so_before_the_body_is_read() {
    let gateway = Gateway::start().await;
    // The body never comes.
    let head = "PUT /api/v1/me/password HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 99\r\n\r\n";
    gateway.raw(head).await.problem(401, "sign-in", "sign in");
}

#[tokio::test]
async fn guessing_is_slowed_by_name_and_by_address_and_learns_nothing() {
    let hour = Duration::from_secs(3_600);
    let stores = Stores::embedded().await;
    let tries = Tries { name_burst: 3, name_every: hour, address_burst: 9, address_every: hour };
    let front = Front::start_with(&stores, Patience::default(), tries).await;
    let gateway = Gateway::before(stores, front);
    gateway.register("Ana").await;
    let body = |answer: Answer| {
        let mut problem = answer.problem(401, "sign-in-refused", "the name or the password is wrong");
        problem["request"].take();
        problem
    };
    let wrong = body(gateway.sign_in("Ana", "otro caballo").await);
    assert_eq!(wrong, body(gateway.sign_in("Nadie", "otro caballo").await));
    gateway.sign_in("ANA", PASSWORD).await.expect(201);
    let slowed = gateway.sign_in("ana", PASSWORD).await;
    assert!(slowed.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 1_800), "{slowed:?}");
    slowed.problem(429, "too-many-tries", "the next one in");
    for name in ["Ben", "Eva", "Leo", "Luz"] {
        gateway.sign_in(name, PASSWORD).await.expect(401);
    }
    gateway.sign_in("Sol", PASSWORD).await.problem(429, "too-many-tries", "the next one in");
    let register = json!({"name": "Sol", "password": PASSWORD});
    gateway.post("/api/v1/users", register).await.problem(429, "too-many-tries", "the next one in");
}

#[tokio::test]
async fn a_wrong_name_takes_as_long_as_a_wrong_password() {
    let gateway = Gateway::unbraked().await;
    gateway.register("Ana").await;
    let took = async |name: &str| {
        let mut times = Vec::new();
        for _ in 0..7 {
            let began = std::time::Instant::now();
            gateway.sign_in(name, "otro caballo").await.expect(401);
            times.push(began.elapsed());
        }
        times.sort();
        times[1]
    };
    let (known, unknown) = (took("Ana").await, took("Nadie").await);
    // A hash takes many times as long as all the rest: without it, the second would be far shorter.
    assert!(unknown > known / 2 && known > unknown / 2, "{known:?} {unknown:?}");
}

#[tokio::test]
async fn a_role_comes_with_the_next_refresh() {
    let gateway = Gateway::unbraked().await;
    let ana = gateway.register("Ana").await;
    let events = async |token: &str| gateway.with_token(token, "GET", "/api/v1/events", None).await;
    events(&ana.access).await.problem(403, "forbidden", "`operator`, and yours is `member`");
    gateway.promote("ana", Role::Operator).await;
    let ana = Somebody::of(&gateway.refresh(&ana.refresh).await.expect(200));
    events(&ana.access).await.expect(200);
    gateway.promote("Ana", Role::Member).await;
    let ana = Somebody::of(&gateway.refresh(&ana.refresh).await.expect(200));
    events(&ana.access).await.expect(403);
}

#[tokio::test]
async fn another_password_ends_all_sessions_but_the_one_that_begins_with_it() {
    let gateway = Gateway::unbraked().await;
    let (ana, other) = (gateway.register("Ana").await, Somebody::of(&gateway.sign_in("Ana", PASSWORD).await));
    let change = async |current: &str, new: &str| {
        let body = json!({"current": current, "new": new});
        gateway.with_token(&ana.access, "PUT", "/api/v1/me/password", Some(body)).await
    };
    change("no es", "otro caballo").await.problem(403, "wrong-password", "is another");
    change(PASSWORD, "corto").await.problem(422, "bad-value", "8 to 128 characters");
    let changed = Somebody::of(&change(PASSWORD, "otro caballo").await.expect(200));
    for over in [&ana.refresh, &other.refresh] {
        gateway.refresh(over).await.problem(401, "refresh-refused", "sign in again");
    }
    gateway.refresh(&changed.refresh).await.expect(200);
    gateway.sign_in("Ana", PASSWORD).await.expect(401);
    gateway.sign_in("Ana", "otro caballo").await.expect(201);
}

#[tokio::test]
async fn one_signs_out_here_or_everywhere() {
    let gateway = Gateway::unbraked().await;
    let here = gateway.register("Ana").await;
    let [there, elsewhere] = [gateway.sign_in("Ana", PASSWORD).await, gateway.sign_in("Ana", PASSWORD).await];
    let (there, elsewhere) = (Somebody::of(&there), Somebody::of(&elsewhere));
    let ben = gateway.register("Ben").await;
    let out = gateway.with_token(&here.access, "DELETE", "/api/v1/sessions/current", None).await.expect(200).json();
    assert_eq!(out["ended"], 1);
    gateway.refresh(&here.refresh).await.expect(401);
    let there = Somebody::of(&gateway.refresh(&there.refresh).await.expect(200));
    let out = gateway.with_token(&there.access, "DELETE", "/api/v1/sessions", None).await.expect(200).json();
    assert_eq!(out["ended"], 2);
    for over in [&there.refresh, &elsewhere.refresh] {
        gateway.refresh(over).await.expect(401);
    }
    gateway.refresh(&ben.refresh).await.expect(200);
    assert!(gateway.everything().await.iter().any(|event| event.contains("identity.sessions.ended")));
}

#[tokio::test]
async fn a_name_is_its_owners_alone() {
    let gateway = Gateway::unbraked().await;
    gateway.open_room().await;
    gateway.open_poll().await;
    let ana = gateway.register("Ana").await;
    let say = async |token: &str, body: Value| {
        gateway.with_token(token, "POST", "/api/v1/rooms/lobby/messages", Some(body)).await
    };
    // A guest goes by any name that is nobody's.
    gateway.say("hola").await.problem(409, "name-taken", "`Ana` is somebody's name: sign in");
    let body = |author: &str| json!({"text": "hola", "author": author});
    gateway.post("/api/v1/rooms/lobby/messages", body("ANA")).await.problem(409, "name-taken", "sign in");
    gateway.post("/api/v1/rooms/lobby/messages", body("Eva")).await.expect(201);
    gateway.post("/api/v1/rooms/lobby/messages", json!({"text": "hola"})).await.problem(400, "wrong-shape", "author");
    gateway.cast("ana", "Malacates").await.problem(409, "name-taken", "sign in");
    gateway.cast("eva", "Malacates").await.expect(200);
    // Who has a name goes by it.
    let said = say(&ana.access, json!({"text": "soy yo"})).await.expect(201);
    say(&ana.access, body("Eva")).await.problem(422, "bad-value", "you are signed in as `Ana`");
    let ballot = json!({"choice": "Malacates"});
    let cast = gateway.with_token(&ana.access, "PUT", "/api/v1/polls/bands/ballots/ANA", Some(ballot.clone())).await;
    assert_eq!(cast.expect(200).json()["voter"], "Ana");
    let other = gateway.with_token(&ana.access, "PUT", "/api/v1/polls/bands/ballots/eva", Some(ballot)).await;
    other.problem(422, "bad-value", "you are signed in as `Ana`");
    let event: Value = gateway.get(&format!("/api/v1/events/{}", said.position())).await.expect(200).json();
    assert_eq!((&event["actor"], &event["data"]["author"]), (&json!("Ana"), &json!("Ana")));
    // Also a guest's name is theirs.
    gateway.post("/api/v1/sessions/guest", json!({"name": "ana"})).await.problem(409, "already-exists", "`ana`");
    gateway.post("/api/v1/sessions/guest", json!({"name": "Visita"})).await.expect(201);
    let taken = json!({"name": "VISITA", "password": PASSWORD});
    gateway.post("/api/v1/users", taken).await.problem(409, "already-exists", "`VISITA`");
    for bad in [" Ana", "a\u{200b}", &"a".repeat(65), ""] {
        let bad = json!({"name": bad, "password": PASSWORD});
        gateway.post("/api/v1/users", bad).await.problem(422, "bad-value", "name");
    }
}

#[tokio::test]
async fn nobody_comes_in_under_anothers_name_with_anothers_key() {
    let gateway = Gateway::unbraked().await;
    let key = [("Idempotency-Key", "1")];
    let register = |password: &'static str| {
        let (gateway, body) = (&gateway, Some(json!({"name": "Ana", "password": password})));
        async move { gateway.send("POST", "/api/v1/users", &key, body).await }
    };
    let tries = join_all((0..8).map(|number| register(if number == 0 { PASSWORD } else { "otro caballo" }))).await;
    assert_eq!(tries.iter().filter(|answer| answer.status == 201).count(), 1, "{tries:?}");
    gateway.send("POST", "/api/v1/sessions/guest", &key, Some(json!({"name": "Ana"}))).await.expect(409);
    assert_eq!(gateway.everything().await.len(), 1);
}

#[tokio::test]
async fn what_somebody_made_they_and_moderators_may_change() {
    let gateway = Gateway::unbraked().await;
    gateway.open_room().await;
    let (ana, ben) = (gateway.register("Ana").await, gateway.register("Ben").await);
    let nameless = Somebody::of(&gateway.post("/api/v1/sessions/guest", json!({})).await.expect(201));
    let moderator = gateway.with_role("Moderadora", Role::Moderator).await;
    let say = async |token: &str, author: Option<&str>| {
        let body = json!({"text": "hola", "author": author});
        let said = gateway.with_token(token, "POST", "/api/v1/rooms/lobby/messages", Some(body)).await.expect(201);
        format!("/api/v1/rooms/lobby/messages/{}", said.json()["id"].as_str().unwrap())
    };
    let edit = async |token: Option<&str>, path: &str| {
        let body = Some(json!({"text": "adiós"}));
        match token {
            Some(token) => gateway.with_token(token, "PATCH", path, body).await,
            None => gateway.send("PATCH", path, &[], body).await,
        }
    };
    let message = say(&ana.access, None).await;
    for other in [None, Some(ben.access.as_str()), Some(nameless.access.as_str())] {
        edit(other, &message).await.problem(403, "not-yours", "or a moderator");
    }
    edit(Some(&ana.access), &message).await.expect(200);
    edit(Some(&moderator.access), &message).await.expect(200);
    gateway.with_token(&ben.access, "DELETE", &message, None).await.problem(403, "not-yours", "or a moderator");
    gateway.with_token(&ana.access, "DELETE", &message, None).await.expect(200);
    // A guest with a token has what they said, also without a name.
    let message = say(&nameless.access, Some("Eva")).await;
    edit(Some(&ben.access), &message).await.expect(403);
    edit(Some(&nameless.access), &message).await.expect(200);
    // What nobody in particular said, anybody may change.
    let said = gateway.post("/api/v1/rooms/lobby/messages", json!({"text": "hola", "author": "Leo"})).await.expect(201);
    let message = format!("/api/v1/rooms/lobby/messages/{}", said.json()["id"].as_str().unwrap());
    edit(Some(&ben.access), &message).await.expect(200);
    edit(None, &message).await.expect(200);

    let poll = json!({"id": "bands", "question": "¿Quién toca?", "options": ["a", "b"]});
    gateway.with_token(&ana.access, "POST", "/api/v1/polls", Some(poll)).await.expect(201);
    let close = "/api/v1/polls/bands/close";
    gateway.send("POST", close, &[], None).await.problem(403, "not-yours", "who made the poll `bands`");
    gateway.with_token(&ben.access, "POST", close, None).await.problem(403, "not-yours", "or a moderator");
    gateway.with_token(&ana.access, "POST", close, None).await.expect(200);
}

#[tokio::test]
async fn nothing_secret_is_on_the_journal_or_told_back() {
    let gateway = Gateway::unbraked().await;
    let ana = gateway.register("Ana").await;
    let body = json!({"current": PASSWORD, "new": "otro caballo"});
    let changed = gateway.with_token(&ana.access, "PUT", "/api/v1/me/password", Some(body)).await.expect(200);
    let changed = Somebody::of(&changed);
    let events = gateway.everything().await;
    let kinds = ["identity.user.registered", "identity.password.changed"];
    assert!(kinds.iter().all(|kind| events.iter().any(|event| event.contains(kind))), "{events:?}");
    let key = key(&*gateway.stores.credentials).await;
    let seed = BASE64URL_NOPAD.encode(&key.seed);
    let secrets = [PASSWORD, "otro caballo", "argon2", &ana.refresh, &ana.access, &changed.refresh, &seed];
    let keys = gateway.get("/.well-known/jwks.json").await.expect(200).text;
    let shown = gateway.get("/api/v1/events").await.expect(200).text;
    for text in events.iter().chain([&keys, &shown]) {
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
    // What is wrong with a body is told, but not what a password was.
    for body in [json!({"name": "Eva", "password": 8_675_309}), json!({"name": "Eva", "password": ["8675309"]})] {
        let answer = gateway.post("/api/v1/sessions", body).await.expect(400);
        assert!(answer.text.contains("password") && !answer.text.contains("8675309"), "{answer:?}");
    }
    let short = gateway.post("/api/v1/users", json!({"name": "Eva", "password": "8675309"})).await;
    assert!(!short.expect(422).text.contains("8675309"));
}

#[tokio::test]
async fn keys_are_published_and_an_old_one_is_good_until_its_tokens_have_ended() {
    let gateway = Gateway::unbraked().await;
    let at = |seconds: i64| Timestamp::from(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds));
    let old = SigningKey { kid: "old".to_owned(), seed: [3; 32], created: at(-90_000), retires: at(-3_600) };
    let gone = SigningKey { kid: "gone".to_owned(), seed: [4; 32], created: at(-200_000), retires: at(-100_000) };
    for key in [&old, &gone] {
        gateway.stores.credentials.add_key(key).await.unwrap();
    }
    let ana = gateway.register("Ana").await;
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let signing = kid(&ana.access);
    assert!(!["old", "gone"].contains(&signing.as_str()));
    let published = async || {
        let keys = gateway.get("/.well-known/jwks.json").await.expect(200).json();
        let kids = keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned());
        kids.collect::<BTreeSet<_>>()
    };
    until("the old key is published", || async { published().await.contains("old") }).await;
    assert_eq!(published().await, BTreeSet::from(["old".to_owned(), signing]));
    let with = |key: &SigningKey| signed(key, &key.kid, &claims(json!({})));
    gateway.with_token(&with(&old), "GET", "/api/v1/events", None).await.expect(200);
    gateway.with_token(&with(&gone), "GET", "/api/v1/events", None).await.problem(
        401,
        "invalid-token",
        "sign in again",
    );
}

#[tokio::test]
async fn an_address_is_taken_from_the_connection() {
    // What a client says of its address is the client's.
    let hour = Duration::from_secs(3_600);
    let stores = Stores::embedded().await;
    let tries = Tries { name_burst: 9, name_every: hour, address_burst: 1, address_every: hour };
    let front = Front::start_with(&stores, Patience::default(), tries).await;
    let gateway = Gateway::before(stores, front);
    let from = async |address: &str| {
        let body = Some(json!({"name": "Ana", "password": PASSWORD}));
        gateway.send("POST", "/api/v1/sessions", &[("X-Forwarded-For", address)], body).await
    };
    from("192.0.2.1").await.expect(401);
    from("192.0.2.2").await.expect(429);
}
