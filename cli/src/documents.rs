//! `schema`, `sql`, `completions`, `man`: what is written without a database.

use std::fs;

use clap::CommandFactory;
use clap_complete::Shell;
use socketio_pg_core::{
    SqlFunctions,
    backend::table::{log_schema_sql, outbox_schema_sql, schema_sql},
    protocol::schema::documents,
};

use crate::{
    arguments::{Arguments, Schema, Sql, SqlText, Target},
    failure::Failure,
    output,
};

pub(crate) fn schema(command: &Schema) -> Result<(), Failure> {
    let documents = documents();
    if let Some(folder) = &command.output {
        for document in documents {
            let path = folder.join(&document.path);
            let written =
                path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &document.text));
            written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
            output::note(&path.display().to_string());
        }
        return Ok(());
    }
    let Some(wanted) = &command.document else {
        for document in documents {
            output::line(&document.path);
        }
        return Ok(());
    };
    let found = documents.iter().find(|document| document.path == *wanted);
    let found = found.ok_or_else(|| {
        let names: Vec<_> = documents.iter().map(|document| document.path.as_str()).collect();
        Failure::failed(format!("there is no document {wanted:?}: give one of {}", names.join(", ")))
    })?;
    output::text(&found.text);
    Ok(())
}

pub(crate) fn sql(target: &Target, command: &Sql) -> Result<(), Failure> {
    let functions = || {
        SqlFunctions::new(&target.options()).map(|functions| functions.schema(&command.schema)).map_err(Failure::failed)
    };
    let log = target.log.as_deref().unwrap_or("socket_io_log");
    let outbox = target.outbox.as_deref().unwrap_or("socket_io_outbox");
    let text = match command.what {
        SqlText::Table => schema_sql(&target.table).map_err(Failure::failed)?,
        SqlText::Log => log_schema_sql(log).map_err(Failure::failed)?,
        SqlText::Outbox => outbox_schema_sql(outbox).map_err(Failure::failed)?,
        SqlText::Functions => functions()?.install_sql(),
        SqlText::RemoveFunctions => functions()?.remove_sql(),
    };
    output::text(text.trim_end());
    output::text("\n");
    Ok(())
}

pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "socketio-pg", &mut text);
    output::text(&String::from_utf8_lossy(&text));
    Ok(())
}

/// One page: the command, and each of its subcommands.
pub(crate) fn man() -> Result<(), Failure> {
    let mut text = Vec::new();
    let written = (|| -> std::io::Result<()> {
        let mut command = Arguments::command().disable_help_subcommand(true);
        command.build();
        clap_mangen::Man::new(command.clone()).render(&mut text)?;
        for subcommand in command.get_subcommands() {
            let page = clap_mangen::Man::new(subcommand.clone());
            page.render_name_section(&mut text)?;
            page.render_synopsis_section(&mut text)?;
            page.render_description_section(&mut text)?;
            page.render_options_section(&mut text)?;
            page.render_extra_section(&mut text)?;
        }
        Ok(())
    })();
    written.map_err(Failure::failed)?;
    output::text(&String::from_utf8_lossy(&text));
    Ok(())
}
