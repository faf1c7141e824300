//! Binds diesel's parameters to SQL that is written once for all backends.

use diesel::{QueryResult, pg::Pg, query_builder::AstPass, serialize::ToSql, sql_types::HasSqlType};

/// Writes a statement that is shared with other backends. Each of its parameters is used once, in
/// order. Unlike `sql_query`, it is prepared once.
pub(crate) struct Statement<'a, 'b> {
    out: AstPass<'a, 'b, Pg>,
    rest: &'b str,
}

impl<'a, 'b> Statement<'a, 'b> {
    pub(crate) fn new(out: AstPass<'a, 'b, Pg>, text: &'b str) -> Self {
        Self { out, rest: text }
    }

    /// Writes up to the next `$n`, and the parameter in its place.
    pub(crate) fn bind<T, U>(&mut self, value: &'b U) -> QueryResult<()>
    where
        Pg: HasSqlType<T>,
        U: ToSql<T, Pg> + ?Sized,
    {
        if let Some((before, after)) = next_parameter(self.rest) {
            self.out.push_sql(before);
            self.rest = after;
        }
        self.out.push_bind_param::<T, U>(value)
    }

    pub(crate) fn finish(mut self) {
        self.out.push_sql(self.rest);
    }

    /// The statement is planned for each run.
    pub(crate) fn finish_for_one_run(mut self) {
        self.out.push_sql(self.rest);
        self.out.unsafe_to_cache_prepared();
    }
}

/// The text before the next `$n`, and after it. A table's name may contain a `$n`, but only in
/// double quotes.
fn next_parameter(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            '$' if !is_quoted => {
                return Some((&text[..at], text[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit())));
            }
            _ => {}
        }
    }
    None
}

/// Statements that are identified by their text, which contains the names of tables.
macro_rules! identified_by_text {
    ($($statement:ty),*) => { $(
        impl diesel::query_builder::QueryId for $statement {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }
    )* };
}

pub(crate) use identified_by_text;
