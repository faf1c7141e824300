//! Clients that poll, many on one connection: a socket costs its server what it always does, and
//! this process hardly anything.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::Failure;

/// A connection that stays open, with one request after the other.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn open(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Connects a client to the main namespace, and returns the id of its socket.
    pub(crate) async fn open_socket(&mut self) -> Result<String, Failure> {
        self.send("GET", "", "").await?;
        let opened = self.receive().await?;
        let id = text_after(&opened, r#""sid":""#).ok_or_else(|| format!("no id in {opened}"))?.to_owned();
        self.send("POST", &id, "40").await?;
        self.receive().await?;
        // The server sends its first ping, and accepts the client with the id of its socket, which is
        // the same one: in any order, and perhaps both at once.
        let expected = ["2".to_owned(), format!(r#"40{{"sid":"{id}"}}"#)];
        let mut count = 0;
        while count < expected.len() {
            self.poll(&id).await?;
            let packets = self.receive().await?;
            for packet in packets.split('\u{1e}') {
                count += 1;
                if !expected.iter().any(|expected| expected == packet) {
                    return Err(format!("a client was not accepted: {packets}").into());
                }
            }
        }
        Ok(id)
    }

    /// Asks for the next packets of a socket. They are [received](Self::receive) once there are some.
    pub(crate) async fn poll(&mut self, socket: &str) -> Result<(), Failure> {
        self.send("GET", socket, "").await
    }

    async fn send(&mut self, method: &str, socket: &str, body: &str) -> Result<(), Failure> {
        let session = if socket.is_empty() { String::new() } else { format!("&sid={socket}") };
        let request = format!(
            "{method} /socket.io/?EIO=4&transport=polling{session} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(self.0.get_mut().write_all(request.as_bytes()).await?)
    }

    /// The body of the next response.
    pub(crate) async fn receive(&mut self) -> Result<String, Failure> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await? == 0 {
                return Err(format!("the connection was closed after {head}").into());
            }
        }
        let length = text_after(&head.to_lowercase(), "content-length: ").and_then(|length| length.parse().ok());
        let Some(length) = length.filter(|_| head.starts_with("HTTP/1.1 200")) else { return Err(head.into()) };
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(String::from_utf8(body)?)
    }
}

/// What stands after a mark, until the end of the word.
fn text_after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(mark)?;
    rest.split(['"', '\r']).next()
}

#[cfg(test)]
mod tests {
    use super::text_after;

    #[test]
    fn a_value_ends_with_its_word() {
        assert_eq!(text_after(r#"0{"sid":"abc","upgrades":[]}"#, r#""sid":""#), Some("abc"));
        assert_eq!(text_after("content-length: 12\r\n", "content-length: "), Some("12"));
        assert_eq!(text_after("nothing", "sid"), None);
    }
}
