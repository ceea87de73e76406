//! People: registered, signed in, let in as guests; and who a token says that somebody is.
//!
//! Who has a name is on the record and guarded by the journal; what must stay secret is in the credential store. A person's
//! event names a credential that was written before it, so of two who race for one name, the loser's is never looked at.

mod brakes;
mod names;
mod password;
mod refresh;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cabildo_events::identity::{self, Person, Role};
use cabildo_events::limits::{ACCESS_TOKEN_S, KEYS_LOOK_S, PEOPLE_SWEEP_MS, REFRESH_TOKEN_S};
use cabildo_events::{Aggregate, Command, CredentialId, Facts, PersonName, UserId};
use cabildo_storage::{
    Caller, Callers, Circumstances, CommandError, Commands, Credentials, Documents, Journal, Live, NoCaller, Receipt,
    Rotated, Session, Views, read_state,
};
use http::{HeaderMap, header};
use serde::Serialize;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use brakes::Tries;
pub(crate) use password::Password;
pub use tokens::Tokens;

use crate::problem::{self, Problem};
use brakes::Brakes;
use names::Names;
use password::Hasher;
use refresh::Refresh;
use tokens::{later, now, out_of_use};

/// What people are kept in.
#[derive(Clone)]
pub struct Sources {
    /// What is secret.
    pub credentials: Arc<dyn Credentials>,
    /// Who has which name.
    pub journal: Arc<dyn Journal>,
    /// The same, to be found fast.
    pub documents: Arc<dyn Documents>,
    /// Where wishes go.
    pub commands: Arc<dyn Commands>,
    /// Events as they come.
    pub live: Live,
    /// Which view of the record is read.
    pub views: Views,
}

/// Registers people, signs them in and out, and tells callers by their tokens.
pub struct People {
    credentials: Arc<dyn Credentials>,
    journal: Arc<dyn Journal>,
    commands: Arc<dyn Commands>,
    tokens: Tokens,
    hasher: Hasher,
    brakes: Brakes,
    names: Names,
}

/// What somebody gets who signs in.
#[derive(Serialize)]
pub(crate) struct Granted {
    user: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<PersonName>,
    role: Role,
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: String,
    refresh_expires_in: u64,
}

impl People {
    /// Opens the door; looks after it until `shutdown`.
    #[must_use]
    pub fn start(sources: Sources, tries: Tries, shutdown: CancellationToken) -> Arc<Self> {
        let Sources { credentials, journal, documents, commands, live, views } = sources;
        let names = Names::new(journal.clone());
        let people = Arc::new(Self {
            tokens: Tokens::new(credentials.clone()),
            hasher: Hasher::new(),
            brakes: Brakes::new(tries),
            names: names.clone(),
            credentials,
            journal,
            commands,
        });
        let (looking_after, stop) = (people.clone(), shutdown.clone());
        tokio::spawn(async move { stop.run_until_cancelled(looking_after.look_after()).await });
        tokio::spawn(async move { shutdown.run_until_cancelled(names.keep(documents, views, live)).await });
        people
    }

