//! The pages of the repository are correct: their SQL is the SQL that nodes run, their links lead to
//! existing files and headings, and the manuals of both backends say the same.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use socketio_pg_tests::database;
use socketio_pg_tokio_postgres::{
    CatchUp, Cluster, Options, Outbox, TokioPostgresBackend, log_schema_sql, outbox_schema_sql, schema_sql,
};
use tokio_postgres::{Config, NoTls};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The SQL blocks of a page.
fn sql(page: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join(page)).unwrap();
    let blocks = page.split("```sql\n").skip(1);
    blocks.map(|rest| rest.split_once("\n```").expect("a block ends").0.to_owned()).collect()
}

#[test]
fn the_security_page_shows_the_statements_that_create_the_tables() {
    let shown: Vec<_> = sql("docs/security.md").into_iter().filter(|block| block.starts_with("CREATE")).collect();
    let created = [
        schema_sql("socket_io_attachments").unwrap(),
        log_schema_sql("socket_io_log").unwrap(),
        outbox_schema_sql("socket_io_outbox").unwrap(),
    ];
    assert_eq!(shown, created, "docs/security.md has to show:\n\n{}\n", created.join("\n\n"));
}

#[test]
fn the_operations_page_shows_the_indexes_of_the_log() {
    let indexes = |sql: &str| -> Vec<String> {
        let statements = sql.lines().filter(|line| line.starts_with("CREATE INDEX"));
        statements.map(|line| line.replace("CONCURRENTLY ", "").replace('"', "")).collect()
    };
    let created = indexes(&log_schema_sql("socket_io_log").unwrap());
    assert!(!created.is_empty());
    assert_eq!(indexes(&sql("docs/operations.md").join("\n")), created);
}

