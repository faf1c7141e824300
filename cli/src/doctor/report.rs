//! What `doctor` finds, as it is written.

use serde::Serialize;

use crate::{
    failure::Failure,
    output::{self, DIM, GREEN, RED, RESET, YELLOW, printable},
};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Error,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding<'a> {
    check: &'static str,
    level: Level,
    says: &'a str,
    remedy: Option<&'a str>,
}

pub(super) struct Report {
    json: bool,
    quiet: bool,
    warnings: usize,
    errors: usize,
}

impl Report {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, warnings: 0, errors: 0 }
    }

    pub(super) fn ok(&mut self, check: &'static str, says: &str) {
        self.add(&Finding { check, level: Level::Ok, says, remedy: None });
    }

    pub(super) fn warning(&mut self, check: &'static str, says: &str, remedy: &str) {
        self.warnings += 1;
        self.add(&Finding { check, level: Level::Warning, says, remedy: Some(remedy) });
    }

    pub(super) fn error(&mut self, check: &'static str, says: &str, remedy: &str) {
        self.errors += 1;
        self.add(&Finding { check, level: Level::Error, says, remedy: Some(remedy) });
    }

    /// An error whose text has its remedy, as a node that connects has it.
    pub(super) fn failure(&mut self, check: &'static str, failure: &Failure) {
        self.errors += 1;
        let (Failure::Failed(says) | Failure::Incomplete(says)) = failure;
        self.add(&Finding { check, level: Level::Error, says, remedy: None });
    }

    fn add(&self, finding: &Finding<'_>) {
        if self.quiet && finding.level == Level::Ok {
            return;
        }
        if self.json {
            return output::json(finding);
        }
        let (colour, level) = match finding.level {
            Level::Ok => (GREEN, "ok"),
            Level::Warning => (YELLOW, "warning"),
            Level::Error => (RED, "error"),
        };
        output::line(&format!("{colour}{level:8}{RESET} {:12} {}", finding.check, printable(finding.says)));
        if let Some(remedy) = finding.remedy {
            output::line(&format!("{:21} {DIM}→{RESET} {}", "", printable(remedy)));
        }
    }

    /// The result: an error when there was one, incomplete when there were warnings.
    pub(super) fn end(self) -> Result<(), Failure> {
        let text = format!("{}, {}", counted(self.errors, "error"), counted(self.warnings, "warning"));
        match (self.errors, self.warnings) {
            (0, 0) => {
                if !self.json && !self.quiet {
                    output::note("nothing is wrong");
                }
                Ok(())
            }
            (0, _) => Err(Failure::Incomplete(text)),
            _ => Err(Failure::Failed(text)),
        }
    }
}

/// `1 server`, `2 servers`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
