//! Python for tests: an environment with the packages of a `requirements.txt`, made once.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Kind, Tool, require, tool::missing};

/// Python, for the node in Python and for the types that Python tools generate.
pub const PYTHON: Tool = Tool {
    name: "Python 3.10 or later with venv",
    is_there: || {
        let script = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
        Command::new("python3").args(["-c", script]).output().is_ok_and(|output| output.status.success())
    },
    remedy: "install it (Debian: apt-get install python3-venv; macOS: brew install python)",
};

/// The node in Python, with its packages in an environment below `target`:
/// `env!("CARGO_TARGET_TMPDIR")`. `None` when Python is missing or pip cannot install the packages,
/// which is reported as by [`require`].
///
/// # Panics
/// With `CI` set, instead of returning `None`.
#[must_use]
pub fn python_node(target: &str) -> Option<Kind> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join("requirements.txt");
    let interpreter = interpreter(target, "node-python", &requirements)?;
    Some(Kind::Python { interpreter })
}

/// The server in Python, with the packages of `python/requirements.txt` in an environment below
/// `target`, as [`python_node`] has it.
///
/// # Panics
/// With `CI` set, instead of returning `None`.
#[must_use]
pub fn python_server(target: &str) -> Option<Kind> {
    Some(Kind::PythonServer { interpreter: python_interpreter(target)? })
}

/// The interpreter of [`python_server`]'s environment. psycopg is one of its packages.
///
/// # Panics
/// With `CI` set, instead of returning `None`.
#[must_use]
pub fn python_interpreter(target: &str) -> Option<PathBuf> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("python").join("requirements.txt");
    interpreter(target, "package-python", &requirements)
}

fn interpreter(target: &str, name: &str, requirements: &Path) -> Option<PathBuf> {
    if !require(&PYTHON) {
        return None;
    }
    match python_environment(&Path::new(target).join(name), requirements) {
        Ok(interpreter) => Some(interpreter),
        Err(error) => {
            missing(&format!("packages of {}", requirements.display()), &error.to_string());
            None
        }
    }
}

/// Makes a virtual environment with the packages of a `requirements.txt`, unless there is one with
/// exactly these, and returns its interpreter. Blocks. When several processes call it at the same
/// time, one installs and the others wait.
///
/// `folder` is its place below the target directory: `env!("CARGO_TARGET_TMPDIR")` and a name.
///
/// # Errors
/// When Python with venv is missing, or pip fails: its own text.
pub fn python_environment(folder: &Path, requirements: &Path) -> io::Result<PathBuf> {
    let python = folder.join("bin").join("python");
    let installed = folder.join("installed.txt");
    let wanted = fs::read_to_string(requirements)?;
    let parent = folder.parent().ok_or_else(|| io::Error::other("the folder has no parent"))?;
    fs::create_dir_all(parent)?;
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock()?;
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(&python).args(pip).arg(requirements))?;
    fs::write(installed, wanted)?;
    Ok(python)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Err(io::Error::other(format!("{command:?} failed: {text}")))
}
