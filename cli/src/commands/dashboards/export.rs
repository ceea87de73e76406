//! `cabildo dashboards export`.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{connect, failed};
use crate::exit::Exit;
use crate::output;
use crate::settings::{DataOptions, GrafanaOptions, Settings};

/// `cabildo dashboards export`.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// The folder; files of the same names are replaced
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    grafana: GrafanaOptions,
    #[command(flatten)]
    data: DataOptions,
}

/// Writes the files, and prints their names.
pub(crate) async fn run(settings: &Settings, export: &Export) -> anyhow::Result<Exit> {
    let addresses = settings.data_addresses(&export.data);
    let files = if settings.names_grafana(&export.grafana) {
        let grafana = connect(settings, &export.grafana).await?;
        let wanted = cabildo_dashboards::provision(&addresses);
        cabildo_dashboards::found(&cabildo_dashboards::held(&grafana, &wanted).await.map_err(failed)?)?
    } else {
        cabildo_dashboards::shipped(&addresses)?
    };
    for file in files {
        let path = export.folder.join(&file.path);
        write(&path, &file.text).with_context(|| path.display().to_string())?;
        output::line(&path.display().to_string())?;
    }
    Ok(Exit::Ok)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}
