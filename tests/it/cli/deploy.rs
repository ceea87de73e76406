//! What is in `deploy/`: no container engine is at hand, so every file is parsed and checked against the program, and Prometheus runs on the
//! shipped configuration against a running gateway.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::{PATIENCE, Up, run};
use crate::servers::{Prometheus, service};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    // Merge keys (`<<`) are resolved by the parser.
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn words(value: &Value) -> Vec<&str> {
    list(value).iter().map(|word| word.as_str().unwrap()).collect()
}

/// The help of a command of ours: every flag and variable that it knows.
async fn help(command: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = command.to_vec();
    arguments.push("--help");
    run(folder.path(), &arguments).await.expect(0).out
}

fn has_flag(help: &str, flag: &str) -> bool {
    help.split(|char: char| char.is_whitespace() || ",=[]".contains(char)).any(|word| word == flag)
}

/// The leading words of a command line that are the names of commands.
async fn command_of<'a>(line: &[&'a str]) -> Vec<&'a str> {
    let mut command: Vec<&str> = Vec::new();
    for word in line {
        if !help(&command)
            .await
            .lines()
            .any(|line| line.starts_with(&format!("  {word} ")) || line == format!("  {word}"))
        {
            break;
        }
        command.push(word);
    }
    command
}

/// Demands that a command line of ours, and its variables, are what the program takes.
async fn check_line(line: &[&str], variables: &[&str]) {
    let command = command_of(line).await;
    assert!(!command.is_empty(), "there is no command `cabildo {}`", line.join(" "));
    let help = help(&command).await;
    for flag in line.iter().filter(|word| word.starts_with("--")) {
        let flag = flag.split('=').next().unwrap();
        assert!(has_flag(&help, flag), "`cabildo {}` has no {flag}", command.join(" "));
    }
    for variable in variables {
        assert!(help.contains(&format!("[env: {variable}")), "`cabildo {}` reads no {variable}", command.join(" "));
    }
}

#[tokio::test]
async fn compose_runs_what_the_program_can() {
    let compose = yaml("deploy/compose.yaml");
    let services: Vec<_> = members(&compose["services"]).collect();
    let names: BTreeSet<_> = services.iter().map(|(name, _)| *name).collect();
    let volumes: BTreeSet<_> = members(&compose["volumes"]).map(|(name, _)| name).collect();
    let profiles: BTreeSet<_> = services.iter().flat_map(|(_, service)| words(&service["profiles"])).collect();
    assert_eq!(profiles, BTreeSet::from(["load", "observability", "seed"]));
    for wanted in ["gateway", "consumer", "nats", "redis", "mongodb", "prometheus", "grafana", "collector", "zipkin"] {
        assert!(names.contains(wanted), "no service {wanted}");
    }
    for (name, service) in &services {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
        assert!(
            tag.contains('.') && tag != "latest" || service["build"].is_object(),
            "{name}: the tag of {image} is not pinned"
        );
        // The collector's image holds nothing that could ask; seed and load end by themselves.
        let asks = !["collector", "seed", "load"].contains(name);
        assert_eq!(service["healthcheck"]["test"].is_array(), asks, "{name}: health check");
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: port {port} is open to others");
        }
        for (needed, _) in members(&service["depends_on"]) {
            assert!(names.contains(needed), "{name} depends on {needed}");
            let condition = &service["depends_on"][needed]["condition"];
            assert_eq!(condition, "service_healthy", "{name}");
            let health = &compose["services"][needed]["healthcheck"];
            assert!(health.is_object(), "{name} waits for the health of {needed}, which has no check");
        }
        for volume in words(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            let is_there = if source.starts_with('.') {
                root().join("deploy").join(source).exists()
            } else {
                volumes.contains(source)
            };
            assert!(is_there, "{name}: {source} is nowhere");
        }
        if service["build"].is_object() {
            assert_eq!(service["build"]["dockerfile"], "deploy/Containerfile");
            let variables: Vec<_> = members(&service["environment"]).map(|(name, _)| name).collect();
            check_line(&words(&service["command"]), &variables).await;
        }
    }
}

