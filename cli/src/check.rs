//! `check`: whether a node, in any language, does what the protocol says.

use std::{
    env, fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser;
use socketio_pg_kit::{
    archive::RECORDINGS,
    check::Check,
    judge::{Level, Transcript, judge},
    partner::{self, PartnerArguments},
};

use crate::{
    arguments::{self, CheckLevel, Target},
    database,
    failure::Failure,
    output,
};

pub(crate) async fn run(target: &Target, command: &arguments::Check) -> Result<(), Failure> {
    if let Some(file) = &command.wire_only {
        return wire_only(target, file);
    }
    if let Some(folder) = &command.recordings {
        return recordings(folder);
    }
    let level = match command.level {
        CheckLevel::Hears => Level::Hears,
        CheckLevel::Speaks => Level::Speaks,
        CheckLevel::Answers => Level::Answers,
        CheckLevel::Complete => Level::Complete,
    };
    let client = database::client(target).await?;
    let check = Check {
        command: command.command.clone().unwrap_or_default(),
        database_url: database::url(target)?.to_owned(),
        partner: (env::current_exe().map_err(Failure::failed)?, vec![PARTNER.to_owned()]),
        node: if command.no_node { None } else { node() },
        clusters: command.cluster.clone(),
        scenarios: command.scenario.clone(),
        level,
        patience: command.patience,
    };
    let report = check.run(client, output::note, stopped()).await.map_err(Failure::failed)?;
    if target.json {
        output::json(&report.json());
    } else {
        output::text(&report.text());
    }
    if !report.mistakes.is_empty() {
        return Err(Failure::Failed(format!("the node breaks {}", output::counted(report.mistakes.len(), "rule"))));
    }
    // Of a part of the scenarios, the last level may be missing.
    let is_reached = if report.is_partial { report.is_right() } else { report.level() >= Some(level) };
    if !is_reached {
        return Err(Failure::Incomplete(format!("the node does not reach the level {level}")));
    }
    Ok(())
}

/// Returns when the command is to end: the kit's tables must be dropped.
async fn stopped() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        terminate.recv().await;
        return;
    }
    std::future::pending().await
}

/// Where the Node.js server is kept; `None` when there is no Node.js, which is said.
fn node() -> Option<PathBuf> {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    if !runs("node") || !runs("npm") {
        output::warning("no clusters with Node.js: install Node.js 18.3 or later with npm for these, or say --no-node");
        return None;
    }
    let folder = |variable| env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    // Not a folder for all users: each of them could put a program there.
    let Some(cache) = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache"))) else {
        output::warning(
            "no clusters with Node.js: set HOME or XDG_CACHE_HOME, where the Node.js server is kept, or say --no-node",
        );
        return None;
    };
    Some(cache.join("socketio-pg").join(concat!("node-", env!("CARGO_PKG_VERSION"))))
}

fn wire_only(target: &Target, file: &Path) -> Result<(), Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| Failure::failed(format!("{} cannot be read: {error}", file.display())))?;
    let transcript = Transcript::read(&text).map_err(Failure::failed)?;
    if transcript.entries.is_empty() {
        return Err(Failure::failed(format!("{} has no notification: there is nothing to judge", file.display())));
    }
    let findings = judge(&transcript);
    for finding in &findings {
        if target.json {
            output::json(&finding.json());
        } else {
            output::text(&format!("{}\n", finding.text()));
        }
    }
    if findings.is_empty() {
        output::note(&format!("{} messages, and nothing wrong with them", transcript.entries.len()));
        return Ok(());
    }
    Err(Failure::Failed(format!("{} mistakes in {} messages", findings.len(), transcript.entries.len())))
}

fn recordings(folder: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{} cannot be written: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    for recording in RECORDINGS {
        fs::write(folder.join(recording.name), recording.text).map_err(failed)?;
        output::note(&folder.join(recording.name).display().to_string());
    }
    Ok(())
}

/// The argument with which this program is started as a partner. It is not for users, so it is none
/// of the commands.
const PARTNER: &str = "check-partner";

/// The command line of a partner.
#[derive(Parser)]
#[command(name = PARTNER)]
pub(crate) struct Partner {
    #[command(flatten)]
    arguments: PartnerArguments,
}

impl Partner {
    /// `None` when this program is not a partner.
    pub(crate) fn parse_if_it_is() -> Option<Self> {
        let is_partner = env::args_os().nth(1).is_some_and(|argument| argument == PARTNER);
        is_partner.then(|| Self::parse_from(env::args_os().skip(1)))
    }

    /// Serves until the end of input.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        partner::serve(&self.arguments).await.map_err(Failure::failed)
    }
}
