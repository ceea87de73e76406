//! An exported file, by itself: each line is an event that its link vouches for.

use std::fmt;
use std::io;
use std::path::Path;

use cabildo_events::wire::{ChainHead, Chains, Exported, Manifest, exported};
use cabildo_events::{Lane, Position};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::commands::events::file::{open, read_line};
use crate::exit::{Exit, Usage};
use crate::output::{self, Form};

/// The last line of an export: how many events there are, the hash of all that stands before it, and where the chain of each
/// lane ends.
#[derive(Debug, Deserialize)]
struct LastLine {
    manifest: Manifest,
}

/// The lines of a file, packed or not, each bounded.
pub(super) fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = io::Result<Vec<u8>>> + Send + use<>> {
    let (mut lines, _) = open(path)?;
    Ok(std::iter::from_fn(move || read_line(&mut lines).transpose()))
}

/// The events of a file; what is no event, but for the last line, is told.
pub(super) fn events(path: &Path) -> anyhow::Result<impl Iterator<Item = Result<Exported, String>> + Send + use<>> {
    Ok((1..).zip(lines(path)?).filter_map(|(number, line): (usize, _)| {
        let told = |error: &dyn fmt::Display| Some(Err(format!("line {number}: {error}")));
        let line = match line.map(String::from_utf8) {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => return told(&error),
            Err(error) => return told(&error),
        };
        if serde_json::from_str::<LastLine>(&line).is_ok() {
            return None;
        }
        exported(&line).map_or_else(|error| told(&error), |event| Some(Ok(event)))
    }))
}

/// What is wrong with a file.
#[derive(Debug, Serialize)]
struct Wrong {
    line: usize,
    position: Option<Position>,
    what: String,
}

/// What was checked of it.
#[derive(Debug, Default, Serialize)]
struct Checked {
    wrong: Vec<Wrong>,
    events: u64,
    /// Events that carry a link.
    linked: u64,
    manifest: bool,
}

/// Checks a file.
pub(super) fn run(path: &Path, form: Form) -> anyhow::Result<Exit> {
    let lines = lines(path).map_err(|error| Usage(format!("--file {error:#}")))?;
    let checked = check(lines)?;
    let Checked { wrong, events, linked, manifest } = &checked;
    if form == Form::Json {
        output::json(&checked)?;
    } else {
        for Wrong { line, position, what } in wrong {
            let position = position.map_or_else(String::new, |position| format!(", position {position}"));
            output::line(&format!("line {line}{position}: {what}"))?;
        }
        let verdict = if wrong.is_empty() { "as it was written" } else { "not as it was written" };
        let ends = if *manifest { "with a manifest" } else { "without a manifest" };
        output::line(&format!("{}: {verdict}: {events} events, {linked} of them linked, {ends}", path.display()))?;
    }
    if events > linked {
        output::note("events without links prove nothing by themselves: compare them with --against");
    }
    Ok(if wrong.is_empty() { Exit::Ok } else { Exit::Difference })
}

/// The first thing that is wrong with each lane, and with the file.
fn check(lines: impl Iterator<Item = io::Result<Vec<u8>>>) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    let mut chains = Chains::default();
    let mut broken = [false; 64];
    let mut last = Position::START;
    let mut content = Sha256::new();
    for (line, text) in (1..).zip(lines) {
        let Ok(text) = String::from_utf8(text?) else {
            checked.wrong.push(Wrong { line, position: None, what: "it is no text in UTF-8".to_owned() });
            continue;
        };
        if let Ok(LastLine { manifest }) = serde_json::from_str(&text) {
            checked.manifest = true;
            let digest = content.clone().finalize();
            let content: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            ends(&manifest, &content, &chains, &broken, line, &mut checked);
            continue;
        }
        content.update(text.as_bytes());
        let mut wrong = |position, what: String| checked.wrong.push(Wrong { line, position, what });
        let Exported { event, link } = match exported(&text) {
            Ok(exported) => exported,
            Err(error) => {
                wrong(None, error.to_string());
                continue;
            }
        };
        checked.events += 1;
        if event.position <= last {
            wrong(Some(event.position), format!("it comes after {last}"));
        }
        last = event.position;
        let lane = event.lane.index();
        let expected = chains.add(&event);
        if let Some(link) = link {
            checked.linked += 1;
            if expected != link && !broken[lane] {
                broken[lane] = true;
                let what = "its link does not follow: it was changed, or one before it changed, taken out or put in";
                wrong(Some(event.position), format!("{what} (lane {})", event.lane));
            }
            // What follows is held to the link as it stands: one break is told once.
            let head = chains.head(event.lane);
            chains.set(event.lane, ChainHead { link, ..head });
        }
    }
    Ok(checked)
}

/// Whether the last line says what stands before it.
fn ends(manifest: &Manifest, content: &str, chains: &Chains, broken: &[bool; 64], line: usize, checked: &mut Checked) {
    let mut wrong = |position, what: String| checked.wrong.push(Wrong { line, position, what });
    let mut lanes_differ = false;
    for (lane, head) in &manifest.lanes {
        let Some(lane) = lane.parse().ok().and_then(Lane::new) else { continue };
        let stands = chains.head(lane);
        let differs = (stands.events, stands.last, stands.link) != (head.events, head.last, head.link);
        lanes_differ |= differs || broken[lane.index()];
        if differs && !broken[lane.index()] {
            let what = format!("lane {lane} ends at {}, and the manifest says {}", stands.last, head.last);
            wrong(Some(head.last), what);
        }
    }
    let (events, said) = (checked.events, manifest.events);
    if events != said {
        checked.wrong.push(Wrong {
            line,
            position: None,
            what: format!("{events} events, and the manifest says {said}"),
        });
    } else if content != manifest.sha256 && checked.wrong.is_empty() && !lanes_differ {
        let what = "the file's content is not what the manifest has the hash of, though every event is".to_owned();
        checked.wrong.push(Wrong { line, position: None, what });
    }
}
