//! Real Socket.IO clients, all of them in one process on Node.js.

use std::ops::Deref;

use tokio::sync::OnceCell;

use crate::{Error, install::node_command, time_limit};

/// A process on Node.js that hosts any number of clients. It ends when the last of them and this
/// handle are dropped.
pub struct ClientHost(socketio_pg_kit::harness::ClientHost);

impl ClientHost {
    /// Starts the process. It needs Node.js, and installs the npm packages when they are missing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start() -> Result<Self, Error> {
        let mut command = node_command("client.mjs").await?;
        Ok(Self(socketio_pg_kit::harness::ClientHost::start_command(&mut command, time_limit()).await?))
    }

    /// A host that all tests of a process share, which saves the time to start one for each test.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceCell<ClientHost> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The host, for the scenarios.
    pub fn into_inner(self) -> socketio_pg_kit::harness::ClientHost {
        self.0
    }
}

impl Deref for ClientHost {
    type Target = socketio_pg_kit::harness::ClientHost;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
