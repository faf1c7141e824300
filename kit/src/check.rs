//! Checks a node: starts it in clusters with itself, Rust and Node.js, plays the scenarios, judges
//! what it sends, and reports.

mod plan;
mod programs;
mod recorder;
mod report;
mod run;

pub use self::report::{Mistake, PlayResult, Played, Report};

use std::{path::PathBuf, sync::Arc, time::Duration};

use socketio_pg_core::backend::BackendError;
use tokio_postgres::Client;

use self::{
    programs::{Programs, Seat, install_node, text_of},
    run::Run,
};
use crate::{
    harness::{ClientHost, Error},
    judge::Level,
    scenarios::{Scenario, Settings, shows_node_defect},
};

/// How many scenarios run at the same time: most of their time is waiting.
const SCENARIOS_AT_ONCE: usize = 4;

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct Check {
    /// The program that starts the candidate, as a shell reads it, with variables before it. Options
    /// follow it.
    pub command: String,
    /// The database.
    pub database_url: String,
    /// The program that [is a partner](crate::partner) with these arguments.
    pub partner: (PathBuf, Vec<String>),
    /// Where the Node.js server is installed; `None` for clusters without Node.js.
    pub node: Option<PathBuf>,
    /// The clusters, such as `RCR`; empty for all.
    pub clusters: Vec<String>,
    /// Scenarios with one of these words in their names; empty for all.
    pub scenarios: Vec<String>,
    /// Levels above this one are not checked.
    pub level: Level,
    /// The time limit of each wait.
    pub patience: Duration,
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The database.
    #[error(transparent)]
    Database(#[from] BackendError),
    /// A statement.
    #[error("{}", text_of(.0))]
    Statement(tokio_postgres::Error),
    /// The tables of the kit cannot be created.
    #[error(
        "the kit cannot create its tables: {}; its role needs `GRANT CREATE ON SCHEMA public`, or a database of its own",
        text_of(.0)
    )]
    Tables(tokio_postgres::Error),
    /// The name of a cluster.
    #[error("a cluster is three letters, C for your node, R for Rust, N for Node.js, such as RCR: not {0:?}")]
    Cluster(String),
    /// A cluster does not have the candidate.
    #[error("the cluster {0:?} does not have your node: one of its letters must be C")]
    NoCandidate(String),
    /// A cluster has a Node.js server, and there is none.
    #[error("the cluster {0:?} has a Node.js server: install Node.js 18.3 or later with npm, and leave out --no-node")]
    NoNode(String),
    /// No scenario of the level is for the clusters.
    #[error("nothing to play: no scenario of the level {0} has the words and is for the clusters")]
    NothingToPlay(Level),
    /// The check was stopped.
    #[error("stopped before the end; the tables of the kit are dropped")]
    Stopped,
    /// No scenario has the words in its name.
    #[error("no scenario has {0:?} in its name")]
    NoScenario(Vec<String>),
    /// The clients, or a partner, did not start.
    #[error(transparent)]
    Partner(#[from] Error),
    /// The Node.js server cannot be installed.
    #[error("the Node.js server cannot be installed ({0}): install Node.js with npm, or leave it out with --no-node")]
    Node(std::io::Error),
}

impl From<tokio_postgres::Error> for CheckError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(error)
    }
}

impl Check {
    /// Plays all scenarios. `progress` is told what is being done. The kit's tables have names of
    /// their own, and are dropped at the end, also when `stop` ends the check before.
    ///
    /// # Errors
    /// When the database or a partner fails, or the check is stopped. What is wrong with the
    /// candidate is in the report.
    pub async fn run(
        &self,
        client: Client,
        mut progress: impl FnMut(&str),
        stop: impl Future<Output = ()>,
    ) -> Result<Report, CheckError> {
        let mut stop = std::pin::pin!(stop);
        let clusters = self.seats()?;
        let scenarios = self.selected()?;
        if let Some(folder) = self.node.clone() {
            progress("installing the Node.js server");
            let installed = tokio::task::spawn_blocking(move || install_node(&folder)).await;
            installed.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(CheckError::Node)?;
        }
        // A node that is not gone may hold a lock on a table that is to be dropped.
        client.batch_execute("SET lock_timeout = '10s'").await?;
        let client = Arc::new(client);
        let programs =
            Programs { candidate: self.command.clone(), partner: self.partner.clone(), node: self.node.clone() };
        let host = Arc::new(ClientHost::start_command(&mut programs.partner("clients"), self.patience).await?);
        let is_partial = !self.clusters.is_empty() || !self.scenarios.is_empty();
        let mut report = Report { is_partial, ..Report::default() };
        for (name, seats) in clusters {
            for settings in Settings::ALL {
                let own = |scenario: &&Scenario| scenario.settings == settings && self.is_played(scenario, seats);
                let scenarios: Vec<&Scenario> = scenarios.iter().filter(own).collect();
                if scenarios.is_empty() {
                    continue;
                }
                progress(&format!("{name}: {} scenarios", scenarios.len()));
                let run = Run { check: self, programs: &programs, client: &client, host: &host, name: &name, seats };
                run.play_on_tables(settings, &scenarios, &mut report, stop.as_mut()).await?;
            }
        }
        report.sort();
        if report.played.is_empty() && report.mistakes.is_empty() {
            return Err(CheckError::NothingToPlay(self.level));
        }
        Ok(report)
    }

    fn seats(&self) -> Result<Vec<(String, [Seat; 3])>, CheckError> {
        let mut names = self.clusters.clone();
        if names.is_empty() {
            names = ["RCR", "CRC", "CCC"].map(str::to_owned).into();
            names.extend(self.node.iter().flat_map(|_| ["NCN", "CNR"].map(str::to_owned)));
        }
        let seats = names.into_iter().map(|name| {
            let seats: Option<Vec<Seat>> = name.chars().map(Seat::of).collect();
            match seats.and_then(|seats| <[Seat; 3]>::try_from(seats).ok()) {
                Some(seats) if seats.contains(&Seat::Node) && self.node.is_none() => Err(CheckError::NoNode(name)),
                Some(seats) if !seats.contains(&Seat::Candidate) => Err(CheckError::NoCandidate(name)),
                Some(seats) => Ok((name, seats)),
                None => Err(CheckError::Cluster(name)),
            }
        });
        seats.collect()
    }

    fn selected(&self) -> Result<Vec<Scenario>, CheckError> {
        let is_meant = |scenario: &Scenario| {
            plan::of(scenario.name).is_some()
                && (self.scenarios.is_empty()
                    || self.scenarios.iter().any(|word| scenario.name.contains(word.as_str())))
        };
        let scenarios: Vec<Scenario> = Scenario::all().into_iter().filter(is_meant).collect();
        if scenarios.is_empty() { Err(CheckError::NoScenario(self.scenarios.clone())) } else { Ok(scenarios) }
    }

    fn is_played(&self, scenario: &Scenario, seats: [Seat; 3]) -> bool {
        level(scenario, seats) <= self.level
            && !shows_node_defect(scenario.name, seats.map(|seat| seat == Seat::Node))
            // It is about the first server alone.
            && !(scenario.name == "serverSideEmit: alone in the cluster" && seats[0] != Seat::Candidate)
    }
}

/// The level that needs a scenario on a cluster.
fn level(scenario: &Scenario, seats: [Seat; 3]) -> Level {
    let part = plan::of(scenario.name).expect("only scenarios of the plan are played");
    let is_acting = seats[0] == Seat::Candidate;
    if is_acting { part.acting.max(part.hearing) } else { part.hearing }
}
