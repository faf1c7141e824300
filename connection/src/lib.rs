//! What both backends need of a connection to PostgreSQL: a URL read, defaults filled in, several
//! hosts tried in turn, TLS as the URL says, and what an error means.
//!
//! Applications take a backend crate, which uses this one.

mod error;
mod hosts;
mod settings;
mod slow_hosts;
mod tls;
mod url;

pub use error::{connecting, io_error, kind_of_state};
pub use hosts::connect;
pub use settings::{Settings, time_for_other_hosts, total_connect_timeout, with_defaults};
pub use slow_hosts::SlowHosts;
pub use tls::Tls;
