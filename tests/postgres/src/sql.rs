//! The SQL that the crate itself runs.

use tokio_postgres::{Error, NoTls, SimpleQueryMessage};

/// Runs statements on a connection of their own and waits for them, from any thread, and does not
/// use the caller's runtime. Returns the first value of the last row.
pub(crate) fn execute(url: &str, statements: &str) -> Result<Option<String>, Error> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime without worker threads can be made").block_on(async {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
                let connection = tokio::spawn(connection);
                let result = client.simple_query(statements).await;
                // Waits for the end of the session: a database can only be dropped or copied when
                // no session is connected to it.
                drop(client);
                let _ = connection.await;
                let last_row = result?.into_iter().rev().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                Ok(last_row.and_then(|row| row.get(0).map(str::to_owned)))
            })
        });
        worker.join().expect("running SQL does not panic")
    })
}

/// The URL with its database replaced.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (address, parameters) = match url.split_once('?') {
        Some((address, parameters)) => (address, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let authority = address.find("://").map_or(0, |position| position + 3);
    let end = address[authority..].find('/').map_or(address.len(), |position| authority + position);
    format!("{}/{database}{parameters}", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn the_database_of_a_url_is_replaced_and_the_rest_kept() {
        for (url, expected) in [
            ("postgres://me:pw@host:5433/old?sslmode=disable", "postgres://me:pw@host:5433/new?sslmode=disable"),
            ("postgres://host/old", "postgres://host/new"),
            ("postgres://host", "postgres://host/new"),
            ("postgres://host/", "postgres://host/new"),
            ("postgresql://host?user=me", "postgresql://host/new?user=me"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }
}
