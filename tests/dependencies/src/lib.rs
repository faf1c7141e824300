//! Nothing: this package only asks for features, as its `Cargo.toml` says.
