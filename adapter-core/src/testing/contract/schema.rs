//! Tests of the attachments table: its columns, its name, and the rights that it needs.

use super::*;
use crate::{backend::Backend, backend::prepare::improve, backend::table::TableSpec};

pub async fn the_table_has_the_shape_that_node_gives_it<F: Fixture>(fixture: &F) {
    prepared(fixture).await;
    // From the README of @socket.io/postgres-adapter.
    fixture.sql(
        "CREATE TABLE of_node (
            id          bigserial UNIQUE,
            created_at  timestamptz DEFAULT NOW(),
            payload     bytea
        )",
    );
    let shape = |table: &str| {
        let columns = fixture.sql(&format!(
            "SELECT string_agg(concat_ws(' ', column_name, data_type, is_nullable, column_default), ', '
                ORDER BY ordinal_position)
             FROM information_schema.columns WHERE table_name = '{table}'"
        ));
        let indexes =
            fixture.sql(&format!("SELECT string_agg(indexdef, ', ') FROM pg_indexes WHERE tablename = '{table}'"));
        format!("{}; {}", columns.unwrap(), indexes.unwrap()).replace(table, "T")
    };
    assert_eq!(shape(TABLE), shape("of_node"));
    let storage = format!(
        "SELECT concat_ws(' ', relpersistence, attstorage) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
         WHERE relname = '{TABLE}' AND attname = 'payload'"
    );
    assert_eq!(fixture.sql(&storage).as_deref(), Some("u e"), "unlogged, and not compressed");
}

