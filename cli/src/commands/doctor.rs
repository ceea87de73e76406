//! `cabildo doctor`: is everything there, and what to do if not.

use std::path::Path;

use cabildo_events::limits::DISK_FREE_BYTES_WARN;
use cabildo_storage::OpenError;
use comfy_table::{Cell, Color, Table, presets};
use serde::Serialize;

use crate::address::{Address, Port};
use crate::connect::promptly;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{PlaceOptions, Settings};

/// Check every connection, version and permission, and say what to do
///
/// Exits with 1 if a check failed, with 5 if a server does not answer.
#[derive(clap::Args, Debug)]
pub(crate) struct Doctor {
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    places: PlaceOptions,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Check {
    check: String,
    health: Health,
    found: String,
    /// What to do; nothing if all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
    #[serde(skip)]
    unreachable: bool,
}

impl Check {
    fn new(check: &str, health: Health, found: &str, advice: &str) -> Self {
        let (check, found, advice) = (check.to_owned(), found.to_owned(), advice.to_owned());
        Self { check, health, found, advice, unreachable: false }
    }

    /// A port that could not be used.
    fn failed(port: Port, address: &Address, error: &anyhow::Error) -> Self {
        let unreachable = Exit::of(error) == Exit::Unreachable;
        let nothing_yet = matches!(error.downcast_ref(), Some(OpenError::Missing(_)));
        let found = if nothing_yet { format!("there is nothing at {address} yet") } else { format!("{error:#}") };
        let (health, advice) = match (nothing_yet, unreachable) {
            (true, _) => (Health::Warn, "it is made when `cabildo up` runs for the first time".to_owned()),
            (_, true) => {
                (Health::Fail, format!("start the server at {address}, or give its address with --{}", port.name()))
            }
            _ => (Health::Fail, String::new()),
        };
        let unreachable = unreachable && health == Health::Fail;
        Self { unreachable, ..Self::new(port.name(), health, &found, &advice) }
    }
}

/// Runs every check; one that fails does not stop the others.
pub(crate) async fn run(settings: &Settings, doctor: &Doctor) -> anyhow::Result<Exit> {
    let places = settings.places(&doctor.places)?;
    let mut checks = vec![Check::new("cabildo", Health::Ok, concat!("version ", env!("CARGO_PKG_VERSION")), "")];
    let mut folders = Vec::new();
    for (port, address) in
        [(Port::Journal, &places.journal), (Port::Counters, &places.counters), (Port::Documents, &places.documents)]
    {
        match describe(port, address).await {
            Ok((durability, described)) => checks.push(described_check(port, address, durability, &described)),
            Err(error) => checks.push(Check::failed(port, address, &error)),
        }
        if let Some(folder) = address.folder().filter(|folder| !folders.contains(folder)) {
            folders.push(folder);
        }
    }
    for folder in folders {
        checks.push(writable(folder));
    }
    report(doctor.output, &checks)?;
    let failed = checks.iter().any(|check| check.health == Health::Fail);
    Ok(match (failed, checks.iter().any(|check| check.unreachable)) {
        (false, _) => Exit::Ok,
        (true, true) => Exit::Unreachable,
        (true, false) => Exit::Failed,
    })
}

type Described = (Option<&'static str>, Vec<(String, String)>);

async fn describe(port: Port, address: &Address) -> anyhow::Result<Described> {
    let url = address.expose();
    Ok(match port {
        Port::Journal => {
            let journal = promptly(address, cabildo_storage::open_journal_read_only(url)).await?;
            (Some(journal.durability().name()), journal.describe().await?)
        }
        Port::Counters => {
            let counters = promptly(address, cabildo_storage::open_counters_read_only(url)).await?;
            (None, counters.describe().await?)
        }
        Port::Documents => {
            let documents = promptly(address, cabildo_storage::open_documents_read_only(url)).await?;
            (None, documents.describe().await?)
        }
    })
}

fn described_check(
    port: Port,
    address: &Address,
    durability: Option<&'static str>,
    described: &[(String, String)],
) -> Check {
    let mut found = vec![address.to_string()];
    found.extend(described.iter().map(|(name, value)| format!("{name} {value}")));
    let (health, advice) = match durability {
        Some("accepted") => (
            Health::Warn,
            "a power cut may lose the last moments: three servers with replicas, or sync_interval always",
        ),
        _ => (Health::Ok, ""),
    };
    Check::new(port.name(), health, &found.join("\n"), advice)
}

/// Whether the data folder, or the nearest one above it that exists, can be written to: by writing.
fn writable(folder: &Path) -> Check {
    let name = format!("folder {}", folder.display());
    let existing = folder.ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
    let existing = existing.unwrap_or(Path::new("."));
    let probe = existing.join(format!(".cabildo-doctor-{}", uuid::Uuid::now_v7().simple()));
    if let Err(error) = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe)) {
        let advice = "give this user the right to write there, or choose another folder with --data";
        return Check::new(&name, Health::Fail, &error.to_string(), advice);
    }
    let found = if folder.exists() { "can be written to" } else { "is not there yet and can be made" };
    let free = match rustix::fs::statvfs(existing) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return Check::new(&name, Health::Warn, &format!("{found}; its free space: {error}"), ""),
    };
    let found = format!("{found}, {} free", indicatif::HumanBytes(free));
    if free < DISK_FREE_BYTES_WARN {
        Check::new(&name, Health::Warn, &found, "free some space: with none left nothing more can be recorded")
    } else {
        Check::new(&name, Health::Ok, &found, "")
    }
}

fn report(form: Form, checks: &[Check]) -> anyhow::Result<()> {
    if form == Form::Json {
        return output::json(&checks);
    }
    let colours = output::colours();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["", "check", "found", "what to do"]);
    for Check { check, health, found, advice, .. } in checks {
        let (word, colour) = match health {
            Health::Ok => ("ok", Color::Green),
            Health::Warn => ("warn", Color::Yellow),
            Health::Fail => ("fail", Color::Red),
        };
        let word = if colours { Cell::new(word).fg(colour) } else { Cell::new(word) };
        table.add_row([word, Cell::new(check), Cell::new(found), Cell::new(advice)]);
    }
    Ok(output::line(&table.to_string())?)
}
