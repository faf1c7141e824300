//! Checks a node: starts it in clusters with itself, Rust and Node.js, plays the scenarios, judges
//! what it sends, and reports.

mod plan;
mod programs;
mod recorder;
mod report;

pub use self::report::{Mistake, PlayResult, Played, Report};

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use socketio_pg_core::backend::{BackendError, table::schema_sql};
use tokio_postgres::Client;

use crate::{
    harness::{ClientHost, Error},
    judge::{Expectations, Finding, Level, Rule, cut},
    scenarios::{Cluster, Names, Scenario, Settings, differences, namespaces, shows_node_defect},
};
use programs::{Partners, Programs, Seat, install_node};
use recorder::Recorder;

/// How many scenarios run at the same time: most of their time is waiting.
const SCENARIOS_AT_ONCE: usize = 4;

/// How many of the node's messages are shown beside a scenario that failed.
const SHOWN_MESSAGES: usize = 4;

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
    #[error(transparent)]
    Statement(#[from] tokio_postgres::Error),
    /// The name of a cluster.
    #[error("a cluster is three letters, C for your node, R for Rust, N for Node.js, such as RCR: not {0:?}")]
    Cluster(String),
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
                let names = random_names();
                let tables = [names.table.clone(), format!("{}_app", names.table)];
                for table in &tables {
                    client.batch_execute(&schema_sql(table).unwrap_or_default()).await?;
                }
                let run = Run { check: self, programs: &programs, client: &client, host: &host, name: &name, seats };
                let result = tokio::select! {
                    played = run.play(settings, &names, &scenarios, &mut report) => played,
                    () = &mut stop => Err(CheckError::Stopped),
                };
                for table in &tables {
                    client.batch_execute(&format!("DROP TABLE IF EXISTS {table}")).await?;
                }
                result?;
            }
        }
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

fn random_names() -> Names {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(std::time::Instant::now());
    Names { prefix: format!("kit-{random:016x}"), table: format!("socketio_pg_kit_{random:016x}") }
}

/// One cluster with one set of settings.
struct Run<'a> {
    check: &'a Check,
    programs: &'a Programs,
    client: &'a Arc<Client>,
    host: &'a Arc<ClientHost>,
    name: &'a str,
    seats: [Seat; 3],
}

