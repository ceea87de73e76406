//! `cabildo show`.

use cabildo_events::{ListId, PollId, RoomId};
use cabildo_storage::Moment;

use super::past::{self, ListThen, PollThen, RoomThen};
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{JournalOptions, Settings};

/// Show a room, a poll or a task list as it was at any moment
///
/// Folded from the journal itself, so no view is needed and a running `cabildo up` is not disturbed.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Show {
    /// A room and its last messages
    Room(ShowRoom),
    /// A poll and its tally
    Poll(ShowPoll),
    /// A task list and its tasks
    List(ShowList),
}

/// How something is shown.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowOptions {
    /// As of when: an event (0-12), a time (2026-11-21T10:00Z), how long ago (-5m), begin or end
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, default_value = "end")]
    at: Moment,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Which room.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowRoom {
    /// Its id
    room: RoomId,
    /// At most so many messages, the last ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    options: ShowOptions,
}

/// Which poll.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowPoll {
    /// Its id
    poll: PollId,
    #[command(flatten)]
    options: ShowOptions,
}

/// Which list.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowList {
    /// Its id
    list: ListId,
    #[command(flatten)]
    options: ShowOptions,
}

/// Shows it, or says since when it is there.
pub(crate) async fn run(settings: &Settings, show: &Show) -> anyhow::Result<Exit> {
    let (Show::Room(ShowRoom { options, .. })
    | Show::Poll(ShowPoll { options, .. })
    | Show::List(ShowList { options, .. })) = show;
    let journal = super::events::open(settings, &options.journal).await?;
    let [at] = past::positions(&*journal, [options.at]).await?;
    match show {
        Show::Room(ShowRoom { room, limit, .. }) => {
            let then = past::room(&*journal, room, at, *limit).await?;
            match options.output {
                Form::Json => output::json(&then)?,
                Form::Pretty => print_room(&then)?,
            }
        }
        Show::Poll(ShowPoll { poll, .. }) => {
            let [then] = past::polls(&*journal, poll, [at]).await?;
            let then = then.ok_or_else(|| past::Missing::poll(poll, at))?;
            match options.output {
                Form::Json => output::json(&then)?,
                Form::Pretty => print_poll(&then)?,
            }
        }
        Show::List(ShowList { list, .. }) => {
            let [then] = past::lists(&*journal, list, [at]).await?;
            let then = then.ok_or_else(|| past::Missing::list(list, at))?;
            match options.output {
                Form::Json => output::json(&then)?,
                Form::Pretty => print_list(&then)?,
            }
        }
    }
    Ok(Exit::Ok)
}

fn print_poll(then: &PollThen) -> anyhow::Result<()> {
    let PollThen { tally, as_of } = then;
    let closed = tally.closed.as_ref().map(|closed| format!(", closed {closed}")).unwrap_or_default();
    output::line(&format!("{} — {}", tally.poll, past::printable(&tally.question)))?;
    output::line(&format!("{} as of {as_of}; opened {}{closed}", tally.status, tally.opened))?;
    output::line(&format!("{} voters, {} spoilt ballots", tally.voters, tally.spoilt))?;
    let mut table = past::table();
    for option in &tally.options {
        table.add_row([past::printable(&option.option), option.votes.to_string()]);
    }
    Ok(output::line(&table.to_string())?)
}

fn print_list(then: &ListThen) -> anyhow::Result<()> {
    let ListThen { list, tasks, as_of } = then;
    output::line(&format!("{} — {}", list.list, past::printable(&list.title)))?;
    let done = tasks.iter().filter(|row| row.task.completed).count();
    output::line(&format!("as of {as_of}; opened {}; {} tasks, {done} done", list.opened, tasks.len()))?;
    for row in tasks {
        output::line(&past::task_told(row))?;
    }
    Ok(())
}

fn print_room(then: &RoomThen) -> anyhow::Result<()> {
    let RoomThen { room, messages, posted, as_of } = then;
    let topic = room.topic.as_ref().map(|topic| format!(": {}", past::printable(topic))).unwrap_or_default();
    output::line(&format!("{} — {}{topic}", room.room, past::printable(&room.name)))?;
    output::line(&format!("as of {as_of}; opened {}; {posted} messages", room.opened))?;
    for message in messages {
        output::line(&past::told(message))?;
    }
    Ok(())
}
