//! Nodes that see each other's sessions in the database need no heartbeats.
//!
//! A node may be silent only while all of this is so: it sees its own session, and that of every
//! node that it knows; each of them has said so since this node joined, and that it needs no
//! heartbeats; this node has said the same, and for a while nothing has made it doubt that all nodes
//! know it. As soon as one of these ends, heartbeats begin within a heartbeat interval, or at once
//! where another node waits for them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{NodeRules, after, membership::Seen};
use crate::{
    Body, NodeId, SessionId,
    message::{Watch, liveness},
};

/// What a look at the sessions in the database showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// When the question was sent.
    pub asked: Instant,
    /// Whether the node's own session was seen, so that others can see it too.
    pub is_seen: bool,
    /// The sessions that were seen, and when each of them has last done something, as far as this
    /// node knows.
    pub sessions: HashMap<SessionId, Instant>,
}

/// A session in the database, as one look shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its name.
    pub session: SessionId,
    /// When it began or ended its last statement, by the clock of the database, in microseconds.
    pub changed: i64,
    /// How long ago that was by the same clock.
    pub age: Duration,
}

/// What the looks of one process showed so far.
///
/// It trusts that a session has done something when its time has changed, and how long ago that was
/// as far as an earlier look does not contradict. So a jump of the database's clock neither revives
/// a dead node nor kills one.
#[derive(Debug, Default)]
pub struct Sightings {
    previous: Option<Instant>,
    /// By the time of the database too: the server may not have noticed yet that an earlier session
    /// of the same name is gone, and shows both.
    seen: HashMap<SessionId, Vec<(i64, Instant)>>,
}

impl Sightings {
    /// Takes what a look showed that was asked for at this time over the session `own`.
    pub fn look(&mut self, asked: Instant, own: SessionId, seen: impl IntoIterator<Item = Sighting>) -> Look {
        let mut sessions: HashMap<SessionId, Vec<(i64, Instant)>> = HashMap::new();
        for Sighting { session, changed, age } in seen {
            let alive = asked.checked_sub(age).unwrap_or(asked);
            let before = self.seen.get(&session);
            let alive = match before.map(|all| all.iter().find(|(time, _)| *time == changed)) {
                Some(Some((_, alive))) => *alive,
                Some(None) => self.previous.map_or(alive, |previous| alive.max(previous)),
                None => alive,
            };
            sessions.entry(session).or_default().push((changed, alive));
        }
        self.previous = Some(asked);
        self.seen = sessions;
        let latest = |all: &Vec<(i64, Instant)>| all.iter().map(|(_, alive)| *alive).max();
        let sessions: HashMap<_, _> =
            self.seen.iter().filter_map(|(session, all)| Some((*session, latest(all)?))).collect();
        Look { asked, is_seen: sessions.contains_key(&own), sessions }
    }
}

/// What a node that watches remembers.
#[derive(Debug, Default)]
pub(super) struct Watching {
    /// Whether the last sign of life was a look, and not a message.
    pub(super) is_silent: bool,
    /// Whether the last look showed the node and all that it knows.
    sees_all: bool,
    /// Until when a look that showed all counts.
    fresh_until: Option<Instant>,
    /// Until when it is not sure that all nodes know it.
    unsure_until: Option<Instant>,
    /// Whether its last heartbeat said that it needs those of others.
    needs_heartbeats: bool,
    /// When it looks whether it needs heartbeats and has not said so. It must not wait until a
    /// heartbeat is due: none ever is in a node that publishes all the time.
    tells_at: Option<Instant>,
}

impl Watching {
    fn needs_heartbeats(&self, now: Instant) -> bool {
        let is_stale = self.fresh_until.is_none_or(|until| until <= now);
        !self.sees_all || is_stale || self.unsure_until.is_some_and(|until| now < until)
    }

    /// A heartbeat goes out.
    pub(super) fn says(&mut self, now: Instant) {
        self.needs_heartbeats = self.needs_heartbeats(now);
        self.tells_at = self.fresh_until.filter(|_| !self.needs_heartbeats);
    }

    /// When it may have to tell that it needs heartbeats.
    pub(super) fn tells_at(&self) -> Option<Instant> {
        self.tells_at.filter(|_| !self.needs_heartbeats)
    }

    /// Whether it needs heartbeats now, and has not said so.
    pub(super) fn must_tell(&mut self, now: Instant) -> bool {
        let is_due = !self.needs_heartbeats && self.tells_at.take_if(|at| *at <= now).is_some();
        is_due && self.needs_heartbeats(now)
    }
}

