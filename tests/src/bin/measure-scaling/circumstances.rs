//! Under which circumstances the figures came about.

use std::{fs, thread::available_parallelism};

use crate::{subject::Plan, table::number};

pub(crate) struct Circumstances {
    processors: usize,
    model: String,
    /// How many processes ran or waited for a processor in the minute before.
    load: f64,
    plan: Plan,
}

impl Circumstances {
    pub(crate) fn now(plan: Plan) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            processors: available_parallelism().map_or(1, usize::from),
            model: model(&read("/proc/cpuinfo")),
            load: load(&read("/proc/loadavg")),
            plan,
        }
    }

    /// Prints why the figures are not to be published.
    pub(crate) fn warn(&self) {
        for warning in self.warnings() {
            eprintln!("WARNING: {warning}");
        }
    }

    /// The first lines of each section of the page.
    pub(crate) fn text(&self, postgres: &str) -> String {
        let Self { processors, model, load, plan } = self;
        let build = if is_optimised() { "release build" } else { "build without optimisation" };
        let mut text = format!(
            "{postgres}; with all nodes on one machine with {processors} processors ({model}), load before: {}; {build}; \
             rounds: {}, interleaved; least – **median** – greatest. A ratio compares figures of one round.",
            number(*load),
            plan.rounds
        );
        for warning in self.warnings() {
            text.push_str(&format!("\n\n**{warning}**"));
        }
        text
    }

    fn warnings(&self) -> Vec<&'static str> {
        let is_loaded = self.load > self.processors as f64 / 2.0;
        let all = [
            (!is_optimised(), "Built without optimisation: the times mean nothing. Build with `--release`."),
            (self.plan.is_quick, "Measured with `--quick`: the figures are noise."),
            (is_loaded, "Other programs used the machine before: the times are longer than they should be."),
        ];
        all.into_iter().filter(|(applies, _)| *applies).map(|(_, text)| text).collect()
    }
}

fn is_optimised() -> bool {
    !cfg!(debug_assertions)
}

fn model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    line.map_or("unknown", |(_, model)| model.trim()).to_owned()
}

fn load(loadavg: &str) -> f64 {
    loadavg.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        assert_eq!(model("processor\t: 0\nmodel name\t: AMD EPYC\nstepping\t: 1\n"), "AMD EPYC");
        assert_eq!((model(""), load("")), ("unknown".to_owned(), 0.0));
        assert_eq!(load("2.59 2.10 2.94 1/200 4711\n"), 2.59);
    }

    #[test]
    fn the_page_says_why_figures_are_not_to_be_trusted() {
        let plan = Plan { rounds: 2, is_quick: true };
        let circumstances = Circumstances { processors: 2, model: "a model".to_owned(), load: 3.0, plan };
        let text = circumstances.text("15.18");
        assert!(text.contains("`--quick`: the figures are noise") && text.contains("Other programs"), "{text}");
    }
}
