//! What can be set: Node.js's options, and how often changes are looked for.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    error::AdminError,
    sessions::{SessionStore, SignedSessions},
};

/// How much a server tells the admins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Numbers, every socket, and each change: `development` of Node.js.
    #[default]
    Development,
    /// Numbers only, every 2 s: `production` of Node.js. Nothing looks for changes, and an admin
    /// who connects gets no list of sockets.
    Production,
}

/// The options of [`instrument`](crate::instrument), with Node.js's names and defaults. One of
/// [`basic_auth`](Self::basic_auth) and [`no_auth`](Self::no_auth) must be called.
///
/// ```
/// use socketio_pg_admin_ui::{AdminOptions, Mode};
///
/// // The hash of a password: `htpasswd -nB -C 12 admin` prints it after the colon.
/// let hash = "$2b$10$heqvAkYMez.Va6Et2uXInOnkCT6/uQj1brkrbyG3LpopDklcq7ZOS";
/// let options = AdminOptions::default().basic_auth("admin", hash).mode(Mode::Production);
/// ```
#[derive(Clone)]
#[must_use]
#[non_exhaustive]
pub struct AdminOptions {
    pub(crate) namespace: String,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) read_only: bool,
    pub(crate) server_id: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) sessions: Option<Arc<dyn SessionStore>>,
    pub(crate) refresh: Duration,
}

/// Who may be an admin.
#[derive(Clone)]
pub(crate) enum Authentication {
    Everyone,
    Basic { username: String, hash: String },
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            namespace: "/admin".to_owned(),
            authentication: None,
            read_only: false,
            server_id: None,
            mode: Mode::default(),
            sessions: None,
            refresh: Duration::from_millis(250),
        }
    }
}

impl fmt::Debug for AdminOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the credentials.
        f.debug_struct("AdminOptions")
            .field("namespace", &self.namespace)
            .field("read_only", &self.read_only)
            .field("server_id", &self.server_id)
            .field("mode", &self.mode)
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}

impl AdminOptions {
    /// The namespace of the admins: `/admin` by default. It must be the same on all servers.
    #[doc(alias = "namespaceName")]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = name.into();
        self
    }

    /// Admins log in with this name, and with the password of this bcrypt hash. Give all servers
    /// the same: sessions then work on all of them.
    #[doc(alias = "auth")]
    pub fn basic_auth(mut self, username: impl Into<String>, bcrypt_hash: impl Into<String>) -> Self {
        self.authentication = Some(Authentication::Basic { username: username.into(), hash: bcrypt_hash.into() });
        self
    }

    /// Every client that reaches the server may be an admin: `auth: false` of Node.js.
    #[doc(alias = "auth")]
    pub fn no_auth(mut self) -> Self {
        self.authentication = Some(Authentication::Everyone);
        self
    }

    /// Whether admins may look only, and neither emit nor move nor disconnect sockets. False by
    /// default.
    #[doc(alias = "readonly")]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// The name under which the page lists the server: by default the name of the node
    /// (`Options::node_name`), which by default is the name of the host and the id of the process.
    /// Two servers of one name are one line of the page.
    #[doc(alias = "serverId")]
    pub fn server_id(mut self, id: impl Into<String>) -> Self {
        self.server_id = Some(id.into());
        self
    }

    /// How much the server tells: [`Mode::Development`] by default, as in Node.js.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Where the sessions of admins are kept: [`SignedSessions`] by default, which keeps nothing
    /// and works on all Rust servers with the same credentials.
    #[doc(alias = "store")]
    pub fn sessions(mut self, store: impl SessionStore) -> Self {
        self.sessions = Some(Arc::new(store));
        self
    }

    /// How often the server compares its sockets with what it last told, 250 ms by default, 10 ms
    /// at least: socketioxide does not report connections and rooms. It never spends more than a
    /// twentieth of one core on that, and looks less often when it would.
    pub fn refresh(mut self, interval: Duration) -> Self {
        self.refresh = interval;
        self
    }

    /// Refuses what cannot work.
    pub(crate) fn validate(&self) -> Result<(), AdminError> {
        let refuse = |option, value: String, remedy| Err(AdminError::InvalidOption { option, value, remedy });
        match &self.authentication {
            None => return Err(AdminError::NoAuthentication),
            Some(Authentication::Basic { hash, .. }) => {
                let parsed = hash.parse::<bcrypt::HashParts>();
                parsed.map_err(|error| AdminError::InvalidHash { reason: error.to_string() })?;
            }
            Some(Authentication::Everyone) => {}
        }
        if !self.namespace.starts_with('/') || self.namespace == "/" {
            return refuse("namespace", format!("{:?}", self.namespace), "give a name such as \"/admin\"");
        }
        if self.refresh < Duration::from_millis(10) {
            return refuse("refresh", format!("{:?}", self.refresh), "set 10 ms or more");
        }
        if self.server_id.as_deref() == Some("") {
            return refuse("server_id", "empty".to_owned(), "give a name, or leave it out");
        }
        Ok(())
    }

    /// The store of the sessions of admins who log in with these credentials.
    pub(crate) fn session_store(&self, username: &str, hash: &str) -> Arc<dyn SessionStore> {
        self.sessions.clone().unwrap_or_else(|| Arc::new(SignedSessions::new(username, hash)))
    }
}
