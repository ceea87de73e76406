//! What wakes somebody. Each alert is one value and the bound that it must not pass, so that the same words make a rule of
//! Prometheus and one that Grafana evaluates itself; each has a runbook in `docs/operations`.

use serde_json::{Value, json};

use crate::sources::PROMETHEUS;

/// Where the runbooks are read.
const RUNBOOKS: &str = "https://github.com/cabildo/cabildo/blob/main/docs/operations";
/// Uid and title of the folder that holds everything in Grafana.
pub(crate) const FOLDER: (&str, &str) = ("cabildo", "Cabildo");
/// Name of the group of rules, in Prometheus and in Grafana.
pub(crate) const GROUP: &str = "cabildo";
/// How often the rules are evaluated, in seconds.
pub(crate) const INTERVAL_S: u64 = 60;
/// From a vote or a message to a view that has it, at the 99th percentile, in seconds: the goal.
const END_TO_END_P99_S: f64 = 1.0;
/// A request, at the 99th percentile, in seconds: the goal.
const REQUEST_P99_S: f64 = 0.5;
/// How far a query of a rule looks back, in seconds.
const LOOK_BACK_S: u64 = 600;

/// One alert.
pub(crate) struct Alert {
    /// Its name, as Prometheus writes names.
    pub(crate) name: &'static str,
    /// Name of its runbook, and its uid in Grafana behind `cabildo-`.
    pub(crate) runbook: &'static str,
    severity: &'static str,
    /// What must not be above the bound.
    value: &'static str,
    bound: f64,
    /// How long it must be before somebody is woken: a number and a unit as Prometheus writes them.
    lasts: &'static str,
    summary: &'static str,
    /// `VALUE` stands for the value.
    description: &'static str,
}

/// Every alert.
pub(crate) const ALL: [Alert; 8] = [
    Alert {
        name: "CabildoLagGrowing",
        runbook: "lag-growing",
        severity: "warning",
        value: "min_over_time(cabildo_projection_lag_events[5m]) and (deriv(cabildo_projection_lag_events[10m]) > 0)",
        bound: 1_000.0,
        lasts: "10m",
        summary: "The view of {{ $labels.projection }} falls behind",
        description: "{{ $labels.projection }} lacks VALUE events and the number grows: events come faster than they are applied.",
    },
    Alert {
        name: "CabildoNoProgress",
        runbook: "no-progress",
        severity: "critical",
        value: "(time() - cabildo_projection_progress_timestamp_seconds) unless on (job, instance, projection) \
                (cabildo_projection_paused == 1)",
        bound: 120.0,
        lasts: "2m",
        summary: "The view of {{ $labels.projection }} stands still",
        description: "{{ $labels.projection }} has events to apply and has applied none for VALUE seconds; nobody has paused it.",
    },
    Alert {
        name: "CabildoParked",
        runbook: "parked",
        severity: "warning",
        value: "max by (job, projection) (cabildo_projection_parked_events)",
        bound: 0.0,
        lasts: "1m",
        summary: "Events of {{ $labels.projection }} are parked",
        description: "{{ $labels.projection }} has set VALUE events aside because it cannot fold them: what they are about is out of date.",
    },
    Alert {
        name: "CabildoDivergence",
        runbook: "divergence",
        severity: "critical",
        value: "max by (job, projection) (cabildo_verify_divergent_rows)",
        bound: 0.0,
        lasts: "0s",
        summary: "The view of {{ $labels.projection }} differs from the journal",
        description: "In the last background check, VALUE rows of {{ $labels.projection }} differed from a fresh fold of the journal.",
    },
    Alert {
        name: "CabildoSinkDown",
        runbook: "sink-down",
        severity: "critical",
        value: "1 - cabildo_sink_up",
        bound: 0.0,
        lasts: "1m",
        summary: "{{ $labels.instance }} cannot reach the {{ $labels.sink }}",
        description: "The {{ $labels.sink }} do not answer {{ $labels.instance }}. Nothing is lost: it is tried again until it answers.",
    },
    Alert {
        name: "CabildoEndToEndSlow",
        runbook: "end-to-end-slow",
        severity: "warning",
        value: "histogram_quantile(0.99, sum by (job, projection, le) (rate(cabildo_projection_end_to_end_seconds_bucket[5m])))",
        bound: END_TO_END_P99_S,
        lasts: "10m",
        summary: "{{ $labels.projection }} is slower than the goal",
        description: "One in a hundred events takes VALUE seconds or more from the journal into {{ $labels.projection }}.",
    },
    Alert {
        name: "CabildoRequestsSlow",
        runbook: "requests-slow",
        severity: "warning",
        value: "histogram_quantile(0.99, sum by (job, le) (rate(cabildo_gateway_request_duration_seconds_bucket[5m])))",
        bound: REQUEST_P99_S,
        lasts: "10m",
        summary: "Requests to {{ $labels.job }} are slower than the goal",
        description: "One in a hundred requests takes VALUE seconds or more to be answered.",
    },
    Alert {
        name: "CabildoClockOffset",
        runbook: "clock-offset",
        severity: "warning",
        value: "abs(cabildo_clock_offset_seconds)",
        bound: 1.0,
        lasts: "5m",
        summary: "The clock of {{ $labels.instance }} is off",
        description: "The clock of {{ $labels.instance }} is VALUE seconds away from that of the {{ $labels.source }}.",
    },
];

