//! Who may be an admin: a session or a password, which is checked away from the threads that serve
//! clients.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::{sync::Semaphore, time::Instant};

use crate::{error::Refused, sessions::SessionStore};

/// How many passwords are checked at the same time: bcrypt takes a core for each.
const MAX_CHECKS: usize = 2;

/// How many clients may wait for that, those whose password is being checked included.
const MAX_WAITING: usize = 32;

/// How often refused logins are told in the log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);

/// How many characters of a wrong name are shown.
const MAX_SHOWN: usize = 40;

/// What a client gives as `auth`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Credentials {
    session_id: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// The session that an admin got for the password.
#[derive(Clone)]
pub(crate) struct NewSession(pub(crate) String);

/// Lets in the clients with a session, or with name and password.
pub(crate) struct Gate {
    username: String,
    hash: Arc<str>,
    sessions: Arc<dyn SessionStore>,
    places: Arc<Semaphore>,
    checks: Arc<Semaphore>,
    refused: Mutex<RefusedLogins>,
}

/// Logins that were refused.
#[derive(Default)]
struct RefusedLogins {
    /// Since the last line in the log.
    count: u64,
    told: Option<Instant>,
}

impl Gate {
    pub(crate) fn new(username: String, hash: &str, sessions: Arc<dyn SessionStore>) -> Self {
        let (places, checks) = (Arc::new(Semaphore::new(MAX_WAITING)), Arc::new(Semaphore::new(MAX_CHECKS)));
        Self { username, hash: hash.into(), sessions, places, checks, refused: Mutex::default() }
    }

    /// Returns a new session for a client that gave the password, none for one with a session.
    pub(crate) async fn admit(&self, credentials: Credentials) -> Result<Option<NewSession>, Refused> {
        if let Some(id) = credentials.session_id.filter(|id| !id.is_empty())
            && self.sessions.exists(&id).await.map_err(|error| unavailable(&*error))?
        {
            return Ok(None);
        }
        let (Some(username), Some(password)) = (credentials.username, credentials.password) else {
            return Err(Refused::InvalidCredentials);
        };
        // The password is checked also when the name is wrong: otherwise the time of the answer
        // would tell which names exist.
        let is_right = self.check(password).await?;
        if !is_right || username != self.username {
            self.note_refused(&username);
            return Err(Refused::InvalidCredentials);
        }
        let id = self.sessions.create().await.map_err(|error| unavailable(&*error))?;
        Ok(Some(NewSession(id)))
    }

    /// Writes a line into the log, at most one each second: whoever guesses must not fill it.
    fn note_refused(&self, username: &str) {
        let mut refused = self.refused.lock();
        refused.count += 1;
        if refused.told.is_none_or(|told| told.elapsed() >= BETWEEN_WARNINGS) {
            let attempts = std::mem::take(&mut refused.count);
            refused.told = Some(Instant::now());
            let username: String = username.chars().take(MAX_SHOWN).collect();
            tracing::warn!(?username, attempts, "an admin was refused: the name or the password is wrong");
        }
    }

    async fn check(&self, password: String) -> Result<bool, Refused> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
        let check = self.checks.clone().acquire_owned().await.map_err(|_| Refused::Busy)?;
        let hash = self.hash.clone();
        let checking = tokio::task::spawn_blocking(move || {
            let is_right = bcrypt::verify(password, &hash);
            // Held to the end of the work, also when the client has gone.
            drop((place, check));
            is_right.unwrap_or(false)
        });
        checking.await.map_err(|_| Refused::Busy)
    }
}

fn unavailable(error: &(dyn std::error::Error + Send + Sync)) -> Refused {
    tracing::error!(%error, "an admin was refused: the store of the sessions failed");
    Refused::Sessions
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::sessions::{MemorySessions, SessionFuture};

    fn gate(sessions: impl SessionStore) -> Gate {
        let hash = bcrypt::hash("right", 4).expect("it can be hashed");
        Gate::new("admin".to_owned(), &hash, Arc::new(sessions))
    }

    fn password(username: &str, password: &str) -> Credentials {
        Credentials { username: Some(username.to_owned()), password: Some(password.to_owned()), session_id: None }
    }

    fn session(id: &str) -> Credentials {
        Credentials { session_id: Some(id.to_owned()), ..Credentials::default() }
    }

    #[tokio::test]
    async fn name_and_password_give_a_session_that_lets_in() {
        let gate = gate(MemorySessions::default());
        let Ok(Some(NewSession(id))) = gate.admit(password("admin", "right")).await else { panic!("refused") };
        assert!(matches!(gate.admit(session(&id)).await, Ok(None)));
        for wrong in [
            password("admin", "wrong"),
            password("root", "right"),
            password("", ""),
            password("admin", "right\0"),
            password("admin", &"x".repeat(1_000_000)),
            session("another"),
            session(""),
            Credentials::default(),
        ] {
            assert!(matches!(gate.admit(wrong).await, Err(Refused::InvalidCredentials)));
            assert!(gate.refused.lock().told.is_some(), "it is in the log");
        }
    }

    #[tokio::test]
    async fn many_attempts_at_once_are_refused_and_sessions_still_let_in() {
        let gate = gate(MemorySessions::default());
        let id = gate.sessions.create().await.expect("memory does not fail");
        // All checks are taken, as by slow hashes.
        let _checks = gate.checks.clone().acquire_many_owned(MAX_CHECKS as u32).await.expect("it is open");
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(gate.admit(password("admin", "guess")))).collect();
        for attempt in &mut waiting {
            assert!(futures_util::poll!(attempt).is_pending());
        }
        assert!(matches!(gate.admit(password("admin", "right")).await, Err(Refused::Busy)));
        assert!(matches!(gate.admit(session(&id)).await, Ok(None)));
        // Clients that give up leave their places.
        waiting.clear();
        assert_eq!(gate.places.available_permits(), MAX_WAITING);
    }

    #[tokio::test]
    async fn each_of_many_admins_who_log_in_together_gets_in() {
        let gate = gate(MemorySessions::default());
        let all = join_all((0..MAX_WAITING).map(|_| gate.admit(password("admin", "right")))).await;
        assert!(all.iter().all(|admitted| matches!(admitted, Ok(Some(_)))));
    }

    #[tokio::test]
    async fn a_store_that_fails_refuses() {
        struct Broken;
        impl SessionStore for Broken {
            fn create(&self) -> SessionFuture<'_, String> {
                Box::pin(async { Err("down".into()) })
            }
            fn exists<'a>(&'a self, _: &'a str) -> SessionFuture<'a, bool> {
                Box::pin(async { Err("down".into()) })
            }
        }
        let gate = gate(Broken);
        assert!(matches!(gate.admit(password("admin", "right")).await, Err(Refused::Sessions)));
        assert!(matches!(gate.admit(session("x")).await, Err(Refused::Sessions)));
    }
}
