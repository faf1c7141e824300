//! What goes into one batch, and what keeps equal payloads of it apart.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::BuildHasher,
};

use foldhash::fast::RandomState;
use socketio_pg_protocol::budget::MAX_PAYLOAD;

use super::{BatchInFlight, Job, Taken};
use crate::backend::{Content, Outgoing};

/// The most notifications in a batch: beyond some hundreds a batch gets slower, but not cheaper.
const MAX_BATCH: usize = 512;

/// The most bytes in a batch, so that attachments do not pile up into one huge statement.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The most spaces that [`make_distinct`] can need: one for each equal payload before.
const MAX_PADDING: usize = MAX_BATCH;

/// Which tables publishing a message needs: the attachments table, and the catch-up log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) attachments: bool,
    pub(super) log: bool,
}

impl Needs {
    pub(super) const NO_TABLE: Self = Self { attachments: false, log: false };

    pub(super) fn of(outgoing: &Outgoing) -> Self {
        Self { attachments: is_attachment(outgoing), log: outgoing.is_logged }
    }

    pub(super) fn of_all(batch: &[Outgoing]) -> Self {
        batch.iter().fold(Self::NO_TABLE, |all, outgoing| all.and(Self::of(outgoing)))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { attachments: self.attachments || other.attachments, log: self.log || other.log }
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self { attachments: self.attachments && !other.attachments, log: self.log && !other.log }
    }

    pub(super) fn intersects(self, other: Self) -> bool {
        self.attachments && other.attachments || self.log && other.log
    }
}

/// Takes the next batch from the front, within the byte limit but never empty. With `apart`,
/// messages that need different tables do not share a batch. A heartbeat never shares one with what
/// needs a table, which may hang. What is given up behind the first message is taken along and not
/// sent.
pub(super) fn take_batch(queued: &mut VecDeque<Job>, apart: bool) -> (Vec<Outgoing>, BatchInFlight, Taken) {
    let mut bytes = 0;
    let mut count = 0;
    let mut full_size_payloads = HashSet::new();
    let (mut has_heartbeat, mut needs) = (false, Needs::NO_TABLE);
    for job in queued.iter().take(MAX_BATCH) {
        if job.given_up.is_some() {
            count += 1;
            continue;
        }
        bytes += size(&job.outgoing);
        if count > 0 && bytes > MAX_BATCH_BYTES {
            break;
        }
        if apart && Needs::of(&job.outgoing) != Needs::of(&queued[0].outgoing) {
            break;
        }
        has_heartbeat |= job.is_heartbeat;
        needs = needs.and(Needs::of(&job.outgoing));
        if count > 0 && has_heartbeat && needs != Needs::NO_TABLE {
            break;
        }
        // A payload without room for a space cannot be made different from an equal one, which goes
        // into the next batch.
        if let Content::Inline(payload) = &job.outgoing.content
            && payload.len() + MAX_PADDING > MAX_PAYLOAD
            && !full_size_payloads.insert((job.outgoing.channel.as_str(), payload.as_str()))
        {
            break;
        }
        count += 1;
    }
    let taken = Taken::count(queued.iter().take(count));
    let mut batch = Vec::with_capacity(count);
    let mut in_flight = Vec::with_capacity(count);
    for Job { outgoing, given_up, done, .. } in queued.drain(..count) {
        if given_up.is_none() {
            batch.push(outgoing);
        }
        in_flight.push((done, given_up));
    }
    (batch, BatchInFlight(in_flight), taken)
}

/// Takes heartbeats, wherever they are in the queue.
pub(super) fn take_heartbeats(queued: &mut VecDeque<Job>) -> (Vec<Outgoing>, BatchInFlight, Taken) {
    let (mut heartbeats, mut rest) = (Vec::new(), VecDeque::with_capacity(queued.len()));
    for job in queued.drain(..) {
        if job.is_heartbeat && job.given_up.is_none() && heartbeats.len() < MAX_BATCH {
            heartbeats.push(job);
        } else {
            rest.push_back(job);
        }
    }
    *queued = rest;
    let taken = Taken::count(&heartbeats);
    let (batch, in_flight) = heartbeats.into_iter().map(|job| (job.outgoing, (job.done, None))).unzip();
    (batch, BatchInFlight(in_flight), taken)
}

