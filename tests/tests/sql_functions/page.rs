//! What docs/sql.md shows runs as it stands there.

use std::{path::Path, process::Stdio};

use socketio_pg_tests::python_interpreter;
use tokio::process::Command;

use crate::{Functions, event, rooms};

/// The code of the page in that language.
fn blocks(language: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql.md");
    let page = std::fs::read_to_string(page).unwrap();
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

async fn with_orders() -> Option<Functions> {
    let functions = Functions::install().await?;
    let orders = "CREATE TABLE orders (id int PRIMARY KEY, customer int, state text)";
    functions.client.batch_execute(orders).await.unwrap();
    Some(functions)
}

#[tokio::test]
async fn the_statements_of_the_page_run() {
    let Some(functions) = with_orders().await else { return };
    let blocks = blocks("sql");
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    let roles = ["shop", "reporting"].map(|role| format!("{role}_{}", functions.database.name()));
    for role in &roles {
        functions.client.batch_execute(&format!("CREATE ROLE \"{role}\"")).await.unwrap();
    }
    for block in &blocks {
        let block = block.replace("TO shop;", &format!("TO \"{}\";", roles[0]));
        let block = block.replace("TO reporting;", &format!("TO \"{}\";", roles[1]));
        let run = functions.client.batch_execute(&block).await;
        run.unwrap_or_else(|error| panic!("{error:?}: {block}"));
    }
    for role in &roles {
        functions.client.batch_execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await.unwrap();
    }
}

/// The row that it changes, and the event.
#[tokio::test]
async fn the_python_of_the_page_runs() {
    let Some(mut functions) = with_orders().await else { return };
    let Some(python) = python_interpreter(env!("CARGO_TARGET_TMPDIR")) else { return };
    functions.client.batch_execute("INSERT INTO orders VALUES (17, 5, 'new')").await.unwrap();
    let blocks = blocks("python");
    assert_eq!(blocks.len(), 1);
    for block in blocks {
        let mut python = Command::new(&python);
        let url = functions.database.url();
        let run = python.args(["-W", "error", "-c", &block]).env("DATABASE_URL", url).stdin(Stdio::null()).output();
        let run = run.await.unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let message = functions.next().await;
        assert_eq!((event(&message).as_str(), rooms(&message)), (r#"["order",{"id":17}]"#, vec!["order:17"]));
        assert_eq!(functions.database.execute("SELECT state FROM orders").unwrap().as_deref(), Some("paid"));
    }
}

/// Without psql: what the shell would pass to it.
#[tokio::test]
async fn the_shell_of_the_page_passes_a_statement_that_runs() {
    let Some(mut functions) = with_orders().await else { return };
    let all = blocks("sh");
    let block = all.iter().find(|block| block.contains("psql \"$DATABASE_URL\" -c")).unwrap();
    let script = format!("psql() {{ printf %s \"$3\"; }}; {block}");
    let statement = Command::new("sh").args(["-c", &script]).output().await.unwrap().stdout;
    let message = functions.emitted(std::str::from_utf8(&statement).unwrap()).await;
    assert_eq!((event(&message).as_str(), rooms(&message)), (r#"["order",{"id":17}]"#, vec!["order:17"]));
}

/// Without PHP, Prisma and Drizzle: the statements that they prepare.
#[tokio::test]
async fn the_statements_of_other_languages_on_the_page_can_be_prepared() {
    let Some(mut functions) = with_orders().await else { return };
    let mut prepared = 0;
    for block in blocks("php").into_iter().chain(blocks("js")) {
        let begin = block.find("SELECT socketio.").unwrap();
        // The quote before it ends it: a template of JavaScript has others within its parameters.
        let (before, rest) = block.split_at(begin);
        let mut statement = rest.split(before.chars().last().unwrap()).next().unwrap().to_owned();
        for (number, parameters) in
            [("$1", ["${JSON.stringify({ id: 17 })}", ":data"]), ("$2", ["${\"order:17\"}", ":room"])]
        {
            for parameter in parameters {
                statement = statement.replace(parameter, number);
            }
        }
        prepared += 1;
        let run = format!("PREPARE it_{prepared} AS {statement}; EXECUTE it_{prepared} ('{{\"id\": 17}}', 'order:17')");
        let message = functions.emitted(&run).await;
        assert_eq!(
            (event(&message).as_str(), rooms(&message)),
            (r#"["order",{"id":17}]"#, vec!["order:17"]),
            "{statement}"
        );
    }
    assert_eq!(prepared, 3);
}
