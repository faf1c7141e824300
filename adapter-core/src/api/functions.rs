//! Functions in PostgreSQL that emit, for whatever can run a statement.

use std::fmt::Write;

use socketio_pg_protocol::channel::{self, quote_identifier};

use crate::{
    backend::{
        outbox::wake_channel,
        outbox_sql::{LONGEST_TURN, MARGIN},
        sql::EMITTED_AHEAD,
        table::{InvalidTableName, TableName, literal},
    },
    options::Options,
};

/// The migration that installs functions which emit: a trigger, `psql` or a program in any language
/// emits with one statement, as an [`Emitter`](crate::Emitter) does.
///
/// ```sql
/// SELECT socketio.emit('order', '{"id": 17}', room => 'order:17');
///
/// CREATE TRIGGER emit_orders AFTER INSERT OR UPDATE OR DELETE ON orders
/// FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('order', 'order:{id}');
/// ```
///
/// The page `docs/sql.md` in the repository describes them. They are emitters, and so publish with
/// the prefix, the table, the threshold, the catch-up log and the outbox of these options; install
/// them again when one of these changes.
///
/// ```
/// use socketio_pg_core::{Options, SqlFunctions};
///
/// let functions = SqlFunctions::new(&Options::default())?;
/// let up = functions.install_sql();
/// let down = functions.remove_sql();
/// assert!(up.contains(r#"CREATE SCHEMA IF NOT EXISTS "socketio";"#));
/// # assert!(down.contains("DROP"));
/// # Ok::<(), socketio_pg_core::backend::table::InvalidTableName>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqlFunctions {
    schema: String,
    prefix: String,
    attachments: TableName,
    log: Option<Log>,
    outbox: Option<TableName>,
    threshold: usize,
}

#[derive(Clone, Debug)]
struct Log {
    table: TableName,
    seconds: f64,
}

/// Those that applications call, and their parameters.
const PUBLIC: [&str; 8] = [
    "emit(text,jsonb,text,text,text[],text[],jsonb[],bytea[],boolean,boolean)",
    "server_side_emit(text,jsonb,text,jsonb[],bytea[])",
    "sockets_join(text[],text,text,text[],text[])",
    "sockets_leave(text[],text,text,text[],text[])",
    "disconnect_sockets(text,text,boolean,text[],text[])",
    "emit_change()",
    "number_room(bigint)",
    "version()",
];

/// Those that they call.
const INTERNAL: [&str; 18] = [
    "internal_emit(text,jsonb,text,text,text[],text[],jsonb[],bytea[],boolean,boolean)",
    "internal_event(text,jsonb,jsonb[],bytea[],text[])",
    "internal_move(integer,text[],text,text,text[],text[])",
    "internal_msgpack(jsonb,bytea[])",
    "internal_msgpack_attachment(jsonb,bytea[])",
    "internal_msgpack_binary(bytea)",
    "internal_msgpack_data(integer,text,jsonb,jsonb,bytea[])",
    "internal_msgpack_integer(numeric)",
    "internal_msgpack_length(integer,integer,bytea,bytea)",
    "internal_msgpack_number(numeric)",
    "internal_msgpack_part(jsonb,text,bytea,numeric,bytea[])",
    "internal_msgpack_text(text)",
    "internal_msgpack_utf8(bytea)",
    "internal_notify(text,text)",
    "internal_notify_attachment(text,text,bytea,text)",
    "internal_publish(integer,text,text,bytea[],jsonb,jsonb)",
    "internal_rooms(text[])",
    "internal_selection(text,text[])",
];

/// Those that every role may call: they emit nothing by themselves.
const FOR_EVERYBODY: [&str; 3] = ["emit_change()", "number_room(bigint)", "version()"];

/// Where no room is given. Null would be too easy to make by accident. The installation puts a text in
/// its place that is secret, and not the same in another database.
const EVERYONE: &str = "every client 0b6f7c6d2a4e4d6f";

/// What the name of a room begins with that is named by a number, until the installation puts another
/// text in its place.
const NUMBERED: &str = "numbered room 0b6f7c6d2a4e4d6f:";

const INSTALL: &str = include_str!("functions/install.sql");
const REMOVE: &str = include_str!("functions/remove.sql");
const FUNCTIONS: &str = include_str!("functions.sql");
const MSGPACK: &str = include_str!("functions/msgpack.sql");
const EMIT: &str = include_str!("functions/emit.sql");

