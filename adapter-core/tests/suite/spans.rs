//! The spans of `tracing` on a message's way.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use socketio_pg_core::{Event, testing::memory::MemoryDatabase};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::nodes::{Node, pair};

/// Spans by name: the level, and the fields of each.
type Spans = BTreeMap<&'static str, Vec<String>>;

/// What a handler logged, and the span that it was in.
type Handled = (String, Option<&'static str>);

#[derive(Clone, Default)]
struct Recorder {
    spans: Arc<Mutex<Spans>>,
    handled: Arc<Mutex<Vec<Handled>>>,
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, _id: &Id, _context: Context<'_, S>) {
        let metadata = attributes.metadata();
        if metadata.target().starts_with("socketio_pg_core") {
            let mut text = Text(metadata.level().to_string());
            attributes.record(&mut text);
            self.spans.lock().unwrap().entry(metadata.name()).or_default().push(text.0);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "application" {
            let mut text = Text::default();
            event.record(&mut text);
            let span = context.event_span(event).map(|span| span.metadata().name());
            self.handled.lock().unwrap().push((text.0, span));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_of_a_messages_way_is_a_span() {
    // While there is one subscriber only, `tracing` asks the thread that is the first to come to a
    // span whether somebody wants it, for all threads. That may be the thread of another test.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let recorder = Recorder::default();
    let _subscribed = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder.clone()));
    let database = MemoryDatabase::default();
    let [mut one, other] = pair(&database).await;
    let (done, mut handled) = tokio::sync::mpsc::unbounded_channel();
    other.cluster.of("/").on_server_side("e", move |(number, _): (u64, String)| {
        tracing::info!(target: "application", number, "at once");
        let done = done.clone();
        async move {
            tokio::task::yield_now().await;
            tracing::info!(target: "application", number, "later");
            let _ = done.send(());
        }
    });
    // One event fits into a notification, the other does not.
    for (number, text) in [(1_u64, String::new()), (2, "x".repeat(9_000))] {
        one.cluster.of("/").server_side_emit("e", &(number, text)).await.unwrap();
        handled.recv().await.unwrap();
    }
    database.break_sessions();
    one.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    let Node { cluster, .. } = other;
    cluster.close().await;

    let spans = recorder.spans.lock().unwrap().clone();
    let of = |name: &str| spans.get(name).unwrap_or_else(|| panic!("no span {name}: {spans:#?}"));
    assert_eq!(of("connect").len(), 2);
    assert!(of("listen").len() >= 3, "{spans:#?}");
    assert!(!of("catch_up").is_empty());
    assert!(of("publish").contains(&"DEBUG messages=1".to_owned()), "{spans:#?}");
    assert_eq!(of("fetch_attachments"), &["DEBUG attachments=1"]);
    assert_eq!(of("leave"), &["INFO"]);
    let events = of("server_side_event");
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|it| it.starts_with(r#"DEBUG namespace="/" event="e" sender="#)), "{events:?}");
    let kind = r#"TRACE namespace="/" kind=9 sender="#;
    assert!(of("handle").iter().any(|it| it.starts_with(kind)), "{spans:#?}");
    let handled = recorder.handled.lock().unwrap().clone();
    assert_eq!(handled.len(), 4);
    assert!(handled.iter().all(|(_, span)| *span == Some("server_side_event")), "{handled:?}");
}
