//! A role that may create objects in a schema of the search path cannot get a node to run them.

use socketio_pg_protocol::SessionId;

use super::*;
use crate::{
    backend::emission::{Emission, OutboxTarget},
    backend::prepare::improve,
    backend::table::{DEFAULT_LOG, DEFAULT_OUTBOX, TableSpec},
    backend::{Backend, CatchUp, LogQuery, OutboxBatch, SweepBatch},
};

/// Statements that create hostile twins in the schema `public`: of each function and operator that
/// PostgreSQL has, and of each type that statements name. All fail with `hijacked` when they are
/// used. With the search path in the argument, later statements find them first, or only where they
/// fit better.
pub fn plant(search_path: &str) -> String {
    format!(
        r#"
SET search_path = pg_catalog;
CREATE FUNCTION public.hijacked(what text) RETURNS bool LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''hijacked by %'', what; END';
DO $plant$
DECLARE
    it record;
    body text;
    planted int := 0;
BEGIN
    FOR it IN
        SELECT proname, proretset, format_type(prorettype, NULL) AS result, (
            SELECT string_agg(
                CASE WHEN provariadic <> 0 AND position = pronargs THEN 'VARIADIC ' ELSE '' END || format_type(type, NULL),
                ', ' ORDER BY position
            )
            FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS arguments(type, position)
        ) AS arguments
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
    LOOP
        body := format('BEGIN PERFORM public.hijacked(%L); END', it.proname);
        BEGIN
            EXECUTE format(
                'CREATE FUNCTION public.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L',
                it.proname, it.arguments, CASE WHEN it.proretset THEN 'SETOF' ELSE '' END, it.result, body
            );
            planted := planted + 1;
        EXCEPTION WHEN OTHERS THEN NULL; -- of types that are internal
        END;
    END LOOP;
    -- What an aggregate of any type, and an operator that finds its types by a cast, would be taken for.
    FOR it IN SELECT * FROM (VALUES
        ('count', 'text'), ('count', 'bigint'), ('array_agg', 'bigint'), ('array_agg', 'text'), ('json_agg', 'name'),
        ('json_agg', 'json'), ('json_agg', 'text'), ('concat_ws', 'text, text, integer'), ('concat_ws', 'text, text, oid')
    ) AS more(name, arguments) LOOP
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION public.%I(%s) RETURNS text LANGUAGE plpgsql AS %L',
            it.name, it.arguments, format('BEGIN PERFORM public.hijacked(%L); END', it.name)
        );
    END LOOP;
    FOR it IN
        SELECT oid, oprname AS name, CASE WHEN oprleft <> 0 THEN format_type(oprleft, NULL) END AS "left",
            format_type(oprright, NULL) AS "right", format_type(oprresult, NULL) AS result
        FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprright <> 0
        UNION ALL
        SELECT (10000000 + row_number() OVER ())::oid, name, one, other,
            CASE name WHEN '||' THEN 'text' WHEN '+' THEN other WHEN '-' THEN other ELSE 'bool' END
        FROM unnest('{{=,<>,<,>,<=,>=,||,+,-,~~}}'::text[]) AS name,
            unnest('{{text,name,"char",smallint,integer,bigint,oid,regclass,numeric,xid8,timestamp,timestamptz}}'::text[])
                AS one,
            unnest('{{text,name,"char",smallint,integer,bigint,oid,regclass,numeric,xid8,timestamp,timestamptz,interval}}'
                ::text[]) AS other
    LOOP
        BEGIN
            EXECUTE format(
                'CREATE FUNCTION public.operator_%s(%s) RETURNS %s LANGUAGE plpgsql AS %L',
                it.oid, concat_ws(', ', it."left", it."right"), it.result,
                format('BEGIN PERFORM public.hijacked(%L); END', it.name)
            );
            EXECUTE format(
                'CREATE OPERATOR public.%s (%s RIGHTARG = %s, FUNCTION = public.operator_%s)',
                it.name, 'LEFTARG = ' || it."left" || ',', it."right", it.oid
            );
            planted := planted + 1;
        EXCEPTION WHEN OTHERS THEN NULL; -- there already
        END;
    END LOOP;
    FOREACH body IN ARRAY
        '{{text,bytea,name,oid,bool,int4,int8,float8,numeric,timestamptz,xid8,pg_snapshot,regclass,regnamespace}}'::text[]
    LOOP
        EXECUTE format('CREATE DOMAIN public.%I AS pg_catalog.%1$I CHECK (public.hijacked(%1$L))', body);
    END LOOP;
    IF planted < 3000 THEN RAISE EXCEPTION 'only % were planted', planted; END IF;
    EXECUTE format('ALTER DATABASE %I SET search_path = {search_path}', current_database());
END
$plant$;
"#
    )
}

/// Before `pg_catalog`, every unqualified name finds the twin; behind it, only where the twin fits
/// better.
pub const SEARCH_PATHS: [&str; 2] = ["public, pg_catalog", "public"];

pub async fn what_is_planted_first_in_the_search_path_is_not_run<F: Fixture>(fixture: &F) {
    all_statements_beside(fixture, SEARCH_PATHS[0]).await;
}

