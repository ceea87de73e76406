//! The table that is printed.

use std::time::Duration;

use crate::visible::percentile;

/// Rows as they come in.
pub(crate) struct Table {
    wanted: Vec<String>,
    small: bool,
    rows: Vec<[String; 6]>,
}

impl Table {
    pub(crate) fn new(wanted: Vec<String>, small: bool) -> Self {
        Self { wanted, small, rows: vec![] }
    }

    /// So many, or a hundredth of it.
    pub(crate) fn scaled(&self, count: usize) -> usize {
        if self.small { count / 100 } else { count }
    }

    /// Whether rows of this name were asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| name.contains(word.as_str()))
    }

    /// A rate beside that of its baseline, in events a second, and the ratio that is aimed at.
    pub(crate) fn rate(&mut self, name: &str, rate: f64, baseline: &str, base: f64, goal: &str) {
        let row = [
            name.to_owned(),
            thousands(rate),
            baseline.to_owned(),
            thousands(base),
            format!("{:.2}", rate / base),
            goal.to_owned(),
        ];
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    /// How long something takes, at its median and at a high percentile, beside the same percentile of a baseline.
    pub(crate) fn latency(
        &mut self,
        name: &str,
        percent: usize,
        times: &[Duration],
        base: (&str, Duration),
        goal: &str,
    ) {
        let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        let (median, high) = (percentile(times, 50), percentile(times, percent));
        let row = [
            name.to_owned(),
            format!("p50 {}, p{percent} {}", millis(median), millis(high)),
            base.0.to_owned(),
            format!("p{percent} {}", millis(base.1)),
            format!("{:.1}", high.as_secs_f64() / base.1.as_secs_f64()),
            goal.to_owned(),
        ];
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        let head = ["what", "Cabildo", "baseline", "baseline's", "ratio", "goal"].map(str::to_owned);
        let lines = || std::iter::once(&head).chain(&self.rows);
        let widths: Vec<usize> =
            (0..head.len()).map(|column| lines().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
        for (number, row) in lines().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            println!("| {} |", cells.join(" | "));
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("| {} |", rule.join(" | "));
            }
        }
    }
}

fn thousands(rate: f64) -> String {
    if rate >= 10_000.0 { format!("{:.1}k/s", rate / 1e3) } else { format!("{rate:.0}/s") }
}

/// Events a second.
#[expect(clippy::cast_precision_loss, reason = "far fewer events than 2^52")]
pub(crate) fn per_second(events: usize, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
