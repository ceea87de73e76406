//! `cabildo dashboards apply` and `diff`.

use cabildo_dashboards::{Change, Mode, Step};
use serde_json::{Value, json};

use super::{connect, failed};
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{DataOptions, GrafanaOptions, Settings};

/// What both take.
#[derive(clap::Args, Debug)]
pub(crate) struct Diff {
    #[command(flatten)]
    grafana: GrafanaOptions,
    #[command(flatten)]
    data: DataOptions,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
}

/// `cabildo dashboards apply`.
#[derive(clap::Args, Debug)]
pub(crate) struct Apply {
    #[command(flatten)]
    what: Diff,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Changes what differs.
pub(crate) async fn apply(settings: &Settings, apply: &Apply) -> anyhow::Result<Exit> {
    let mode = if apply.dry_run { Mode::Compare } else { Mode::Apply };
    let words = if apply.dry_run { ["would be made", "would be changed"] } else { ["made", "changed"] };
    let steps = run(settings, &apply.what, mode, words).await?;
    let differing = steps.iter().filter(|step| step.is_difference()).count();
    output::note(&match (differing, mode) {
        (0, _) => "unchanged: Grafana is as it should be".to_owned(),
        (some, Mode::Apply) => format!("{some} of {} made or changed", steps.len()),
        (some, Mode::Compare) => format!("{some} of {} would be made or changed; nothing was done", steps.len()),
    });
    Ok(Exit::Ok)
}

/// Shows what differs.
pub(crate) async fn diff(settings: &Settings, diff: &Diff) -> anyhow::Result<Exit> {
    let steps = run(settings, diff, Mode::Compare, ["missing", "differs"]).await?;
    let differs = steps.iter().any(Step::is_difference);
    Ok(if differs { Exit::Difference } else { Exit::Ok })
}

async fn run(settings: &Settings, what: &Diff, mode: Mode, words: [&str; 2]) -> anyhow::Result<Vec<Step>> {
    let grafana = connect(settings, &what.grafana).await?;
    let wanted = cabildo_dashboards::provision(&settings.data_addresses(&what.data));
    let mut written = Ok(());
    let pretty = what.output == Form::Pretty;
    let told = |step: &Step| {
        if let Change::LeftOut(reason) = &step.change {
            output::note(&format!("{step} is left out: {reason}"));
        }
        if pretty && written.is_ok() {
            written = tell(step, words);
        }
    };
    let steps = cabildo_dashboards::apply(&grafana, &wanted, mode, told).await.map_err(failed)?;
    written?;
    if !pretty {
        output::json(&steps.iter().map(|step| as_json(step, words)).collect::<Vec<_>>())?;
    }
    Ok(steps)
}

fn word<'a>(change: &Change, [made, changed]: [&'a str; 2]) -> &'a str {
    match change {
        Change::Unchanged => "unchanged",
        Change::Create => made,
        Change::Update(_) => changed,
        Change::LeftOut(_) => "left out",
    }
}

fn tell(step: &Step, words: [&str; 2]) -> std::io::Result<()> {
    output::line(&format!("{step}: {}", word(&step.change, words)))?;
    if let Change::Update(differences) = &step.change {
        for difference in differences {
            output::line(&format!("    {difference}"))?;
        }
    }
    Ok(())
}

fn as_json(step: &Step, words: [&str; 2]) -> Value {
    let differences = match &step.change {
        Change::Update(differences) => differences.as_slice(),
        _ => &[],
    };
    let differences: Vec<_> = differences
        .iter()
        .map(|difference| json!({"path": difference.path, "wanted": difference.wanted, "found": difference.found}))
        .collect();
    json!({"kind": step.kind, "name": step.name, "change": word(&step.change, words), "differences": differences})
}
