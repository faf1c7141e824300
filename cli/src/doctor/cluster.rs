//! The servers of the cluster, and their sessions.

use std::{collections::BTreeSet, time::Duration};

use socketio_pg_connection::application_name;
use tokio_postgres::Client;

use super::{
    report::{Finding, Report, counted},
    server::failure,
};
use crate::{arguments::Doctor, failure::Failure, session::Session, survey::Survey};

/// How long servers may take to answer.
const SURVEY: Duration = Duration::from_secs(2);

/// Sessions of Rust nodes by their `application_name`, which every role may see.
const SESSIONS: &str = "
SELECT DISTINCT application_name FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pg_catalog.starts_with(application_name, 'socketio-pg ')
ORDER BY 1
";

/// Sessions whose last statement was LISTEN. Those of other roles may be hidden.
const LISTENERS: &str = "
SELECT count(*) FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
    AND pg_catalog.starts_with(pg_catalog.upper(query), 'LISTEN')
    AND NOT pg_catalog.starts_with(application_name, 'socketio-pg')
";

pub(super) async fn check(
    session: &mut Session,
    client: &Client,
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
        let most = namespaces.iter().map(|name| uids.iter().filter(|(of, _)| of == name).count()).max().unwrap_or(0);
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
    let names: BTreeSet<_> = told.iter().filter_map(|info| Some(application_name(info.name.as_deref()?))).collect();
    if let Err(error) = check_sessions(client, &names, report).await {
        report.add(Finding::failure("sessions", failure(error)));
    }
    Ok(())
}

async fn check_sessions(
    client: &Client,
    names: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), tokio_postgres::Error> {
    let own = application_name("cli");
    let mut silent = Vec::new();
    for row in client.query_typed(SESSIONS, &[]).await? {
        let name: String = row.try_get(0)?;
        if name != own && !names.contains(&name) {
            silent.push(name.trim_start_matches("socketio-pg ").to_owned());
        }
    }
    if silent.is_empty() {
        report.add(Finding::ok("sessions", "every Rust server that is connected answered"));
    } else {
        report.add(Finding::warning(
            "sessions",
            format!("these Rust servers are connected, and did not answer: {}", silent.join(", ")),
            "a server that hangs does not answer; nor does one with another --prefix, or with none of the namespaces that were asked",
        ));
    }
    let rows = client.query_typed(LISTENERS, &[]).await?;
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
