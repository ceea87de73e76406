//! Access tokens: JWTs signed with Ed25519, by keys that all gateways share and that change every day.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cabildo_events::identity::Role;
use cabildo_events::limits::{
    ACCESS_TOKEN_S, KEY_SIGNS_S, KEYS_LOOK_AGAIN_MS, TOKEN_BYTES_MAX, TOKEN_LEEWAY_S, TOOL_TOKEN_S,
};
use cabildo_events::{PersonName, SessionId, Timestamp, UserId};
use cabildo_storage::{Caller, Credentials, CredentialsError, NoCaller, SigningKey};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

/// Who makes the tokens, and for whom: a token of another maker or for another is none.
const ISSUER: &str = "cabildo";
const AUDIENCE: &str = "cabildo";
/// What stands before the private half in its PKCS #8 form (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    iat: u64,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<PersonName>,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
}

/// A key as it is used.
pub(super) struct Key {
    kid: String,
    created: Timestamp,
    retires: Timestamp,
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// The public half, as it is published.
    x: String,
}

impl Key {
    fn of(key: &SigningKey) -> Option<Self> {
        let public = ed25519_dalek::SigningKey::from_bytes(&key.seed).verifying_key();
        let x = BASE64URL_NOPAD.encode(public.as_bytes());
        let pkcs8 = [&PKCS8_HEAD[..], &key.seed].concat();
        Some(Self {
            kid: key.kid.clone(),
            created: key.created,
            retires: key.retires,
            encoding: EncodingKey::from_ed_der(&pkcs8),
            decoding: DecodingKey::from_ed_components(&x).ok()?,
            x,
        })
    }

    /// Whether tokens that it signed may still be good.
    fn is_published(&self, now: Timestamp) -> bool {
        later(self.retires, LONGEST_S) > now
    }
}

/// For so long after a key retired, a token of it may be shown.
const LONGEST_S: u64 = TOOL_TOKEN_S + TOKEN_LEEWAY_S;

/// A key as others read it (RFC 8037).
#[derive(Debug, Serialize)]
pub(crate) struct PublicKey {
    kty: &'static str,
    crv: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: String,
    x: String,
}

/// Signs and checks tokens.
pub struct Tokens {
    credentials: Arc<dyn Credentials>,
    keys: RwLock<Arc<Vec<Key>>>,
    /// When the store was last looked at; held while it is.
    looked: Mutex<Option<Instant>>,
    validation: Validation,
}

impl Tokens {
    /// Over the keys of a store; it is looked at when the first one is needed.
    #[must_use]
    pub fn new(credentials: Arc<dyn Credentials>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.algorithms = vec![Algorithm::EdDSA];
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = TOKEN_LEEWAY_S;
        validation.validate_nbf = true;
        Self { credentials, keys: RwLock::default(), looked: Mutex::new(None), validation }
    }

    /// A token of a session, good for [`ACCESS_TOKEN_S`].
    ///
    /// # Errors
    /// When the store of the keys does not answer.
    pub async fn of_session(&self, caller: &Caller) -> Result<String, CredentialsError> {
        self.sign(caller, ACCESS_TOKEN_S).await
    }

    /// A token for a tool on the same machine, good for as long as is asked for, at most [`TOOL_TOKEN_S`].
    ///
    /// # Errors
    /// When the store of the keys does not answer.
    pub async fn for_tool(&self, caller: &Caller, life: Duration) -> Result<String, CredentialsError> {
        self.sign(caller, life.as_secs().min(TOOL_TOKEN_S)).await
    }