/// Ends the definition of each function.
const END: &str = "$@tag@_body$;\n";

impl SqlFunctions {
    /// Changes when a function does. `socketio.version()` tells which one is installed.
    pub const VERSION: u32 = 5;

    /// The functions for a cluster with these options, in the schema `socketio`.
    ///
    /// # Errors
    /// When a table's name in the options is not a name: see [`InvalidTableName`].
    pub fn new(options: &Options) -> Result<Self, InvalidTableName> {
        let log = |log: &crate::CatchUp| {
            TableName::parse(log.table_name()).map(|table| Log { table, seconds: log.seconds() })
        };
        Ok(Self {
            schema: "socketio".to_owned(),
            prefix: options.channel_prefix.clone(),
            attachments: TableName::parse(&options.table)?,
            log: options.catch_up.as_ref().map(log).transpose()?,
            outbox: options.outbox.as_ref().map(|outbox| TableName::parse(outbox.table_name())).transpose()?,
            threshold: options.budget(false).max_inline() + 1,
        })
    }

    /// The same functions in another schema, which is created when it is missing. The name is taken
    /// literally; NUL is left out, as PostgreSQL has no such name.
    pub fn schema(self, name: impl Into<String>) -> Self {
        Self { schema: name.into().replace('\0', ""), ..self }
    }

    /// The statement that installs the functions, or replaces those of any version. It does all or
    /// nothing, in a transaction or without one. The attachments table must exist, and that of the log;
    /// or the outbox, where the options have one.
    ///
    /// What was granted stays granted, also where a later version gives a function other parameters.
    /// It fails where something, such as a view, depends on a function that the new version does not have
    /// with the same parameters. Several sessions may run it at once.
    pub fn install_sql(&self) -> String {
        self.fill(INSTALL)
    }

    /// The statement that removes the functions, and their schema if nothing else is in it. It fails
    /// while something depends on one of the functions: a trigger, a view, a function with a body that
    /// begins with `BEGIN ATOMIC`.
    ///
    /// The functions are known by their comments. Where these are lost, as in a copy from
    /// `pg_dump --no-comments`, it removes nothing and says so in a notice: install them again first.
    pub fn remove_sql(&self) -> String {
        self.fill(REMOVE)
    }

    /// The definitions of all functions, each run by itself: an error then shows the one that it is about.
    fn definitions(&self) -> String {
        let tables = match (&self.outbox, &self.log) {
            (Some(_), _) => INTO_OUTBOX.to_owned(),
            (None, Some(_)) => [NOTIFY_AND_LOG, ATTACH].concat(),
            (None, None) => [NOTIFY, ATTACH].concat(),
        };
        let all = [MSGPACK, FUNCTIONS, tables.as_str(), EMIT].concat();
        let run = |definition: &str| {
            let quoted = format!("$@tag@_function$\n{}\n$@tag@_function$", definition.trim());
            format!(
                "    EXECUTE pg_catalog.replace(pg_catalog.replace(pg_catalog.concat({quoted}), '@everyone@', everyone), '@numbered@', numbered);\n"
            )
        };
        self.fill(&all.split_inclusive(END).map(run).collect::<String>())
    }