pub async fn what_is_planted_last_in_the_search_path_is_not_run<F: Fixture>(fixture: &F) {
    all_statements_beside(fixture, SEARCH_PATHS[1]).await;
}

async fn all_statements_beside<F: Fixture>(fixture: &F, search_path: &str) {
    fixture.sql(&plant(search_path));
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    let log = CatchUp::last(Duration::from_secs(120));
    // A table that is missing, with the queries that are made because it is missing.
    assert_kind(backend.prepare(TABLE, false).await, ErrorKind::MissingTable);
    assert_kind(fetch(&backend, &[1]).await, ErrorKind::MissingTable);
    assert_kind(backend.publish(TABLE, None, &[attachment("c", "x", "body")]).await, ErrorKind::MissingTable);
    backend.prepare(TABLE, true).await.unwrap();
    backend.prepare_log(DEFAULT_LOG, true).await.unwrap();
    fixture.sql(&format!("DROP INDEX public.{DEFAULT_LOG}_xid_idx"));
    improve(&backend, DEFAULT_LOG, &TableSpec::LOG, true).await;
    let report = backend.inspect_table(&crate::backend::table::TableName::parse(DEFAULT_LOG).unwrap()).await.unwrap();
    assert!(report.has_index("xid") && report.has_index("created_at"), "{report:?}");

    backend.prepare_outbox(DEFAULT_OUTBOX, true).await.unwrap();
    let mut listener = listening(&backend, &["a", "b", "marks"]).await;
    let since = backend.mark(DEFAULT_LOG, "marks", "since").await.unwrap();
    let batches = [
        vec![inline("a", "alone")],
        vec![inline("a", "1"), inline("a", "2")],
        vec![inline("a", "3"), inline("b", "4")],
        vec![inline("a", "5"), attachment("b", "x", "body"), attachment("a", "y", "other")],
    ];
    for batch in &batches {
        backend.publish(TABLE, None, batch).await.unwrap();
        let logged: Vec<_> = batch.iter().map(|it| Outgoing { is_logged: true, ..it.clone() }).collect();
        backend.publish(TABLE, Some(&log), &logged).await.unwrap();
    }
    let until = backend.mark(DEFAULT_LOG, "marks", "until").await.unwrap();
    let heard = hear(&mut listener, 18).await;
    let ids: Vec<i64> = heard.iter().filter_map(|payload| Some(announced(payload)?.1)).collect();
    let bodies = fetch(&backend, &ids).await.unwrap();
    assert_eq!(bodies, ["body", "other", "body", "other"].map(|body| Some(body.as_bytes().to_vec())));
    let channels = ["a".to_owned(), "b".to_owned()];
    for after in [0, since.id] {
        let query =
            LogQuery { table: DEFAULT_LOG, channels: &channels, since: &since, until: &until, after, limit: 100 };
        assert_eq!(backend.read_log(&query).await.unwrap().len(), 8);
    }
    let emission = |content| Emission {
        outgoing: Outgoing { channel: "a".to_owned(), content, is_logged: true },
        table: TABLE.to_owned(),
        log: None,
        outbox: Some(OutboxTarget { table: DEFAULT_OUTBOX.to_owned(), wake_channel: "b".to_owned() }),
    };
    let Content::Attachment { body, before_id, after_id } = attachment("a", "z", "body").content else { return };
    let contents = [Content::Inline("6".to_owned()), Content::Attachment { body, before_id, after_id }];
    for (number, content) in contents.into_iter().enumerate() {
        let text = emission(content).statement().unwrap().text;
        fixture.sql(&format!("PREPARE x AS {text}; EXECUTE x('a', '6 {number}', NULL, NULL, 'b')"));
    }
    let batch = OutboxBatch {
        outbox: DEFAULT_OUTBOX,
        attachments: TABLE,
        log: Some(&log),
        turn: 0,
        take_turn: Some(Duration::from_secs(5)),
        after: 0,
        limit: 10,
        wants_xid: true,
    };
    assert_eq!(backend.look_at_outbox(DEFAULT_OUTBOX, 0).await.unwrap().oldest, Some(1));
    assert_eq!(backend.publish_outbox(&batch).await.unwrap().rows, 2);
    // Two wakes, and the messages.
    hear(&mut listener, 4).await;
    for (table, rows) in [(TABLE, 2), (DEFAULT_LOG, 12)] {
        for (oldest_first, limit) in [(true, 1), (false, 100)] {
            let batch = SweepBatch { age: Duration::ZERO, limit, oldest_first };
            assert_eq!(backend.sweep_batch(table, batch).await.unwrap(), limit.min(rows - 1), "{table}");
        }
    }
    soon(listener.check()).await.unwrap();
    let name = SessionId::new(1);
    let seen = soon(listener.look(Some(name), &mut |_, _| {})).await.unwrap();
    assert_eq!(seen.iter().map(|sighting| sighting.session).collect::<Vec<_>>(), [name]);
    listener.unlisten(&["a".to_owned()]).await.unwrap();
}
