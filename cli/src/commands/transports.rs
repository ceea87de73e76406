//! `cabildo produce votes --transport all`: the same ballots by each way in, and how they compare.

use anyhow::Context;
use cabildo_events::PollId;
use cabildo_producers::votes::{Door, Plan, Server};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::produce::{Report, VotesOptions, run, through_journal, unreachable_door};
use crate::address::Address;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::process::cpu_seconds;
use crate::settings::{Places, Settings};

/// One way in, and what came of it.
#[derive(Serialize)]
struct Row {
    transport: &'static str,
    #[serde(flatten)]
    report: Report,
    /// Processor time that this process has used, in microseconds for each ballot acknowledged.
    client_cpu_us: f64,
    /// The same of the gateway's process; none where no gateway takes part.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_us: Option<f64>,
}

#[derive(Serialize)]
struct Comparison {
    transports: Vec<Row>,
}

/// Casts the ballots by each way in, one after another, each into a poll of its own; the worst outcome is the exit code.
pub(super) async fn compare(
    settings: &Settings,
    options: &VotesOptions,
    plan: &Plan,
    server: &Server,
    stop: &CancellationToken,
) -> anyhow::Result<Exit> {
    let places = settings.places(&options.places)?;
    let mut transports = Vec::new();
    for transport in ["http", "grpc", "journal"] {
        let mut plan = plan.clone();
        plan.poll = PollId::try_from(format!("{}-{transport}", plan.poll)).context("--poll")?;
        plan.run = uuid::Uuid::now_v7().simple().to_string();
        let embedded = places.journal.folder().map(|folder| folder.join(format!("transports-{}", plan.run)));
        let asked = embedded.is_none() || transport != "journal";
        let (client, gateway) = (cpu_seconds(), used(server, asked).await?);
        let report = match (transport, &embedded) {
            ("http", _) => run(options, &mut plan, &Door::Http(server.clone()), stop).await?,
            ("grpc", _) => run(options, &mut plan, &Door::Grpc(server.clone()), stop).await?,
            (_, None) => through_journal(settings, &places, options, &mut plan, stop).await?,
            (_, Some(folder)) => {
                let place = || Address::in_folder(folder);
                let places = Places { journal: place(), counters: place(), documents: place() };
                let report = through_journal(settings, &places, options, &mut plan, stop).await;
                // It was there for this alone.
                tokio::fs::remove_dir_all(folder).await.with_context(|| folder.display().to_string())?;
                report?
            }
        };
        let used = used(server, asked).await?.zip(gateway).map(|(after, before)| after - before);
        let each = |seconds: f64| seconds * 1e6 / report.count().max(1.0);
        let (client_cpu_us, server_cpu_us) = (each(cpu_seconds() - client), used.map(each));
        transports.push(Row { transport, report, client_cpu_us, server_cpu_us });
    }
    let ends = |exit: Exit| transports.iter().any(|row| row.report.exit() == exit);
    let worst = [Exit::Failed, Exit::Difference].into_iter().find(|exit| ends(*exit));
    match options.output {
        Form::Json => output::json(&Comparison { transports })?,
        Form::Pretty => print(&transports)?,
    }
    Ok(worst.unwrap_or(Exit::Ok))
}

async fn used(server: &Server, asked: bool) -> anyhow::Result<Option<f64>> {
    if asked { server.cpu_seconds().await.map_err(unreachable_door) } else { Ok(None) }
}

fn print(transports: &[Row]) -> std::io::Result<()> {
    let mut table = comfy_table::Table::new();
    let head = ["transport", "ballots", "a second", "p50", "p99", "client CPU each", "server CPU each", "tally"];
    table.load_preset(comfy_table::presets::NOTHING).set_header(head);
    for Row { transport, report, client_cpu_us, server_cpu_us } in transports {
        table.add_row([
            (*transport).to_owned(),
            report.acknowledged.to_string(),
            format!("{:.0}", report.per_second),
            format!("{:.2} ms", report.latency_ms.p50),
            format!("{:.2} ms", report.latency_ms.p99),
            format!("{client_cpu_us:.0} µs"),
            server_cpu_us.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0} µs")),
            if report.exact { "exact" } else { "DIFFERENT" }.to_owned(),
        ]);
    }
    output::line(&table.to_string())
}
