//! The roles `emitter` and `sql-functions`: a process without sockets, which emits what commands say.

use std::{sync::Arc, time::Duration};

use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::{Value, json};
use socketio_pg_core::{PublishOn, backend::Backend, room_number};
use socketio_pg_kit::partner::commands::{self, Answer, Command, failed, say};
use socketio_pg_tokio_postgres::{Emitter, SqlFunctions};
use tokio::sync::Mutex;
use tokio_postgres::{GenericClient, NoTls, types::ToSql};

use crate::options::Options;

/// Serves on tokio-postgres until the end of input.
pub(crate) async fn tokio_postgres(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let (client, connection) = tokio_postgres::connect(&options.database_url, NoTls).await?;
    tokio::spawn(connection);
    let emitter = Emitter::with_options(&options.cluster());
    let client = Arc::new(Mutex::new(client));
    let outbox = Arc::new(WatchedOutbox::connect(options).await?);
    say(&json!({ "ready": true, "port": 0, "uid": "emitter" }));
    commands::serve(|command| {
        let (emitter, client, outbox) = (emitter.clone(), client.clone(), outbox.clone());
        async move {
            let mut client = client.lock().await;
            if command.op != "transaction" {
                carry_out(&emitter, &command, &*client).await?;
                return outbox.is_published().await;
            }
            let transaction = client.transaction().await.map_err(failed)?;
            for command in transaction_ops(&command)? {
                carry_out(&emitter, &command, &transaction).await?;
            }
            if command.fields.flag("commit") {
                transaction.commit().await.map_err(failed)?;
            } else {
                transaction.rollback().await.map_err(failed)?;
            }
            outbox.is_published().await
        }
    })
    .await?;
    Ok(())
}

/// Publishes what emitters write into the outbox, until the end of input.
pub(crate) async fn publish_outbox<B: Backend>(
    cluster: socketio_pg_core::Cluster<B>,
) -> Result<(), Box<dyn std::error::Error>> {
    say(&json!({ "ready": true, "port": 0, "uid": "outbox" }));
    commands::serve(|command| async move { Err(format!("unknown op: {}", command.op)) }).await?;
    cluster.close().await;
    Ok(())
}

/// Serves with the SQL functions until the end of input.
pub(crate) async fn sql_functions(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let (client, connection) = tokio_postgres::connect(&options.database_url, NoTls).await?;
    tokio::spawn(connection);
    let schema = if options.outbox { "socketio_outbox" } else { "socketio" };
    let functions = SqlFunctions::new(&options.cluster())?.schema(schema);
    client.batch_execute(&functions.install_sql()).await?;
    let client = Arc::new(Mutex::new(client));
    let outbox = Arc::new(WatchedOutbox::connect(options).await?);
    say(&json!({ "ready": true, "port": 0, "uid": "emitter" }));
    commands::serve(|command| {
        let (client, outbox) = (client.clone(), outbox.clone());
        async move {
            let mut client = client.lock().await;
            if command.op != "transaction" {
                call_function(&*client, schema, &command).await?;
                return outbox.is_published().await;
            }
            let transaction = client.transaction().await.map_err(failed)?;
            for command in transaction_ops(&command)? {
                call_function(&transaction, schema, &command).await?;
            }
            if command.fields.flag("commit") {
                transaction.commit().await.map_err(failed)?;
            } else {
                transaction.rollback().await.map_err(failed)?;
            }
            outbox.is_published().await
        }
    })
    .await?;
    Ok(())
}

/// Carries out one op with a function in PostgreSQL.
async fn call_function(client: &impl GenericClient, schema: &str, command: &Command) -> Answer {
    let fields = &command.fields;
    let nsp = fields.nsp();
    let rooms = names_in_sql(client, schema, fields.list("rooms")).await?;
    let except = names_in_sql(client, schema, fields.list("except")).await?;
    let args = socketio_pg_core::protocol::Value::from_serialize(&fields.args()).map_err(failed)?;
    let (json, attachments) = args.to_json_with_attachments();
    let attachments = (!attachments.is_empty()).then_some(attachments);
    let is_one = matches!(&args, socketio_pg_core::protocol::Value::Array(args) if args.len() == 1);
    // JSON as text: the driver needs no feature for it.
    let args = "ARRAY(SELECT pg_catalog.jsonb_array_elements($2::pg_catalog.text::pg_catalog.jsonb))";
    let (event, moved, close) = (fields.text("event"), fields.list("join"), fields.flag("close"));
    let moved = if moved.is_empty() { fields.list("leave") } else { moved };
    let moved = names_in_sql(client, schema, moved).await?;
    let (volatile, compress) = (fields.flag("volatile"), fields.get("compress").and_then(Value::as_bool));
    // As applications call it most often: with one argument, and at most one room.
    let is_simple = is_one && attachments.is_none() && except.is_empty() && !volatile && compress.is_none();
    let (call, mut parameters): (String, Vec<&(dyn ToSql + Sync)>) = match command.op.as_str() {
        "emit" if is_simple => (
            "emit($1, $2::pg_catalog.text::pg_catalog.jsonb -> 0, namespace => $3".to_owned(),
            vec![&event, &json, &nsp],
        ),
        "emit" => (
            format!(
                "emit($1, args => {args}, attachments => $3, namespace => $4, except_rooms => $5, volatile => $6, compress => $7"
            ),
            vec![&event, &json, &attachments, &nsp, &except, &volatile, &compress],
        ),
        "serverSideEmit" => (
            format!("server_side_emit($1, args => {args}, attachments => $3, namespace => $4"),
            vec![&event, &json, &attachments, &nsp],
        ),
        "socketsJoin" => {
            ("sockets_join($1, namespace => $2, except_rooms => $3".to_owned(), vec![&moved, &nsp, &except])
        }
        "socketsLeave" => {
            ("sockets_leave($1, namespace => $2, except_rooms => $3".to_owned(), vec![&moved, &nsp, &except])
        }
        "disconnectSockets" => (
            "disconnect_sockets(close => $1, namespace => $2, except_rooms => $3".to_owned(),
            vec![&close, &nsp, &except],
        ),
        "close" => return Ok(Value::Null),
        unknown => return Err(format!("unknown op: {unknown}")),
    };
    // An empty list would select no socket.
    let mut selection = String::new();
    if let [room] = &*rooms {
        parameters.push(room);
        selection = format!(", room => ${}", parameters.len());
    } else if !rooms.is_empty() {
        parameters.push(&rooms);
        selection = format!(", rooms => ${}", parameters.len());
    }
    let called = client.execute(&format!("SELECT {schema}.{call}{selection})"), &parameters).await;
    called.map_err(failed)?;
    Ok(Value::Null)
}

