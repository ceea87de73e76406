//! What every store of credentials keeps: one function per rule, named after it.
//! [`credentials_conformance!`](crate::credentials_conformance) makes a test of each for an adapter.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use cabildo_events::{CredentialId, SessionId, Timestamp, UserId};
use futures::future::join_all;
use uuid::Uuid;

use crate::{Credentials, PasswordHash, Rotated, Session, SigningKey, TokenHash};

/// Makes a test of every rule: `credentials_conformance!(Embedded::new())`.
#[macro_export]
macro_rules! credentials_conformance {
    ($fixture:expr) => {
        $crate::credentials_conformance! { @cases $fixture;
            a_password_is_kept_until_it_is_removed
            a_password_is_never_written_over
            a_session_is_refreshed_by_its_present_token
            a_used_token_ends_the_session
            a_token_of_another_family_ends_nothing
            of_many_with_one_token_one_is_refreshed_and_the_session_ends
            a_session_that_has_ended_is_not_refreshed
            a_session_is_ended_alone_and_with_all_of_its_person
            what_has_ended_is_swept_and_the_rest_stays
            keys_are_told_oldest_first
            what_was_answered_is_there_for_all_who_open_it
            nothing_secret_is_shown
        }
    };
    (@cases $fixture:expr; $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::conformance::credentials::$case(&$fixture).await;
        })*
    };
}

/// A store of credentials, empty.
#[async_trait]
pub trait CredentialsFixture: Send + Sync {
    /// Opens it; the second time beside the first.
    async fn open(&self) -> Arc<dyn Credentials>;
}

const NOW: Timestamp = Timestamp::from_micros(1_795_255_200_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(NOW.micros() + seconds * 1_000_000)
}

fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

fn session(user: UserId) -> Session {
    let id = SessionId(Uuid::now_v7());
    let name = Some("Ana".parse().unwrap());
    // Far ahead of any server's own clock.
    Session { id, user, name, family: hash(1), secret: hash(2), expires: at(1_000_000_000) }
}

fn user() -> UserId {
    UserId(Uuid::now_v7())
}

async fn begun(store: &dyn Credentials) -> Session {
    let session = session(user());
    store.begin(&session).await.unwrap();
    session
}

async fn rotate(store: &dyn Credentials, session: &Session, shown: u8, next: u8) -> Rotated {
    let Session { id, family, expires, .. } = session;
    store.rotate(*id, *family, hash(shown), hash(next), NOW, *expires).await.unwrap()
}

/// A hash is read as it was put, and no more once it is removed, which may be said twice.
pub async fn a_password_is_kept_until_it_is_removed(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let (id, kept) = (CredentialId(Uuid::now_v7()), PasswordHash::new("$argon2id$ñ".to_owned()));
    assert_eq!(store.password(id).await.unwrap(), None);
    store.put_password(id, &kept).await.unwrap();
    assert_eq!(store.password(id).await.unwrap(), Some(kept));
    store.remove_password(id).await.unwrap();
    store.remove_password(id).await.unwrap();
    assert_eq!(store.password(id).await.unwrap(), None);
}

/// An id is of one password for ever.
pub async fn a_password_is_never_written_over(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let (id, first) = (CredentialId(Uuid::now_v7()), PasswordHash::new("first".to_owned()));
    store.put_password(id, &first).await.unwrap();
    assert!(store.put_password(id, &PasswordHash::new("second".to_owned())).await.is_err());
    assert_eq!(store.password(id).await.unwrap(), Some(first));
}

/// Each use puts the next token in place, and moves the end.
pub async fn a_session_is_refreshed_by_its_present_token(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let session = begun(&*store).await;
    let later = at(2_000_000_000);
    let rotated = store.rotate(session.id, hash(1), hash(2), hash(3), NOW, later).await.unwrap();
    assert_eq!(rotated, Rotated::Done(Session { secret: hash(3), expires: later, ..session.clone() }));
    assert!(matches!(rotate(&*store, &session, 3, 4).await, Rotated::Done(_)));
}

/// The thief and the robbed have the same token: whoever comes second ends the session for both.
pub async fn a_used_token_ends_the_session(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let session = begun(&*store).await;
    assert!(matches!(rotate(&*store, &session, 2, 3).await, Rotated::Done(_)));
    assert_eq!(rotate(&*store, &session, 2, 4).await, Rotated::Reused);
    assert_eq!(rotate(&*store, &session, 3, 5).await, Rotated::Unknown);
}

/// Who knows a session's id alone cannot end it.
pub async fn a_token_of_another_family_ends_nothing(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let session = begun(&*store).await;
    let guessed = Session { family: hash(9), ..session.clone() };
    assert_eq!(rotate(&*store, &guessed, 2, 3).await, Rotated::Unknown);
    assert!(matches!(rotate(&*store, &session, 2, 3).await, Rotated::Done(_)));
}

