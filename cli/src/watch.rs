//! `watch`: what flows through the cluster.

mod filter;
mod line;
mod printer;
mod top;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use self::{filter::Filter, printer::Printer, top::Top};
use crate::{
    arguments::{Target, Watch},
    failure::Failure,
    output,
    session::{Heard, Session},
    survey::Survey,
};

/// How long servers may take to tell their names and namespaces.
const SURVEY: Duration = Duration::from_secs(1);

/// How often they are asked for their names, as servers come and go.
const ASK_AGAIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(target: &Target, command: &Watch) -> Result<(), Failure> {
    let mut session = Session::watch(target).await?;
    session.prove_hearing().await?;
    let survey = Survey::of_namespaces(&mut session, &command.namespace, SURVEY).await?;
    if !target.json && !command.top {
        output::note(&format!("watching {}; end with Ctrl-C", session.namespaces().join(", ")));
    }
    let printer = Printer::new(target.json);
    Watcher { filter: Filter::new(command), survey, left: command.limit, json: target.json, command, printer }
        .watch(session)
        .await
}

struct Watcher<'a> {
    filter: Filter<'a>,
    survey: Survey,
    /// How many messages may still come.
    left: Option<u64>,
    json: bool,
    command: &'a Watch,
    printer: Printer,
}

impl Watcher<'_> {
    /// The session ends before the last lines are written: nobody may read them for a while.
    async fn watch(mut self, mut session: Session) -> Result<(), Failure> {
        let mut top = Top::new(self.json);
        let mut report = Instant::now() + self.command.interval;
        let mut ask = Instant::now() + ASK_AGAIN;
        while self.left != Some(0) {
            // However much comes, the time is looked at after each message.
            let until = if self.command.top { ask.min(report) } else { ask };
            if let Some(heard) = session.next(until).await? {
                self.take(&heard, &mut top);
                if self.command.namespace.is_empty() {
                    for namespace in self.survey.new_namespaces(&session) {
                        self.survey.ask(&mut session, &namespace).await?;
                    }
                }
            }
            let now = Instant::now();
            if self.command.top && now >= report {
                top.print(&self.survey);
                report = now + self.command.interval;
            }
            if now >= ask {
                self.survey.forget_silent(ASK_AGAIN);
                self.survey.ask_again(&mut session).await?;
                ask = now + ASK_AGAIN;
            }
        }
        if self.command.top {
            top.print(&self.survey);
        }
        Ok(())
    }

    fn take(&mut self, heard: &Heard, top: &mut Top) {
        let is_own = self.survey.note(heard);
        if is_own || !self.filter.matches(heard, &self.survey) {
            return;
        }
        self.left = self.left.map(|left| left - 1);
        if self.command.top {
            top.count(heard);
        } else if self.json {
            self.printer.print(output::json_line(&line::json(heard, &self.survey, now())));
        } else {
            let width = if self.command.full { None } else { output::width() };
            self.printer.print(line::text(heard, &self.survey, now(), width));
        }
    }
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
