//! The contract of a [`Backend`] as tests, for every driver to run.
//!
//! A backend crate implements [`Fixture`], and writes in one of its test files:
//!
//! ```ignore
//! socketio_pg_core::backend_tests!(fixture); // fn fixture() -> impl Fixture
//! ```
//!
//! which makes a test of each function of the modules below. It needs tokio with `macros` and
//! `rt-multi-thread`.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests: a panic is the report, the name says what holds")]

use std::{fmt::Debug, future::Future, time::Duration};

use crate::backend::{
    Backend, BackendError, Content, ErrorKind, FetchLimits, Incoming, Listener, Outgoing, Prepare, Row,
};

pub mod attachments;
pub mod cancellation;
pub mod catch_up;
pub mod failures;
pub mod listening;
pub mod outbox;
pub mod outcomes;
pub mod publishing;
pub mod schema;
pub mod search_path;

/// A database to test on. Every test has its own.
pub trait Fixture: Send + Sync {
    /// The backend under test.
    type Backend: Backend;

    /// The URL of an empty database: `postgres://user[:password]@host[:port]/name`. The role is a
    /// superuser; other roles need a password to connect.
    fn url(&self) -> String;

    /// The backend under test, to connect with `url`. It need not connect yet.
    ///
    /// # Errors
    /// A backend that connects at once may return what [`Backend::publish`] would have returned.
    fn backend(&self, url: &str) -> impl Future<Output = Result<Self::Backend, BackendError>> + Send;

    /// Runs SQL statements in the database, on a separate connection that has ended when this
    /// returns. Returns the first value of the last row, as text. Panics when the server refuses.
    fn sql(&self, statements: &str) -> Option<String>;
}

/// Makes a test of every function of the contract. The argument is a function that makes a
/// [`Fixture`].
#[macro_export]
macro_rules! backend_tests {
    ($fixture:ident) => {
        $crate::backend_tests!(@module $fixture publishing:
            batches_arrive_in_order
            channels_of_one_batch_keep_their_order
            equal_payloads_of_different_batches_all_arrive
            an_empty_batch_is_no_error
            a_payload_of_7999_bytes_arrives
            a_refused_payload_fails_its_batch_and_nothing_else
            a_batch_that_is_given_up_arrives_whole_or_not_at_all
            a_batch_that_is_stuck_and_given_up_does_not_hold_up_the_next
            fetches_that_are_stuck_do_not_hold_up_a_batch
        );
        $crate::backend_tests!(@module $fixture attachments:
            attachments_of_all_sizes_come_back_as_they_were
            a_mixed_batch_keeps_its_order_and_its_ids
            two_nodes_never_mix_up_their_ids
            a_refused_batch_leaves_no_row
            a_fetch_tells_which_rows_are_gone
            a_fetch_brings_no_more_than_fits
            a_sweep_deletes_what_is_older
            a_batch_of_a_sweep_deletes_no_more_than_it_may
        );
        $crate::backend_tests!(@module $fixture listening:
            a_channel_may_have_any_name
            an_abandoned_channel_is_silent
            nothing_is_lost_when_waiting_is_given_up
            a_session_is_drained_while_no_task_waits
            a_killed_session_fails_and_another_hears_again
            a_dropped_session_is_gone_from_the_server
            sessions_see_each_other
            a_session_of_another_role_is_not_seen
            a_look_that_fails_leaves_the_session_sound
            what_was_sent_before_an_answer_is_there_with_it
            a_look_that_is_given_up_leaves_the_session_sound
            what_comes_during_looks_is_heard_once_and_in_order
        );
        $crate::backend_tests!(@module $fixture schema:
            the_table_has_the_shape_that_node_gives_it
            many_nodes_prepare_at_once
            a_table_that_exists_needs_no_right_to_create_one
            a_missing_table_without_the_right_to_create_it_is_told
            a_missing_table_is_told
            a_table_may_have_any_name
            what_is_no_name_of_a_table_is_refused
            each_right_that_is_missing_is_told_with_the_statement_that_gives_it
            each_column_that_is_wrong_is_told_with_the_statement_that_mends_it
            the_sequence_of_attachments_is_logged
            a_log_that_is_there_gets_the_indexes_that_it_lacks
        );
        $crate::backend_tests!(@module $fixture catch_up:
            what_is_logged_is_read_as_it_was_notified
            a_position_is_exact_beside_many_writers_and_long_transactions
            a_read_begins_at_the_position_and_finds_what_was_open_across_it
            a_refused_batch_leaves_no_row_in_the_log
            attachments_outlive_their_row_of_the_log
            a_mark_is_heard_and_tells_another_log
            statistics_that_are_reset_are_not_taken_for_a_crash
            a_log_may_have_any_name
            a_log_that_is_missing_or_may_not_be_used_is_told
            many_nodes_prepare_the_log_at_once
        );
        $crate::backend_tests!(@module $fixture outbox:
            what_is_written_is_published_once_and_in_order
            one_node_has_the_turn
            two_nodes_at_once_publish_each_row_once_and_in_order
            the_rows_of_a_long_transaction_come_when_it_commits
            what_is_published_is_logged_too
            what_cannot_be_notified_is_refused_and_holds_up_nothing
            rows_that_somebody_wrote_by_hand_hold_up_nothing
            many_rows_that_wait_are_found_by_their_index
            an_outbox_may_have_any_name
            an_outbox_that_is_missing_or_may_not_be_used_is_told
            many_nodes_prepare_the_outbox_at_once
            a_writer_wakes_the_nodes_only_while_none_has_the_turn
        );
        $crate::backend_tests!(@module $fixture search_path:
            what_is_planted_first_in_the_search_path_is_not_run
            what_is_planted_last_in_the_search_path_is_not_run
        );
        $crate::backend_tests!(@module $fixture failures:
            an_unreachable_server_is_a_matter_of_connection
            a_wrong_address_or_password_is_a_matter_of_the_login
            connections_that_died_idle_are_replaced
            a_closed_backend_fails_and_its_listeners_go_on
            a_server_that_takes_no_writes_is_left
            a_statement_that_the_server_gives_up_is_a_matter_of_time
            a_silent_host_is_passed_over
        );
        $crate::backend_tests!(@module $fixture outcomes:
            without_a_connection_nothing_was_sent
            a_publication_that_is_cut_off_before_the_server_gets_it_may_have_arrived_and_has_not
            a_publication_that_is_cut_off_between_commit_and_answer_may_have_arrived
            a_publication_that_the_server_gives_up_has_not_arrived
        );
    };
    (@module $fixture:ident $module:ident: $($test:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    $crate::testing::contract::$module::$test(&super::$fixture()).await;
                }
            )*
        }
    };
}