/// PostgreSQL folds equal notifications of one transaction into one. White space after a JSON value
/// means nothing, so equal payloads get different lengths by trailing spaces.
pub(super) fn make_distinct(batch: &mut [Outgoing]) {
    // Next free length by a hash of channel and payload: a collision only costs a superfluous
    // space.
    let mut free_length: HashMap<u64, usize> = HashMap::new();
    let hasher = RandomState::default();
    for outgoing in batch {
        if let Content::Inline(payload) = &mut outgoing.content {
            let key = hasher.hash_one((outgoing.channel.as_str(), payload.trim_end_matches(' ')));
            let free = free_length.entry(key).or_default();
            let padding = free.saturating_sub(payload.len());
            payload.extend(std::iter::repeat_n(' ', padding));
            *free = payload.len() + 1;
        }
    }
}

pub(super) fn size(outgoing: &Outgoing) -> usize {
    match &outgoing.content {
        Content::Inline(payload) => payload.len(),
        Content::Attachment { body, .. } => body.len(),
    }
}

pub(super) fn is_attachment(outgoing: &Outgoing) -> bool {
    matches!(outgoing.content, Content::Attachment { .. })
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use super::*;
    use crate::outbound::effect::Effect;

    fn inline(channel: &str, payload: impl Into<String>) -> Outgoing {
        Outgoing { channel: channel.to_owned(), content: Content::Inline(payload.into()), is_logged: false }
    }

    fn job(outgoing: Outgoing) -> Job {
        Job::new(outgoing, Effect::none()).0
    }

    #[test]
    fn equal_payloads_of_one_batch_are_kept_apart() {
        let mut batch =
            vec![inline("a", "{}"), inline("a", "{}"), inline("b", "{}"), inline("a", "{} "), inline("a", "{}")];
        make_distinct(&mut batch);
        let distinct: HashSet<_> = batch.iter().map(|outgoing| format!("{outgoing:?}")).collect();
        assert_eq!(distinct.len(), 5);
        assert_eq!(batch[2], inline("b", "{}"));
    }

    #[test]
    fn a_full_payload_and_its_twin_go_into_two_batches() {
        let full = "x".repeat(MAX_PAYLOAD);
        let payloads = [&full, &full, "{}"];
        let mut queued = payloads.map(|payload| job(inline("a", payload))).into();
        assert_eq!(take_batch(&mut queued, false).0, [inline("a", full.clone())]);
        assert_eq!(take_batch(&mut queued, false).0, [inline("a", full), inline("a", "{}")]);
        assert!(queued.is_empty());
    }

    #[test]
    fn a_heartbeat_shares_no_batch_with_what_needs_a_table_and_can_be_taken_ahead() {
        let attachment = || Outgoing {
            channel: "a".to_owned(),
            content: Content::Attachment { body: vec![0], before_id: String::new(), after_id: String::new() },
            is_logged: false,
        };
        let heartbeat = || Job { is_heartbeat: true, ..job(inline("a", "{}")) };
        let mut queued = VecDeque::from([job(inline("a", "1")), heartbeat(), job(attachment()), heartbeat()]);
        assert_eq!(take_batch(&mut queued, false).0.len(), 2);
        assert_eq!(take_batch(&mut queued, false).0, [attachment()]);
        queued.push_front(job(attachment()));
        assert_eq!(take_heartbeats(&mut queued).0, [inline("a", "{}")]);
        assert_eq!(take_batch(&mut queued, false).0, [attachment()]);
        assert!(queued.is_empty());
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_never_empty() {
        let huge = || Outgoing {
            channel: "a".to_owned(),
            content: Content::Attachment {
                body: vec![0; MAX_BATCH_BYTES + 1],
                before_id: String::new(),
                after_id: String::new(),
            },
            is_logged: false,
        };
        let mut queued = [job(huge()), job(huge())].into();
        assert_eq!(take_batch(&mut queued, false).0.len(), 1);
        assert_eq!(take_batch(&mut queued, false).0.len(), 1);
    }
}