pub async fn many_nodes_prepare_at_once<F: Fixture>(fixture: &F) {
    let mut nodes = Vec::new();
    for _ in 0..10 {
        let node = fixture.backend(&fixture.url()).await.unwrap();
        // Connected beforehand, so that they really run at the same time.
        assert_kind(node.prepare(TABLE, false).await, ErrorKind::MissingTable);
        nodes.push(node);
    }
    for round in 0..10 {
        let all = futures_util::future::join_all(nodes.iter().map(|node| node.prepare(TABLE, true)));
        for result in soon(all).await {
            result.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        fixture.sql(&format!("DROP TABLE {TABLE}"));
    }
}

pub async fn a_table_that_exists_needs_no_right_to_create_one<F: Fixture>(fixture: &F) {
    let owner = prepared(fixture).await;
    let guest = Role::create(fixture);
    fixture.sql(&format!(
        "GRANT SELECT, INSERT, DELETE ON {TABLE} TO {0}; GRANT USAGE ON {TABLE}_id_seq TO {0}",
        guest.name
    ));
    let backend = fixture.backend(&guest.url("right")).await.unwrap();
    backend.prepare(TABLE, true).await.unwrap();

    let mut listener = listening(&owner, &["c"]).await;
    backend.publish(TABLE, None, &[attachment("c", "x", "body")]).await.unwrap();
    let payload = hear(&mut listener, 1).await.remove(0);
    let (_, id) = announced(&payload).unwrap();
    assert_eq!(fetch(&backend, &[id]).await.unwrap(), [Some(b"body".to_vec())]);
    assert_eq!(backend.sweep(TABLE, Duration::ZERO).await.unwrap(), 1);
}

pub async fn a_missing_table_without_the_right_to_create_it_is_told<F: Fixture>(fixture: &F) {
    let guest = Role::create(fixture);
    let backend = fixture.backend(&guest.url("right")).await.unwrap();
    let error = backend.prepare(TABLE, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let grant = format!("GRANT CREATE ON SCHEMA public TO \"{}\"", guest.name);
    assert!(error.to_string().contains(&grant), "it must say what to do: {error}");

    // Rights on the table are checked, too.
    prepared(fixture).await;
    assert_kind(backend.prepare(TABLE, true).await, ErrorKind::Permission);
    assert_kind(backend.publish(TABLE, None, &[attachment("c", "x", "body")]).await, ErrorKind::Permission);
    assert_kind(fetch(&backend, &[1]).await, ErrorKind::Permission);
    assert_kind(backend.sweep(TABLE, Duration::ZERO).await, ErrorKind::Permission);
}

pub async fn a_missing_table_is_told<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let error = backend.prepare(TABLE, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingTable, "{error}");
    assert!(error.to_string().contains("CREATE UNLOGGED TABLE"), "it must say what to do: {error}");
    assert_kind(backend.publish(TABLE, None, &[attachment("c", "x", "body")]).await, ErrorKind::MissingTable);
    assert_kind(fetch(&backend, &[1]).await, ErrorKind::MissingTable);
    assert_kind(backend.sweep(TABLE, Duration::ZERO).await, ErrorKind::MissingTable);
    // Without attachments the table is not needed.
    backend.publish(TABLE, None, &[inline("c", "x")]).await.unwrap();

    backend.prepare(TABLE, true).await.unwrap();
    backend.prepare(TABLE, false).await.unwrap();
    backend.publish(TABLE, None, &[attachment("c", "x", "body")]).await.unwrap();
}

pub async fn a_table_may_have_any_name<F: Fixture>(fixture: &F) {
    fixture.sql(r#"CREATE SCHEMA chat; CREATE SCHEMA "Odd.Schema""#);
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let mut listener = listening(&backend, &["c"]).await;
    // As Node.js pastes names into SQL: without quotes they are in lower case.
    for (name, in_sql) in [
        ("chat.attachments", "chat.attachments"),
        ("Chat.UPPER", "chat.upper"),
        (r#""Odd.Schema"."Odd ""Table""""#, r#""Odd.Schema"."Odd ""Table""""#),
        (r#"x"; DROP SCHEMA chat; --"#, r#""x""; DROP SCHEMA chat; --""#),
        ("order", r#""order""#),
    ] {
        backend.prepare(name, true).await.unwrap();
        backend.prepare(name, false).await.unwrap();
        backend.publish(name, None, &[attachment("c", "x", name)]).await.unwrap();
        let payload = hear(&mut listener, 1).await.remove(0);
        let (_, id) = announced(&payload).unwrap();
        assert_eq!(backend.fetch(name, &[id], FetchLimits::NONE).await.unwrap(), [Row::Body(name.as_bytes().to_vec())]);
        assert_eq!(fixture.sql(&format!("SELECT count(*) FROM {in_sql}")).as_deref(), Some("1"), "{name}");
        assert_eq!(backend.sweep(name, Duration::ZERO).await.unwrap(), 1);
    }
}

pub async fn what_is_no_name_of_a_table_is_refused<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    for name in ["", "a.b.c", ".", r#""open"#] {
        assert_kind(backend.prepare(name, true).await, ErrorKind::Configuration);
        assert_kind(backend.fetch(name, &[1], FetchLimits::NONE).await, ErrorKind::Configuration);
    }
    // The backend does not create the schema.
    assert_kind(backend.prepare("no_such_schema.attachments", true).await, ErrorKind::Configuration);
}

/// The remedy in the error's text.
fn remedy(error: &BackendError) -> String {
    let text = error.to_string();
    let (_, remedy) = text.rsplit_once(": ").unwrap_or_else(|| panic!("no remedy: {text}"));
    remedy.to_owned()
}

pub async fn each_right_that_is_missing_is_told_with_the_statement_that_gives_it<F: Fixture>(fixture: &F) {
    let owning = format!("{}_owner", fixture.sql("SELECT current_database()").unwrap());
    fixture.sql(&format!(r#"CREATE SCHEMA "Odd.Schema"; CREATE ROLE {owning}"#));
    for (name, in_sql, schema, sequence) in [
        ("socket_io_attachments", "socket_io_attachments", "public", "socket_io_attachments_id_seq"),
        (
            r#""Odd.Schema"."Odd ""Table; --""#,
            r#""Odd.Schema"."Odd ""Table; --""#,
            r#""Odd.Schema""#,
            r#""Odd.Schema"."Odd ""Table; --_id_seq""#,
        ),
    ] {
        let owner = fixture.backend(&fixture.url()).await.unwrap();
        owner.prepare(name, true).await.unwrap();
        fixture.sql(&format!("ALTER TABLE {in_sql} OWNER TO {owning}"));
        let guest = Role::create(fixture);
        let role = &guest.name;
        fixture.sql(&format!(
            "REVOKE USAGE ON SCHEMA {schema} FROM PUBLIC; GRANT USAGE ON SCHEMA {schema} TO {role};
             GRANT SELECT, INSERT, DELETE ON {in_sql} TO {role}; GRANT USAGE ON SEQUENCE {sequence} TO {role}"
        ));
        let backend = fixture.backend(&guest.url("right")).await.unwrap();
        // With exactly these rights it can do everything.
        let all_works = async || {
            backend.prepare(name, true).await.unwrap();
            let mut listener = listening(&backend, &["c"]).await;
            backend.publish(name, None, &[attachment("c", "x", "body")]).await.unwrap();
            let payload = hear(&mut listener, 1).await.remove(0);
            let (_, id) = announced(&payload).unwrap();
            let rows = backend.fetch(name, &[id], FetchLimits::NONE).await.unwrap();
            assert_eq!(rows, [Row::Body(b"body".to_vec())]);
            assert_eq!(backend.sweep(name, Duration::ZERO).await.unwrap(), 1);
        };
        all_works().await;
        for (right, on) in [
            ("SELECT", in_sql.to_owned()),
            ("INSERT", in_sql.to_owned()),
            ("DELETE", in_sql.to_owned()),
            ("USAGE", format!("SEQUENCE {sequence}")),
            ("USAGE", format!("SCHEMA {schema}")),
        ] {
            fixture.sql(&format!("REVOKE {right} ON {on} FROM {role}"));
            let error = backend.prepare(name, true).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Permission, "{right} on {on}: {error}");
            assert!(error.to_string().contains(&format!("lacks {right} on the ")), "{right} on {on}: {error}");
            assert!(error.to_string().contains(&owning), "it must say who may: {error}");
            fixture.sql(&remedy(&error));
            all_works().await;
        }
        fixture.sql(&format!("REVOKE ALL ON {in_sql} FROM {role}; REVOKE ALL ON SEQUENCE {sequence} FROM {role}"));
        fixture.sql(&remedy(&backend.prepare(name, true).await.unwrap_err()));
        all_works().await;
    }
    fixture.sql(&format!("DROP OWNED BY {owning}; DROP ROLE {owning}"));
}

pub async fn each_column_that_is_wrong_is_told_with_the_statement_that_mends_it<F: Fixture>(fixture: &F) {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    for (columns, problem) in [
        ("created_at timestamptz DEFAULT now(), payload bytea", r#"no column "id""#),
        ("id bigserial, payload bytea", r#"no column "created_at""#),
        ("id bigserial, created_at timestamptz DEFAULT now()", r#"no column "payload""#),
        ("id serial, created_at timestamptz DEFAULT now(), payload bytea", r#"column "id" is of type integer"#),
        ("id bigint, created_at timestamptz DEFAULT now(), payload bytea", r#"column "id" has no default"#),
        ("id bigserial, created_at timestamptz, payload bytea", r#"column "created_at" has no default"#),
        ("id bigserial, created_at text DEFAULT now(), payload bytea", r#"column "created_at" is of type text"#),
        ("id bigserial, created_at timestamptz DEFAULT now(), payload text", r#"column "payload" is of type text"#),
        (
            r#"id bigserial, created_at timestamptz DEFAULT now(), payload bytea, "Te""nant" int NOT NULL"#,
            r#"column "Te""nant", which is not ours"#,
        ),
    ] {
        fixture.sql(&format!("CREATE TABLE {TABLE} ({columns})"));
        let error = backend.prepare(TABLE, true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsuitableTable, "{columns}: {error}");
        assert!(error.to_string().contains(problem), "{columns}: {error}");
        fixture.sql(&remedy(&error));
        backend.prepare(TABLE, false).await.unwrap();
        backend.publish(TABLE, None, &[attachment("c", "x", "body")]).await.unwrap();
        assert_eq!(backend.sweep(TABLE, Duration::ZERO).await.unwrap(), 1, "{columns}");
        fixture.sql(&format!("DROP TABLE {TABLE}"));
    }
    // Other columns that work.
    for columns in [
        "id bigint GENERATED ALWAYS AS IDENTITY, created_at timestamptz DEFAULT now(), payload bytea",
        "id bigserial, created_at timestamp DEFAULT now(), payload bytea, tenant int",
    ] {
        fixture.sql(&format!("CREATE TABLE {TABLE} ({columns})"));
        let guest = Role::create(fixture);
        // The sequence of an identity column needs no right.
        let on_sequence = if columns.contains("bigserial") {
            format!("; GRANT USAGE ON {TABLE}_id_seq TO {}", guest.name)
        } else {
            String::new()
        };
        fixture.sql(&format!("GRANT SELECT, INSERT, DELETE ON {TABLE} TO {}{on_sequence}", guest.name));
        let backend = fixture.backend(&guest.url("right")).await.unwrap();
        backend.prepare(TABLE, false).await.unwrap();
        backend.publish(TABLE, None, &[attachment("c", "x", "body")]).await.unwrap();
        fixture.sql(&format!("DROP TABLE {TABLE}"));
    }
    fixture.sql(&format!("CREATE SEQUENCE {TABLE}"));
    assert_kind(backend.prepare(TABLE, true).await, ErrorKind::UnsuitableTable);
}

/// Whether the sequence of the attachments' ids is written to the log of the server.
fn is_sequence_logged<F: Fixture>(fixture: &F) -> bool {
    let persistence =
        format!("SELECT relpersistence FROM pg_class WHERE oid = pg_get_serial_sequence('{TABLE}', 'id')::regclass");
    fixture.sql(&persistence).as_deref() == Some("p")
}

pub async fn the_sequence_of_attachments_is_logged<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    assert!(is_sequence_logged(fixture));
    // Also of a table that exists already, whichever program created it.
    for id in ["bigserial", "bigint GENERATED ALWAYS AS IDENTITY"] {
        fixture.sql(&format!(
            "DROP TABLE {TABLE};
             CREATE UNLOGGED TABLE {TABLE} (id {id} UNIQUE, created_at timestamptz DEFAULT now(), payload bytea);
             GRANT SELECT, INSERT, DELETE ON {TABLE} TO PUBLIC; GRANT USAGE ON {TABLE}_id_seq TO PUBLIC"
        ));
        let is_newer =
            fixture.sql("SELECT current_setting('server_version_num')::int >= 150000").as_deref() == Some("t");
        assert_eq!(is_sequence_logged(fixture), !is_newer, "{id}");
        // Not by a role that may not create it, and not when creating is off.
        let guest = Role::create(fixture);
        let stranger = fixture.backend(&guest.url("right")).await.unwrap();
        improve(&stranger, TABLE, &TableSpec::ATTACHMENTS, true).await;
        improve(&backend, TABLE, &TableSpec::ATTACHMENTS, false).await;
        assert_eq!(is_sequence_logged(fixture), !is_newer, "{id}");
        improve(&backend, TABLE, &TableSpec::ATTACHMENTS, true).await;
        assert!(is_sequence_logged(fixture), "{id}");
        // As a migration of an existing table.
        fixture.sql(&crate::backend::table::schema_sql(TABLE).unwrap());
        assert!(is_sequence_logged(fixture), "{id}");
    }
}

pub async fn a_log_that_is_there_gets_the_indexes_that_it_lacks<F: Fixture>(fixture: &F) {
    const LOG: &str = r#"chat."Odd ""Log""#;
    fixture.sql("CREATE SCHEMA chat");
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    backend.prepare_log(LOG, true).await.unwrap();
    let indexed = || {
        let indexed = "SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_index JOIN pg_attribute
            ON attrelid = indrelid AND attnum = indkey[0] WHERE indrelid = 'chat.\"Odd \"\"Log\"'::regclass";
        fixture.sql(indexed).unwrap()
    };
    assert_eq!(indexed(), "created_at id xid");
    fixture.sql(r#"DROP INDEX chat."Odd ""Log_xid_idx"; DROP INDEX chat."Odd ""Log_created_at_idx""#);
    backend.prepare_log(LOG, true).await.unwrap();
    assert_eq!(indexed(), "id");
    improve(&backend, LOG, &TableSpec::LOG, true).await;
    assert_eq!(indexed(), "created_at id xid");
    // An index with another name counts as well.
    fixture.sql(r#"ALTER INDEX chat."Odd ""Log_xid_idx" RENAME TO mine"#);
    improve(&backend, LOG, &TableSpec::LOG, true).await;
    assert_eq!(indexed(), "created_at id xid");
}
