//! The position of a node in the log, and what it has heard after it.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher, RandomState},
};

use socketio_pg_protocol::peek;

use crate::backend::Position;

/// How many messages are remembered at most (16 bytes each, and the overhead of a table). Beyond it
/// the position is given up, and the next gap is not caught up with: better than to
/// deliver messages twice.
const MAX_REMEMBERED: usize = 1_000_000;

/// From how many on a mark is due at once.
const MANY: usize = 50_000;

/// The state of catching up, without I/O.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    place: Option<Place>,
    /// What was heard since the position was taken, by hash, up to the mark that is under way.
    older: HashSet<u64>,
    /// What was heard since the mark that is under way was begun.
    newer: HashSet<u64>,
    mark: Option<Mark>,
    /// The last crash of the server that was seen. After each, the numbers of attachments begin
    /// again.
    crash: String,
    hasher: RandomState,
}

/// Everything on these channels that the position sees has been heard, or was before this node's
/// time.
#[derive(Debug)]
struct Place {
    position: Position,
    channels: BTreeSet<String>,
}

/// A mark that is under way: it counts when its position is known and its notification was heard.
#[derive(Debug)]
struct Mark {
    token: String,
    /// What was listened to when it was begun: what was sent on another channel may be before this
    /// node's time, and not seen by it.
    channels: BTreeSet<String>,
    position: Option<Position>,
    is_heard: bool,
}

impl Tracker {
    pub(super) fn position(&self) -> Option<&Position> {
        self.place.as_ref().map(|place| &place.position)
    }

    /// Whether all is known of what was sent on a channel up to the position.
    pub(super) fn covers(&self, channel: &str) -> bool {
        self.place.as_ref().is_some_and(|place| place.channels.contains(channel))
    }

    /// A channel is no longer listened to. When it is again, what was sent meanwhile was not for
    /// this node.
    pub(super) fn stopped_listening(&mut self, channel: &str) {
        for channels in
            self.place.iter_mut().map(|it| &mut it.channels).chain(self.mark.iter_mut().map(|it| &mut it.channels))
        {
            channels.remove(channel);
        }
    }

    pub(super) fn is_marking(&self) -> bool {
        self.mark.is_some()
    }

    /// Whether so much was heard since the last mark that it is time for another.
    pub(super) fn wants_mark(&self) -> bool {
        self.mark.is_none() && self.older.len() >= MANY
    }

    /// Begins a mark: to be called before its statement is sent, while `channels` are listened to.
    /// One that was under way is forgotten.
    pub(super) fn begin(&mut self, token: String, channels: BTreeSet<String>) {
        self.older.extend(self.newer.drain());
        self.mark = Some(Mark { token, channels, position: None, is_heard: false });
    }

    /// The statement of the mark is committed.
    pub(super) fn marked(&mut self, position: Position) {
        if let Some(mark) = &mut self.mark {
            mark.position = Some(position);
        }
        self.settle();
    }

    /// The notification of a mark was heard, perhaps of another node's mark.
    pub(super) fn heard_mark(&mut self, token: &str) {
        if let Some(mark) = &mut self.mark
            && mark.token == token
        {
            mark.is_heard = true;
        }
        self.settle();
    }

    /// The mark that is under way will not be heard: its statement failed, or the session is gone.
    pub(super) fn give_mark_up(&mut self) {
        self.mark = None;
        self.older.extend(self.newer.drain());
    }

    /// The server has crashed: from now on the same header is another one.
    /// To be told of the same crash again changes nothing, as when reading the log fails halfway.
    pub(super) fn crashed(&mut self, crash: &str) {
        crash.clone_into(&mut self.crash);
    }

    /// The position is of no use any more. What was heard since a mark that is under way was begun
    /// is remembered: the mark may not have seen it.
    pub(super) fn forget(&mut self) {
        self.place = None;
        self.older = HashSet::new();
        if self.mark.is_none() {
            self.newer = HashSet::new();
        }
    }

    /// Remembers what was heard; false when it had been heard before.
    pub(super) fn hear(&mut self, channel: &str, payload: &str) -> bool {
        // Others are not in the log, and nothing tells equal ones apart.
        if !peek::is_unique(payload) {
            return true;
        }
        let hash = self.hasher.hash_one((peek::is_header(payload).then_some(&self.crash), channel, payload));
        if self.older.contains(&hash) {
            return false;
        }
        if self.older.len() + self.newer.len() >= MAX_REMEMBERED {
            tracing::warn!(
                "too much was heard since the last mark in the catch-up log: the next gap will not be caught up with"
            );
            // With the mark, which must not count once what was heard since it was begun is
            // forgotten.
            self.give_mark_up();
            self.forget();
        }
        let into = if self.mark.is_some() { &mut self.newer } else { &mut self.older };
        into.insert(hash)
    }