#[test]
fn ports_agree_wherever_they_are_named() {
    let compose = yaml("deploy/compose.yaml");
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    let targets: Vec<_> = list(&prometheus["scrape_configs"])
        .iter()
        .flat_map(|job| words(&job["static_configs"][0]["targets"]))
        .collect();
    for (service, variable) in [("gateway", "CABILDO_LISTEN"), ("consumer", "CABILDO_METRICS_LISTEN")] {
        let service_of = &compose["services"][service];
        let listen = service_of["environment"][variable].as_str().unwrap();
        let port = listen.strip_prefix("0.0.0.0:").expect("it listens inside its container");
        assert_eq!(words(&service_of["ports"]), [format!("127.0.0.1:{port}:{port}")]);
        assert_eq!(words(&service_of["healthcheck"]["test"]), ["CMD", "/usr/local/bin/ready", port]);
        assert!(targets.contains(&format!("{service}:{port}").as_str()), "Prometheus does not scrape {service}:{port}");
        assert!(text("deploy/Containerfile").lines().any(|line| line.starts_with("EXPOSE") && line.contains(port)));
    }
    assert_eq!(targets.len(), 2);
    // What the adapters are told, against the servers' own ports.
    let environment = &compose["services"]["gateway"]["environment"];
    for (variable, url) in [
        ("CABILDO_JOURNAL", "nats://nats:4222"),
        ("CABILDO_COUNTERS", "redis://redis:6379"),
        ("CABILDO_DOCUMENTS", "mongodb://mongodb:27017/cabildo"),
    ] {
        assert_eq!(environment[variable], url);
        assert_eq!(compose["services"]["consumer"]["environment"][variable], url);
        let (host, port) = url.split_once("://").unwrap().1.split('/').next().unwrap().split_once(':').unwrap();
        assert_eq!(words(&compose["services"][host]["ports"]), [format!("127.0.0.1:{port}:{port}")]);
    }
    // What Grafana is told.
    let sources = yaml("dashboards/provisioning/datasources/cabildo.yaml");
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
    assert_eq!(sources["datasources"][1]["url"], "http://gateway:8080");
    let boards = yaml("dashboards/provisioning/dashboards/cabildo.yaml");
    let path = boards["providers"][0]["options"]["path"].as_str().unwrap();
    let mounted = format!("../dashboards/grafana:{path}:ro");
    assert!(words(&compose["services"]["grafana"]["volumes"]).contains(&mounted.as_str()));
    let plugin = &compose["services"]["grafana"]["environment"]["GF_PLUGINS_PREINSTALL"];
    assert_eq!(*plugin, sources["datasources"][1]["type"]);
    // What the collector is told.
    let collector = yaml("deploy/otel/collector.yaml");
    assert_eq!(collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"], "0.0.0.0:4318");
    assert_eq!(words(&compose["services"]["collector"]["ports"]), ["127.0.0.1:4318:4318"]);
    assert_eq!(collector["exporters"]["zipkin"]["endpoint"], "http://zipkin:9411/api/v2/spans");
    for part in ["receivers", "processors", "exporters"] {
        for used in words(&collector["service"]["pipelines"]["traces"][part]) {
            assert!(collector[part][used].is_object(), "the collector's {used} is not set up");
        }
    }
}

#[tokio::test]
async fn the_image_is_pinned_and_runs_as_nobody() {
    let file = text("deploy/Containerfile").replace("\\\n", " ");
    let lines: Vec<Vec<&str>> = file.lines().map(|line| line.split_whitespace().collect()).collect();
    let of = |word: &str| lines.iter().filter(|line| line.first() == Some(&word)).collect::<Vec<_>>();
    for from in of("FROM") {
        assert!(from[1].split_once(':').is_some_and(|(_, tag)| tag.contains('.')), "{from:?} is not pinned");
    }
    assert!(
        text("Cargo.toml").contains("rust-version = \"1.95\"")
            && of("FROM").iter().any(|from| from[1].starts_with("rust:1.95."))
    );
    let user = of("USER")[0][1];
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "USER {user}");
    for copy in of("COPY").iter().filter(|copy| !copy.iter().any(|word| word.starts_with("--from="))) {
        let source = copy.iter().skip(1).find(|word| !word.starts_with("--")).unwrap();
        assert!(root().join(source).exists(), "{source} is nowhere");
    }
    for set in of("ENV") {
        let variable = set[1].split('=').next().unwrap();
        assert!(help(&["up"]).await.contains(&format!("[env: {variable}")), "`cabildo up` reads no {variable}");
    }
    assert!(file.contains("cargo build --release --locked --bin cabildo"));
    for ignored in ["target", ".services", ".git"] {
        assert!(text(".dockerignore").lines().any(|line| line == ignored), "{ignored} would be sent to the builder");
    }
}

