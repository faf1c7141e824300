//! The contenders that are measured.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A way to get a message from one process to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// This project's adapter on tokio-postgres.
    TokioPostgres,
    /// This project's adapter on diesel-async.
    Diesel,
    /// This project's adapter on tokio-postgres, with the catch-up log: what the log costs.
    Logged,
    /// This project's adapter on tokio-postgres, with binary in notifications.
    TokioPostgresInline,
    /// This project's adapter on diesel-async, with binary in notifications.
    DieselInline,
    /// This project's adapter on tokio-postgres, whose servers watch each other's sessions.
    TokioPostgresWatching,
    /// This project's adapter on diesel-async, whose servers watch each other's sessions.
    DieselWatching,
    /// The crate socketioxide-postgres with its tokio-postgres driver.
    PeerTokioPostgres,
    /// The crate socketioxide-postgres with its sqlx driver, which is its default.
    PeerSqlx,
    /// The crate socketioxide-redis with its redis driver, which is its default.
    Redis,
    /// Node.js's `@socket.io/postgres-adapter`.
    Node,
    /// `pg_notify` and `LISTEN` with tokio-postgres alone: the limit of what PostgreSQL can do.
    Raw,
}

/// The server on which a contender's nodes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    Postgres,
    Redis,
}

impl Contender {
    pub(crate) const ALL: [Self; 12] = [
        Self::TokioPostgres,
        Self::Diesel,
        Self::Logged,
        Self::TokioPostgresInline,
        Self::DieselInline,
        Self::TokioPostgresWatching,
        Self::DieselWatching,
        Self::PeerTokioPostgres,
        Self::PeerSqlx,
        Self::Redis,
        Self::Node,
        Self::Raw,
    ];

    /// This project's adapters, with their defaults.
    pub(crate) const OURS: [Self; 2] = [Self::TokioPostgres, Self::Diesel];

    /// Whether it is this project's adapter, with its defaults or with an option.
    pub(crate) fn is_ours(self) -> bool {
        Self::OURS.contains(&self)
            || matches!(self, Self::Logged | Self::TokioPostgresInline | Self::DieselInline)
            || self.is_watching()
    }

    /// Whether its servers watch each other's sessions in place of heartbeats.
    pub(crate) fn is_watching(self) -> bool {
        matches!(self, Self::TokioPostgresWatching | Self::DieselWatching)
    }

    /// Its name on the command line and in the results.
    pub(crate) fn id(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Its name in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::TokioPostgres => "ours, tokio-postgres",
            Self::Diesel => "ours, diesel",
            Self::Logged => "ours, tokio-postgres, catch-up log",
            Self::TokioPostgresInline => "ours, tokio-postgres, inline binary",
            Self::DieselInline => "ours, diesel, inline binary",
            Self::TokioPostgresWatching => "ours, tokio-postgres, watching sessions",
            Self::DieselWatching => "ours, diesel, watching sessions",
            Self::PeerTokioPostgres => "socketioxide-postgres, tokio-postgres",
            Self::PeerSqlx => "socketioxide-postgres, sqlx",
            Self::Redis => "socketioxide-redis",
            Self::Node => "Node's postgres-adapter",
            Self::Raw => "raw NOTIFY",
        }
    }

    pub(crate) fn ground(self) -> Ground {
        if self == Self::Redis { Ground::Redis } else { Ground::Postgres }
    }
}
