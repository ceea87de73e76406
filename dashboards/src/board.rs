//! A dashboard: rows of panels, laid out in order, written as Grafana's classic JSON.

use serde_json::{Value, json};

use crate::panel::{GRID_COLUMNS, INFINITY, Panel};
use crate::sources::{API, PROMETHEUS};

/// The version of Grafana's dashboard schema that is written: that of Grafana 11.0, which later ones read, and raise
/// themselves where they store a newer one.
pub(crate) const SCHEMA_VERSION: u32 = 39;

/// The rows that every dashboard has, in this order.
pub const ROWS: [&str; 6] = ["Summary", "Rate", "Errors", "Duration", "Saturation", "Details"];

/// The panels of each row, in the order of [`ROWS`].
pub(crate) struct Rows {
    pub(crate) summary: Vec<Panel>,
    pub(crate) rate: Vec<Panel>,
    pub(crate) errors: Vec<Panel>,
    pub(crate) duration: Vec<Panel>,
    pub(crate) saturation: Vec<Panel>,
    pub(crate) details: Vec<Panel>,
}

/// A dashboard.
pub(crate) struct Board {
    /// Its name in addresses, at most 40 characters.
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// Variables to type into, as (name, label, default), beside those that every dashboard has.
    pub(crate) texts: &'static [(&'static str, &'static str, &'static str)],
    pub(crate) rows: Rows,
}

impl Board {
    /// As Grafana's classic JSON.
    pub(crate) fn json(self) -> Value {
        let Rows { summary, rate, errors, duration, saturation, details } = self.rows;
        let mut layout = Layout::default();
        for (title, panels) in ROWS.into_iter().zip([summary, rate, errors, duration, saturation, details]) {
            layout.row(title, &panels);
        }
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["cabildo"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [{
                "type": "dashboards",
                "title": "Cabildo",
                "tags": ["cabildo"],
                "icon": "external link",
                "asDropdown": true,
                "includeVars": true,
                "keepTime": true,
            }],
            "templating": {"list": variables(self.texts)},
            "panels": layout.panels,
        })
    }
}

fn variables(texts: &[(&str, &str, &str)]) -> Vec<Value> {
    // Ours is chosen at first; where it is missing, Grafana takes the first of its kind.
    let source = |name: &str, label: &str, plugin: &str, (uid, title): (&str, &str)| {
        let current = json!({"text": title, "value": uid});
        json!({"type": "datasource", "name": name, "label": label, "query": plugin, "refresh": 1, "current": current})
    };
    let values = |name: &str, label: &str, query: &str| {
        json!({
            "type": "query",
            "name": name,
            "label": label,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "definition": query,
            "query": {"query": query, "refId": "StandardVariableQuery"},
            "refresh": 2,
            "sort": 1,
            "multi": true,
            "includeAll": true,
            "allValue": ".*",
        })
    };
    let mut variables = vec![
        source("datasource", "Prometheus", "prometheus", PROMETHEUS),
        source("api", "Cabildo's API", INFINITY, API),
        values("job", "Job", "label_values(cabildo_build_info, job)"),
        values("instance", "Instance", r#"label_values(cabildo_build_info{job=~"$job"}, instance)"#),
    ];
    variables.extend(
        texts
            .iter()
            .map(|(name, label, default)| json!({"type": "textbox", "name": name, "label": label, "query": default})),
    );
    variables
}

/// Where the next panel goes: left to right, then down.
#[derive(Default)]
struct Layout {
    panels: Vec<Value>,
    y: u32,
}

impl Layout {
    fn row(&mut self, title: &str, panels: &[Panel]) {
        let id = self.next_id();
        self.panels.push(json!({
            "id": id,
            "type": "row",
            "title": title,
            "collapsed": false,
            "gridPos": {"h": 1, "w": GRID_COLUMNS, "x": 0, "y": self.y},
            "panels": [],
        }));
        self.y += 1;
        let (mut x, mut tallest) = (0, 0);
        for panel in panels {
            if x + panel.width() > GRID_COLUMNS {
                self.y += tallest;
                (x, tallest) = (0, 0);
            }
            let json = panel.json(self.next_id(), x, self.y);
            self.panels.push(json);
            x += panel.width();
            tallest = tallest.max(panel.height());
        }
        self.y += tallest;
    }

    fn next_id(&self) -> usize {
        self.panels.len() + 1
    }
}
