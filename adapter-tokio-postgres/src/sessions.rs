//! The settings of sessions, with the name of their node.

use std::sync::{Arc, OnceLock};

use socketio_pg_connection::{Settings, application_name, with_defaults};
use tokio_postgres::Config;

/// The name of a node, once it is known. Copies share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeName(Arc<OnceLock<String>>);

impl NodeName {
    /// The first name stays.
    pub(crate) fn set(&self, name: &str) {
        self.0.get_or_init(|| name.to_owned());
    }
}

/// How sessions are opened.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    config: Config,
    /// Whose name they have; `None` when the settings give another.
    node_name: Option<NodeName>,
}

impl Sessions {
    /// Sessions of one node.
    pub(crate) fn of_node(config: Config, node_name: &NodeName) -> Self {
        let node_name = config.get_application_name().is_none().then(|| node_name.clone());
        Self { config: with_defaults(config), node_name }
    }

    /// The same, where the settings come from a text.
    pub(crate) fn of_settings(settings: &Settings, node_name: &NodeName) -> Self {
        let node_name = (!settings.has_application_name()).then(|| node_name.clone());
        Self { config: settings.config().clone(), node_name }
    }

    /// Sessions that several nodes may share, where the settings come from a text.
    pub(crate) fn shared_settings(settings: &Settings) -> Self {
        Self { config: settings.config().clone(), node_name: None }
    }

    /// Sessions that several nodes may share.
    pub(crate) fn shared(config: Config) -> Self {
        Self { config: with_defaults(config), node_name: None }
    }

    /// The settings, but for the name of the node.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The settings of a session that is opened now.
    pub(crate) fn named(&self) -> Config {
        let mut config = self.config.clone();
        if let Some(name) = self.node_name.as_ref().and_then(|node_name| node_name.0.get()) {
            config.application_name(application_name(name));
        }
        config
    }
}