#[tokio::test]
async fn the_statements_of_the_security_page_are_all_that_a_node_needs() {
    let Some(database) = database() else { return };
    let role = format!("{}_chat", database.name());
    database.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'right'")).unwrap();
    database.execute(&format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", database.name())).unwrap();
    for statements in sql("docs/security.md") {
        let statements = statements.replace("DATABASE app", &format!("DATABASE {}", database.name()));
        database.execute(&statements.replace("TO chat", &format!("TO {role}"))).unwrap();
    }

    let mut config: Config = database.url().parse().unwrap();
    config.user(&role).password("right");
    let options = Options::default().create_table(false).catch_up(CatchUp::last(Duration::from_secs(60)));
    let options = options.outbox(Outbox::default());
    let connected = Cluster::connect(TokioPostgresBackend::new(config, NoTls), options).await;
    let outcome = match connected {
        Ok(cluster) => {
            cluster.close().await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    outcome.unwrap();
}

#[test]
fn links_between_pages_lead_to_files_and_headings_that_exist() {
    let pages: BTreeMap<PathBuf, String> =
        pages(&repository()).into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let mut links = 0;
    let mut dead = Vec::new();
    for (path, text) in &pages {
        for link in links_of(text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            links += 1;
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let lives = target.canonicalize().is_ok_and(|target| match (heading, pages.get(&target)) {
                (Some(heading), Some(page)) => anchors(page).iter().any(|anchor| anchor == heading),
                _ => true,
            });
            if !lives {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(links > 50, "only {links} links: the test has stopped reading them");
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// The documentation of both backends shows these pages, each after `links.md`, which leads the names
/// of links to pages of the documentation. An inline link would be dead there.
#[test]
fn the_guides_link_to_other_pages_by_names_that_the_documentation_knows() {
    let links = read("adapter-tokio-postgres/src/guide/links.md");
    let known: BTreeMap<_, _> = definitions(&links).collect();
    let mut wrong = Vec::new();
    let mut pages = 0;
    for entry in fs::read_dir(repository().join("adapter-tokio-postgres/src/guide")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = read(&format!("adapter-tokio-postgres/src/guide/{name}"));
        let other = read(&format!("adapter-diesel/src/guide/{name}"));
        assert_eq!(page, other, "{name} is another page in the crate on diesel");
        if name == "links.md" {
            continue;
        }
        pages += 1;
        assert_eq!(page, read(&format!("docs/{name}")), "src/guide/{name} has to be a link to docs/{name}");
        let defined: BTreeMap<_, _> = definitions(&page).collect();
        for link in inline_links(&page).filter(|link| !link.starts_with('#') && !link.contains("://")) {
            wrong.push(format!("docs/{name}: write `[text][{link}]`, and at the end of the page `[{link}]: {link}`"));
        }
        for reference in references(&page).filter(|reference| !defined.contains_key(reference)) {
            wrong.push(format!("docs/{name}: no `[{reference}]: {reference}` at the end of the page"));
        }
        for (link, target) in defined.iter().filter(|(_, target)| !target.contains("://")) {
            if link != target {
                wrong.push(format!("docs/{name}: `[{link}]` is named otherwise than its target"));
            } else if !known.contains_key(link) {
                wrong.push(format!("adapter-tokio-postgres/src/guide/links.md: no `[{link}]`"));
            }
        }
    }
    assert!(pages > 5, "only {pages} pages: the test has stopped reading them");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_test_that_a_defect_names_exists() {
    let page = fs::read_to_string(repository().join("docs/found.md")).unwrap();
    let mut named = 0;
    let mut missing = Vec::new();
    for link in page.lines().flat_map(|line| line.split('[').skip(1)) {
        let Some((name, rest)) = link.split_once("](") else { continue };
        let Some((file, _)) = rest.split_once(')').filter(|(file, _)| file.ends_with(".rs")) else { continue };
        named += 1;
        let text = fs::read_to_string(repository().join("docs").join(file)).unwrap_or_default();
        // A scenario of the conformance suite has a title instead of a function name.
        if !text.contains(&format!("fn {name}")) && !text.contains(&format!("{name}\"")) {
            missing.push(format!("{file}: {name}"));
        }
    }
    assert!(named > 30, "only {named} tests: the test has stopped reading them");
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
}

/// The text of a file, from the folder of the workspace.
fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The front page of the crate on tokio-postgres, and with the same name of the crate, the front
/// page of the one on diesel.
fn manuals() -> [String; 2] {
    let diesel = read("adapter-diesel/src/manual.md");
    let renamed = diesel
        .replace("socketio_pg_diesel", "socketio_pg_tokio_postgres")
        .replace("socketio-pg-diesel", "socketio-pg-tokio-postgres");
    [read("adapter-tokio-postgres/src/manual.md"), renamed]
}

/// A manual without what stands between the marks of a backend's own sections.
fn common(manual: &str) -> String {
    let mut parts = manual.split("<!-- backend: begin -->");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let (_, rest) = part.split_once("<!-- backend: end -->").expect("a section of a backend ends");
        text + "(the backend's own)" + rest
    })
}

#[test]
fn the_manuals_of_both_backends_differ_in_names_and_in_the_marked_sections_only() {
    let [one, other] = manuals().map(|manual| common(&manual));
    assert!(one.lines().count() > 200, "the marks hide nearly everything");
    let differ = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(differ, None, "change adapter-tokio-postgres/src/manual.md and adapter-diesel/src/manual.md alike");
    assert_eq!(one.lines().count(), other.lines().count());
}

#[test]
fn the_server_in_the_manuals_is_the_server_in_readme() {
    let block = |text: &str, kind: &str| {
        let (_, rest) = text.split_once(&format!("```{kind}\n")).expect("the page has such a block");
        rest.split("```").next().unwrap().lines().map(|line| line.split(" #").next().unwrap().to_owned()).collect()
    };
    let readme = read("README.md");
    for manual in manuals() {
        for kind in ["rust,no_run", "toml"] {
            let (shown, expected): (Vec<String>, Vec<String>) = (block(&manual, kind), block(&readme, kind));
            assert_eq!(shown, expected);
        }
    }
}

/// The methods of an alias are on the page of the type in the core: the search in the documentation
/// of a backend finds them only where the alias names them.
#[test]
fn the_pages_of_the_aliases_name_every_method() {
    let mut methods = 0;
    let mut missing = Vec::new();
    for backend in ["adapter-tokio-postgres", "adapter-diesel"] {
        let page = read(&format!("{backend}/src/lib.rs")) + &read(&format!("{backend}/src/emitter.rs"));
        for file in ["cluster", "serve", "namespace", "server_side", "emitter"] {
            let text = read(&format!("adapter-core/src/api/{file}.rs"));
            // What is hidden from the documentation is not for applications.
            let text = text.replace("#[doc(hidden)]\n    pub ", "");
            let public = text.lines().filter_map(|line| {
                let line = line.strip_prefix("    pub ")?;
                line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
            });
            let alias = if file == "emitter" { "Emitter" } else { "" };
            for name in public.filter_map(|line| line.split(['(', '<']).next()).filter(|name| *name != "all") {
                methods += 1;
                if !page.contains(&format!("{alias}::{name}]")) {
                    missing.push(format!("{backend}: {file}::{name}"));
                }
            }
        }
    }
    assert!(methods > 80, "only {methods} methods: the test has stopped reading them");
    assert!(missing.is_empty(), "not in the table of methods on the alias:\n{}", missing.join("\n"));
}

/// The Markdown files below a folder, except those that tools download and those that are part of
/// the sources.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().canonicalize().unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git", "src"].contains(&name.as_str()) {
                found.extend(pages(&path));
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// The lines of a page that are prose, not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of `[text](target)` and of `[name]: target`.
fn links_of(text: &str) -> impl Iterator<Item = &str> {
    inline_links(text).chain(definitions(text).map(|(_, target)| target))
}

/// The targets of `[text](target)`.
fn inline_links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split_once(')'))).map(|(link, _)| link)
}

/// The names of `[text][name]`.
fn references(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("][").skip(1).filter_map(|rest| rest.split_once(']'))).map(|(name, _)| name)
}

/// Each `[name]: target`.
fn definitions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    prose(text).filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let mut anchors: Vec<String> = Vec::new();
    for heading in headings {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
        let anchor: String = kept.map(|char| if char == ' ' { '-' } else { char }).collect();
        let same = anchors.iter().filter(|earlier| **earlier == anchor).count();
        anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
    }
    anchors
}
