//! People: registered, signed in and out, let in as guests.

use std::sync::Arc;

use cabildo_events::{PersonName, identity};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use crate::call::{Call, call};
use crate::people::{Granted, Password};
use crate::problem::Problem;
use crate::{Gateway, answer, body};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    let sessions = warp::path!("api" / "v1" / "sessions");
    let register = warp::path!("api" / "v1" / "users")
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(register(call, input).await) });
    let sign_in = sessions
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(sign_in(call, input).await) });
    let guest = warp::path!("api" / "v1" / "sessions" / "guest")
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(guest(call, input).await) });
    let refresh = warp::path!("api" / "v1" / "sessions" / "refresh")
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(refresh(call, input).await) });
    let current = warp::path!("api" / "v1" / "sessions" / "current")
        .and(warp::delete())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(sign_out(call).await) });
    let everywhere = sessions
        .and(warp::delete())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(sign_out_everywhere(call).await) });
    let entry = register.or(sign_in).unify().or(guest).unify().or(refresh).unify().boxed();
    let exit = current.or(everywhere).unify().boxed();
    entry.or(exit).unify().or(oneself(gateway)).unify().boxed()
}

fn oneself(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    let me = warp::path!("api" / "v1" / "me")
        .and(warp::get())
        .and(call(gateway.clone()))
        .map(|call: Call| answer::finish(me(&call)));
    let password = warp::path!("api" / "v1" / "me" / "password")
        .and(warp::put())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(change_password(call, input).await) });
    let keys = warp::path!(".well-known" / "jwks.json")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(keys(call).await) });
    me.or(password).unify().or(keys).unify().boxed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameAndPassword {
    name: String,
    password: Password,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsGuest {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithRefresh {
    refresh_token: Token,
}

/// A refresh token as it came: like a password, it is not told back.
#[derive(Deserialize)]
#[serde(transparent)]
struct Token(Password);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    current: Password,
    new: Password,
}

fn account_name(name: &str) -> Result<PersonName, Problem> {
    identity::account_name(name).map_err(|error| Problem::bad_value("name", error))
}

/// Tokens are for who asked for them: nothing on the way may keep them.
fn session(granted: &Granted, status: StatusCode) -> Result<Response, Problem> {
    let mut response = answer::json(granted)?;
    *response.status_mut() = status;
    unkept(&mut response);
    Ok(response)
}

fn unkept(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(HeaderName::from_static("pragma"), HeaderValue::from_static("no-cache"));
}

async fn register(call: Call, input: Result<NameAndPassword, Problem>) -> Result<Response, Problem> {
    let NameAndPassword { name, password } = input?;
    let name = account_name(&name)?;
    password.check("password")?;
    let at = call.circumstances(Some(name.as_str()))?;
    let (granted, receipt) = call.gateway.ports.people.register(name, password, call.peer, at).await?;
    let mut response = answer::written(&receipt, granted, Some("/api/v1/me"))?;
    unkept(&mut response);
    Ok(response)
}

async fn sign_in(call: Call, input: Result<NameAndPassword, Problem>) -> Result<Response, Problem> {
    let NameAndPassword { name, password } = input?;
    let name = account_name(&name)?;
    session(&call.gateway.ports.people.sign_in(name, password, call.peer).await?, StatusCode::CREATED)
}

async fn guest(call: Call, input: Result<AsGuest, Problem>) -> Result<Response, Problem> {
    let name = input?.name.as_deref().map(account_name).transpose()?;
    let at = call.circumstances(name.as_ref().map(PersonName::as_str))?;
    session(&call.gateway.ports.people.admit(name, call.peer, at).await?, StatusCode::CREATED)
}

async fn refresh(call: Call, input: Result<WithRefresh, Problem>) -> Result<Response, Problem> {
    let Token(token) = input?.refresh_token;
    session(&call.gateway.ports.people.refresh(token.expose()).await?, StatusCode::OK)
}

#[derive(Serialize)]
struct SignedOut {
    /// Sessions that were ended.
    ended: u64,
}

async fn sign_out(call: Call) -> Result<Response, Problem> {
    answer::json(&SignedOut { ended: call.gateway.ports.people.sign_out(call.caller()).await? })
}

async fn sign_out_everywhere(call: Call) -> Result<Response, Problem> {
    let at = call.circumstances(None)?;
    answer::json(&SignedOut { ended: call.gateway.ports.people.sign_out_everywhere(call.caller(), at).await? })
}

#[derive(Serialize)]
struct Me<'a> {
    user: Option<cabildo_events::UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a PersonName>,
    role: identity::Role,
}

fn me(call: &Call) -> Result<Response, Problem> {
    let caller = call.caller();
    answer::json(&Me { user: caller.user, name: caller.name.as_ref(), role: caller.role })
}

async fn change_password(call: Call, input: Result<ChangePassword, Problem>) -> Result<Response, Problem> {
    let ChangePassword { current, new } = input?;
    new.check("new")?;
    let at = call.circumstances(None)?;
    let people = &call.gateway.ports.people;
    let (granted, receipt) = people.change_password(call.caller(), current, new, call.peer, at).await?;
    let mut response = answer::written(&receipt, granted, None)?;
    unkept(&mut response);
    Ok(response)
}

#[derive(Serialize)]
struct Keys<T> {
    keys: Vec<T>,
}

async fn keys(call: Call) -> Result<Response, Problem> {
    answer::json(&Keys { keys: call.gateway.ports.people.tokens().published().await? })
}
