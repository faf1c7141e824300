//! The health and the counts of a node with several databases, as those of one.

use std::cmp::Reverse;

use crate::{
    health::{Health, InboxHealth, PublisherHealth},
    meters::Counts,
};

/// The whole of several: ready when all are, and otherwise as its worst part where there is nothing to add up.
pub(crate) fn health(parts: impl IntoIterator<Item = Health>) -> Option<Health> {
    parts.into_iter().reduce(|one, other| {
        let mut namespaces = [one.namespaces, other.namespaces].concat();
        namespaces.sort_by(|one, other| one.name.cmp(&other.name));
        // A deaf link before one that hears, and of two alike the one that was silent for longer.
        let links = [one.link, other.link];
        let link = links.into_iter().min_by_key(|link| (link.is_listening, link.last_heard));
        Health {
            ready: one.ready && other.ready,
            closed: one.closed && other.closed,
            link: link.expect("there are two"),
            publisher: publisher(one.publisher, other.publisher),
            inbox: InboxHealth {
                waiting: one.inbox.waiting + other.inbox.waiting,
                bytes: one.inbox.bytes + other.inbox.bytes,
                max_bytes: one.inbox.max_bytes.saturating_add(other.inbox.max_bytes),
            },
            namespaces,
            counts: sum(one.counts, other.counts),
        }
    })
}

fn publisher(one: PublisherHealth, other: PublisherHealth) -> PublisherHealth {
    let errors = [one.last_error, other.last_error].into_iter().flatten();
    PublisherHealth {
        waiting: one.waiting + other.waiting,
        capacity: one.capacity.saturating_add(other.capacity),
        last_error: errors.min_by_key(|error| Reverse(error.at)),
        consecutive_failures: one.consecutive_failures.max(other.consecutive_failures),
    }
}

/// What several counted together.
pub(crate) fn counts(parts: impl IntoIterator<Item = Counts>) -> Counts {
    parts.into_iter().reduce(sum).unwrap_or_default()
}

fn sum(mut one: Counts, other: Counts) -> Counts {
    // By name, so that none that is added is forgotten here.
    let Counts {
        poisoned,
        dropped,
        published,
        unpublished,
        received,
        reconnects,
        gaps,
        swept,
        sweep_failures,
        poisoned_by_kind,
        dropped_by_class,
    } = other;
    for (count, more) in [
        (&mut one.poisoned, poisoned),
        (&mut one.dropped, dropped),
        (&mut one.published, published),
        (&mut one.unpublished, unpublished),
        (&mut one.received, received),
        (&mut one.reconnects, reconnects),
        (&mut one.gaps, gaps),
        (&mut one.swept, swept),
        (&mut one.sweep_failures, sweep_failures),
    ] {
        *count += more;
    }
    for (map, more) in [(&mut one.poisoned_by_kind, poisoned_by_kind), (&mut one.dropped_by_class, dropped_by_class)] {
        for (name, count) in more {
            *map.entry(name).or_default() += count;
        }
    }
    one
}
