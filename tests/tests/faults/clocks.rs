//! Clocks that jump. Nodes measure time with the system's monotonic clock, which does not jump; the
//! database's clock decides which attachments are old.

use std::time::Duration;

use socketio_pg_tests::fault::Fault;

use crate::case::{Case, NONE};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::lasting(
            "the database's clock jumps ahead",
            "a trigger dates attachments back by an hour, so that they are deleted while nodes still need them",
            (Fault::ClockAhead, NONE),
            (10, 2),
        )
        .with(|options| options.cleanup_interval(Duration::from_millis(500))),
    ]
}
