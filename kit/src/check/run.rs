//! One cluster with one set of settings: its scenarios, and what its nodes sent.

use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::join_all, stream};
use socketio_pg_core::backend::table::schema_sql;
use tokio_postgres::Client;

use super::{
    Check, CheckError, SCENARIOS_AT_ONCE, level, plan,
    programs::{Partners, Programs, Seat},
    recorder::Recorder,
    report::{Mistake, PlayResult, Played, Report},
};
use crate::{
    harness::{ClientHost, Error},
    judge::{Expectations, Finding, Level, Rule, cut},
    scenarios::{Cluster, Names, Outcome, Scenario, Settings, differences, namespaces},
};

/// How many of the node's messages are shown beside a scenario that failed.
const SHOWN_MESSAGES: usize = 4;

/// A cluster.
pub(super) struct Run<'a> {
    pub(super) check: &'a Check,
    pub(super) programs: &'a Programs,
    pub(super) client: &'a Arc<Client>,
    pub(super) host: &'a Arc<ClientHost>,
    pub(super) name: &'a str,
    pub(super) seats: [Seat; 3],
}

impl Run<'_> {
    /// Plays scenarios with these settings on tables of their own, and drops the tables in any case.
    pub(super) async fn play_on_tables(
        &self,
        settings: Settings,
        scenarios: &[&Scenario],
        report: &mut Report,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), CheckError> {
        let names = random_names();
        let tables = [names.table.clone(), format!("{}_app", names.table)];
        let played = async {
            for table in &tables {
                let create = schema_sql(table).unwrap_or_default();
                self.client.batch_execute(&create).await.map_err(CheckError::Tables)?;
            }
            tokio::select! {
                played = self.play(settings, &names, scenarios, report) => played,
                () = &mut stop => Err(CheckError::Stopped),
            }
        };
        let played = AssertUnwindSafe(played).catch_unwind().await;
        for table in &tables {
            self.client.batch_execute(&format!("DROP TABLE IF EXISTS {table}")).await?;
        }
        played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

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
        let recorder = Recorder::start(&check.database_url, &of_settings, &heard, self.expectations(settings)).await?;
        let stage = Partners {
            programs: self.programs.clone(),
            seats: self.seats,
            has_reply_channels: settings == Settings::Custom,
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
        self.announce(&cluster, &of_settings.prefix, report).await?;
        self.play_all(&cluster, scenarios, &recorder, report).await;
        recorder.wait_for_what_is_owed(check.patience).await;
        self.end(&cluster, report).await;
        let (conversation, elapsed) = recorder.finish().await?;
        let is_short = settings == Settings::ShortHeartbeats;
        let findings = if is_short { conversation.finish() } else { conversation.finish_at(elapsed) };
        findings.iter().for_each(|finding| self.found(finding, report));
        Ok(())
    }

    /// With short heartbeats scenarios kill nodes, which then owe nothing.
    fn expectations(&self, settings: Settings) -> Expectations {
        let is_short = settings == Settings::ShortHeartbeats;
        Expectations {
            patience: (!is_short).then_some(self.check.patience),
            silence: Some(Duration::from_secs(if is_short { 4 } else { 11 })),
            ..Expectations::default()
        }
    }

    /// Which nodes another server counts, and which respond to a 1.
    async fn announce(&self, cluster: &Cluster, prefix: &str, report: &mut Report) -> Result<(), CheckError> {
        let channel = format!("{prefix}#/");
        if let Some(counter) = self.seats.iter().position(|seat| *seat != Seat::Candidate) {
            let wait = self.check.patience.min(Duration::from_secs(10));
            let uncounted = cluster.allow_uncounted(counter, wait).await?;
            if uncounted > 0 {
                let counted = 3 - uncounted;
                let text = format!(
                    "another server counts {counted} of 3 nodes: no usable message of yours came on {channel:?}"
                );
                let finding = Finding::new(Rule::Announce, text).expected(r#"{"type":1,"uid":"<your uid>","nsp":"/"}"#);
                self.found(&finding, report);
            }
        }
        // As an emitter, which no node counts. All have announced themselves: each responds by a 2.
        let greeting = r#"{"type":1,"uid":"emitter","nsp":"/","source":"_sio_adapter"}"#;
        self.client.execute("SELECT pg_notify($1, $2)", &[&channel, &greeting]).await?;
        Ok(())
    }

    async fn play_all(
        &self,
        cluster: &Arc<Cluster>,
        scenarios: &[&Scenario],
        recorder: &Recorder,
        report: &mut Report,
    ) {
        let runs = stream::iter(scenarios.iter().copied()).map(|scenario| {
            let cluster = cluster.clone();
            async move { (scenario, cluster.run_in_namespace(scenario.clone()).await) }
        });
        let mut runs = std::pin::pin!(runs.buffer_unordered(SCENARIOS_AT_ONCE));
        while let Some((scenario, (nsp, outcome))) = runs.next().await {
            let result = self.judge(scenario, &nsp, outcome, recorder, report);
            let level = level(scenario, self.seats);
            report.played.push(Played { scenario: scenario.name, cluster: self.name.to_owned(), level, result });
        }
    }

    /// Closes the servers, and kills those that do not end by themselves: they would be heard for ever.
    async fn end(&self, cluster: &Cluster, report: &mut Report) {
        let ends = self.seats.iter().zip(cluster.servers()).map(async |(seat, server)| {
            let closed = server.node().close().await;
            if closed.is_err() {
                // A process that has ended cannot be killed.
                let _ = server.node().kill().await;
            }
            closed.err().filter(|_| *seat == Seat::Candidate)
        });
        for error in join_all(ends).await.into_iter().flatten() {
            report.add(self.not_ended(&error));
        }
    }

    fn judge(
        &self,
        scenario: &Scenario,
        nsp: &str,
        outcome: Outcome,
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
            is_outcome: true,
        });
        PlayResult::Wrong
    }

    fn found(&self, finding: &Finding, report: &mut Report) {
        if finding.rule.level() <= self.check.level {
            report.add(self.mistake(finding));
        }
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
            is_outcome: false,
        }
    }

    fn not_started(&self, error: &Error) -> Mistake {
        let problem = format!("the cluster did not start: {error}");
        let ready = r#"{"ready":true,"port":0,"uid":"<your uid>"}"#;
        let mistake = self.of_interface("A test node prints a line with `ready` once it listens.", problem);
        Mistake { place: "docs/kit.md#the-interface".to_owned(), expected: Some(ready.to_owned()), ..mistake }
    }

    fn not_ended(&self, error: &Error) -> Mistake {
        let problem = match error {
            Error::NotSeen { node, awaited, waited, .. } => {
                format!("the op `close`: {node}: no {awaited} within {} s", waited.as_secs())
            }
            other => format!("the op `close`: {other}"),
        };
        self.of_interface("At the op `close` the node leaves, answers null, and its process exits with 0.", problem)
    }

    fn of_interface(&self, rule: &str, problem: String) -> Mistake {
        Mistake {
            level: Level::Hears,
            rule: rule.to_owned(),
            place: "docs/kit.md#mandatory".to_owned(),
            shown_in: self.name.to_owned(),
            problem,
            sent: Vec::new(),
            expected: None,
            times: 1,
            is_outcome: false,
        }
    }
}

fn random_names() -> Names {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(std::time::Instant::now());
    Names { prefix: format!("kit-{random:016x}"), table: format!("socketio_pg_kit_{random:016x}") }
}
