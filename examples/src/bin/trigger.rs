//! A page that shows a table: a row changes in the page when anything changes it in PostgreSQL, such
//! as an `UPDATE` in psql. Two triggers emit the changes, and the server has no code for that.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin trigger -- 127.0.0.1:3000`
//!
//! It creates the table `orders`, which must not be there with other columns, and prints:
//!
//! ```text
//! listening on http://127.0.0.1:3000
//! ```
//!
//! Open this page, and run `UPDATE orders SET state = 'paid' WHERE id = 1` in psql. `/?order=1`
//! shows one order only. A second server on another port has the same pages.
//!
//! Settings that do not belong to this topic are in the server of README.md.

use std::{error::Error, future::ready, sync::Arc};

use axum::{
    Router,
    http::header::CONTENT_TYPE,
    response::Html,
    routing::get,
    serve::{Listener, ListenerExt},
};
use serde::Serialize;
use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter, SqlFunctions};
use socketioxide::{
    SocketIo,
    adapter::Adapter,
    extract::{AckSender, Data, SocketRef},
};
use tokio::net::TcpListener;
use tokio_postgres::Client;

const PAGE: &str = include_str!("trigger.html");

/// `dist/socket.io.min.js` of the npm package socket.io-client.
const CLIENT_LIBRARY: &str = include_str!("../../../demo/page/vendor/socket.io.min.js");

/// A page of one order is in the room `order:1`, and gets few events. The list is in `orders`.
const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        item text NOT NULL,
        state text NOT NULL DEFAULT 'new'
    );
    CREATE OR REPLACE TRIGGER emit_order AFTER INSERT OR UPDATE OR DELETE ON orders
    FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('order', 'order:{id}');
    CREATE OR REPLACE TRIGGER emit_orders AFTER INSERT OR UPDATE OR DELETE ON orders
    FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('order', 'orders');
    INSERT INTO orders (item) SELECT unnest(ARRAY['tea', 'cake']) WHERE NOT EXISTS (SELECT FROM orders);
";

/// A row as the triggers send it: all columns.
#[derive(Serialize)]
struct Order {
    id: i64,
    item: String,
    state: String,
}

/// Installs the functions and the triggers, and returns a connection.
async fn prepare(database: &str, options: &Options) -> Result<Client, Box<dyn Error>> {
    // In your server, a pool: this connection is not opened again when it is lost.
    let client = socketio_pg_tokio_postgres::connect(database).await?;
    // A migration. It is one transaction, in which servers that start at the same time wait for each
    // other: the functions take a lock.
    let functions = SqlFunctions::new(options)?.install_sql();
    client.batch_execute(&format!("{functions}; {TABLE}")).await?;
    Ok(client)
}

/// The order with this number, or all. From now on the client gets their changes as well.
async fn watch<A: Adapter>(
    socket: &SocketRef<A>,
    database: &Client,
    id: Option<i64>,
) -> Result<Vec<Order>, tokio_postgres::Error> {
    // Check here which orders this client may see.
    // The client joins before the rows are read, so that it gets every change after that.
    socket.join(id.map_or_else(|| "orders".to_owned(), |id| format!("order:{id}")));
    let query = "SELECT id, item, state FROM orders WHERE id = $1 OR $1 IS NULL ORDER BY id";
    let rows = database.query(query, &[&id]).await?;
    let order =
        |row: &tokio_postgres::Row| Ok(Order { id: row.try_get(0)?, item: row.try_get(1)?, state: row.try_get(2)? });
    rows.iter().map(order).collect()
}

fn on_connect<A: Adapter>(socket: &SocketRef<A>, database: Arc<Client>) {
    socket.on("watch", async move |socket: SocketRef<A>, Data(id): Data<Option<i64>>, ack: AckSender<A>| {
        match watch(&socket, &database, id).await {
            // The client may have left meanwhile.
            Ok(orders) => drop(ack.send(&orders)),
            Err(error) => eprintln!("the orders cannot be read: {error}"),
        }
    });
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    // Without TCP_NODELAY an event may wait 40 ms for the client's TCP to acknowledge the last one.
    let listener = TcpListener::bind(address).await?.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let options = Options::default();
    // Connecting creates the attachments table. The functions are installed after it, as they use it.
    let cluster = Cluster::connect(&database, options.clone()).await?;
    let client = Arc::new(prepare(&database, &options).await?);

    let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    cluster.attach(&io);
    // Not async: such a handler begins after the client was told that it is connected, and may miss
    // what the client sends at once.
    let on_connect = move |socket: SocketRef<_>| {
        on_connect(&socket, client);
        ready(())
    };
    io.ns("/", on_connect).await?;

    println!("listening on http://{}", listener.local_addr()?);
    let library = async || ([(CONTENT_TYPE, "text/javascript")], CLIENT_LIBRARY);
    let app = Router::new().route("/", get(async || Html(PAGE))).route("/socket.io.min.js", get(library)).layer(layer);
    cluster.serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown)).await?;
    Ok(())
}
