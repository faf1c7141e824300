//! Rust servers that are connected to the database: those that do not answer are found by their
//! sessions.

use std::{collections::BTreeMap, time::Duration};

use socketio_pg_connection::application_name;
use tokio_postgres::{Client, Error};

use crate::{
    arguments::Target,
    asking::{self, ask},
    database,
    failure::Failure,
    session::Session,
    survey::Survey,
};

/// Sessions of Rust servers by their `application_name`, which every role may see, and how many of
/// them listen: each server has one that does, whose statements are these. Null where the role may
/// not see statements. A session that is just opened has no statement yet.
const SESSIONS: &str = "
SELECT application_name, CASE WHEN pg_catalog.bool_and(state IS NOT NULL AND state <> 'disabled') THEN count(*) FILTER (
    WHERE (query = '' OR pg_catalog.starts_with(query, 'LISTEN') OR pg_catalog.starts_with(query, 'UNLISTEN'))
        AND backend_start < pg_catalog.clock_timestamp() - interval '1 s'
) END
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pg_catalog.starts_with(application_name, 'socketio-pg ')
GROUP BY 1 ORDER BY 1
";

/// The namespace that every server has.
const MAIN: &str = "/";

/// The Rust servers that are connected and did not answer, by name.
pub(crate) async fn silent(client: &Client, survey: &Survey) -> Result<Vec<String>, Error> {
    let own = application_name("cli");
    let mut answered: BTreeMap<String, i64> = BTreeMap::new();
    for (name, servers) in survey.servers_by_name() {
        // What is cut off a long name may be all that differs.
        *answered.entry(application_name(name)).or_default() += i64::try_from(servers).unwrap_or(i64::MAX);
    }
    let mut silent = Vec::new();
    for row in ask(client, SESSIONS, &[]).await? {
        let (session, listening): (String, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let answered = answered.get(&session).copied().unwrap_or(0);
        let connected = listening.unwrap_or(0).max(1);
        if session != own && answered < connected {
            let name = session.trim_start_matches("socketio-pg ");
            silent.push(match connected {
                1 => name.to_owned(),
                _ => format!("{name} ({connected} servers of this name are connected, {answered} answered)"),
            });
        }
    }
    Ok(silent)
}

/// Says who did not answer to a survey of these namespaces, or of all: nobody did, or some Rust
/// servers are connected and did not. Empty when all answered, or have no such namespace.
pub(crate) async fn missing(
    target: &Target,
    session: &mut Session,
    survey: &Survey,
    (namespaces, wait): (&[String], Duration),
) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    if survey.nodes().next().is_none() {
        missing.push(format!(
            "no server answered in {} on channels that begin with {:?}: are namespace, prefix and database right?",
            session.namespaces().join(", "),
            target.prefix
        ));
    }
    // Servers that only publish the outbox do not answer.
    if target.outbox.is_some() {
        return Ok(missing);
    }
    let client = database::client(target).await?;
    let mut silent = self::silent(&client, survey).await.map_err(asking::failure)?;
    if !silent.is_empty() && !namespaces.is_empty() && namespaces != [MAIN] {
        // They may lack these namespaces, and answer in the one that all have.
        let all: Vec<_> = namespaces.iter().map(String::as_str).chain([MAIN]).map(str::to_owned).collect();
        let everywhere = Survey::of_namespaces(session, &all, wait).await?;
        silent = self::silent(&client, &everywhere).await.map_err(asking::failure)?;
    }
    if !silent.is_empty() {
        missing.push(format!(
            "no answer within {wait:?} from Rust servers that are connected to this database: {}. Give them more time with --wait; \
             one that hangs does not answer, nor one with another --prefix",
            silent.join(", ")
        ));
    }
    Ok(missing)
}
