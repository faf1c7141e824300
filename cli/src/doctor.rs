//! `doctor`: everything that can be wrong with the database and the cluster, each with its remedy.

mod cluster;
mod judge;
mod locks;
mod report;
mod server;
mod tables;

use socketio_pg_connection::Settings;
use socketio_pg_core::ConnectError;

use self::report::{Finding, Report};
use crate::{
    arguments::{Doctor, Target},
    asking, database,
    failure::Failure,
    session::Session,
};

pub(crate) async fn run(target: &Target, command: &Doctor) -> Result<(), Failure> {
    let mut report = Report::new(target.json, command.quiet);
    check(target, command, &mut report).await?;
    report.end()
}

/// Stops at what makes all other checks fail.
async fn check(target: &Target, command: &Doctor, report: &mut Report) -> Result<(), Failure> {
    let url = match database::url(target) {
        Ok(url) => url,
        Err(failure) => {
            report.add(Finding::failure("url", failure));
            return Ok(());
        }
    };
    let settings = match Settings::parse(url) {
        Ok(settings) => settings,
        Err(error) => {
            report.add(Finding::failure("url", ConnectError::from(error).into()));
            return Ok(());
        }
    };
    report.add(Finding::ok("url", "the database URL can be read"));
    let client = match database::client(target).await {
        Ok(client) => client,
        Err(failure) => {
            report.add(Finding::failure("connect", failure));
            return Ok(());
        }
    };
    let server = match server::check(&client, &settings, command.old_transaction, report).await {
        Ok(server) => server,
        Err(error) => {
            report.add(Finding::failure("server", asking::failure(error)));
            return Ok(());
        }
    };
    tables::check(target, command, &client, &server, report).await?;
    let mut session = match Session::open(target).await {
        Ok(session) => session,
        Err(failure) => {
            report.add(Finding::failure("listen", failure));
            return Ok(());
        }
    };
    match session.prove_hearing().await {
        Ok(()) => report.add(Finding::ok("listen", "notifications arrive through this connection")),
        Err(failure) => {
            let remedy = "give --database-url the address of PostgreSQL itself, and servers the same for listening";
            report.add(Finding::failure("listen", failure).with_remedy(remedy));
            return Ok(());
        }
    }
    drop(client);
    cluster::check(&mut session, target, command, report).await
}
