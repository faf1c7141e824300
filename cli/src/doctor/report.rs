//! What `doctor` finds, as it is written.

use serde::Serialize;

use crate::{
    failure::Failure,
    output::{self, DIM, GREEN, RED, RESET, YELLOW, counted, printable},
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
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    level: Level,
    says: String,
    remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, says: says.into(), remedy: None }
    }

    pub(super) fn warning(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, says: says.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn error(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Error, says: says.into(), remedy: Some(remedy.into()) }
    }

    /// An error whose text has its remedy, as a node that connects has it.
    pub(super) fn failure(check: &'static str, failure: Failure) -> Self {
        Self { check, level: Level::Error, says: failure.into_text(), remedy: None }
    }

    pub(super) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    #[cfg(test)]
    pub(super) fn is(&self, level: &str, words: &[&str]) -> bool {
        let text = format!("{} {}", self.says, self.remedy.as_deref().unwrap_or_default());
        format!("{:?}", self.level).eq_ignore_ascii_case(level) && words.iter().all(|word| text.contains(word))
    }
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

    /// Writes it.
    pub(super) fn add(&mut self, finding: Finding) {
        match finding.level {
            Level::Ok if self.quiet => return,
            Level::Ok => {}
            Level::Warning => self.warnings += 1,
            Level::Error => self.errors += 1,
        }
        if self.json {
            return output::json(&finding);
        }
        let (colour, level) = match finding.level {
            Level::Ok => (GREEN, "ok"),
            Level::Warning => (YELLOW, "warning"),
            Level::Error => (RED, "error"),
        };
        output::line(&format!("{colour}{level:8}{RESET} {:12} {}", finding.check, printable(&finding.says)));
        if let Some(remedy) = finding.remedy {
            output::line(&format!("{:21} {DIM}→{RESET} {}", "", printable(&remedy)));
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
