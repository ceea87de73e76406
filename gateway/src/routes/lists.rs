//! Task lists: opened, listed, read, changed, shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use cabildo_events::limits::LISTS_LOOKED_AT_MAX;
use cabildo_events::task::{
    self, Access, Denied, List, ListChanged, ListOpened, ListShared, Role, Visibility, Wish, may,
};
use cabildo_events::{Command, Facts, ListId, ListTitle, PersonName, Position, Rejection, UserId};
use cabildo_projections::lists;
use cabildo_storage::{Caller, CommandError, Query, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::rooms::{is_taken, made, raw, value};
use crate::call::{Call, call};
use crate::params::{escape, segment};
use crate::problem::{self, Problem};
use crate::{Gateway, answer, body, fresh, lookback, slug};

/// Lists read from the view in one go.
const READ_AT_ONCE: usize = 256;

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    let lists = warp::path!("api" / "v1" / "lists");
    let one = warp::path!("api" / "v1" / "lists" / String);
    let member = warp::path!("api" / "v1" / "lists" / String / "members" / String);
    let open = lists
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(open(call, input).await) });
    let list =
        lists.and(warp::get()).and(call(gateway.clone())).then(|call| async move { answer::finish(list(call).await) });
    let get = one
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|list: String, call| async move { answer::finish(get(&list, call).await) });
    let alter = one
        .and(warp::patch())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|list: String, call, input| async move { answer::finish(alter(&list, call, input).await) });
    let share = member.and(warp::put()).and(call(gateway.clone())).and(body::json(read)).then(
        |list: String, user: String, call, input| async move { answer::finish(share(&list, &user, call, input).await) },
    );
    let unshare = member
        .and(warp::delete())
        .and(call(gateway.clone()))
        .then(|list: String, user: String, call| async move { answer::finish(unshare(&list, &user, call).await) });
    let first = open.or(list).unify().or(get).unify().boxed();
    first.or(alter).unify().or(share).unify().or(unshare).unify().boxed()
}

/// Whether the caller may see a list; for whoever may not, there is none.
pub(super) fn seen(list: &List, id: &ListId, who: &Caller) -> Result<(), Problem> {
    match may(list, who.user, Access::See) {
        Ok(()) => Ok(()),
        Err(Denied::Unseen | Denied::Forbidden) => Err(Problem::not_found("list", id)),
    }
}

/// What came of a wish.
pub(super) enum Outcome {
    Done(Receipt),
    /// What the client knows is not what there is any more.
    Changed(Rejection),
}

/// Has a wish decided, on the client's condition (`If-Match`) if there is one.
pub(super) async fn execute(call: &Call, list: &ListId, wish: Wish) -> Result<Outcome, Problem> {
    match attempt(call, list, wish).await? {
        Ok(receipt) => Ok(Outcome::Done(receipt)),
        Err(CommandError::Rejected(rejection @ Rejection::Changed(_))) => Ok(Outcome::Changed(rejection)),
        Err(error) => Err(error.into()),
    }
}

/// Has a wish decided; what became of it is the caller's to judge.
pub(super) async fn attempt(call: &Call, list: &ListId, wish: Wish) -> Result<Result<Receipt, CommandError>, Problem> {
    let who = call.caller();
    let at = call.circumstances(who.name.as_ref().map(PersonName::as_str))?;
    let matching = if matches!(wish, Wish::Open(_)) { None } else { call.if_match()? };
    let command = Command::Task(list.clone(), task::Command { by: who.user, matching, wish });
    Ok(call.gateway.ports.commands.execute(command, Facts::default(), at).await)
}

/// A list, without its tasks.
#[derive(Serialize)]
pub(super) struct ListShown<'a> {
    list: &'a str,
    title: &'a str,
    visibility: Visibility,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    members: &'a BTreeMap<UserId, Role>,
    version: Position,
}

/// A list as it is shown; `None` if there is none.
pub(super) fn shown<'a>(id: &'a ListId, list: &'a List) -> Option<ListShown<'a>> {
    Some(ListShown {
        list: id.as_str(),
        title: list.title()?.as_str(),
        visibility: list.visibility(),
        members: list.members(),
        version: list.version(),
    })
}

