//! `cabildo events get`.

use std::io::{self, Write};
use std::str::FromStr;

use cabildo_events::limits::TREE_EVENTS_MAX;
use cabildo_events::{EventId, Position, Recorded, wire};
use cabildo_storage::Journal;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::find::{self, Searched, Tree};
use super::print::{self, EventForm};
use crate::exit::Exit;
use crate::output;
use crate::settings::{JournalOptions, Settings};

/// Print one event, alone or with what it came of and led to
#[derive(clap::Args, Debug)]
pub(crate) struct Get {
    /// Its position, for example 0-12, or its id
    #[arg(value_name = "POSITION|ID")]
    event: Which,
    /// Its causes up to the first, and its effects, as a tree
    #[arg(long)]
    tree: bool,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: EventForm,
    #[command(flatten)]
    journal: JournalOptions,
}

/// How an event is named.
#[derive(Clone, Copy, Debug)]
enum Which {
    At(Position),
    Id(EventId),
}

impl FromStr for Which {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let id = || text.parse().map(Self::Id);
        let bad = |_| format!("`{text}` is neither a position (0-12) nor the id of an event (a UUID)");
        text.parse().map(Self::At).or_else(|_| id()).map_err(bad)
    }
}

/// Prints it, or says how far the journal goes.
pub(crate) async fn run(settings: &Settings, get: &Get) -> anyhow::Result<Exit> {
    let journal = super::open(settings, &get.journal).await?;
    let event = find(&*journal, get.event).await?;
    if get.tree {
        let position = event.position;
        let tree = find::tree(&*journal, event).await?;
        return print_tree(&tree, position, get.output);
    }
    if get.output == EventForm::Pretty {
        let value: Value = serde_json::from_str(&wire::to_json(&event))?;
        output::line(&serde_json::to_string_pretty(&value)?)?;
    } else {
        let mut out = io::stdout().lock();
        print::write(&mut out, &event, get.output, false)?;
        out.flush()?;
    }
    Ok(Exit::Ok)
}

async fn find(journal: &dyn Journal, which: Which) -> anyhow::Result<Recorded> {
    match which {
        Which::At(position) => match journal.get(position).await? {
            Some(event) => Ok(event),
            None => {
                let head = journal.head().await?;
                anyhow::bail!("there is no event at {position}; the last one is at {head}")
            }
        },
        Which::Id(id) => match find::by_id(journal, id).await? {
            (Some(event), _) => Ok(event),
            (None, Some(Searched { after, until, complete: false })) => anyhow::bail!(
                "no event with the id {id} was found after {after} up to {until}; this journal keeps no ids, so name its position if it stands elsewhere"
            ),
            (None, _) => anyhow::bail!("there is no event with the id {id}"),
        },
    }
}

fn print_tree(tree: &Tree, root: Position, form: EventForm) -> anyhow::Result<Exit> {
    let at = |place: &usize| tree.events.get(*place).map(|event| event.position);
    if form != EventForm::Pretty {
        let events = tree.events.iter().map(|event| RawValue::from_string(wire::to_json(event)));
        let edges = tree.edges.iter().map(|(cause, effect)| json!({"cause": at(cause), "effect": at(effect)}));
        // Raw values do not pass through `json!`: they are written where they stand.
        #[derive(serde::Serialize)]
        struct Written {
            root: Position,
            nodes: Vec<Box<RawValue>>,
            edges: Vec<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            lost_cause: Option<EventId>,
            searched: Searched,
        }
        output::json(&Written {
            root,
            nodes: events.collect::<Result<_, _>>()?,
            edges: edges.collect(),
            lost_cause: tree.lost.map(|(id, _)| id),
            searched: tree.effects,
        })?;
        return Ok(Exit::Ok);
    }
    let mut out = io::stdout().lock();
    if let Some((id, searched)) = tree.lost {
        let searched = match searched {
            Some(Searched { after, until, complete: false }) => format!(" after {after} up to {until}"),
            _ => " in this journal".to_owned(),
        };
        writeln!(out, "(its cause {id} was not found{searched})")?;
    }
    branch(&mut out, tree, 0, 0, root)?;
    out.flush()?;
    let Searched { after, until, complete } = tree.effects;
    if !complete {
        output::note(&format!(
            "effects were looked for after {after} up to {until}, and up to {TREE_EVENTS_MAX} events: there may be more"
        ));
    }
    Ok(Exit::Ok)
}

/// An event and, below it, what it led to.
fn branch(out: &mut impl Write, tree: &Tree, place: usize, depth: usize, root: Position) -> io::Result<()> {
    // Causes stand before their effects: the way down is a walk over the places in their order, with a stack.
    let mut waiting = vec![(place, depth)];
    while let Some((place, depth)) = waiting.pop() {
        let Some(event) = tree.events.get(place) else { continue };
        let twig = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
        let mark = if event.position == root { "▶ " } else { "" };
        write!(out, "{twig}{mark}")?;
        print::write(out, event, EventForm::Pretty, output::colours())?;
        let effects = tree.edges.iter().rev().filter(|(cause, _)| *cause == place);
        waiting.extend(effects.map(|(_, effect)| (*effect, depth + 1)));
    }
    Ok(())
}