impl Alert {
    fn labels(&self) -> Value {
        json!({"severity": self.severity, "component": "cabildo"})
    }

    fn annotations(&self, value: &str) -> Value {
        json!({
            "summary": self.summary,
            "description": self.description.replace("VALUE", value),
            "runbook_url": format!("{RUNBOOKS}/{}.md", self.runbook),
        })
    }

    /// As a rule of Prometheus.
    fn prometheus(&self) -> Value {
        let mut rule = json!({
            "alert": self.name,
            "expr": format!("({}) > {}", self.value, self.bound),
            "labels": self.labels(),
            "annotations": self.annotations(r#"{{ printf "%.6g" $value }}"#),
        });
        if self.lasts != "0s" {
            rule["for"] = json!(self.lasts);
        }
        rule
    }

    /// As a rule that Grafana evaluates: what its HTTP API and its provisioning files have in common. No data is no
    /// alert: an alert of each process that has ended would wake somebody for nothing.
    fn grafana(&self) -> Value {
        let query = |reference: &str, source: &str, look_back_s: u64, model: Value| {
            json!({
                "refId": reference,
                "datasourceUid": source,
                "relativeTimeRange": {"from": look_back_s, "to": 0},
                "model": model,
            })
        };
        // What Grafana would add by itself is written down, so that a stored rule equals the one that was sent.
        let asks = json!({
            "refId": "A",
            "datasource": {"type": "prometheus", "uid": PROMETHEUS.0},
            "editorMode": "code",
            "expr": self.value,
            "instant": true,
            "range": false,
            "intervalMs": 1_000,
            "maxDataPoints": 43_200,
        });
        let compares = json!({
            "refId": "B",
            "datasource": {"type": "__expr__", "uid": "__expr__"},
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [self.bound]}}],
            "intervalMs": 1_000,
            "maxDataPoints": 43_200,
        });
        json!({
            "uid": format!("cabildo-{}", self.runbook),
            "title": self.name,
            "condition": "B",
            "data": [query("A", PROMETHEUS.0, LOOK_BACK_S, asks), query("B", "__expr__", 0, compares)],
            "noDataState": "OK",
            "execErrState": "Error",
            "for": self.lasts,
            "labels": self.labels(),
            "annotations": self.annotations(r#"{{ printf "%.6g" $values.A.Value }}"#),
        })
    }
}

/// Every alert as a file of rules for Prometheus.
pub(crate) fn prometheus_rules() -> Value {
    let rules: Vec<_> = ALL.iter().map(Alert::prometheus).collect();
    json!({"groups": [{"name": GROUP, "interval": format!("{INTERVAL_S}s"), "rules": rules}]})
}

/// Every alert as a group of rules, in the form of Grafana's HTTP API (`AlertRuleGroup` of its OpenAPI document).
pub(crate) fn grafana_group() -> Value {
    let rules = ALL.iter().map(|alert| {
        let mut rule = alert.grafana();
        rule["folderUID"] = json!(FOLDER.0);
        rule["ruleGroup"] = json!(GROUP);
        rule
    });
    json!({"title": GROUP, "folderUid": FOLDER.0, "interval": INTERVAL_S, "rules": rules.collect::<Vec<_>>()})
}

/// Every alert as a file of provisioning for Grafana, which takes `$` for its own: there it is written twice.
pub(crate) fn grafana_file() -> Value {
    let mut rules: Vec<_> = ALL.iter().map(Alert::grafana).collect();
    rules.iter_mut().for_each(double_dollars);
    json!({
        "apiVersion": 1,
        "groups": [{"orgId": 1, "name": GROUP, "folder": FOLDER.1, "interval": format!("{INTERVAL_S}s"), "rules": rules}],
    })
}

fn double_dollars(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace('$', "$$"),
        Value::Array(items) => items.iter_mut().for_each(double_dollars),
        Value::Object(members) => members.values_mut().for_each(double_dollars),
        _ => {}
    }
}
