//! Sessions of admins: the page shows the id of its session instead of the password when it
//! connects again.

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    future::Future,
    pin::Pin,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;

/// How long a session lasts: what Node.js's `RedisStore` has.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many sessions [`MemorySessions`] keeps.
const MAX_SESSIONS: usize = 10_000;

/// What a [`SessionStore`] returns: a result that comes later.
pub type SessionFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// Where the sessions of admins are kept. Implement it to share sessions through a store of your
/// own, for example with Node.js's `RedisStore`, which keeps an id under the key
/// `socket.io-admin#` and the id, for 86 400 s.
///
/// An error refuses the admin, and is logged.
pub trait SessionStore: Send + Sync + 'static {
    /// Makes a session for an admin who has given the password, and returns its id, which others
    /// must not be able to guess.
    fn create(&self) -> SessionFuture<'_, String>;

    /// Whether there is such a session. `id` is what a client sent, of any length and content.
    fn exists<'a>(&'a self, id: &'a str) -> SessionFuture<'a, bool>;
}

/// Sessions that are kept nowhere: the id says until when the session lasts, and carries a
/// signature. The key is the bcrypt hash, so a session works on each Rust server with the same
/// credentials, also after a restart. Another password, or the same password hashed again, ends all
/// sessions.
#[derive(Clone)]
pub struct SignedSessions {
    username: String,
    key: Vec<u8>,
    lifetime: Duration,
}

impl SignedSessions {
    /// Sessions for a user, each for 24 hours.
    pub fn new(username: &str, bcrypt_hash: &str) -> Self {
        Self { username: username.to_owned(), key: bcrypt_hash.as_bytes().to_vec(), lifetime: DAY }
    }

    /// How long a session lasts.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The signature of `expires.nonce`, not finished yet.
    fn mac(&self, content: &str) -> Result<Hmac<Sha256>, Box<dyn Error + Send + Sync>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(|error| error.to_string())?;
        for part in ["socketio-pg-admin-ui", &self.username, content] {
            mac.update(part.as_bytes());
            mac.update(b"\0");
        }
        Ok(mac)
    }

    fn sign(&self, expires: u64) -> Result<String, Box<dyn Error + Send + Sync>> {
        let content = format!("{expires:x}.{:032x}", rand::random::<u128>());
        let signature = self.mac(&content)?.finalize().into_bytes();
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{content}.{signature}"))
    }

    fn is_valid(&self, id: &str, now: u64) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let Some((content, signature)) = id.rsplit_once('.') else { return Ok(false) };
        let expires = content.split('.').next().and_then(|text| u64::from_str_radix(text, 16).ok());
        let (Some(expires), Some(signature)) = (expires, from_hex(signature)) else { return Ok(false) };
        // Compares in constant time.
        Ok(self.mac(content)?.verify_slice(&signature).is_ok() && now < expires)
    }
}

impl std::fmt::Debug for SignedSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedSessions").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl SessionStore for SignedSessions {
    fn create(&self) -> SessionFuture<'_, String> {
        Box::pin(async move { self.sign(seconds_since_epoch().saturating_add(self.lifetime.as_secs())) })
    }

    fn exists<'a>(&'a self, id: &'a str) -> SessionFuture<'a, bool> {
        Box::pin(async move { self.is_valid(id, seconds_since_epoch()) })
    }
}

/// Sessions in the memory of this server, as Node.js's `InMemoryStore` has them: other servers do
/// not know them, and a restart ends them. Each lasts 24 hours. When there are 10 000, the oldest
/// ends.
#[derive(Debug, Default)]
pub struct MemorySessions {
    state: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    begun: HashMap<String, Instant>,
    in_order: VecDeque<String>,
}

impl Sessions {
    fn add(&mut self, id: String, now: Instant) {
        while let Some(oldest) = self.in_order.front() {
            let is_over = self.begun.get(oldest).is_none_or(|begun| now.duration_since(*begun) >= DAY);
            if !is_over && self.in_order.len() < MAX_SESSIONS {
                break;
            }
            self.begun.remove(oldest);
            self.in_order.pop_front();
        }
        self.begun.insert(id.clone(), now);
        self.in_order.push_back(id);
    }

    fn has(&self, id: &str, now: Instant) -> bool {
        self.begun.get(id).is_some_and(|begun| now.duration_since(*begun) < DAY)
    }
}

impl SessionStore for MemorySessions {
    fn create(&self) -> SessionFuture<'_, String> {
        let id = format!("{:032x}", rand::random::<u128>());
        self.state.lock().add(id.clone(), Instant::now());
        Box::pin(std::future::ready(Ok(id)))
    }

    fn exists<'a>(&'a self, id: &'a str) -> SessionFuture<'a, bool> {
        let exists = self.state.lock().has(id, Instant::now());
        Box::pin(std::future::ready(Ok(exists)))
    }
}

/// The bytes of a SHA-256 in hexadecimal digits.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_one = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    is_one.then(|| (0..64).step_by(2).map(byte).collect())?
}

pub(crate) fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$10$heqvAkYMez.Va6Et2uXInOnkCT6/uQj1brkrbyG3LpopDklcq7ZOS";

    fn is_valid(sessions: &SignedSessions, id: &str, now: u64) -> bool {
        sessions.is_valid(id, now).expect("a signature can be made")
    }

    #[test]
    fn a_signed_session_works_on_each_server_with_the_credentials_until_it_ends() {
        let id = SignedSessions::new("admin", HASH).sign(1_000).expect("a signature can be made");
        let other_server = SignedSessions::new("admin", HASH);
        assert!(is_valid(&other_server, &id, 999));
        assert!(!is_valid(&other_server, &id, 1_000), "it is over");
        assert!(!is_valid(&SignedSessions::new("admin", "another hash"), &id, 999));
        assert!(!is_valid(&SignedSessions::new("root", HASH), &id, 999));
    }

    #[test]
    fn no_change_of_a_signed_session_is_accepted() {
        let sessions = SignedSessions::new("admin", HASH);
        let id = sessions.sign(0x1000).expect("a signature can be made");
        for at in 0..id.len() {
            for with in ["0", "f", ".", "\0", "ä", ""] {
                let changed = format!("{}{with}{}", &id[..at], &id[at + 1..]);
                // A hexadecimal digit may be written in upper case.
                assert!(changed == id || !is_valid(&sessions, &changed, 1), "{changed}");
            }
        }
        for id in ["", ".", "..", "1000..", &"f".repeat(1_000_000), &format!("{id}{id}"), &id[..id.len() - 2]] {
            assert!(!is_valid(&sessions, id, 1));
        }
    }

    #[test]
    fn sessions_in_memory_end_and_do_not_grow_without_bound() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        for index in 0..MAX_SESSIONS + 10 {
            sessions.add(index.to_string(), start);
        }
        assert_eq!((sessions.begun.len(), sessions.in_order.len()), (MAX_SESSIONS, MAX_SESSIONS));
        assert!(!sessions.has("9", start) && sessions.has("10", start));
        assert!(!sessions.has("10", start + DAY));
        sessions.add("new".to_owned(), start + DAY);
        assert_eq!(sessions.begun.len(), 1, "sessions that are over are forgotten");
    }
}