    /// As an array's elements; null for one that does not exist.
    fn signatures(&self, functions: &[&str]) -> String {
        let schema = quote_identifier(&self.schema);
        let one = |function: &&str| format!("pg_catalog.to_regprocedure({})", literal(&format!("{schema}.{function}")));
        functions.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn fill(&self, template: &str) -> String {
        let schema = quote_identifier(&self.schema);
        let margin = EMITTED_AHEAD.as_secs_f64();
        // As far ahead as the log goes back: nodes of any kind then sweep them after their row.
        let ahead = self.log.as_ref().map_or(margin, |log| log.seconds.max(margin));
        let attach =
            format!("(created_at, payload) VALUES (clock_timestamp() + make_interval(secs => {ahead:?}), body)");
        let mut text = String::with_capacity(template.len() + template.len() / 4);
        let mut rest = template;
        while let Some((before, token, after)) = next_token(rest) {
            text.push_str(before);
            match token {
                "schema" => text.push_str(&schema),
                "schema_literal" => text.push_str(&literal(&schema)),
                "prefix" => text.push_str(&literal(&self.prefix)),
                "attachments_literal" => text.push_str(&literal(&self.attachments.to_string())),
                "attach" => text.push_str(&attach),
                "threshold" => _ = write!(text, "{}", self.threshold),
                "signatures" => text.push_str(&self.signatures(&[&PUBLIC[..], &INTERNAL].concat())),
                "for_everybody" => text.push_str(&self.signatures(&FOR_EVERYBODY)),
                "everyone" => text.push_str(EVERYONE),
                "numbered" => text.push_str(NUMBERED),
                "version" => _ = write!(text, "{}", Self::VERSION),
                "selection" => text.push_str(&self.signatures(&["internal_selection(text,text[])"])),
                "definitions" => text.push_str(&self.definitions()),
                "object" => text.push_str(&self.fill(MSGPACK_OBJECT)),
                "names" if self.outbox.is_some() => text.push_str(&self.fill(NAMES_OF_OUTBOX)),
                "names" if self.log.is_some() => {
                    text.push_str(&self.fill(&[NAME_OF_ATTACHMENTS, NAME_OF_LOG].concat()))
                }
                "names" => text.push_str(&self.fill(NAME_OF_ATTACHMENTS)),
                "tables" if self.outbox.is_some() => text.push_str(&self.fill(CHECK_OUTBOX)),
                "tables" if self.log.is_some() => text.push_str(&self.fill(&[CHECK_LOG, CHECK_ATTACHMENTS].concat())),
                "tables" => text.push_str(&self.fill(CHECK_ATTACHMENTS)),
                "publish" if self.outbox.is_some() => text.push_str(&self.fill(PUBLISH_INTO_OUTBOX)),
                "publish" if self.log.is_some() => text.push_str(&self.fill(PUBLISH_AND_LOG)),
                "publish" => text.push_str(&self.fill(PUBLISH)),
                // The channel is not longer than a channel may be.
                "longest_namespace" => {
                    _ = write!(text, "{}", channel::MAX_BYTES.saturating_sub(self.prefix.len() + "#".len()));
                }
                "log_literal" => text.push_str(&literal(&self.log_table())),
                "outbox_literal" => text.push_str(&literal(&self.outbox_table())),
                "attachments_name" => text.push_str(&name_now(&self.attachments.to_string())),
                "log_name" => text.push_str(&name_now(&self.log_table())),
                "outbox_name" => text.push_str(&name_now(&self.outbox_table())),
                "turn_name" => {
                    let turn = self.outbox.as_ref().map(TableName::turn_sequence);
                    text.push_str(&name_now(&turn.unwrap_or_default()));
                }
                // Without a function call in between, where nothing else is to be done.
                "notify" if self.log.is_none() && self.outbox.is_none() => text.push_str("pg_notify"),
                "notify" => _ = write!(text, "{schema}.internal_notify"),
                "wake" => text.push_str(&literal(&wake_channel(&self.prefix))),
                // A turn that is neither over soon nor too long is this far from their middle at most.
                "middle_of_turn" => _ = write!(text, "{}", (LONGEST_TURN + MARGIN) / 2),
                "half_turn" => _ = write!(text, "{}", (LONGEST_TURN - MARGIN) / 2),
                // Ends no text that is quoted with it.
                "tag" => text.push_str(&self.tag()),
                other => _ = write!(text, "@{other}@"),
            }
            rest = after;
        }
        text + rest
    }

    fn log_table(&self) -> String {
        self.log.as_ref().map(|log| log.table.to_string()).unwrap_or_default()
    }

    fn outbox_table(&self) -> String {
        self.outbox.as_ref().map(TableName::to_string).unwrap_or_default()
    }

    /// A word that none of the names contains.
    fn tag(&self) -> String {
        let names =
            [&self.schema, &self.prefix, &self.attachments.to_string(), &self.log_table(), &self.outbox_table()];
        let is_free = |tag: &String| names.iter().all(|name| !name.contains(tag));
        (0_u64..).map(|number| format!("socketio{number}")).find(is_free).unwrap_or_default()
    }
}

/// An expression that packs the object `element`, a part of [`MSGPACK`]. Each step is a query of its own,
/// so that PostgreSQL takes it once for each value.
const MSGPACK_OBJECT: &str = "(
    SELECT @schema@.internal_msgpack_length(count(*)::int, 128, E'\\\\xde'::bytea, E'\\\\xdf'::bytea) || coalesce(string_agg(
        @schema@.internal_msgpack_utf8(name)
        || @schema@.internal_msgpack_part(entry, entries.kind, entries.content, entries.number, attachments),
        ''
    ), '')
    FROM (
        SELECT
            convert_to(key, 'UTF8') AS name, entry, typed.kind,
            CASE WHEN typed.kind = 'string' THEN convert_to(entry #>> '{}', 'UTF8') END AS content,
            CASE WHEN typed.kind = 'number' THEN entry::numeric END AS number
        FROM (
            SELECT key, entry, jsonb_typeof(entry) AS kind
            FROM (
                SELECT key, element -> key AS entry
                FROM (SELECT jsonb_object_keys(element) AS key) AS keys OFFSET 0
            ) AS pairs OFFSET 0
        ) AS typed OFFSET 0
    ) AS entries
)";

/// How `emit` publishes a small message. An expression costs less than a statement, and needs no
/// result: what `pg_notify` returns is never null.
const PUBLISH: &str = "IF pg_catalog.pg_notify(@prefix@ OPERATOR(pg_catalog.||) '#' OPERATOR(pg_catalog.||) namespace, payload) IS NULL THEN
            NULL;
        END IF;";

const PUBLISH_AND_LOG: &str = "PERFORM @schema@.internal_notify(@prefix@ OPERATOR(pg_catalog.||) '#' OPERATOR(pg_catalog.||) namespace, payload);";

/// As the functions of [`INTO_OUTBOX`] do.
const PUBLISH_INTO_OUTBOX: &str = "INSERT INTO $@tag@_function$, outbox, $@tag@_function$ (channel, payload)
        VALUES (@prefix@ OPERATOR(pg_catalog.||) '#' OPERATOR(pg_catalog.||) namespace, payload);
        $@tag@_function$, wake, $@tag@_function$";

/// The tables, with the names that they have now: declarations, and what to do where one is missing.
/// The definitions of functions are expressions, in which these variables stand.
const NAME_OF_ATTACHMENTS: &str = "    attachments pg_catalog.text := @attachments_name@;\n";

const NAME_OF_LOG: &str = "    log pg_catalog.text := @log_name@;\n";

const NAMES_OF_OUTBOX: &str = "    outbox pg_catalog.text := @outbox_name@;
    turn pg_catalog.text := @turn_name@;
    wake pg_catalog.text;
";

const CHECK_ATTACHMENTS: &str = "
    IF attachments IS NULL THEN
        RAISE EXCEPTION 'there is no table %', @attachments_literal@
            USING ERRCODE = 'undefined_table', HINT = 'Create it first, as schema_sql says.';
    END IF;
";

const CHECK_LOG: &str = "
    IF log IS NULL THEN
        RAISE EXCEPTION 'there is no table %', @log_literal@
            USING ERRCODE = 'undefined_table', HINT = 'Create it first, as log_schema_sql says.';
    END IF;
";

const CHECK_OUTBOX: &str = "
    IF outbox IS NULL OR turn IS NULL THEN
        RAISE EXCEPTION 'there is no table %, or no sequence beside it', @outbox_literal@
            USING ERRCODE = 'undefined_table', HINT = 'Create them first, as outbox_schema_sql says.';
    END IF;
    -- Read after the row is written, as a server relies on. A function reads it in an expression, which
    -- costs less than a query.
    wake := pg_catalog.concat($@tag@_function$
        IF NOT coalesce(pg_catalog.abs(
            pg_catalog.pg_sequence_last_value($@tag@_function$, pg_catalog.quote_literal(turn), $@tag@_function$::pg_catalog.regclass)
            OPERATOR(pg_catalog.-) @middle_of_turn@::pg_catalog.int8 OPERATOR(pg_catalog.-) (
                pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000::pg_catalog.float8
            )
        ) OPERATOR(pg_catalog.<=) @half_turn@::pg_catalog.float8, false) THEN
            PERFORM pg_catalog.pg_notify(@wake@, '');
        END IF;
    $@tag@_function$);
";

/// In plpgsql, as these others are: functions in SQL are planned in each statement that calls them.
const NOTIFY: &str = "CREATE OR REPLACE FUNCTION @schema@.internal_notify(channel text, payload text)
RETURNS void LANGUAGE plpgsql VOLATILE AS $@tag@_body$
BEGIN
    PERFORM pg_catalog.pg_notify(channel, payload);
END $@tag@_body$;
";

const NOTIFY_AND_LOG: &str = "CREATE OR REPLACE FUNCTION @schema@.internal_notify(channel text, payload text)
RETURNS void LANGUAGE plpgsql VOLATILE AS $@tag@_body$
BEGIN
    INSERT INTO $@tag@_function$, log, $@tag@_function$ (channel, payload) VALUES (channel, payload);
    PERFORM pg_catalog.pg_notify(channel, payload);
END $@tag@_body$;
";

const ATTACH: &str = "CREATE OR REPLACE FUNCTION @schema@.internal_notify_attachment(
    channel text, before_id text, body bytea, after_id text
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $@tag@_body$
DECLARE
    attachment int8;
BEGIN
    INSERT INTO $@tag@_function$, attachments, $@tag@_function$ @attach@ RETURNING id INTO attachment;
    PERFORM @notify@(channel, concat(before_id, attachment, after_id));
END $@tag@_body$;
";

/// In place of the others: a server publishes later.
const INTO_OUTBOX: &str = "CREATE OR REPLACE FUNCTION @schema@.internal_notify(channel text, payload text)
RETURNS void LANGUAGE plpgsql VOLATILE AS $@tag@_body$
BEGIN
    INSERT INTO $@tag@_function$, outbox, $@tag@_function$ (channel, payload) VALUES (channel, payload);
    $@tag@_function$, wake, $@tag@_function$
END $@tag@_body$;
CREATE OR REPLACE FUNCTION @schema@.internal_notify_attachment(
    channel text, before_id text, body bytea, after_id text
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $@tag@_body$
BEGIN
    INSERT INTO $@tag@_function$, outbox, $@tag@_function$ (channel, payload, after_id, body)
    VALUES (channel, before_id, after_id, body);
    $@tag@_function$, wake, $@tag@_function$
END $@tag@_body$;
";

/// Text before the next `@token@`, the token, and what is behind it.
fn next_token(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('@')?;
    let (token, after) = rest.split_once('@')?;
    Some((before, token, after))
}

/// An expression for the name with its schema that a table has now, quoted; null where there is none.
fn name_now(table: &str) -> String {
    format!(
        "(
        SELECT pg_catalog.format('%I.%I', nspname, relname)
        FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
        WHERE pg_class.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({})::pg_catalog.oid
    )",
        literal(table)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_filled_whatever_the_names_are() {
        let log = crate::CatchUp::last(std::time::Duration::from_secs(3600)).table(r#""@schema@""#);
        let options = Options::default().channel_prefix("a'b\\@prefix@socketio0").table(r#"s."$@tag@$""#).catch_up(log);
        let functions = SqlFunctions::new(&options).expect("these are names").schema("x\"y\0$socketio1_body$");
        let text = functions.install_sql();
        assert!(text.contains(r#"CREATE SCHEMA IF NOT EXISTS "x""y$socketio1_body$";"#));
        assert!(text.contains(r"channel text := E'a''b\\@prefix@socketio0' || '#' || namespace;"));
        assert!(text.contains("$socketio2_body$") && !text.contains("$socketio0_body$"));
        for token in [
            "@threshold@",
            "@version@",
            "@attach@",
            "@names@",
            "@tables@",
            "@definitions@",
            "@selection@",
            "@publish@",
            "@log_literal@",
            "@schema_literal@",
        ] {
            assert!(!text.contains(token), "{token}");
        }
        assert!(text.contains("interval(secs => 3600.0)"));
        let defined = |text: &str| text.matches("EXECUTE pg_catalog.replace(").count();
        assert_eq!(defined(&text), PUBLIC.len() + INTERNAL.len());
        let outbox = crate::Outbox::default().table(r#"o."@wake@'""#);
        let functions = SqlFunctions::new(&options.outbox(outbox)).expect("these are names");
        let text = functions.install_sql();
        assert_eq!(defined(&text), PUBLIC.len() + INTERNAL.len());
        assert!(text.contains(r#"to_regclass('"o"."@wake@''_turn"')"#), "{text}");
        assert!(text.contains(r"pg_notify(E'a''b\\@prefix@socketio0?outbox', '')"), "{text}");
    }
}
