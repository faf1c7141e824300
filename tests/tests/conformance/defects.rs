//! Node's own defects: what a composition shows in place of what it should.
//!
//! The list is strict. A defect that disappears fails the suite until its entry is gone.

use crate::composition::{Composition, Seat};
use serde_json::Value;

/// A defect of Node's.
pub(crate) struct Defect {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// The scenario that shows it.
    scenario: &'static str,
    /// Changes what should be seen into what the composition shows; leaves it as it is where the defect does not show.
    show: fn(&Composition, &mut Value),
}

/// What a composition shows in a scenario, and the defects because of which it does.
pub(crate) fn shown(composition: &Composition, scenario: &str, expected: &Value) -> (Value, Vec<&'static str>) {
    let mut shown = expected.clone();
    let mut names = Vec::new();
    for defect in DEFECTS.iter().filter(|defect| defect.scenario == scenario) {
        let before = shown.clone();
        (defect.show)(composition, &mut shown);
        if shown != before {
            names.push(defect.name);
        }
    }
    (shown, names)
}

/// The list.
pub(crate) const DEFECTS: &[Defect] = &[];
