//! The files in `operate/` are right: the alert rules by Prometheus's own tool, and the names of
//! metrics by the list of those that the adapter exports.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use socketio_pg_tests::{Tool, require};

const PROMTOOL: Tool = Tool {
    name: "promtool",
    is_there: || Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success()),
    remedy: "install Prometheus (Debian: apt-get install prometheus; macOS: brew install prometheus)",
};

/// What the names of histograms end with, where the exporter writes several series for one.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_count", "_sum"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

/// The lines of a file that are not comments.
fn without_comments(path: &str) -> String {
    text(path).lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

fn promtool(arguments: [&str; 3]) {
    if require(&PROMTOOL) {
        let output = Command::new("promtool").args(arguments).current_dir(workspace()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}");
    }
}

/// The words of a text that begin like this.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| word.starts_with(prefix)).collect()
}

#[test]
fn prometheus_accepts_the_rules() {
    promtool(["check", "rules", "operate/alerts.yml"]);
}

#[test]
fn each_alert_reports_what_it_is_for_and_nothing_else() {
    promtool(["test", "rules", "operate/alerts.test.yml"]);
}

#[test]
fn each_alert_has_a_case_in_which_it_is_reported_and_one_in_which_it_is_not() {
    let (rules, cases) = (without_comments("operate/alerts.yml"), without_comments("operate/alerts.test.yml"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let cases: Vec<_> = cases.split("alertname: ").skip(1).collect();
    for alert in alerts {
        let of_alert = || cases.iter().filter(|case| words(case, alert).contains(alert));
        assert!(of_alert().any(|case| case.contains("exp_labels:")), "{alert} is not seen to be reported");
        assert!(of_alert().any(|case| case.contains("exp_alerts: []")), "{alert} is not seen to be silent");
    }
}

#[test]
fn rules_and_dashboard_name_metrics_that_the_adapter_exports_and_the_dashboard_names_all() {
    let exporter = ["metrics", "histograms"].map(|name| text(&format!("adapter-core/src/observe/{name}.rs"))).concat();
    let mut exported = words(&exporter, "socketio_pg_");
    // The prefix alone is no name.
    exported.remove("socketio_pg_");
    assert!(exported.len() > 20, "{exported:?}");
    let mut shown = BTreeSet::new();
    for path in ["operate/alerts.yml", "operate/alerts.test.yml", "operate/dashboard.json"] {
        let text = text(path);
        for name in words(&text, "socketio_pg_") {
            let plain = OF_HISTOGRAMS.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            assert!(exported.contains(name) || exported.contains(plain), "{path}: {name} is not exported");
            if path.ends_with("json") {
                shown.insert(if exported.contains(name) { name } else { plain }.to_owned());
            }
        }
    }
    let missing: Vec<_> = exported.iter().filter(|name| !shown.contains(**name)).collect();
    assert!(missing.is_empty(), "not on the dashboard: {missing:?}");
}
