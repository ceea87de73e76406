//! A stand-in for Grafana: no Grafana comes from the package registries. It speaks the operations that `cabildo dashboards` uses and
//! no others, over real HTTP, with the shapes and statuses of Grafana's own: `public/openapi3.json` for `/api`, the pages "Dashboard API" and
//! "Folder API" for `/apis`, and for what it stores other than it came, `apps/dashboard/pkg/migration` (a dashboard of an older schema is raised,
//! null members are left out, panels sorted by their place, variables given `options`) and `pkg/services/ngalert`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(super) const TOKEN: &str = "glsa_s3cret";
const NEWEST_SCHEMA: u64 = 42;

/// What the stand-in holds, and how it is set up.
#[derive(Default)]
pub(super) struct Held {
    pub(super) version: &'static str,
    /// Version of the new API, if it has one.
    pub(super) new_api: Option<&'static str>,
    pub(super) sub_path: &'static str,
    pub(super) has_infinity: bool,
    /// Whoever asks may only look.
    pub(super) viewer: bool,
    /// The next so many requests are answered with 503.
    pub(super) starting: u32,
    /// So many times, somebody else changes a dashboard between its being read and written.
    pub(super) rivals: u32,
    pub(super) folders: BTreeMap<String, Value>,
    pub(super) data_sources: BTreeMap<String, Value>,
    /// Old: `{"meta", "dashboard"}`. New: the object.
    pub(super) dashboards: BTreeMap<String, Value>,
    pub(super) groups: BTreeMap<String, Value>,
    /// Dashboards that come from files.
    pub(super) from_files: bool,
    /// What was written: method and path.
    pub(super) writes: Vec<String>,
    /// What was pushed to Live, as (stream, lines).
    pub(super) pushed: Vec<(String, String)>,
    pub(super) last: u64,
}

#[derive(Clone)]
pub(super) struct StandIn {
    pub(super) address: String,
    held: Arc<Mutex<Held>>,
}

impl StandIn {
    pub(super) async fn start(held: Held) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}{}", listener.local_addr().unwrap(), held.sub_path);
        let stand_in = Self { address, held: Arc::new(Mutex::new(held)) };
        let serving = stand_in.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| async { Ok::<_, Infallible>(serving.serve(request).await) });
                    // Fails when the client goes.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        stand_in
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method().as_str().to_owned();
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (authorization, provenance) = (header("authorization"), header("x-disable-provenance"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut held = self.held();
        let Some(path) = path.strip_prefix(held.sub_path).filter(|path| path.starts_with('/')) else {
            return page(404);
        };
        if held.starting > 0 {
            held.starting -= 1;
            return answer(503, &json!({"database": "starting"}));
        }
        if path == "/api/health" {
            return answer(200, &json!({"commit": "83b9528bce", "database": "ok", "version": held.version}));
        }
        if authorization.as_deref() != Some(&format!("Bearer {TOKEN}")) {
            let said =
                json!({"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401, "traceID": ""});
            return answer(401, &said);
        }
        if method != "GET" {
            if held.viewer {
                return answer(
                    403,
                    &json!({
                        "accessErrorId": "ACE1", "title": "Access denied",
                        "message": "You'll need additional permissions to perform this action. Permissions needed: folders:create",
                    }),
                );
            }
            held.writes.push(format!("{method} {path}"));
        }
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        if let ("POST", ["api", "live", "push", stream]) = (method.as_str(), segments.as_slice()) {
            held.pushed.push(((*stream).to_owned(), String::from_utf8(body.to_vec()).unwrap()));
            return Response::new(Full::default());
        }
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let (status, value) = held.route(&method, &segments, &query, &body, provenance.is_some());
        answer(status, &value)
    }
}

fn answer(status: u16, value: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/json; charset=UTF-8");
    response.body(Full::from(value.to_string())).unwrap()
}

/// What stands before Grafana when the address is not quite right.
fn page(status: u16) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "text/html");
    response.body(Full::from("<html><body>nginx</body></html>")).unwrap()
}

fn said(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"message": message, "traceID": ""}))
}

/// An answer of the new API that is no object.
fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (
        code,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
            "details": {}, "code": code,
        }),
    )
}

