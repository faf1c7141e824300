//! Clocks that jump. Nodes measure time with the system's monotonic clock, which does not jump; the
//! database's clock decides which attachments are old.

use crate::{
    cluster::Cluster,
    fault::{AfterFault, Fault, Result, last_for},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) fn faults() -> Vec<Fault> {
    vec![
        Fault::new(
            "the database's clock jumps ahead",
            "a trigger dates attachments back by an hour, so that they are deleted while nodes still need them",
            database_ahead,
        )
        .with(|options| options.cleanup_interval(Duration::from_millis(500))),
    ]
}

async fn database_ahead(cluster: Arc<Cluster>) -> Result<AfterFault> {
    cluster
        .sql(
            "CREATE FUNCTION date_back() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN NEW.created_at := now() - interval '1 hour'; RETURN NEW; END $$;
             CREATE TRIGGER date_back BEFORE INSERT ON socket_io_attachments FOR EACH ROW EXECUTE FUNCTION date_back()",
        )
        .await?;
    last_for(10, 2).await;
    cluster.sql("DROP TRIGGER date_back ON socket_io_attachments").await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: [false, false] })
}
