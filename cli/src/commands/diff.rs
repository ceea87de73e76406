//! `cabildo diff`.

use cabildo_events::{ListId, PollId, RoomId};
use cabildo_storage::Moment;

use super::past::{self, ListChange, PollChange, RoomChange};
use crate::exit::{Exit, Usage};
use crate::output::{self, Form};
use crate::settings::{JournalOptions, Settings};

/// Show what changed in a room, a poll or a task list between two moments; exit code 3 if anything did
///
/// Folded from the journal itself, so no view is needed and a running `cabildo up` is not disturbed.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Diff {
    /// Messages posted, edited and taken back
    Room(DiffRoom),
    /// Votes, voters and whether it is open
    Poll(DiffPoll),
    /// Tasks added, changed and taken off
    List(DiffList),
}

/// Between which moments.
#[derive(clap::Args, Debug)]
pub(crate) struct DiffOptions {
    /// The earlier moment: an event (0-12), a time (2026-11-21T10:00Z), how long ago (-5m), begin or end
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    from: Moment,
    /// The later moment
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, default_value = "end")]
    to: Moment,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Which room.
#[derive(clap::Args, Debug)]
pub(crate) struct DiffRoom {
    /// Its id
    room: RoomId,
    /// At most so many changed messages, the last ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    options: DiffOptions,
}

/// Which poll.
#[derive(clap::Args, Debug)]
pub(crate) struct DiffPoll {
    /// Its id
    poll: PollId,
    #[command(flatten)]
    options: DiffOptions,
}

/// Which list.
#[derive(clap::Args, Debug)]
pub(crate) struct DiffList {
    /// Its id
    list: ListId,
    #[command(flatten)]
    options: DiffOptions,
}

/// Shows what changed.
pub(crate) async fn run(settings: &Settings, diff: &Diff) -> anyhow::Result<Exit> {
    let (Diff::Room(DiffRoom { options, .. })
    | Diff::Poll(DiffPoll { options, .. })
    | Diff::List(DiffList { options, .. })) = diff;
    let journal = super::events::open(settings, &options.journal).await?;
    let [from, to] = past::positions(&*journal, [options.from, options.to]).await?;
    if from > to {
        return Err(Usage(format!("--from ({from}) is later than --to ({to})")).into());
    }
    let differs = match diff {
        Diff::Room(DiffRoom { room, limit, .. }) => {
            let change = past::room_change(&*journal, room, from, to, *limit).await?;
            match options.output {
                Form::Json => output::json(&change)?,
                Form::Pretty => print_room(&change)?,
            }
            change.differs()
        }
        Diff::Poll(DiffPoll { poll, .. }) => {
            let [before, after] = past::polls(&*journal, poll, [from, to]).await?;
            let after = after.ok_or_else(|| past::Missing::poll(poll, to))?;
            let change = PollChange::between(before.as_ref(), &after, from);
            match options.output {
                Form::Json => output::json(&change)?,
                Form::Pretty => print_poll(&change)?,
            }
            change.differs()
        }
        Diff::List(DiffList { list, .. }) => {
            let [before, after] = past::lists(&*journal, list, [from, to]).await?;
            let after = after.ok_or_else(|| past::Missing::list(list, to))?;
            let change = ListChange::between(before, after, from);
            match options.output {
                Form::Json => output::json(&change)?,
                Form::Pretty => print_list(&change)?,
            }
            change.differs()
        }
    };
    Ok(if differs { Exit::Difference } else { Exit::Ok })
}

fn print_poll(change: &PollChange) -> anyhow::Result<()> {
    output::line(&format!("{} from {} to {}", change.poll, change.from, change.to))?;
    if !change.differs() {
        return Ok(output::line("nothing changed")?);
    }
    let mut table = past::table();
    for (name, [before, after]) in &change.fields {
        table.add_row([name.clone(), format!("{before} → {after}"), String::new()]);
    }
    for option in &change.options {
        let votes = format!("{} → {}", option.before, option.after);
        table.add_row([past::printable(&option.option), votes, format!("{:+}", option.after - option.before)]);
    }
    Ok(output::line(&table.to_string())?)
}

fn print_list(change: &ListChange) -> anyhow::Result<()> {
    output::line(&format!("{} from {} to {}", change.list, change.from, change.to))?;
    match &change.itself {
        Some([None, _]) => output::line("the list was opened")?,
        Some([Some(before), Some(after)]) if before.title != after.title => {
            let [before, after] = [before, after].map(|list| past::printable(&list.title));
            output::line(&format!("{before} → {after}"))?;
        }
        Some(_) => output::line("the list has another visibility or other members")?,
        None => {}
    }
    for task in &change.tasks {
        if let Some(before) = &task.before {
            output::line(&format!("- {}", past::task_told(before)))?;
        }
        if let Some(after) = &task.after {
            output::line(&format!("+ {}", past::task_told(after)))?;
        }
    }
    if change.differs() { Ok(()) } else { Ok(output::line("nothing changed")?) }
}

fn print_room(change: &RoomChange) -> anyhow::Result<()> {
    output::line(&format!("{} from {} to {}", change.room, change.from, change.to))?;
    if change.opened {
        output::line("the room was opened")?;
    }
    for message in &change.messages {
        if let Some(before) = &message.before {
            output::line(&format!("- {}", past::told(before)))?;
        }
        if let Some(after) = &message.after {
            output::line(&format!("+ {}", past::told(after)))?;
        }
    }
    if change.more > 0 {
        output::line(&format!("and {} more: --limit shows them", change.more))?;
    }
    if change.differs() { Ok(()) } else { Ok(output::line("nothing changed")?) }
}