/// Rooms that are named by numbers have another name there than in this process.
async fn names_in_sql(
    client: &impl GenericClient,
    schema: &str,
    mut names: Vec<String>,
) -> Result<Vec<String>, String> {
    for name in &mut names {
        if let Some(number) = room_number(name) {
            let row = client.query_one(&format!("SELECT {schema}.number_room($1)"), &[&number]).await;
            *name = row.map_err(failed)?.get(0);
        }
    }
    Ok(names)
}

/// Serves on diesel-async until the end of input.
pub(crate) async fn diesel(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let connection = AsyncPgConnection::establish(&options.database_url).await?;
    let emitter = socketio_pg_diesel::Emitter::with_options(&options.cluster());
    let connection = Arc::new(Mutex::new(connection));
    let outbox = Arc::new(WatchedOutbox::connect(options).await?);
    say(&json!({ "ready": true, "port": 0, "uid": "emitter" }));
    commands::serve(|command| {
        let (emitter, connection, outbox) = (emitter.clone(), connection.clone(), outbox.clone());
        async move {
            let mut connection = connection.lock().await;
            if command.op != "transaction" {
                carry_out(&emitter, &command, &mut *connection).await?;
                return outbox.is_published().await;
            }
            let commit = command.fields.flag("commit");
            let ended = connection.transaction(async |connection| {
                for command in transaction_ops(&command).map_err(End::Failed)? {
                    carry_out(&emitter, &command, connection).await.map_err(End::Failed)?;
                }
                if commit { Ok(()) } else { Err(End::RolledBack) }
            });
            match ended.await {
                Ok(()) | Err(End::RolledBack) => outbox.is_published().await,
                Err(End::Failed(error)) => Err(error),
            }
        }
    })
    .await?;
    Ok(())
}

/// The outbox, where the emitter writes into one: an op ends when what it wrote is published, so that
/// the driver knows what comes before what.
struct WatchedOutbox(Option<tokio_postgres::Client>);

impl WatchedOutbox {
    async fn connect(options: &Options) -> Result<Self, tokio_postgres::Error> {
        if !options.outbox {
            return Ok(Self(None));
        }
        let (client, connection) = tokio_postgres::connect(&options.database_url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(Some(client)))
    }

    async fn is_published(&self) -> Answer {
        let Some(client) = &self.0 else { return Ok(Value::Null) };
        while client.query_opt("SELECT 1 FROM socket_io_outbox LIMIT 1", &[]).await.map_err(failed)?.is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(Value::Null)
    }
}

/// Why a transaction is not committed.
enum End {
    RolledBack,
    Failed(String),
}

impl From<diesel::result::Error> for End {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(failed(error))
    }
}

/// The ops inside of `transaction`.
fn transaction_ops(command: &Command) -> Result<Vec<Command>, String> {
    let ops = command.fields.get("ops").and_then(Value::as_array).cloned().unwrap_or_default();
    let with_id = |mut op: Value| {
        op["id"] = json!(0);
        serde_json::from_value(op).map_err(failed)
    };
    ops.into_iter().map(with_id).collect()
}

/// Carries out one op on a connection of any kind.
async fn carry_out<B, C>(emitter: &socketio_pg_core::Emitter<B>, command: &Command, connection: C) -> Answer
where
    B: PublishOn<C>,
{
    let fields = &command.fields;
    let mut emitter = emitter.of(fields.nsp());
    for room in fields.list("rooms") {
        emitter = emitter.to(room);
    }
    for room in fields.list("except") {
        emitter = emitter.except(room);
    }
    if fields.flag("volatile") {
        emitter = emitter.volatile();
    }
    if let Some(compress) = fields.get("compress").and_then(Value::as_bool) {
        emitter = emitter.compress(compress);
    }
    match command.op.as_str() {
        "emit" => emitter.emit(fields.required("event")?, &fields.args(), connection).await,
        "socketsJoin" => emitter.sockets_join(fields.list("join"), connection).await,
        "socketsLeave" => emitter.sockets_leave(fields.list("leave"), connection).await,
        "disconnectSockets" => emitter.disconnect_sockets(fields.flag("close"), connection).await,
        "serverSideEmit" => emitter.server_side_emit(fields.required("event")?, &fields.args(), connection).await,
        "close" => Ok(()),
        unknown => return Err(format!("unknown op: {unknown}")),
    }
    .map_err(failed)?;
    Ok(Value::Null)
}
