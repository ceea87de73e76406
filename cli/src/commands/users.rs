//! `cabildo users …`: who there is, what they may do, and tokens for tools on this machine.

use std::time::Duration;

use anyhow::Context;
use cabildo_events::identity::{self, Person, Role};
use cabildo_events::limits::{ACCESS_TOKEN_S, PAGE_ROWS_MAX, TOOL_TOKEN_S};
use cabildo_events::{Aggregate, Command, PersonName, Timestamp, UserId};
use cabildo_gateway::Tokens;
use cabildo_projections::{ProjectionId, record};
use cabildo_storage::{Caller, KindPattern, Query, Views, decide_alone, read_state};
use comfy_table::{Table, presets};
use serde::Serialize;

use super::mend::operator;
use crate::connect::{credentials_shared, open_read_only, promptly};
use crate::exit::{Exit, Usage};
use crate::output::{self, Form};
use crate::settings::{JournalOptions, PlaceOptions, Settings};

/// People: who there is, and what they may do
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Users {
    /// Give somebody a role, up or down. The first operator is made so
    ///
    /// It goes on the record. Whoever is signed in has it from their next refresh on, within ten minutes.
    Promote(Promote),
    /// List everybody who has a name
    List(List),
    /// Print an access token, for curl and for tools on this machine
    ///
    /// Whoever may read the credential store may be anybody: it takes no password. For example:
    /// curl -H "Authorization: Bearer $(cabildo users token --operator)" http://127.0.0.1:8080/api/v1/events
    Token(Token),
}

/// `cabildo users promote`.
#[derive(clap::Args, Debug)]
pub(crate) struct Promote {
    /// Who
    name: PersonName,
    /// What they may do from now on: member, moderator or operator
    #[arg(long, value_name = "ROLE")]
    role: Role,
    #[command(flatten)]
    journal: JournalOptions,
}

/// `cabildo users list`.
#[derive(clap::Args, Debug)]
pub(crate) struct List {
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    places: PlaceOptions,
}

/// `cabildo users token`.
#[derive(clap::Args, Debug)]
pub(crate) struct Token {
    /// As whom
    #[arg(required_unless_present = "operator", conflicts_with = "operator")]
    name: Option<PersonName>,
    /// As an operator without a name
    #[arg(long)]
    operator: bool,
    /// How long it is good, in minutes: at most 720
    #[arg(long, value_name = "N", default_value_t = ACCESS_TOKEN_S / 60, value_parser = clap::value_parser!(u64).range(1..=TOOL_TOKEN_S / 60))]
    minutes: u64,
    #[command(flatten)]
    places: PlaceOptions,
}

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, users: &Users) -> anyhow::Result<Exit> {
    match users {
        Users::Promote(promote) => self::promote(settings, promote).await,
        Users::List(list) => self::list(settings, list).await,
        Users::Token(token) => self::token(settings, token).await,
    }
}

async fn promote(settings: &Settings, Promote { name, role, journal }: &Promote) -> anyhow::Result<Exit> {
    if *role == Role::Guest {
        return Err(Usage("nobody who registered is a guest: use member, moderator or operator".to_owned()).into());
    }
    let address = settings.journal(journal)?;
    let journal = promptly(&address, cabildo_storage::open_journal_shared(address.expose())).await?;
    let command = Command::Identity(name.clone(), identity::Command::Grant(*role));
    match decide_alone(&*journal, &command, Some(operator()?)).await? {
        Some((position, _)) => output::line(&format!("{name} is {role} from now on; on record at {position}"))?,
        None => output::line(&format!("{name} is {role} already"))?,
    }
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct Listed {
    name: PersonName,
    role: Role,
    user: UserId,
    /// When they took the name.
    since: Timestamp,
}

async fn list(settings: &Settings, List { output, places }: &List) -> anyhow::Result<Exit> {
    let places = settings.places(places)?;
    let opened = open_read_only(&places).await?;
    let version = Views::read(&*opened.journal).await?.of(record::ID.name).live();
    let view = ProjectionId { version, ..record::ID };
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let kinds = ["identity.user.registered", "identity.guest.admitted"];
        let kinds = kinds.map(|kind| KindPattern::Exactly(kind.to_owned())).to_vec();
        let query = Query { kinds, after, ..Query::of(view, record::EVENTS, PAGE_ROWS_MAX) };
        let found = opened.documents.find(&query).await?;
        let Some(last) = found.documents.last() else { break };
        after = Some(last.created);
        for document in &found.documents {
            let aggregate: Aggregate = document.aggregate.parse().context("an aggregate in the record")?;
            let (state, _) = read_state(&*opened.journal, &aggregate).await?;
            listed.extend(shown(state.person(), document.time));
        }
    }
    if *output == Form::Json {
        output::json(&listed)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["name", "role", "since", "user"]);
    for Listed { name, role, user, since } in listed {
        table.add_row([name.to_string(), role.to_string(), since.to_string(), user.to_string()]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Ok)
}

fn shown(person: &Person, since: Timestamp) -> Option<Listed> {
    Some(Listed { name: person.name()?.clone(), role: person.role(), user: person.holder()?, since })
}

async fn token(settings: &Settings, token: &Token) -> anyhow::Result<Exit> {
    let places = settings.places(&token.places)?;
    let caller = match &token.name {
        None => Caller { role: Role::Operator, ..Caller::default() },
        Some(name) => {
            let journal = cabildo_storage::open_journal_read_only(places.journal.expose());
            let journal = promptly(&places.journal, journal).await?;
            let (state, _) = read_state(&*journal, &Aggregate::person(name)).await?;
            let person = state.person();
            let user = person.holder().with_context(|| format!("there is no person `{name}`"))?;
            Caller { user: Some(user), name: person.name().cloned(), role: person.role(), session: None }
        }
    };
    let tokens = Tokens::new(credentials_shared(&places).await?);
    let life = Duration::from_secs(token.minutes * 60);
    output::line(&tokens.for_tool(&caller, life).await.context("the token cannot be made")?)?;
    Ok(Exit::Ok)
}