/// However many come at once with one token.
pub async fn of_many_with_one_token_one_is_refreshed_and_the_session_ends(fixture: &dyn CredentialsFixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let session = begun(&*one).await;
    let tries = (10_u8..26).map(|next| {
        let store = if next % 2 == 0 { &*one } else { &*other };
        rotate(store, &session, 2, next)
    });
    let outcomes = join_all(tries).await;
    let count = |wanted: fn(&Rotated) -> bool| outcomes.iter().filter(|outcome| wanted(outcome)).count();
    assert_eq!((count(|it| matches!(it, Rotated::Done(_))), count(|it| *it == Rotated::Reused)), (1, 1));
    assert_eq!(rotate(&*one, &session, 3, 4).await, Rotated::Unknown);
}

/// Also with its present token.
pub async fn a_session_that_has_ended_is_not_refreshed(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let session = begun(&*store).await;
    let late = store.rotate(session.id, hash(1), hash(2), hash(3), session.expires, at(3_000_000_000)).await;
    assert_eq!(late.unwrap(), Rotated::Unknown);
}

/// One, or all of a person, and nobody else's.
pub async fn a_session_is_ended_alone_and_with_all_of_its_person(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let (ana, ben) = (user(), user());
    let sessions = [session(ana), session(ana), session(ana), session(ben)];
    for session in &sessions {
        store.begin(session).await.unwrap();
    }
    assert!(store.end(sessions[0].id).await.unwrap());
    assert!(!store.end(sessions[0].id).await.unwrap());
    assert_eq!(store.end_all(ana).await.unwrap(), 2);
    assert_eq!(rotate(&*store, &sessions[2], 2, 3).await, Rotated::Unknown);
    assert!(matches!(rotate(&*store, &sessions[3], 2, 3).await, Rotated::Done(_)));
}

/// Sessions by their end, keys by their retirement.
pub async fn what_has_ended_is_swept_and_the_rest_stays(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let (over, lasting) = (session(user()), session(user()));
    let over = Session { expires: at(900_000_000), ..over };
    store.begin(&over).await.unwrap();
    store.begin(&lasting).await.unwrap();
    let key =
        |kid: &str, retires| SigningKey { kid: kid.to_owned(), seed: [7; 32], created: NOW, retires: at(retires) };
    store.add_key(&key("old", 10)).await.unwrap();
    store.add_key(&key("new", 20)).await.unwrap();
    store.sweep(at(900_000_000), at(10)).await.unwrap();
    assert!(!store.end(over.id).await.unwrap());
    assert!(store.end(lasting.id).await.unwrap());
    assert_eq!(store.keys().await.unwrap(), [key("new", 20)]);
}

/// The last is the one that signs.
pub async fn keys_are_told_oldest_first(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let key = |kid: &str, created| SigningKey {
        kid: kid.to_owned(),
        seed: [u8::MAX; 32],
        created: at(created),
        retires: at(created + 100),
    };
    assert_eq!(store.keys().await.unwrap(), []);
    for key in [key("b", 2), key("a", 3), key("c", 1)] {
        store.add_key(&key).await.unwrap();
    }
    assert_eq!(store.keys().await.unwrap(), [key("c", 1), key("b", 2), key("a", 3)]);
}

/// Gateways share it.
pub async fn what_was_answered_is_there_for_all_who_open_it(fixture: &dyn CredentialsFixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let session = begun(&*one).await;
    assert!(matches!(rotate(&*other, &session, 2, 3).await, Rotated::Done(_)));
    let (id, hash) = (CredentialId(Uuid::now_v7()), PasswordHash::new("x".to_owned()));
    other.put_password(id, &hash).await.unwrap();
    assert_eq!(one.password(id).await.unwrap(), Some(hash));
}

/// Neither in what is printed of a value, nor in an error.
pub async fn nothing_secret_is_shown(fixture: &dyn CredentialsFixture) {
    let store = fixture.open().await;
    let (id, secret) = (CredentialId(Uuid::now_v7()), PasswordHash::new("argon-secret".to_owned()));
    store.put_password(id, &secret).await.unwrap();
    let error = store.put_password(id, &secret).await.unwrap_err();
    let key = SigningKey { kid: "k".to_owned(), seed: [211; 32], created: NOW, retires: NOW };
    store.add_key(&key).await.unwrap();
    let again = store.add_key(&key).await.unwrap_err();
    let session = Session { family: hash(211), secret: hash(211), ..session(user()) };
    store.begin(&session).await.unwrap();
    let third = store.begin(&session).await.unwrap_err();
    let shown = format!("{secret:?} {key:?} {session:?} {error} {error:?} {again} {again:?} {third} {third:?}");
    assert!(!shown.contains("argon-secret") && !shown.contains("211"), "{shown}");
}