impl NodeRules {
    /// Tells the node what it saw of the sessions in the database. Nodes whose sessions live are
    /// alive. When others see in the same way that this one lives, and nothing speaks against it,
    /// no heartbeat is due for an interval.
    ///
    /// Call it at least twice in a [`heartbeat_interval`](super::Config::heartbeat_interval). A
    /// failed look need not be told: heartbeats are sent when no look comes.
    pub fn looked(&mut self, now: Instant, look: &Look) {
        let Some(published) = self.published.filter(|_| self.config.watches) else { return };
        // One look may fail, or not show all for a moment. What is left then until the time-out is
        // for the replies of others.
        let soon = self.config.heartbeat_interval - self.config.heartbeat_interval / 4;
        let Seen { all, is_late, are_content } = self.members.looked(look, soon);
        if self.members.len() > 0 {
            // They are seen instead of heard.
            self.assume_peers(now);
        }
        self.watching.sees_all = all && look.is_seen && !is_late;
        if self.watching.sees_all {
            self.watching.fresh_until = Some(after(now, soon));
        }
        let is_unsure = self.watching.unsure_until.is_some_and(|until| now < until);
        if is_late {
            self.watching.tells_at = Some(now);
        } else if self.watching.sees_all && !is_unsure {
            self.watching.tells_at = self.watching.fresh_until;
        }
        let (interval, slack) = self.heartbeat_schedule();
        // Others that heard nothing for so long may have dropped this node: they must hear it.
        let is_in_time = look.asked < after(after(published, interval), slack);
        let has_said = self.members.len() == 0 || !self.watching.needs_heartbeats;
        let needs_none = has_said && !self.watching.needs_heartbeats(now);
        if are_content && needs_none && is_in_time && self.heartbeat_reply_due.is_none() {
            self.watching.is_silent = true;
            self.published = Some(published.max(look.asked));
        }
    }

    /// The session has another name from now on, which heartbeats must tell. Its process gives it
    /// one when a close message could not be published: a node that has left must not be seen in
    /// it.
    pub fn session_is_renamed(&mut self, now: Instant) {
        self.watching.is_silent = false;
        self.doubt(now);
    }

    /// What a heartbeat of this node tells, when this is the name of its session.
    pub fn watch(&self, session: SessionId) -> Option<Watch> {
        let needs_heartbeats = self.watching.needs_heartbeats;
        self.config.watches.then_some(Watch { session, needs_heartbeats })
    }

    /// Whether the node sends no heartbeats now, because all others see that it lives.
    pub fn is_silent(&self) -> bool {
        self.watching.is_silent
    }

    /// The node hears the others again, and messages may have been missed: what other nodes said of
    /// their sessions counts only when they say it again, and each has a whole time-out to be heard.
    /// [`Self::rejoin`] does the same; call it where that has to wait.
    pub fn was_disconnected(&mut self, now: Instant) {
        self.members.wait_anew(now);
        self.members.forget_sessions();
        self.doubt(now);
        self.hold_back_for_unheard(now);
    }

    /// Not every node may know this one.
    pub(super) fn doubt(&mut self, now: Instant) {
        self.doubt_for(now, Duration::ZERO);
    }

    /// Not every node may know this one, or may until this time is over.
    pub(super) fn doubt_for(&mut self, now: Instant, time: Duration) {
        let some_heartbeats = self.config.heartbeat_interval.saturating_mul(liveness::UNSURE_INTERVALS);
        let until = after(after(now, time), some_heartbeats);
        self.watching.unsure_until = self.watching.unsure_until.max(Some(until));
        if self.config.watches {
            self.watching.tells_at = Some(now);
        }
    }

    /// The node could not publish something, such as that it needs heartbeats.
    pub(super) fn could_not_say(&mut self, now: Instant) {
        self.doubt(now);
        self.watching.needs_heartbeats = false;
        if let Some(tells_at) = &mut self.watching.tells_at {
            *tells_at = after(now, self.config.heartbeat_interval / 5);
        }
    }

    /// Notes what a heartbeat says of its node's session. A node that has to hear heartbeats, and
    /// may have heard none lately, gets one at once.
    pub(super) fn heard_of_session<P>(&mut self, now: Instant, uid: &NodeId, body: &Body<P>, watch: Option<Watch>) {
        if body.is_heartbeat() && self.members.said(uid, watch) && self.watching.is_silent {
            self.heartbeat_reply_due.get_or_insert(now);
        }
    }
}