fn there<'a>(id: &'a ListId, list: &'a List) -> Result<ListShown<'a>, Problem> {
    shown(id, list).ok_or_else(|| Problem::not_found("list", id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenList {
    id: Option<String>,
    title: String,
    #[serde(default)]
    visibility: Visibility,
}

async fn open(call: Call, input: Result<OpenList, Problem>) -> Result<Response, Problem> {
    let input = input?;
    let given: Option<ListId> = value("id", input.id)?;
    let title = ListTitle::try_from(input.title).map_err(|error| Problem::bad_value("title", error))?;
    let slug = slug::slug(title.as_str());
    let wish = Wish::Open(ListOpened { title, owner: call.caller().user, visibility: input.visibility });
    let mut list = given.clone().map_or_else(|| made(&slug), Ok)?;
    let mut outcome = attempt(&call, &list, wish.clone()).await?;
    if given.is_none() && is_taken(&outcome) {
        list = made(&slug::another(&slug, call.idempotency_key()?.as_deref()))?;
        outcome = attempt(&call, &list, wish).await?;
    }
    written(&call, &list, &outcome?, true).await
}

/// The list as a write left it.
async fn written(call: &Call, id: &ListId, receipt: &Receipt, opened: bool) -> Result<Response, Problem> {
    let list = call.gateway.lists.now(id).await?;
    let location = opened.then(|| format!("/api/v1/lists/{}", escape(id.as_str())));
    let mut response = answer::written(receipt, there(id, &list)?, location.as_deref())?;
    answer::etag(&mut response, list.version());
    Ok(response)
}

/// What came of a wish for a list.
async fn finish(call: &Call, id: &ListId, wish: Wish) -> Result<Response, Problem> {
    match execute(call, id, wish).await? {
        Outcome::Done(receipt) => written(call, id, &receipt, false).await,
        Outcome::Changed(_) => {
            let list = call.gateway.lists.now(id).await?;
            answer::changed(&there(id, &list)?, list.version())
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlterList {
    title: Option<String>,
    visibility: Option<Visibility>,
}

async fn alter(list: &str, call: Call, input: Result<AlterList, Problem>) -> Result<Response, Problem> {
    let list: ListId = segment("list", list)?;
    let AlterList { title, visibility } = input?;
    let title = value("title", title)?;
    finish(&call, &list, Wish::Alter(ListChanged { title, visibility })).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareList {
    role: Role,
}

async fn share(list: &str, user: &str, call: Call, input: Result<ShareList, Problem>) -> Result<Response, Problem> {
    let (list, user): (ListId, UserId) = (segment("list", list)?, segment("user", user)?);
    finish(&call, &list, Wish::Share(ListShared { user, role: input?.role })).await
}

async fn unshare(list: &str, user: &str, call: Call) -> Result<Response, Problem> {
    let (list, user): (ListId, UserId) = (segment("list", list)?, segment("user", user)?);
    finish(&call, &list, Wish::Unshare(user)).await
}

async fn get(list: &str, call: Call) -> Result<Response, Problem> {
    let id: ListId = segment("list", list)?;
    let mut params = call.params()?;
    let at = lookback::asked(&mut params)?;
    params.finish(&["at"])?;
    let now = call.gateway.lists.now(&id).await?;
    seen(&now, &id, call.caller())?;
    let Some(moment) = at else {
        let mut response = answer::json(&there(&id, &now)?)?;
        answer::mark(&mut response, Some(now.last().seq), true);
        answer::etag(&mut response, now.version());
        return Ok(response);
    };
    let at = lookback::as_of(&call, moment).await?;
    let then = then(&call, &id, &now, at).await?;
    let mut response = answer::json(&there(&id, &then)?)?;
    answer::mark_as_of(&mut response, at);
    Ok(response)
}

/// A list as it was, for whoever may see it as it is.
pub(super) async fn then(call: &Call, id: &ListId, now: &List, at: Position) -> Result<List, Problem> {
    let then = call.gateway.lists.at(id, at).await?;
    match (then.title(), now.title()) {
        (Some(_), _) => Ok(then),
        (None, Some(_)) => Err(lookback::not_yet("list", id, at, now.opened())),
        (None, None) => Err(Problem::not_found("list", id)),
    }
}

#[derive(Serialize)]
struct Lists {
    lists: Vec<Box<RawValue>>,
}

/// The lists that the caller is a member of, and those that are nobody's in particular. An open list that is somebody's is
/// found by whoever has its address, and not here.
async fn list(call: Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let limit = params.limit()?;
    let mut after: Option<Position> = params.value("after")?;
    params.finish(&["after", "limit"])?;
    let who = call.caller().user;
    let ports = &call.gateway.ports;
    let view = ports.views.live(lists::ID);
    let fresh = match call.min_position()? {
        Some(min) => fresh::every_lane(&*ports.documents, view, &*ports.journal, min).await?,
        None => true,
    };
    let (mut bodies, mut looked_at, mut more) = (Vec::new(), 0, true);
    while more && bodies.len() < limit && looked_at < LISTS_LOOKED_AT_MAX {
        let query = Query { after, ..Query::of(view, lists::LISTS, READ_AT_ONCE) };
        let found = ports.documents.find(&query).await?.documents;
        more = found.len() == READ_AT_ONCE;
        for document in found {
            if bodies.len() == limit {
                more = true;
                break;
            }
            (after, looked_at) = (Some(document.created), looked_at + 1);
            if is_listed(&document.body, who)? {
                bodies.push(raw(&document.body)?);
            }
        }
    }
    let next = after.filter(|_| more).map(|after| format!("/api/v1/lists?after={after}&limit={limit}"));
    let mut response = answer::json(&Lists { lists: bodies })?;
    answer::link(&mut response, &next.map(|next| ("next", next)).into_iter().collect::<Vec<_>>());
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

fn is_listed(body: &str, who: Option<UserId>) -> Result<bool, Problem> {
    let list: lists::List = serde_json::from_str(body).map_err(|error| {
        tracing::error!(%error, "a view holds a list that cannot be read");
        Problem::new(&problem::INTERNAL, "a list cannot be read")
    })?;
    let is_member = who.is_some_and(|who| list.members.contains_key(&who));
    Ok(is_member || list.members.values().all(|role| *role != Role::Owner))
}
