//! The programs that a test needs: found, or reported as missing.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use socketio_pg_throwaway::{Database, Server};

/// A program that must be installed.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Whether it is installed.
    pub is_there: fn() -> bool,
    /// What to do when it is missing.
    pub remedy: &'static str,
}

/// Node.js with npm: for Node.js servers, and for all clients.
pub const NODE: Tool = Tool {
    name: "Node.js 18.3 or later with npm",
    is_there: || {
        // npm takes a quarter of a second to print its version, so it is asked once for all tests.
        static FOUND: LazyLock<bool> = LazyLock::new(|| node_version().is_some_and(|it| it >= (18, 3)) && runs("npm"));
        *FOUND
    },
    remedy: "install it (Debian: apt-get install nodejs npm; macOS: brew install node)",
};

/// Java's compiler: for the types in Java.
pub const JAVA: Tool = Tool {
    name: "a JDK, 17 or later",
    is_there: || {
        Command::new("javac").args(["--release", "17", "--version"]).output().is_ok_and(|it| it.status.success())
    },
    remedy: "install it (Debian: apt-get install default-jdk-headless; macOS: brew install openjdk)",
};

/// A Chromium, or a Chrome: for the pages, by the scripts in [`browser_scripts`].
pub const CHROMIUM: Tool = Tool {
    name: "Chromium",
    is_there: || {
        Command::new("node").arg(browser_scripts().join("find.mjs")).output().is_ok_and(|found| found.status.success())
    },
    remedy: "install it (Debian: apt-get install chromium), or set CHROMIUM to the path of a Chromium or Chrome",
};

/// The folder of the scripts that drive a browser. [`install`](crate::install()) installs their
/// packages.
pub fn browser_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("demo").join("browser")
}

/// Whether a tool is there. If not, the test skips itself: `if !require(&NODE) { return }`. One
/// line on stderr says so, which the test harness does not hide.
///
/// # Panics
/// With `CI` set, instead of returning false: CI must run all tests.
#[must_use]
pub fn require(tool: &Tool) -> bool {
    let is_there = (tool.is_there)();
    if !is_there {
        missing(tool.name, tool.remedy);
    }
    is_there
}

/// A database for one test. `None` when PostgreSQL is missing, which is reported as by [`require`].
///
/// # Panics
/// With `CI` set, instead of returning `None`; and when the server refuses.
pub fn database() -> Option<Database> {
    match Server::shared() {
        Ok(server) => Some(server.create_database().unwrap_or_else(|error| panic!("{error}"))),
        Err(error) => {
            missing("PostgreSQL", &error.to_string());
            None
        }
    }
}

pub(crate) fn missing(name: &str, remedy: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED {test}: no {name}: {}", remedy.replace('\n', " "));
    assert!(std::env::var_os("CI").is_none(), "{line}");
    // Not `eprintln`, which the harness shows for failed tests only.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn node_version() -> Option<(u32, u32)> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut parts = text.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
