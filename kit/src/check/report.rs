//! What came of a check.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::judge::Level;

/// What is right with a node and what is not.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The scenarios that were played, each on its cluster.
    pub played: Vec<Played>,
    /// What is wrong, each rule once.
    pub mistakes: Vec<Mistake>,
    /// Whether only some scenarios or clusters were chosen: the level is that of these.
    pub is_partial: bool,
}

/// A scenario that was played.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Played {
    /// Its name.
    pub scenario: &'static str,
    /// Its servers: C for the candidate, R for Rust, N for Node.js. The first acts.
    pub cluster: String,
    /// The level that needs it.
    pub level: Level,
    /// What came of it.
    pub result: PlayResult,
}

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayResult {
    /// All is right.
    Right,
    /// Something is wrong: a mistake says what.
    Wrong,
    /// The candidate does not have the op.
    Cannot(String),
}

/// A rule that the node does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mistake {
    /// The level that needs it.
    pub level: Level,
    /// The rule.
    pub rule: String,
    /// Where the rule stands.
    pub place: String,
    /// In which cluster and namespace, or scenario, it showed first.
    pub shown_in: String,
    /// What is wrong.
    pub problem: String,
    /// What the node sent.
    pub sent: Vec<String>,
    /// What it should have sent.
    pub expected: Option<String>,
    /// How often it showed.
    pub times: usize,
    /// Whether it is the outcome of a scenario, which may follow from another mistake.
    pub is_outcome: bool,
}

impl Report {
    /// The level that the node has reached: nothing that it needs is wrong or missing. `None` when
    /// it does not reach the first. Levels of which nothing was chosen do not count.
    pub fn level(&self) -> Option<Level> {
        let of_level = |level: Level| self.played.iter().filter(move |played| played.level == level);
        let is_wrong = |level: Level| self.mistakes.iter().any(|mistake| mistake.level == level);
        let is_chosen = |level: &Level| !self.is_partial || of_level(*level).next().is_some() || is_wrong(*level);
        let reached = |level: &Level| {
            let mut played = of_level(*level).peekable();
            played.peek().is_some() && played.all(|played| played.result == PlayResult::Right) && !is_wrong(*level)
        };
        Level::ALL.into_iter().filter(is_chosen).take_while(reached).last()
    }

    /// Whether all scenarios that were played went well, and nothing else is wrong.
    pub fn is_right(&self) -> bool {
        self.mistakes.is_empty() && self.played.iter().all(|played| played.result == PlayResult::Right)
    }

    /// Puts the outcomes of scenarios last: they may follow from the other mistakes.
    pub(super) fn sort(&mut self) {
        self.mistakes.sort_by_key(|mistake| mistake.is_outcome);
    }

    pub(super) fn add(&mut self, mistake: Mistake) {
        let same = |other: &&mut Mistake| (&other.rule, &other.place) == (&mistake.rule, &mistake.place);
        match self.mistakes.iter_mut().find(same) {
            Some(known) => known.times += 1,
            None => self.mistakes.push(mistake),
        }
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for level in Level::ALL {
            let of_level = |played: &&Played| played.level == level;
            let count = |result: fn(&PlayResult) -> bool| {
                self.played.iter().filter(of_level).filter(|played| result(&played.result)).count()
            };
            let right = count(|result| *result == PlayResult::Right);
            let wrong = count(|result| *result == PlayResult::Wrong);
            let cannot = count(|result| matches!(result, PlayResult::Cannot(_)));
            let _ = writeln!(text, "{level:<9} {right} right, {wrong} wrong, {cannot} not played for lack of an op");
        }
        let mut lacking: Vec<&str> = Vec::new();
        for played in &self.played {
            if let PlayResult::Cannot(op) = &played.result
                && !lacking.contains(&op.as_str())
            {
                lacking.push(op);
            }
        }
        if !lacking.is_empty() {
            let _ = writeln!(text, "the node has no {}", lacking.join(", "));
        }
        let first_outcome = self.mistakes.iter().position(|mistake| mistake.is_outcome);
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 && first_outcome == Some(index) {
                text.push_str("\nOutcomes of scenarios, which may follow from the mistakes above:\n");
            }
            let _ = write!(text, "\n{}. {}\n", index + 1, mistake.text());
        }
        let level = self.level().map_or("none", Level::name);
        let partial = if self.is_partial { ", of the chosen scenarios and clusters" } else { "" };
        let _ = write!(text, "\nlevel: {level}{partial}\n");
        text
    }
}

impl Mistake {
    /// The mistake for people, in several lines.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n   rule: {} ({})\n", self.problem, self.rule, self.place);
        let times = if self.times > 1 { format!(", {} times in all", self.times) } else { String::new() };
        let _ = writeln!(text, "   shown in: {}{times}", self.shown_in);
        for sent in &self.sent {
            let _ = writeln!(text, "   sent:     {sent}");
        }
        if let Some(expected) = &self.expected {
            let _ = writeln!(text, "   expected: {expected}");
        }
        text.trim_end().to_owned()
    }
}

impl Report {
    /// The report for programs: one object.
    pub fn json(&self) -> Value {
        json!({
            "level": self.level().map(Level::name),
            "partial": self.is_partial,
            "played": self.played.iter().map(|played| json!({
                "scenario": played.scenario,
                "cluster": played.cluster,
                "level": played.level.name(),
                "result": match &played.result {
                    PlayResult::Right => "right".to_owned(),
                    PlayResult::Wrong => "wrong".to_owned(),
                    PlayResult::Cannot(op) => format!("cannot: {op}"),
                },
            })).collect::<Value>(),
            "mistakes": self.mistakes.iter().map(|mistake| json!({
                "level": mistake.level.name(),
                "rule": mistake.rule,
                "place": mistake.place,
                "shownIn": mistake.shown_in,
                "problem": mistake.problem,
                "sent": mistake.sent,
                "expected": mistake.expected,
                "times": mistake.times,
                "outcome": mistake.is_outcome,
            })).collect::<Value>(),
        })
    }
}
