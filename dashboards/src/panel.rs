//! One panel: what it asks, and how it shows the answer.
//!
//! In a query, `@` stands for the selector of the chosen jobs and instances, and `[~]` for Grafana's rate interval, so that no
//! query can forget either.

use serde_json::{Value, json};

/// Columns of Grafana's grid.
pub(crate) const GRID_COLUMNS: u32 = 24;
/// Name of the variable that holds the Prometheus data source.
const PROMETHEUS: &str = "${datasource}";
/// Name of the variable that holds the data source of the JSON API.
const API: &str = "${api}";

/// The data source of Grafana itself, by which Live streams are read. Every Grafana has it, under this name.
pub(crate) const GRAFANA_UID: &str = "-- Grafana --";
/// Type of the data source that reads the JSON API.
pub(crate) const INFINITY: &str = "yesoreyeram-infinity-datasource";

/// How a panel shows its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Series,
    Stat,
    Bars,
    Table,
}

/// A panel without its place.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    shape: Shape,
    title: &'static str,
    description: &'static str,
    unit: &'static str,
    width: u32,
    height: u32,
    source: Value,
    targets: Vec<Value>,
    stacked: bool,
    max: Option<f64>,
    /// From which value which colour holds, the first from nothing on.
    steps: Vec<(Option<f64>, &'static str)>,
    words: Vec<(&'static str, &'static str)>,
    hidden: Vec<&'static str>,
}

fn panel(
    shape: Shape,
    (width, height): (u32, u32),
    title: &'static str,
    description: &'static str,
    unit: &'static str,
) -> Panel {
    Panel {
        shape,
        title,
        description,
        unit,
        width,
        height,
        source: prometheus(),
        targets: Vec::new(),
        stacked: false,
        max: None,
        steps: Vec::new(),
        words: Vec::new(),
        hidden: Vec::new(),
    }
}

/// Lines over time.
pub(crate) fn series(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Shape::Series, (8, 8), title, description, unit)
}

/// One number, or a few.
pub(crate) fn stat(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Shape::Stat, (4, 4), title, description, unit)
}

/// A bar for each series, as it is now.
pub(crate) fn bars(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Shape::Bars, (12, 10), title, description, unit)
}

/// Rows as they are now.
pub(crate) fn table(title: &'static str, description: &'static str, unit: &'static str) -> Panel {
    panel(Shape::Table, (12, 9), title, description, unit)
}

fn prometheus() -> Value {
    json!({"type": "prometheus", "uid": PROMETHEUS})
}

