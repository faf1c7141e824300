//! Socket.IO's Admin UI under `/admin/`: the official page, from the npm packages of the Node.js
//! node, so that nothing comes from another host.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    routing::get,
};
use bytes::Bytes;

/// The files of the page, by path.
pub(crate) struct AdminPage(BTreeMap<String, Bytes>);

impl AdminPage {
    /// Reads the page from these packages; `None` where they are not installed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn read(packages: &Path) -> io::Result<Option<Self>> {
        let page = packages.join("node_modules/@socket.io/admin-ui/ui/dist");
        let icons = packages.join("node_modules/@mdi/font");
        let mut files = BTreeMap::new();
        let read = ["", "css", "img", "js"]
            .into_iter()
            .map(|folder| (page.join(folder), format!("/admin/{folder}")))
            .chain(["css", "fonts"].map(|folder| (icons.join(folder), format!("/admin/icons/{folder}"))))
            .try_for_each(|(folder, path)| read_folder(&folder, path.trim_end_matches('/'), &mut files));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        }
        let Some(start) = files.remove("/admin/index.html") else { return Ok(None) };
        files.insert("/admin/".to_owned(), local_links(&String::from_utf8_lossy(&start)).into());
        Ok(Some(Self(files)))
    }

    /// Serves the page.
    pub(crate) fn router(self) -> Router {
        self.0.into_iter().fold(Router::new(), |router, (path, content)| {
            let kind = content_type(&path);
            router.route(&path, get(async move || ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], content)))
        })
    }
}

/// The files of a folder, without those below it.
fn read_folder(folder: &Path, path: &str, files: &mut BTreeMap<String, Bytes>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let file: PathBuf = entry?.path();
        // Maps are for developers of the page, and large.
        if file.is_file() && file.extension().is_some_and(|extension| extension != "map") {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(format!("{path}/{name}"), fs::read(&file)?.into());
        }
    }
    Ok(())
}

/// The start page with the icons of this server, and without the font that other hosts have.
fn local_links(page: &str) -> String {
    let mut local = String::with_capacity(page.len());
    for part in page.split_inclusive('>') {
        match part.split_once("href=\"https://") {
            None => local.push_str(part),
            Some((start, link)) => {
                if let Some((_, file)) = link.split_once("/@mdi/font@latest/") {
                    local.push_str(&format!("{start}href=\"icons/{file}"));
                }
            }
        }
    }
    local
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        Some("ttf") => "font/ttf",
        _ if path.ends_with('/') => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_links_to_this_server_only() {
        let page = r#"<head><link rel="icon" href="favicon.png"><link href="https://fonts.example/css?family=Roboto"><link rel="stylesheet" href="https://cdn.example/npm/@mdi/font@latest/css/icons.css"></head>"#;
        let expected =
            r#"<head><link rel="icon" href="favicon.png"><link rel="stylesheet" href="icons/css/icons.css"></head>"#;
        assert_eq!(local_links(page), expected);
    }
}
