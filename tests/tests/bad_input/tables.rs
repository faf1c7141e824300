//! The tables, line by line, on Rust and on Node.js.

use std::collections::HashSet;

use socketio_pg_tests::{ClientHost, Kind};

use crate::{
    Result, attachments,
    case::{Case, OnNode, Outcome},
    fixture::{Fixture, Loss, is_report, loss, rust_server},
    packets, shapes, text,
};

#[tokio::test]
async fn text_that_is_no_message_is_reported_and_the_next_message_arrives() -> Result {
    holds_on_rust(text::cases()).await
}

#[tokio::test]
async fn data_of_the_wrong_shape_is_reported_and_the_next_message_arrives() -> Result {
    holds_on_rust(shapes::cases()).await
}

#[tokio::test]
async fn events_that_break_clients_do_not_get_to_them() -> Result {
    holds_on_rust(packets::cases()).await
}

#[tokio::test]
async fn attachments_that_are_no_message_are_reported_and_the_next_message_arrives() -> Result {
    holds_on_rust(attachments::cases()).await
}

pub(crate) fn all_cases() -> Vec<Case> {
    [text::cases(), shapes::cases(), packets::cases(), attachments::cases()].into_iter().flatten().collect()
}

async fn holds_on_rust(cases: Vec<Case>) -> Result {
    let Some(mut fixture) = Fixture::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let mut anonymous = HashSet::new();
    let mut reported = 0;
    let mut failures = Vec::new();
    for case in &cases {
        let (before, _) = fixture.counts().await?;
        fixture.send(case).await;
        let delivered = !fixture.until_good().await?.is_empty();
        let mut fail = |what: String| failures.push(format!("{}: {what}", case.name));

        if delivered != (case.outcome == Outcome::Delivered) {
            fail(format!("expected {:?}, and it was delivered: {delivered}", case.outcome));
        }
        let Outcome::Rejected(kind) = case.outcome else {
            let (after, _) = fixture.counts().await?;
            if after != before {
                let reports = fixture.reports(reported + 1).await?;
                reported = reports.len();
                fail(format!("expected {:?}, and {} were counted: {:?}", case.outcome, after - before, reports.last()));
            }
            continue;
        };
        let after = fixture.rejected(before + 1).await?;
        if after != before + 1 {
            fail(format!("{} were counted", after - before));
            continue;
        }
        let sender = case.readable_sender();
        if sender.is_none() && !anonymous.insert(kind) {
            continue;
        }
        let reports = fixture.reports(reported + 1).await?;
        let new: Vec<_> = reports[reported..].iter().collect();
        if new.len() != 1 || !is_report(new[0], kind, sender.as_deref()) {
            fail(format!("expected one report of {kind:?} from {sender:?}: {new:?}"));
        }
        reported = reports.len();
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
    assert_eq!(fixture.reports(reported).await?.len(), reported);
    assert_eq!(fixture.client.received().await?.iter().filter(|packet| packet.event == "next").count(), cases.len());
    fixture.end().await
}

/// Checks what the tables say about Node.js, and that the outcome is the same where they say
/// nothing.
#[tokio::test]
async fn node_delivers_and_loses_clients_where_the_tables_say_so() -> Result {
    let mut clients = ClientHost::start().await?;
    let Some(mut fixture) = Fixture::start(&Kind::NodeServer, &clients).await? else { return Ok(()) };
    let cases = all_cases();
    let mut failures = Vec::new();
    for case in cases.iter().filter(|case| case.on_node != OnNode::NotAsked) {
        fixture.send(case).await;
        if case.on_node == OnNode::LosesItsClients {
            match loss(&fixture.client).await {
                Ok(Loss::Disconnected) => {}
                Ok(Loss::Crashed) => clients = ClientHost::start().await?,
                Err(error) => failures.push(format!("{}: {error}", case.name)),
            }
            fixture.reconnect(&clients).await?;
            continue;
        }
        let got = match fixture.until_good().await {
            Ok(got) => got,
            Err(error) => {
                failures.push(format!("{}: {error}", case.name));
                clients = ClientHost::start().await?;
                fixture.reconnect(&clients).await?;
                continue;
            }
        };
        let expected = match case.on_node {
            OnNode::Agrees => case.outcome == Outcome::Delivered,
            OnNode::Delivers => true,
            OnNode::DoesNotDeliver | OnNode::LosesItsClients | OnNode::NotAsked => false,
        };
        if got.is_empty() == expected {
            failures.push(format!("{}: {:?}, and got {got:?}", case.name, case.on_node));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
    Ok(())
}