/// The table that tests use.
const TABLE: &str = "socket_io_attachments";

/// Far longer than anything here takes, on any machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Awaits something that must happen.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it happens within a minute")
}

/// Asks the server repeatedly, as it cannot be made to report by itself.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "it still does not hold that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A backend on the fixture's database, with the table created.
async fn prepared<F: Fixture>(fixture: &F) -> F::Backend {
    let backend = fixture.backend(&fixture.url()).await.unwrap();
    backend.prepare(TABLE, true).await.unwrap();
    backend
}

async fn listening<B: Backend>(backend: &B, channels: &[&str]) -> B::Listener {
    let channels: Vec<String> = channels.iter().map(|&channel| channel.to_owned()).collect();
    let mut listener = backend.connect_listener().await.unwrap();
    listener.listen(&channels).await.unwrap();
    listener
}

/// The payloads of the next notifications.
async fn hear(listener: &mut impl Listener, count: usize) -> Vec<String> {
    let mut payloads = Vec::with_capacity(count);
    while payloads.len() < count {
        if !listener.take_next(&mut |_, payload| payloads.push(payload.to_owned())) {
            payloads.push(soon(listener.next()).await.unwrap().payload);
        }
    }
    payloads
}

fn inline(channel: &str, payload: impl Into<String>) -> Outgoing {
    Outgoing { channel: channel.to_owned(), content: Content::Inline(payload.into()), is_logged: false }
}

/// Announced as `<label>:<id>!`: see [`announced`].
fn attachment(channel: &str, label: &str, body: impl Into<Vec<u8>>) -> Outgoing {
    let content = Content::Attachment { body: body.into(), before_id: format!("{label}:"), after_id: "!".to_owned() };
    Outgoing { channel: channel.to_owned(), content, is_logged: false }
}

/// The bodies of rows, `None` for rows that are gone, without a limit on their size.
async fn fetch(backend: &impl Backend, ids: &[i64]) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
    let body = |row| match row {
        Row::Body(body) => Some(body),
        Row::Gone => None,
        Row::TooLarge { bytes } => panic!("{bytes} bytes were too much"),
    };
    Ok(backend.fetch(TABLE, ids, FetchLimits::NONE).await?.into_iter().map(body).collect())
}

/// The label and the id that an attachment was announced with; `None` for an inline payload.
fn announced(payload: &str) -> Option<(&str, i64)> {
    let (label, id) = payload.strip_suffix('!')?.split_once(':')?;
    Some((label, id.parse().unwrap()))
}

/// Fails unless the result is an error of this kind, with a text.
#[track_caller]
fn assert_kind<T: Debug>(result: Result<T, BackendError>, kind: ErrorKind) {
    let error = result.expect_err("it must fail");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().len() > 10, "{error}");
}

/// The URL with another role (`user:password`), or another database.
fn url_with(url: &str, role: Option<&str>, database: Option<&str>) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let (own_role, address) = authority.rsplit_once('@').unwrap();
    let (own_database, parameters) = match path.split_once('?') {
        Some((database, parameters)) => (database, format!("?{parameters}")),
        None => (path, String::new()),
    };
    format!("{scheme}://{}@{address}/{}{parameters}", role.unwrap_or(own_role), database.unwrap_or(own_database))
}

/// A role for one test, dropped at its end.
struct Role<'a, F: Fixture> {
    fixture: &'a F,
    name: String,
}

impl<'a, F: Fixture> Role<'a, F> {
    /// A role that may connect, and use what it is granted.
    fn create(fixture: &'a F) -> Self {
        let name = format!("{}_guest", fixture.sql("SELECT current_database()").unwrap());
        fixture.sql(&format!("CREATE ROLE {name} LOGIN PASSWORD 'right'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
        Self { fixture, name }
    }

    fn url(&self, password: &str) -> String {
        url_with(&self.fixture.url(), Some(&format!("{}:{password}", self.name)), None)
    }
}

impl<F: Fixture> Drop for Role<'_, F> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.fixture.sql(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name));
        }
    }
}

/// All sessions of the database except the one that asks.
const OTHER_SESSIONS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Those of them that listen, by their latest statement.
const LISTENING_SESSIONS: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'";

/// The fields of [`Incoming`], for comparing.
fn pair(incoming: Incoming) -> (String, String) {
    (incoming.channel, incoming.payload)
}