    /// Forgets what has ended, and learns of the keys that others made. Never ends.
    async fn look_after(&self) {
        let mut sweep = tokio::time::interval(Duration::from_millis(PEOPLE_SWEEP_MS));
        let mut look = tokio::time::interval(Duration::from_secs(KEYS_LOOK_S));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                _ = sweep.tick() => {
                    self.brakes.sweep();
                    self.credentials.sweep(now(), out_of_use(now())).await
                }
                _ = look.tick() => self.tokens.look_again().await.map(drop),
            };
            if let Err(error) = done {
                tracing::debug!(%error, "the credential store was not looked after, trying again later");
            }
        }
    }

    /// The tokens, and the keys that they are signed with.
    #[must_use]
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Who sends these headers: nobody in particular, or whom the token names.
    pub(crate) async fn of(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
        let Some(value) = values.next() else { return Ok(Caller::default()) };
        let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
        let bearer =
            bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).filter(|_| values.next().is_none());
        let (_, token) = bearer.ok_or(NoCaller::BadToken)?;
        Ok(self.tokens.caller(token.trim()).await?)
    }

    /// Whether a name is somebody's.
    pub(crate) async fn has(&self, name: &PersonName) -> Result<bool, Problem> {
        Ok(self.names.is_taken(name).await?)
    }

    async fn person(&self, name: &PersonName) -> Result<Person, Problem> {
        Ok(read_state(&*self.journal, &Aggregate::person(name)).await?.0.person().clone())
    }

    /// What concerns one person alone is known by no key that others could choose as well: a repeated key would pass for
    /// having been granted, and let somebody in under another's name.
    async fn wish(
        &self,
        name: &PersonName,
        wish: identity::Command,
        at: Circumstances,
    ) -> Result<Receipt, CommandError> {
        let at = Circumstances { idempotency_key: None, ..at };
        self.commands.execute(Command::Identity(name.clone(), wish), Facts::default(), at).await
    }

    /// Takes one try from an address and, if there is one, under a name.
    fn brake(&self, peer: Option<IpAddr>, name: Option<&PersonName>) -> Result<(), Problem> {
        let address = peer.map_or(Ok(()), |peer| self.brakes.from(peer));
        address.and_then(|()| name.map_or(Ok(()), |name| self.brakes.under(name))).map_err(Problem::too_many_tries)
    }

    /// Takes a name for good.
    pub(crate) async fn register(
        &self,
        name: PersonName,
        password: Password,
        peer: Option<IpAddr>,
        at: Circumstances,
    ) -> Result<(Granted, Receipt), Problem> {
        self.brake(peer, Some(&name))?;
        if self.person(&name).await?.holder().is_some() {
            return Err(taken(&name));
        }
        let (user, credential) = (UserId(Uuid::now_v7()), CredentialId(Uuid::now_v7()));
        let hash = self.hasher.hash(password).await?;
        self.credentials.put_password(credential, &hash).await?;
        let receipt = match self.wish(&name, identity::Command::Register(user, credential), at).await {
            Ok(receipt) => receipt,
            Err(error) => return Err(self.forget(credential, error).await),
        };
        Ok((self.begin(user, Some(name), Role::Member).await?, receipt))
    }

    /// What was refused for good leaves no credential behind; what may have happened does.
    async fn forget(&self, credential: CredentialId, error: CommandError) -> Problem {
        if matches!(error, CommandError::Rejected(_) | CommandError::Conflict)
            && let Err(error) = self.credentials.remove_password(credential).await
        {
            tracing::debug!(%error, "a credential that nobody has stays in the store");
        }
        error.into()
    }

    /// Lets a guest in, under a name that nobody had, or without one.
    pub(crate) async fn admit(
        &self,
        name: Option<PersonName>,
        peer: Option<IpAddr>,
        at: Circumstances,
    ) -> Result<Granted, Problem> {
        self.brake(peer, name.as_ref())?;
        let user = UserId(Uuid::now_v7());
        if let Some(name) = &name {
            self.wish(name, identity::Command::Admit(user), at).await?;
        }
        self.begin(user, name, Role::Guest).await
    }

    /// Signs in. Nothing tells a name that nobody has from a wrong password, neither the answer nor the time it takes.
    pub(crate) async fn sign_in(
        &self,
        name: PersonName,
        password: Password,
        peer: Option<IpAddr>,
    ) -> Result<Granted, Problem> {
        self.brake(peer, Some(&name))?;
        let person = self.checked(&name, password).await?.ok_or_else(refused)?;
        let user = person.holder().ok_or_else(refused)?;
        let granted = self.begin(user, person.name().cloned(), person.role()).await?;
        // A password that was changed meanwhile has ended the sessions before this one began.
        if self.person(&name).await?.credential() != person.credential() {
            self.credentials.end_all(user).await?;
            return Err(refused());
        }
        Ok(granted)
    }

    /// Whose name and password these are, if anybody's.
    async fn checked(&self, name: &PersonName, password: Password) -> Result<Option<Person>, Problem> {
        let person = self.person(name).await?;
        let credential = person.credential().unwrap_or_else(|| CredentialId(Uuid::now_v7()));
        let hash = self.credentials.password(credential).await?;
        let matches = self.hasher.matches(password, hash).await?;
        Ok(matches.then_some(person))
    }

    async fn begin(&self, user: UserId, name: Option<PersonName>, role: Role) -> Result<Granted, Problem> {
        let refresh = Refresh::first()?;
        let session = Session {
            id: refresh.session,
            user,
            name,
            family: refresh.family(),
            secret: refresh.secret(),
            expires: later(now(), REFRESH_TOKEN_S),
        };
        self.credentials.begin(&session).await?;
        self.granted(session, role, &refresh).await
    }

    async fn granted(&self, session: Session, role: Role, refresh: &Refresh) -> Result<Granted, Problem> {
        let Session { id, user, name, .. } = session;
        let caller = Caller { user: Some(user), name, role, session: Some(id) };
        Ok(Granted {
            access_token: self.tokens.of_session(&caller).await?,
            user,
            name: caller.name,
            role,
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_S,
            refresh_token: refresh.expose(),
            refresh_expires_in: REFRESH_TOKEN_S,
        })
    }

    /// Puts new tokens in the place of used ones, with the role that the person has now.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Granted, Problem> {
        let over = || Problem::new(&problem::REFRESH_REFUSED, "the session is over: sign in again");
        let shown: Refresh = token.parse().map_err(|_| over())?;
        let next = shown.next().map_err(Problem::from)?;
        let expires = later(now(), REFRESH_TOKEN_S);
        let rotated =
            self.credentials.rotate(shown.session, shown.family(), shown.secret(), next.secret(), now(), expires);
        let session = match rotated.await? {
            Rotated::Done(session) => session,
            Rotated::Unknown => return Err(over()),
            Rotated::Reused => {
                tracing::warn!(session = %shown.session, "a refresh token was used twice: its session has ended");
                let detail =
                    "the token was used before, so somebody else may have it: the session has ended, sign in again";
                return Err(Problem::new(&problem::REFRESH_REUSED, detail));
            }
        };
        let role = match &session.name {
            Some(name) => {
                let person = self.person(name).await?;
                person.role()
            }
            None => Role::Guest,
        };
        self.granted(session, role, &next).await
    }

    /// Ends the caller's session; how many that were.
    pub(crate) async fn sign_out(&self, caller: &Caller) -> Result<u64, Problem> {
        match caller.session {
            Some(session) => Ok(u64::from(self.credentials.end(session).await?)),
            None => Ok(0),
        }
    }

    /// Ends all sessions of the caller; how many that were.
    pub(crate) async fn sign_out_everywhere(&self, caller: &Caller, at: Circumstances) -> Result<u64, Problem> {
        let Some(user) = caller.user else { return Ok(0) };
        let ended = self.credentials.end_all(user).await?;
        if let Some(name) = &caller.name {
            self.wish(name, identity::Command::SignOutEverywhere, at).await?;
        }
        Ok(ended)
    }

    /// Takes another password: all sessions end, and a new one begins.
    pub(crate) async fn change_password(
        &self,
        caller: &Caller,
        current: Password,
        new: Password,
        peer: Option<IpAddr>,
        at: Circumstances,
    ) -> Result<(Granted, Receipt), Problem> {
        let guest = || Problem::new(&problem::GUEST_ONLY, "a guest has no password: register");
        let name = caller.name.as_ref().ok_or_else(guest)?;
        self.brake(peer, Some(name))?;
        let wrong = || Problem::new(&problem::WRONG_PASSWORD, "the current password is another").field("current");
        let person = self.checked(name, current).await?.ok_or_else(wrong)?;
        let (Some(user), Some(from)) = (person.holder(), person.credential()) else { return Err(guest()) };
        let to = CredentialId(Uuid::now_v7());
        let hash = self.hasher.hash(new).await?;
        self.credentials.put_password(to, &hash).await?;
        let receipt = match self.wish(name, identity::Command::ChangePassword { from, to }, at).await {
            Ok(receipt) => receipt,
            Err(error) => return Err(self.forget(to, error).await),
        };
        self.credentials.end_all(user).await?;
        self.credentials.remove_password(from).await?;
        Ok((self.begin(user, person.name().cloned(), person.role()).await?, receipt))
    }
}

fn taken(name: &PersonName) -> Problem {
    Problem::new(&problem::ALREADY_EXISTS, format!("there already is a person `{name}`")).field("name")
}

fn refused() -> Problem {
    Problem::new(&problem::SIGN_IN_REFUSED, "the name or the password is wrong")
}

#[async_trait]
impl Callers for People {
    async fn caller(&self, bearer: &str) -> Result<Caller, NoCaller> {
        self.tokens.caller(bearer).await
    }
}