    fn settle(&mut self) {
        if let Some(Mark { position: position @ Some(_), channels, is_heard: true, .. }) = &mut self.mark {
            let channels = std::mem::take(channels);
            self.place = position.take().map(|position| Place { position, channels });
            self.mark = None;
            // What was heard before the mark was begun is what its snapshot sees.
            self.older = std::mem::take(&mut self.newer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn position(snapshot: &str) -> Position {
        Position {
            snapshot: snapshot.to_owned(),
            taken: Duration::ZERO,
            history: String::new(),
            crashes: String::new(),
            id: 1,
        }
    }

    fn channels() -> BTreeSet<String> {
        BTreeSet::from(["c".to_owned()])
    }

    fn message(number: u64) -> String {
        format!(r#"{{"type":13,"uid":"a","nonce":"{number}"}}"#)
    }

    fn snapshot(tracker: &Tracker) -> Option<&str> {
        tracker.position().map(|position| position.snapshot.as_str())
    }

    #[test]
    fn a_mark_counts_when_it_is_committed_and_heard_in_either_order() {
        let mut tracker = Tracker::default();
        tracker.begin("1".to_owned(), channels());
        tracker.marked(position("one"));
        assert_eq!(snapshot(&tracker), None);
        tracker.heard_mark("of another node");
        assert_eq!(snapshot(&tracker), None);
        tracker.heard_mark("1");
        assert_eq!(snapshot(&tracker), Some("one"));
        tracker.begin("2".to_owned(), channels());
        tracker.heard_mark("2");
        tracker.marked(position("two"));
        assert_eq!(snapshot(&tracker), Some("two"));
        assert!(tracker.mark.is_none());
    }

    #[test]
    fn what_was_heard_is_remembered_until_a_mark_behind_it_is_heard() {
        let mut tracker = Tracker::default();
        assert!(tracker.hear("c", &message(1)));
        tracker.begin("1".to_owned(), channels());
        assert!(tracker.hear("c", &message(2)));
        assert!(!tracker.hear("c", &message(1)) && !tracker.hear("c", &message(2)));
        tracker.marked(position("one"));
        tracker.heard_mark("1");
        // The snapshot may not have seen what was heard while the mark was under way.
        assert!(!tracker.hear("c", &message(2)));
        assert!(tracker.hear("c", &message(1)));
    }

    #[test]
    fn a_place_is_one_on_the_channels_that_were_listened_to_when_its_mark_was_begun() {
        let mut tracker = Tracker::default();
        tracker.begin("1".to_owned(), channels());
        assert!(!tracker.covers("c"));
        tracker.marked(position("one"));
        tracker.heard_mark("1");
        assert!(tracker.covers("c") && !tracker.covers("d"));
        tracker.stopped_listening("c");
        assert!(!tracker.covers("c"));
        tracker.begin("2".to_owned(), channels());
        tracker.stopped_listening("c");
        tracker.marked(position("two"));
        tracker.heard_mark("2");
        assert!(!tracker.covers("c") && !tracker.is_marking());
    }

    #[test]
    fn a_mark_that_is_given_up_lets_nothing_be_forgotten() {
        let mut tracker = Tracker::default();
        tracker.hear("c", &message(1));
        tracker.begin("1".to_owned(), channels());
        tracker.hear("c", &message(2));
        tracker.give_mark_up();
        tracker.heard_mark("1");
        assert_eq!(snapshot(&tracker), None);
        assert!(!tracker.hear("c", &message(1)) && !tracker.hear("c", &message(2)));
    }

    #[test]
    fn a_position_that_is_forgotten_while_a_mark_is_under_way_doubles_nothing() {
        let mut tracker = Tracker::default();
        tracker.begin("1".to_owned(), channels());
        assert!(tracker.hear("c", &message(1)));
        tracker.forget();
        tracker.marked(position("one"));
        tracker.heard_mark("1");
        // The snapshot of the mark may not have seen it, and the log would tell of it again.
        assert_eq!(snapshot(&tracker), Some("one"));
        assert!(!tracker.hear("c", &message(1)));
    }

    #[test]
    fn too_much_to_remember_costs_the_mark_that_is_under_way() {
        let mut tracker = Tracker::default();
        tracker.begin("1".to_owned(), channels());
        for number in 0..=MAX_REMEMBERED as u64 {
            tracker.hear("c", &message(number));
        }
        tracker.marked(position("one"));
        tracker.heard_mark("1");
        // What was heard since it was begun is forgotten, and the log would tell of it again.
        assert_eq!(snapshot(&tracker), None);
        assert_eq!(tracker.older.len() + tracker.newer.len(), 1);
    }

    #[test]
    fn only_what_is_unlike_all_else_is_remembered() {
        let mut tracker = Tracker::default();
        let unique = message(1);
        assert!(tracker.hear("c", &unique) && !tracker.hear("c", &unique) && tracker.hear("another", &unique));
        let equal = r#"{"type":2,"uid":"a","nsp":"/"}"#;
        assert!(tracker.hear("c", equal) && tracker.hear("c", equal));
    }

    #[test]
    fn after_a_crash_of_the_server_the_same_header_is_another_one() {
        let mut tracker = Tracker::default();
        let header = r#"{"uid":"a","type":3,"nsp":"/","attachmentId":"1"}"#;
        assert!(tracker.hear("c", header) && tracker.hear("c", &message(1)));
        tracker.crashed("1");
        assert!(tracker.hear("c", header) && !tracker.hear("c", &message(1)));
        assert!(!tracker.hear("c", header));
    }

    #[test]
    fn too_much_to_remember_costs_the_position_and_no_more() {
        let mut tracker = Tracker::default();
        tracker.begin("1".to_owned(), channels());
        tracker.marked(position("one"));
        tracker.heard_mark("1");
        for number in 0..MAX_REMEMBERED as u64 {
            tracker.hear("c", &message(number));
        }
        assert!(tracker.wants_mark());
        assert_eq!(snapshot(&tracker), Some("one"));
        assert!(tracker.hear("c", &message(u64::MAX)));
        assert_eq!(snapshot(&tracker), None);
        assert_eq!(tracker.older.len(), 1);
    }
}