impl Held {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn route(&mut self, method: &str, path: &[&str], query: &str, body: &Value, no_provenance: bool) -> (u16, Value) {
        match (method, path) {
            ("GET", ["api", "org"]) => (200, json!({"id": 1, "name": "Main Org.", "address": {}})),
            ("GET", ["api", "plugins", plugin, "settings"]) => {
                assert_eq!(*plugin, "yesoreyeram-infinity-datasource");
                if self.has_infinity {
                    (200, json!({"id": plugin, "type": "datasource", "enabled": true}))
                } else {
                    said(404, "Plugin not found, no installed plugin with that id")
                }
            }
            ("GET", ["apis", group]) => match self.new_api {
                Some(version) => {
                    let served =
                        |version: &str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
                    (
                        200,
                        json!({
                            "kind": "APIGroup", "apiVersion": "v1", "name": group,
                            "versions": [served("v0alpha1"), served(version), served("v2beta1")],
                            "preferredVersion": served("v0alpha1"),
                        }),
                    )
                }
                None => said(404, "Not found"),
            },
            (method, ["apis", group, version, "namespaces", "default", kind, name @ ..]) => {
                if self.new_api != Some(*version) {
                    return failure(404, "NotFound", "the server could not find the requested resource");
                }
                assert_eq!(format!("{kind}.grafana.app"), format!("{}s.grafana.app", group.split('.').next().unwrap()));
                self.resource(method, kind, &format!("{group}/{version}"), name.first().copied(), query, body)
            }
            (method, ["api", "folders", uid @ ..]) => self.old_folder(method, uid.first().copied(), body),
            ("GET", ["api", "dashboards", "uid", uid]) => match self.dashboards.get(*uid) {
                Some(found) => (200, found.clone()),
                None => said(404, "Dashboard not found"),
            },
            ("POST", ["api", "dashboards", "db"]) => self.old_dashboard(body),
            (method, ["api", "datasources", uid @ ..]) => self.data_source(method, uid.last().copied(), body),
            (method, ["api", "v1", "provisioning", "folder", folder, "rule-groups", group]) => {
                self.rule_group(method, folder, group, body, no_provenance)
            }
            _ => panic!("Grafana is asked for what it is not known to have: {method} {path:?}"),
        }
    }

    fn old_folder(&mut self, method: &str, uid: Option<&str>, body: &Value) -> (u16, Value) {
        let id = self.next();
        match (method, uid) {
            ("GET", Some(uid)) => match self.folders.get(uid) {
                Some(found) => (200, found.clone()),
                None => (404, json!({"message": "folder not found", "status": "not-found"})),
            },
            ("POST", None) => {
                let uid = body["uid"].as_str().unwrap().to_owned();
                if self.folders.contains_key(&uid) {
                    return said(409, "a folder with the same UID already exists");
                }
                let folder = json!({
                    "id": id, "uid": uid, "orgId": 1, "title": body["title"], "url": format!("/dashboards/f/{uid}/x"), "hasAcl": false,
                    "canSave": true, "canEdit": true, "canAdmin": true, "canDelete": true, "version": 1,
                });
                self.folders.insert(uid, folder.clone());
                (200, folder)
            }
            ("PUT", Some(uid)) => {
                let Some(held) = self.folders.get_mut(uid) else { return said(404, "folder not found") };
                if held["version"] != body["version"] && body["overwrite"] != true {
                    return (
                        412,
                        json!({"message": "the folder has been changed by someone else", "status": "version-mismatch"}),
                    );
                }
                held["title"] = body["title"].clone();
                held["version"] = (held["version"].as_u64().unwrap() + 1).into();
                (200, held.clone())
            }
            other => panic!("{other:?}"),
        }
    }

