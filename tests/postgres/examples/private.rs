//! Starts a private PostgreSQL with an empty database and prints its URL. It ends when its standard
//! input does.
//!
//! `cargo run -p socketio-pg-throwaway --example private`

use std::{
    error::Error,
    io::{self, Write},
};

use socketio_pg_throwaway::Server;

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder().start()?;
    let database = server.create_database()?;
    writeln!(io::stdout(), "{}", database.url())?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
