//! TODO
use crate::scenario::Scenario;
pub(crate) fn scenarios() -> Vec<Scenario> { vec![] }
