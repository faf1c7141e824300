//! What some servers lack of what a scenario may need.

use socketio_pg_kit::scenarios::Capability;

/// What the node in Python lacks: its sockets are virtual.
pub(crate) const VIRTUAL_SOCKETS_LACK: &[Capability] =
    &[Capability::Handshakes, Capability::SharedConnections, Capability::DynamicNamespaces, Capability::AuthChecked];

/// What python-socketio lacks: it takes a question mark for the end of a namespace's name, gives any
/// `auth` to the application, and does not answer when `auth` is not JSON.
pub(crate) const PYTHON_SOCKETIO_LACKS: &[Capability] = &[Capability::QuestionMarks, Capability::AuthChecked];