impl Run<'_> {
    async fn play(
        &self,
        settings: Settings,
        names: &Names,
        scenarios: &[&Scenario],
        report: &mut Report,
    ) -> Result<(), CheckError> {
        let check = self.check;
        let options = settings.options(check.database_url.clone(), names).patience(check.patience);
        let of_settings = Names { prefix: options.prefix().to_owned(), table: options.table_name().to_owned() };
        let heard = namespaces(SCENARIOS_AT_ONCE, scenarios.iter().copied());
        // With short heartbeats scenarios kill nodes, which then owe nothing.
        let is_short = settings == Settings::ShortHeartbeats;
        let expectations = Expectations {
            trusted: Vec::new(),
            patience: (!is_short).then_some(check.patience),
            silence: Some(Duration::from_secs(if is_short { 4 } else { 11 })),
        };
        let recorder = Recorder::start(&check.database_url, &of_settings, &heard, expectations).await?;
        let stage = Partners {
            programs: self.programs.clone(),
            seats: self.seats,
            client: self.client.clone(),
            conversation: recorder.conversation().clone(),
        };
        let started =
            Cluster::start(Arc::new(stage), options, SCENARIOS_AT_ONCE, scenarios.iter().copied(), self.host.clone());
        let cluster = match started.await {
            Ok(cluster) => Arc::new(cluster),
            Err(error @ Error::Partner(_)) => return Err(error.into()),
            Err(error) => {
                report.add(self.not_started(&error));
                return Ok(());
            }
        };
        if let Some(counter) = self.seats.iter().position(|seat| *seat != Seat::Candidate) {
            let uncounted = cluster.allow_uncounted(counter, check.patience.min(Duration::from_secs(3))).await?;
            if uncounted > 0 {
                let channel = format!("{}#/", of_settings.prefix);
                let text = format!(
                    "another server counts {} of 3 nodes: no message of yours came on {channel:?}",
                    3 - uncounted
                );
                let finding = Finding::new(Rule::Channel, text).expected(r#"{"type":1,"uid":"<your uid>","nsp":"/"}"#);
                report.add(self.mistake(&finding));
            }
        }
        // As an emitter, which no node counts. All have announced themselves: each responds by a 2.
        let greeting = r#"{"type":1,"uid":"emitter","nsp":"/","source":"_sio_adapter"}"#;
        let channel = format!("{}#/", of_settings.prefix);
        self.client.execute("SELECT pg_notify($1, $2)", &[&channel, &greeting]).await?;
        let runs = stream::iter(scenarios.iter().copied()).map(|scenario| {
            let cluster = cluster.clone();
            async move { (scenario, cluster.run_in_namespace(scenario.clone()).await) }
        });
        let mut runs = std::pin::pin!(runs.buffer_unordered(SCENARIOS_AT_ONCE));
        while let Some((scenario, (nsp, outcome))) = runs.next().await {
            let result = self.judge(scenario, &nsp, outcome, &recorder, report);
            let level = level(scenario, self.seats);
            report.played.push(Played { scenario: scenario.name, cluster: self.name.to_owned(), level, result });
        }
        recorder.wait_for_what_is_owed().await;
        for server in cluster.servers() {
            // Whatever comes of it shows in what was sent.
            let _ = server.node().close().await;
        }
        let (conversation, elapsed) = recorder.finish().await?;
        let findings = if is_short { conversation.finish() } else { conversation.finish_at(elapsed) };
        for finding in findings.into_iter().filter(|finding| finding.rule.level() <= check.level) {
            report.add(self.mistake(&finding));
        }
        Ok(())
    }

    fn judge(
        &self,
        scenario: &Scenario,
        nsp: &str,
        outcome: crate::scenarios::Outcome,
        recorder: &Recorder,
        report: &mut Report,
    ) -> PlayResult {
        let problem = match outcome {
            Ok(observation) if observation.seen == observation.expected => return PlayResult::Right,
            Ok(observation) => differences(&observation.seen, &observation.expected),
            Err(error) if error.is_unknown_op() => {
                return PlayResult::Cannot(
                    error.to_string().trim_start_matches("unknown op").trim_matches([':', ' ']).to_owned(),
                );
            }
            Err(error) => format!("    {}", error.to_string().replace('\n', "\n    ")),
        };
        let part = plan::of(scenario.name).expect("only scenarios of the plan are played");
        let conversation = recorder.conversation().lock();
        let own = conversation.messages().rev().filter(|message| message.nsp == nsp);
        let sent: Vec<String> = own.take(SHOWN_MESSAGES).map(|message| cut(&message.text)).collect();
        report.add(Mistake {
            level: level(scenario, self.seats),
            rule: format!("the scenario {:?}", scenario.name),
            place: format!("docs/protocol.md#{}", part.heading),
            shown_in: format!("{} in {nsp}", self.name),
            problem: format!("{:?} has another outcome than it should:\n{problem}", scenario.name),
            sent: sent.into_iter().rev().collect(),
            expected: None,
            times: 1,
        });
        PlayResult::Wrong
    }

    fn mistake(&self, finding: &Finding) -> Mistake {
        let nsp = finding.nsp.as_ref().map(|nsp| format!(" in {nsp}")).unwrap_or_default();
        Mistake {
            level: finding.rule.level(),
            rule: finding.rule.text().to_owned(),
            place: finding.rule.place(),
            shown_in: format!("{}{nsp}", self.name),
            problem: finding.problem.clone(),
            sent: finding.sent.iter().cloned().collect(),
            expected: finding.expected.clone(),
            times: 1,
        }
    }

    fn not_started(&self, error: &Error) -> Mistake {
        Mistake {
            level: Level::Hears,
            rule: "A test node prints a line with `ready` once it listens.".to_owned(),
            place: "docs/kit.md#the-interface".to_owned(),
            shown_in: self.name.to_owned(),
            problem: format!("the cluster did not start: {error}"),
            sent: Vec::new(),
            expected: Some(r#"{"ready":true,"port":0,"uid":"<your uid>"}"#.to_owned()),
            times: 1,
        }
    }
}
