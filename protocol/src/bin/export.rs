//! Writes the protocol as JSON Schema and AsyncAPI documents: `export <folder>`.

use std::{env, fs, path::PathBuf, process::ExitCode};

use socketio_pg_protocol::schema;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        eprintln!("usage: export <folder>: writes the schemas of the protocol there");
        return ExitCode::from(2);
    };
    for document in schema::documents() {
        let path = folder.join(&document.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &document.text));
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        eprintln!("{}", path.display());
    }
    ExitCode::SUCCESS
}