#[tokio::test]
async fn the_health_check_tells_a_ready_role_from_none() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let port = up.address.rsplit_once(':').unwrap().1.to_owned();
    let ready = async |port: &str| {
        let checked = tokio::process::Command::new(root().join("deploy/ready.sh")).arg(port).output();
        tokio::time::timeout(PATIENCE, checked).await.expect("it ends in time").unwrap().status.success()
    };
    assert!(ready(&port).await);
    up.stop().await.expect(0);
    assert!(!ready(&port).await);
}

/// Lays the configuration out as it is in the container.
fn lay_out(folder: &Path, configuration: &str) {
    std::fs::create_dir(folder.join("rules")).unwrap();
    std::fs::write(folder.join("prometheus.yml"), configuration).unwrap();
    std::fs::copy(root().join("dashboards/prometheus/alerts.yaml"), folder.join("rules/alerts.yaml")).unwrap();
}

#[test]
fn promtool_accepts_configuration_and_rules_and_the_rules_fire() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path(), &text("deploy/prometheus/prometheus.yml"));
    for file in ["dashboards/prometheus/alerts.yaml", "deploy/prometheus/alerts_test.yaml"] {
        std::fs::copy(root().join(file), folder.path().join(file.rsplit_once('/').unwrap().1)).unwrap();
    }
    for arguments in [
        &["check", "config", "prometheus.yml"][..],
        &["check", "rules", "alerts.yaml"],
        &["test", "rules", "alerts_test.yaml"],
    ] {
        let ran = Process::new(service("promtool")).args(arguments).current_dir(folder.path()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "promtool {arguments:?}: {said}");
    }
    let tested = text("deploy/prometheus/alerts_test.yaml");
    for rule in list(&yaml("dashboards/prometheus/alerts.yaml")["groups"][0]["rules"]) {
        let name = rule["alert"].as_str().unwrap();
        assert!(tested.contains(&format!("alertname: {name}\n")), "{name} is not tested");
    }
}

#[tokio::test]
async fn prometheus_scrapes_a_running_gateway_by_the_shipped_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let client = crate::http_client().build().unwrap();
    let room = json!({"id": "lobby", "name": "Lobby"});
    let opened = client.post(format!("{}/api/v1/rooms", up.address)).json(&room).send().await.unwrap();
    assert!(opened.status().is_success());

    // Only the addresses are others than in the containers: both jobs scrape the one process.
    let target = up.address.strip_prefix("http://").unwrap();
    let configuration =
        text("deploy/prometheus/prometheus.yml").replace("gateway:8080", target).replace("consumer:9091", target);
    let prometheus = Prometheus::start(move |folder| lay_out(folder, &configuration)).await;
    let ask = async |path: &str| -> Value {
        let answer = client.get(format!("{}/api/v1/{path}", prometheus.url())).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    let mut answer = Value::Null;
    let is_there = |answer: &Value| {
        list(&answer["data"]["result"])
            .iter()
            .any(|found| found["metric"]["job"] == "cabildo-gateway" && found["value"][1] != "0")
    };
    while !is_there(&answer) {
        assert!(Instant::now() < deadline, "no answer: {answer}; {}", ask("targets").await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        answer = ask("query?query=cabildo_append_events_total").await;
    }
    let targets = ask("targets").await;
    let states: Vec<_> = list(&targets["data"]["activeTargets"])
        .iter()
        .map(|target| (&target["health"], &target["lastError"]))
        .collect();
    assert_eq!(states.len(), 2);
    assert!(states.iter().any(|(health, _)| **health == "up"), "{states:?}");
    // It takes every rule, and every query of a dashboard is one.
    let rules = ask("rules").await;
    assert_eq!(list(&rules["data"]["groups"][0]["rules"]).len(), 8, "{rules}");
    for query in crate::dashboards::queries() {
        let query = query.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "1m");
        let answer =
            client.get(format!("{}/api/v1/query", prometheus.url())).query(&[("query", &query)]).send().await.unwrap();
        assert!(answer.status().is_success(), "{query}: {}", answer.text().await.unwrap());
    }
    up.stop().await.expect(0);
}

#[tokio::test]
async fn every_command_of_a_runbook_is_one() {
    let folder = root().join("docs/operations");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let page = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in page.lines().filter_map(|line| line.trim().strip_prefix("cabildo ")) {
            let line: Vec<_> = line.split('|').next().unwrap().split_whitespace().collect();
            check_line(&line, &[]).await;
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} commands only");
}
