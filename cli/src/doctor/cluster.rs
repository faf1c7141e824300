//! The servers of the cluster, and their sessions.

use std::{collections::BTreeSet, time::Duration};

use tokio_postgres::Client;

use super::report::{Finding, Report};
use crate::{
    arguments::{Doctor, Target},
    asking::{self, ask},
    connected, database,
    failure::Failure,
    output::counted,
    session::Session,
    survey::Survey,
};

/// How long servers may take to answer.
const SURVEY: Duration = Duration::from_secs(2);

/// Sessions whose last statement was LISTEN. Those of other roles may be hidden.
const LISTENERS: &str = "
SELECT count(*) FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
    AND pg_catalog.starts_with(pg_catalog.upper(query), 'LISTEN')
    AND NOT pg_catalog.starts_with(application_name, 'socketio-pg')
";

pub(super) async fn check(
    session: &mut Session,
    target: &Target,
    command: &Doctor,
    report: &mut Report,
) -> Result<(), Failure> {
    let survey = Survey::of_namespaces(session, &command.namespace, SURVEY).await?;
    let known: Vec<_> = survey.nodes().collect();
    let told: Vec<_> = known.iter().filter_map(|(.., seen)| seen.info.as_ref()).collect();
    let uids: BTreeSet<_> = known.iter().map(|(namespace, uid, _)| (*namespace, uid.as_str())).collect();
    if uids.is_empty() {
        report.add(Finding::warning(
            "servers",
            "no server of the cluster answered",
            "are --prefix and --namespace right, and does a server run on this database?",
        ));
    } else {
        let namespaces: BTreeSet<_> = uids.iter().map(|(namespace, _)| *namespace).collect();
        // One that tells no name here may be one that tells it elsewhere.
        let of_namespace = |name: &str| uids.iter().filter(|(of, _)| *of == name).count();
        let named: usize = survey.servers_by_name().into_values().sum();
        let most = namespaces.iter().map(|name| of_namespace(name)).max().unwrap_or(0).max(named);
        report.add(Finding::ok(
            "servers",
            format!(
                "{} answered, in {}; see `socketio-pg nodes`",
                counted(most, "server"),
                counted(namespaces.len(), "namespace")
            ),
        ));
    }
    let versions: BTreeSet<_> = told
        .iter()
        .filter(|info| info.language.as_deref() == Some("Rust"))
        .filter_map(|info| info.version.clone())
        .collect();
    if versions.len() > 1 {
        let versions: Vec<_> = versions.into_iter().collect();
        report.add(Finding::warning(
            "versions",
            format!("Rust servers have different versions: {}", versions.join(", ")),
            "that works while you upgrade; see docs/upgrades.md",
        ));
    }
    // Another session, as the first was idle meanwhile, which its role may not be for long.
    let client = match database::client(target).await {
        Ok(client) => client,
        Err(failure) => {
            report.add(Finding::failure("sessions", failure));
            return Ok(());
        }
    };
    let asked_all = command.namespace.is_empty();
    if let Err(error) = check_sessions(&client, &survey, (asked_all, target.outbox.is_some()), report).await {
        report.add(Finding::failure("sessions", asking::failure(error)));
    }
    Ok(())
}

async fn check_sessions(
    client: &Client,
    survey: &Survey,
    (asked_all, has_outbox): (bool, bool),
    report: &mut Report,
) -> Result<(), tokio_postgres::Error> {
    let silent = connected::silent(client, survey).await?;
    let others = silent.join(", ");
    if !asked_all {
        report.add(Finding::ok("sessions", "with --namespace it cannot be told which servers hang"));
    } else if silent.is_empty() {
        report.add(Finding::ok("sessions", "every Rust server that is connected answered"));
    } else if has_outbox {
        let says =
            format!("these are connected, and did not answer, as processes do that only publish the outbox: {others}");
        report.add(Finding::ok("sessions", says));
    } else {
        report.add(Finding::warning(
            "sessions",
            format!("these Rust servers are connected, and did not answer: {others}"),
            "a server that hangs does not answer; nor does one with another --prefix, one without namespaces, or one that only publishes \
             an outbox (then give --outbox)",
        ));
    }
    let rows = ask(client, LISTENERS, &[]).await?;
    let others: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    let others = counted(usize::try_from(others).unwrap_or(0), "other session");
    report.add(Finding::ok(
        "listeners",
        format!(
            "{others} of this database with a last statement of LISTEN, as far as this role may see: Node.js servers, or others"
        ),
    ));
    Ok(())
}