    fn old_dashboard(&mut self, body: &Value) -> (u16, Value) {
        let id = self.next();
        let mut board = body["dashboard"].clone();
        let uid = board["uid"].as_str().unwrap().to_owned();
        let folder = body["folderUid"].as_str().unwrap();
        if self.from_files {
            return (
                400,
                json!({"message": "Cannot save provisioned dashboard", "status": "cannot-save-provisioned-dashboard"}),
            );
        }
        if !self.folders.contains_key(folder) {
            return said(400, "folder not found");
        }
        if self.rivals > 0 && self.dashboards.contains_key(&uid) {
            self.rivals -= 1;
            let held = self.dashboards.get_mut(&uid).unwrap();
            held["dashboard"]["version"] = (held["dashboard"]["version"].as_u64().unwrap() + 1).into();
        }
        let held = self.dashboards.get(&uid).map(|held| held["dashboard"].clone()).unwrap_or_default();
        if !held.is_null() && held["version"] != board["version"] && body["overwrite"] != true {
            return (
                412,
                json!({"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}),
            );
        }
        let version = held["version"].as_u64().unwrap_or(0) + 1;
        board["id"] = held["id"].as_u64().unwrap_or(id).into();
        board["version"] = version.into();
        let meta = json!({
            "type": "db", "canSave": true, "canEdit": true, "canAdmin": true, "canStar": true, "canDelete": true, "slug": "x",
            "url": format!("/d/{uid}/x"), "expires": "0001-01-01T00:00:00Z", "created": "2026-11-21T10:00:00Z",
            "updated": "2026-11-21T10:00:00Z", "updatedBy": "sa-1-cabildo", "createdBy": "sa-1-cabildo", "version": version,
            "hasAcl": false, "isFolder": false, "folderId": 1, "folderUid": folder, "folderTitle": "x", "provisioned": false,
            "provisionedExternalId": "",
        });
        let told = json!({
            "folderUid": folder, "id": board["id"], "slug": "x", "status": "success", "uid": uid, "url": meta["url"], "version": version,
        });
        self.dashboards.insert(uid, json!({"meta": meta, "dashboard": board}));
        (200, told)
    }

    fn resource(
        &mut self,
        method: &str,
        kind: &str,
        version: &str,
        name: Option<&str>,
        query: &str,
        body: &Value,
    ) -> (u16, Value) {
        let singular = if kind == "folders" { "Folder" } else { "Dashboard" };
        let full = format!("{kind}.{}", version.split('/').next().unwrap());
        let revision = self.next();
        let name = name.or(body["metadata"]["name"].as_str()).unwrap().to_owned();
        let folder = body["metadata"]["annotations"]["grafana.app/folder"].as_str();
        let has_folder = folder.is_none_or(|folder| self.folders.contains_key(folder));
        if method == "PUT" && kind == "dashboards" && self.rivals > 0 {
            self.rivals -= 1;
            self.dashboards.get_mut(&name).unwrap()["metadata"]["resourceVersion"] = revision.to_string().into();
        }
        let all = if kind == "folders" { &mut self.folders } else { &mut self.dashboards };
        let held = all.get(&name);
        if method == "GET" {
            return match held {
                Some(found) => (200, found.clone()),
                None => failure(404, "NotFound", &format!("{full} \"{name}\" not found")),
            };
        }
        if body["apiVersion"] != version || body["kind"] != singular {
            return failure(400, "BadRequest", "the object provided is unrecognized");
        }
        if !has_folder {
            return failure(404, "NotFound", "folders.folder.grafana.app not found");
        }
        if kind == "dashboards" && query != "fieldValidation=Ignore" {
            return failure(
                422,
                "Invalid",
                &format!("Dashboard.{version} \"{name}\" is invalid: spec: Invalid value: schema version"),
            );
        }
        let sent = &body["metadata"]["resourceVersion"];
        match (method, held) {
            ("POST", Some(_)) => return failure(409, "AlreadyExists", &format!("{full} \"{name}\" already exists")),
            ("PUT", Some(held)) if !sent.is_null() && *sent != held["metadata"]["resourceVersion"] => {
                let message = format!(
                    "Operation cannot be fulfilled on {full} \"{name}\": the object has been modified; please apply your changes to the \
                     latest version and try again"
                );
                return failure(409, "Conflict", &message);
            }
            ("POST", None) | ("PUT", Some(_)) => {}
            other => panic!("{other:?}"),
        }
        let mut object = body.clone();
        if kind == "dashboards" {
            object["spec"] = stored(&body["spec"]);
        }
        let metadata = &mut object["metadata"];
        metadata["namespace"] = "default".into();
        metadata["uid"] = format!("uid-of-{name}").into();
        metadata["resourceVersion"] = revision.to_string().into();
        metadata["creationTimestamp"] = "2026-11-21T10:00:00Z".into();
        metadata["labels"]["grafana.app/deprecatedInternalID"] = "7".into();
        metadata["annotations"]["grafana.app/createdBy"] = "service-account:cef2t2rfm73lsb".into();
        let annotations = metadata["annotations"].as_object_mut().unwrap();
        // They are orders, not state.
        annotations.remove("grafana.app/message");
        annotations.remove("grafana.app/grant-permissions");
        all.insert(name, object.clone());
        (if method == "POST" { 201 } else { 200 }, object)
    }

    fn data_source(&mut self, method: &str, uid: Option<&str>, body: &Value) -> (u16, Value) {
        let id = self.next();
        let taken = |all: &BTreeMap<String, Value>, uid: &str| {
            all.iter().any(|(other, held)| other != uid && held["name"] == body["name"])
        };
        match (method, uid) {
            ("GET", Some(uid)) => match self.data_sources.get(uid) {
                Some(found) => (200, found.clone()),
                None => said(404, "Data source not found"),
            },
            ("POST", None) => {
                let uid = body["uid"].as_str().unwrap().to_owned();
                if self.data_sources.contains_key(&uid) {
                    return said(409, "data source with the same uid already exists");
                }
                if taken(&self.data_sources, &uid) {
                    return said(409, "data source with the same name already exists");
                }
                let mut held = json!({
                    "id": id, "orgId": 1, "typeLogoUrl": "", "user": "", "database": "", "basicAuth": false, "basicAuthUser": "",
                    "withCredentials": false, "isDefault": false, "secureJsonFields": {}, "version": 1, "readOnly": false,
                    "apiVersion": "",
                });
                for (member, value) in body.as_object().unwrap() {
                    held[member] = value.clone();
                }
                self.data_sources.insert(uid, held.clone());
                (200, json!({"datasource": held, "id": id, "message": "Datasource added", "name": body["name"]}))
            }
            ("PUT", Some(uid)) => {
                if taken(&self.data_sources, uid) {
                    return said(409, "Failed to update datasource: data source with the same name already exists");
                }
                let Some(held) = self.data_sources.get_mut(uid) else { return said(404, "Data source not found") };
                if held["readOnly"] == true {
                    return said(403, "Cannot update read-only data source");
                }
                if held["version"] != body["version"] {
                    return said(
                        409,
                        "Datasource has already been updated by someone else. Please reload and try again",
                    );
                }
                for (member, value) in body.as_object().unwrap() {
                    held[member] = value.clone();
                }
                held["version"] = (held["version"].as_u64().unwrap() + 1).into();
                (
                    200,
                    json!({"datasource": held, "id": held["id"], "message": "Datasource updated", "name": held["name"]}),
                )
            }
            other => panic!("{other:?}"),
        }
    }

    fn rule_group(
        &mut self,
        method: &str,
        folder: &str,
        group: &str,
        body: &Value,
        no_provenance: bool,
    ) -> (u16, Value) {
        let id = self.next();
        if method == "GET" {
            return match self.groups.get(group) {
                Some(found) => (200, found.clone()),
                None => (
                    404,
                    json!({"statusCode": 404, "messageId": "alerting.alertRuleGroup.notFound", "message": "rule group not found"}),
                ),
            };
        }
        if !self.folders.contains_key(folder) {
            return said(400, "invalid alert rule: folder does not exist");
        }
        if body["interval"].as_u64().is_none_or(|seconds| seconds == 0 || seconds % 10 != 0) {
            return said(
                400,
                "invalid alert rule: interval should be non-zero and divided exactly by scheduler interval: 10",
            );
        }
        let mut stored = body.clone();
        for rule in stored["rules"].as_array_mut().unwrap() {
            let condition = rule["condition"].clone();
            let queries = rule["data"].as_array_mut().unwrap();
            assert!(queries.iter().any(|query| query["refId"] == condition), "the condition is no query");
            for query in queries {
                query["queryType"] = "".into();
                assert!(query["model"]["intervalMs"].is_u64() && query["model"]["maxDataPoints"].is_u64());
            }
            rule["id"] = id.into();
            rule["orgID"] = 1.into();
            rule["updated"] = "2026-11-21T10:00:00Z".into();
            rule["isPaused"] = (rule["isPaused"] == true).into();
            if !no_provenance {
                rule["provenance"] = "api".into();
            }
        }
        // The order of a group is the order of its evaluation, but no promise.
        stored["rules"].as_array_mut().unwrap().reverse();
        self.groups.insert(group.to_owned(), stored);
        (200, body.clone())
    }
}

/// A dashboard as the new API stores it.
fn stored(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for given in ["id", "uid", "version"] {
        spec.as_object_mut().unwrap().remove(given);
    }
    remove_nulls(&mut spec);
    spec["schemaVersion"] = NEWEST_SCHEMA.into();
    for variable in spec["templating"]["list"].as_array_mut().unwrap() {
        if variable["type"] == "query" || variable["type"] == "datasource" {
            variable["options"] = json!([]);
        }
    }
    let panels = spec["panels"].as_array_mut().unwrap();
    panels.sort_by_key(|panel| (panel["gridPos"]["y"].as_u64(), panel["gridPos"]["x"].as_u64()));
    for panel in panels {
        let panel = panel.as_object_mut().unwrap();
        for (member, default) in [
            ("transformations", json!([])),
            ("links", json!([])),
            ("options", json!({})),
            ("transparent", json!(false)),
        ] {
            if panel.get(member) == Some(&default) {
                panel.remove(member);
            }
        }
        panel.insert("pluginVersion".to_owned(), "12.1.0".into());
    }
    spec["preload"] = false.into();
    spec
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(remove_nulls);
        }
        _ => {}
    }
}