    async fn sign(&self, caller: &Caller, life_s: u64) -> Result<String, CredentialsError> {
        let now = now();
        let keys = self.signing(now).await?;
        let key = keys.iter().rfind(|key| key.retires > now).ok_or_else(|| broken("no key was made"))?;
        let iat = seconds(now);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.user.unwrap_or_else(|| UserId(Uuid::now_v7())),
            iat,
            exp: iat + life_s,
            name: caller.name.clone(),
            role: caller.role,
            sid: caller.session,
        };
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &key.encoding).map_err(|_| broken("a token could not be signed"))
    }

    /// The keys, one of which signs; a new one is made when there is none.
    async fn signing(&self, now: Timestamp) -> Result<Arc<Vec<Key>>, CredentialsError> {
        let signs = |keys: &[Key]| keys.iter().any(|key| key.retires > now);
        let keys = self.at_hand();
        if signs(&keys) {
            return Ok(keys);
        }
        let mut looked = self.looked.lock().await;
        let keys = self.read(&mut looked).await?;
        if signs(&keys) {
            return Ok(keys);
        }
        // Another gateway may make one at the same moment: then there are two, and both are good.
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| broken("the machine gives no random numbers"))?;
        let kid = Uuid::now_v7().simple().to_string();
        self.credentials.add_key(&SigningKey { kid, seed, created: now, retires: later(now, KEY_SIGNS_S) }).await?;
        self.read(&mut looked).await
    }

    fn at_hand(&self) -> Arc<Vec<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read(&self, looked: &mut Option<Instant>) -> Result<Arc<Vec<Key>>, CredentialsError> {
        *looked = Some(Instant::now());
        let mut keys: Vec<Key> = self.credentials.keys().await?.iter().filter_map(Key::of).collect();
        keys.sort_by_key(|key| key.created);
        let keys = Arc::new(keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        Ok(keys)
    }

    /// Looks for keys that others made, unless that was done a moment ago.
    pub(super) async fn look_again(&self) -> Result<Arc<Vec<Key>>, CredentialsError> {
        let mut looked = self.looked.lock().await;
        match *looked {
            Some(last) if last.elapsed() < Duration::from_millis(KEYS_LOOK_AGAIN_MS) => Ok(self.at_hand()),
            _ => self.read(&mut looked).await,
        }
    }

    /// Looks for a key that somebody else may just have made: after the question was asked, however many ask, and at most once
    /// in [`KEYS_LOOK_AGAIN_MS`].
    async fn look_now(&self) -> Result<Arc<Vec<Key>>, CredentialsError> {
        let asked = Instant::now();
        let mut looked = self.looked.lock().await;
        if let Some(last) = *looked {
            if last >= asked {
                return Ok(self.at_hand());
            }
            tokio::time::sleep(Duration::from_millis(KEYS_LOOK_AGAIN_MS).saturating_sub(last.elapsed())).await;
        }
        self.read(&mut looked).await
    }

    /// The public halves of all keys whose tokens may be good.
    pub(crate) async fn published(&self) -> Result<Vec<PublicKey>, CredentialsError> {
        let now = now();
        self.signing(now).await?;
        let keys = self.look_again().await?;
        let published = keys.iter().filter(|key| key.is_published(now)).map(|key| PublicKey {
            kty: "OKP",
            crv: "Ed25519",
            r#use: "sig",
            alg: "EdDSA",
            kid: key.kid.clone(),
            x: key.x.clone(),
        });
        Ok(published.collect())
    }

    /// Who shows a token.
    ///
    /// # Errors
    /// See [`NoCaller`].
    pub async fn caller(&self, bearer: &str) -> Result<Caller, NoCaller> {
        if bearer.len() > TOKEN_BYTES_MAX {
            return Err(NoCaller::BadToken);
        }
        let header = decode_header(bearer).map_err(|_| NoCaller::BadToken)?;
        let kid = header.kid.filter(|_| header.alg == Algorithm::EdDSA).ok_or(NoCaller::BadToken)?;
        let find = |keys: &[Key]| {
            keys.iter().find(|key| key.kid == kid && key.is_published(now())).map(|key| key.decoding.clone())
        };
        let key = match find(&self.at_hand()) {
            Some(key) => Some(key),
            None => find(&self.look_now().await.map_err(|_| NoCaller::Unavailable)?),
        };
        let key = key.ok_or(NoCaller::BadToken)?;
        let Claims { sub, name, role, sid, .. } =
            decode::<Claims>(bearer, &key, &self.validation).map_err(|_| NoCaller::BadToken)?.claims;
        Ok(Caller { user: Some(sub), name, role, session: sid })
    }
}

/// When the keys that retired are of no more use.
pub(super) fn out_of_use(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros() - micros(LONGEST_S))
}

fn broken(reason: &str) -> CredentialsError {
    CredentialsError::Unavailable(reason.to_owned())
}

pub(super) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

pub(super) fn later(at: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::from_micros(at.micros() + micros(seconds))
}

fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000) * 1_000_000
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.micros() / 1_000_000).unwrap_or(0)
}
