//! What both backends need to connect to PostgreSQL: reading URLs, filling in defaults, trying
//! several hosts, TLS as the URL asks, the meaning of errors, and the notifications of a session.
//!
//! Applications take a backend crate, which uses this one.
//!
//! | module | what it is for |
//! |---|---|
//! | `settings` | the settings of a connection, with defaults filled in |
//! | `url` | takes a database URL apart, and says what is wrong with it |
//! | `tls` | the TLS settings of a URL |
//! | `hosts`, `known_hosts` | tries the hosts one after the other, slow ones last; says which is used |
//! | `error` | what an error means that kept a connection from being made |
//! | `notifications` | the notifications of a session |

mod error;
mod hosts;
mod known_hosts;
mod notifications;
mod settings;
mod tls;
mod url;

pub use error::{CHECK_LOGIN, POOLER_REMEDY, connecting, io_error, kind_of_state};
pub use hosts::{connect, connect_in_order};
pub use known_hosts::KnownHosts;
pub use notifications::{Notifications, closed, notifications};
pub use settings::{Settings, application_name, time_for_other_hosts, total_connect_timeout, with_defaults};
pub use tls::Tls;