/// A query as Grafana runs it.
fn expression(query: &str) -> String {
    query.replace("[~]", "[$__rate_interval]").replace('@', r#"job=~"$job",instance=~"$instance""#)
}

impl Panel {
    /// Asks Prometheus.
    pub(crate) fn query(mut self, query: &str, legend: &str) -> Self {
        let instant = self.shape != Shape::Series;
        let mut target = json!({
            "refId": self.next_ref(),
            "datasource": prometheus(),
            "editorMode": "code",
            "expr": expression(query),
            "legendFormat": legend,
            "instant": instant,
            "range": !instant,
        });
        if self.shape == Shape::Table {
            target["format"] = json!("table");
        }
        self.targets.push(target);
        self
    }

    /// Asks Prometheus for the median and the 99th percentile of a histogram, in the form of `name{selector}`.
    pub(crate) fn quantiles(self, histogram: &str, by: &str) -> Self {
        let (name, selector) = histogram.split_once('{').unwrap_or((histogram, "@}"));
        let (group, legend) = if by.is_empty() {
            ("le".to_owned(), String::new())
        } else {
            (format!("le, {by}"), by.split(", ").map(|label| format!("{{{{{label}}}}} ")).collect())
        };
        let of =
            |share: &str| format!("histogram_quantile({share}, sum by ({group}) (rate({name}_bucket{{{selector}[~])))");
        self.query(&of("0.5"), &format!("{legend}p50")).query(&of("0.99"), &format!("{legend}p99"))
    }

    /// Asks the JSON API for a list: where it is in the answer, and its columns as (selector, title, type).
    pub(crate) fn api(mut self, address: &str, root: &str, columns: &[(&str, &str, &str)]) -> Self {
        let columns: Vec<_> = columns
            .iter()
            .map(|(selector, text, kind)| json!({"selector": selector, "text": text, "type": kind}))
            .collect();
        self.source = json!({"type": INFINITY, "uid": API});
        let target = json!({
            "refId": self.next_ref(),
            "datasource": self.source,
            "type": "json",
            "source": "url",
            "parser": "backend",
            "format": "table",
            "url": address,
            "url_options": {"method": "GET", "data": ""},
            "root_selector": root,
            "columns": columns,
        });
        self.targets.push(target);
        self
    }

    /// Follows a Live stream.
    pub(crate) fn live(mut self, channel: &str) -> Self {
        self.source = json!({"type": "datasource", "uid": GRAFANA_UID});
        let target = json!({
            "refId": self.next_ref(),
            "datasource": self.source,
            "queryType": "measurements",
            "channel": channel,
        });
        self.targets.push(target);
        self
    }

    /// Its width, in columns of the grid.
    pub(crate) const fn wide(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// Its height, in units of the grid.
    pub(crate) const fn high(mut self, height: u32) -> Self {
        self.height = height;
        self
    }

    /// Stacks its series: their sum means something.
    pub(crate) const fn stacked(mut self) -> Self {
        self.stacked = true;
        self
    }

    /// The highest value that can be.
    pub(crate) const fn at_most(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// Green up to the first value, then orange, from the second on red.
    pub(crate) fn bad_from(mut self, warn: f64, bad: f64) -> Self {
        self.steps = vec![(None, "green"), (Some(warn), "orange"), (Some(bad), "red")];
        self
    }

    /// Red under the value, green from it on.
    pub(crate) fn good_from(mut self, good: f64) -> Self {
        self.steps = vec![(None, "red"), (Some(good), "green")];
        self
    }

    /// Words for values.
    pub(crate) fn words(mut self, words: &[(&'static str, &'static str)]) -> Self {
        self.words = words.to_vec();
        self
    }

    /// Columns of a table that say nothing.
    pub(crate) fn without(mut self, columns: &[&'static str]) -> Self {
        self.hidden = columns.to_vec();
        self
    }

    pub(crate) const fn width(&self) -> u32 {
        self.width
    }

    pub(crate) const fn height(&self) -> u32 {
        self.height
    }

    fn next_ref(&self) -> String {
        char::from(b'A'.saturating_add(u8::try_from(self.targets.len()).unwrap_or(u8::MAX))).to_string()
    }

    /// As Grafana's JSON, with its number and place.
    pub(crate) fn json(&self, id: usize, x: u32, y: u32) -> Value {
        let (kind, options) = self.look();
        let mut panel = json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": self.source,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self.field_defaults(), "overrides": []},
            "options": options,
            "targets": self.targets,
        });
        if !self.hidden.is_empty() {
            let hidden: serde_json::Map<_, _> =
                self.hidden.iter().map(|name| ((*name).to_owned(), json!(true))).collect();
            panel["transformations"] = json!([{"id": "organize", "options": {"excludeByName": hidden}}]);
        }
        panel
    }

    fn look(&self) -> (&'static str, Value) {
        let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        // Rows of the JSON API are values of their own, not points in time.
        let rows = json!({"calcs": [], "fields": "", "values": true, "limit": 50});
        let by_rows = self.source["type"] == INFINITY;
        let reduce = if by_rows { rows } else { last };
        match self.shape {
            Shape::Series => (
                "timeseries",
                json!({
                    "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"]},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                }),
            ),
            Shape::Stat => (
                "stat",
                json!({
                    "colorMode": if self.steps.is_empty() { "none" } else { "value" },
                    "graphMode": "none",
                    "justifyMode": "auto",
                    "orientation": "auto",
                    "reduceOptions": reduce,
                    "textMode": "auto",
                }),
            ),
            Shape::Bars => (
                "bargauge",
                json!({
                    "displayMode": "gradient",
                    "orientation": "horizontal",
                    "reduceOptions": reduce,
                    "showUnfilled": true,
                    "valueMode": "color",
                }),
            ),
            Shape::Table => ("table", json!({"cellHeight": "sm", "showHeader": true})),
        }
    }

    fn field_defaults(&self) -> Value {
        let mut defaults = json!({"unit": self.unit});
        if self.shape != Shape::Table {
            defaults["min"] = json!(0);
            defaults["color"] = json!({"mode": if self.steps.is_empty() { "palette-classic" } else { "thresholds" }});
        }
        if let Some(max) = self.max {
            defaults["max"] = json!(max);
        }
        if !self.steps.is_empty() {
            let steps: Vec<_> = self.steps.iter().map(|(from, color)| json!({"color": color, "value": from})).collect();
            defaults["thresholds"] = json!({"mode": "absolute", "steps": steps});
        }
        if !self.words.is_empty() {
            let words = self.words.iter().enumerate();
            let options: serde_json::Map<_, _> = words
                .map(|(index, (value, text))| ((*value).to_owned(), json!({"index": index, "text": text})))
                .collect();
            defaults["mappings"] = json!([{"type": "value", "options": options}]);
        }
        if self.shape == Shape::Series {
            defaults["custom"] = json!({
                "drawStyle": "line",
                "fillOpacity": if self.stacked { 30 } else { 5 },
                "lineWidth": 1,
                "showPoints": "never",
                "stacking": {"group": "A", "mode": if self.stacked { "normal" } else { "none" }},
            });
            // The lines are told apart by their colours, not by what is good or bad.
            defaults["color"] = json!({"mode": "palette-classic"});
        }
        defaults
    }
}
