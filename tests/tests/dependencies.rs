//! The dependencies that each crate adds to an application, and the lines that change with the
//! backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The crates that applications use.
const SHIPPED: [&str; 5] = [
    "socketio-pg-protocol",
    "socketio-pg-core",
    "socketio-pg-tokio-postgres",
    "socketio-pg-diesel",
    "socketio-pg-admin-ui",
];

/// Crates that may occur in several versions, with the reason.
const SEVERAL_VERSIONS: [(&str, &str); 1] =
    [("syn", "derive macros are on their way from 2 to 3; they are used at compile time only")];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a folder of the workspace").to_owned()
}

/// A crate in the dependency tree of another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    version: String,
    features: String,
}

/// What an application builds for a crate with default features, the crate itself included.
fn tree(package: &str, arguments: &[&str]) -> BTreeSet<Dependency> {
    let tree = cargo_tree(&[&["--edges=normal", "--package", package], arguments].concat());
    assert!(tree.iter().any(|dependency| dependency.name == package), "cargo tree says something else: {tree:?}");
    tree
}

fn cargo_tree(arguments: &[&str]) -> BTreeSet<Dependency> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix=none", "--format={p} [{f}]"])
        .args(arguments)
        .current_dir(workspace())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    text.lines().filter(|line| !line.is_empty()).map(dependency).collect()
}

/// Reads `name v1.2.3 (a note) [feature,feature] (*)`.
fn dependency(line: &str) -> Dependency {
    let (package, rest) = line.split_once(" [").expect("features come in brackets");
    let (features, _) = rest.split_once(']').expect("features come in brackets");
    let mut words = package.split(' ');
    let mut word = || words.next().expect("name and version come first").to_owned();
    Dependency { name: word(), version: word(), features: features.to_owned() }
}

fn names(tree: &BTreeSet<Dependency>) -> BTreeSet<&str> {
    tree.iter().map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn neither_backend_takes_in_the_others_stack() {
    let tokio_postgres = tree("socketio-pg-tokio-postgres", &[]);
    let leaked: Vec<_> = names(&tokio_postgres).into_iter().filter(|name| name.contains("diesel")).collect();
    assert!(leaked.is_empty(), "{leaked:?}");

    let diesel = tree("socketio-pg-diesel", &[]);
    let of_the_other = ["deadpool-postgres", "socketio-pg-tokio-postgres"];
    let leaked: Vec<_> = of_the_other.into_iter().filter(|name| names(&diesel).contains(name)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    // A C library to install, which diesel can do without.
    assert!(!names(&diesel).contains("pq-sys"));
    // diesel-async's own driver has the features that diesel-async enables.
    let driver = diesel.iter().find(|dependency| dependency.name == "tokio-postgres");
    assert_eq!(driver.map(|driver| driver.features.as_str()), Some("default,runtime"));
}

#[test]
fn the_protocol_takes_in_nothing_but_its_encodings() {
    let direct = tree("socketio-pg-protocol", &["--depth=1"]);
    let allowed =
        ["socketio-pg-protocol", "base64", "serde", "serde_bytes", "serde_json", "rmp", "rmp-serde", "thiserror"];
    let more: Vec<_> = names(&direct).into_iter().filter(|name| !allowed.contains(name)).collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn no_crate_comes_in_several_versions() {
    let mut excused = BTreeSet::new();
    for package in SHIPPED {
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for Dependency { name, version, .. } in tree(package, &[]) {
            versions.entry(name).or_default().insert(version);
        }
        for (name, versions) in versions.into_iter().filter(|(_, versions)| versions.len() > 1) {
            let excuse = SEVERAL_VERSIONS.iter().find(|(excused, _)| *excused == name);
            assert!(excuse.is_some(), "{package} takes in {name} {versions:?}");
            excused.insert(name);
        }
    }
    for (name, reason) in SEVERAL_VERSIONS {
        assert!(excused.contains(name), "{name} needs no excuse any more ({reason}): take it off the list");
    }
}

/// Otherwise steps of `.ci/run` that build few packages would compile many dependencies again.
#[test]
fn socketio_pg_dependencies_asks_for_every_feature_that_the_workspace_asks_for() {
    let others = |mut tree: BTreeSet<Dependency>| {
        tree.retain(|it| !it.name.starts_with("socketio-pg"));
        tree
    };
    let workspace = others(cargo_tree(&["--workspace", "--all-features"]));
    let package = others(cargo_tree(&["--edges=normal,build", "--package=socketio-pg-dependencies"]));
    let lacking: Vec<_> = workspace.difference(&package).collect();
    let only_here: Vec<_> = package.difference(&workspace).collect();
    assert!(
        lacking.is_empty() && only_here.is_empty(),
        "tests/dependencies/Cargo.toml lacks features or crates: {lacking:#?}\nonly it has: {only_here:#?}"
    );
}

#[test]
fn the_same_server_on_the_other_backend_differs_in_its_import() {
    let example = |backend: &str| {
        let file = workspace().join(backend).join("examples/server.rs");
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let (one, other) = (example("adapter-tokio-postgres"), example("adapter-diesel"));
    assert_eq!(one.lines().count(), other.lines().count());
    let differing: Vec<_> = one.lines().zip(other.lines()).filter(|(one, other)| one != other).collect();
    assert_eq!(
        differing,
        [(
            "use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter, record_handshake};",
            "use socketio_pg_diesel::{Cluster, Options, PostgresAdapter, record_handshake};"
        )]
    );
}
