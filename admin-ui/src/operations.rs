//! What admins ask for: emit, join, leave, disconnect, on sockets anywhere in the cluster.

use socketio_pg_core::{
    Cluster, ClusterNamespace,
    backend::Backend,
    protocol::{Value, message::Room, value::Arguments},
};

use crate::error::OperationError;

/// The events by which an admin asks.
pub(crate) const OPERATIONS: [&str; 4] = ["emit", "join", "leave", "_disconnect"];

/// What an admin asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Operation {
    namespace: String,
    /// The sockets of this room, or the socket with this id; without it, all of the namespace.
    filter: Option<Room>,
    what: What,
}

#[derive(Debug, PartialEq)]
enum What {
    Emit { event: String, arguments: Vec<Value> },
    Join(Room),
    Leave(Room),
    Disconnect { close: bool },
}

impl Operation {
    /// Reads the arguments of an event.
    pub(crate) fn read(event: &str, arguments: Vec<Value>) -> Result<Self, OperationError> {
        let mut arguments = arguments.into_iter();
        let namespace = match arguments.next() {
            Some(Value::Str(name)) if name.starts_with('/') => name,
            // As `io.of` of Node.js.
            Some(Value::Str(name)) => format!("/{name}"),
            _ => return Err(invalid(0, "namespace", "a string")),
        };
        let mut next = || arguments.next().unwrap_or(Value::Nil);
        Ok(match event {
            "emit" => {
                let filter = filter(next(), 1)?;
                let Value::Str(event) = next() else { return Err(invalid(2, "event", "a string")) };
                Self { namespace, filter, what: What::Emit { event, arguments: arguments.collect() } }
            }
            "_disconnect" => {
                let close = match next() {
                    Value::Bool(close) => close,
                    Value::Nil => false,
                    _ => return Err(invalid(1, "close", "true or false")),
                };
                Self { namespace, filter: filter(next(), 2)?, what: What::Disconnect { close } }
            }
            joins_or_leaves => {
                let room = room(next()).ok_or_else(|| invalid(1, "room", "a string or a whole number"))?;
                let what = if joins_or_leaves == "join" { What::Join(room) } else { What::Leave(room) };
                Self { namespace, filter: filter(next(), 2)?, what }
            }
        })
    }

    /// The namespace of the sockets.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Does it, for sockets on all servers.
    pub(crate) async fn carry_out<B: Backend>(self, cluster: &Cluster<B>) -> Result<(), OperationError> {
        let sockets: ClusterNamespace<B> = match self.filter {
            Some(filter) => cluster.of(self.namespace).to(filter),
            None => cluster.of(self.namespace),
        };
        match self.what {
            What::Emit { event, arguments } => sockets.emit(&event, &Arguments(arguments)).await?,
            What::Join(room) => sockets.sockets_join([room]).await?,
            What::Leave(room) => sockets.sockets_leave([room]).await?,
            What::Disconnect { close } => sockets.disconnect_sockets(close).await?,
        }
        Ok(())
    }
}

/// A filter that is empty, which would select every socket in Node.js, is an error: the page leaves
/// the filter out when it means all.
fn filter(value: Value, position: usize) -> Result<Option<Room>, OperationError> {
    match value {
        Value::Nil => Ok(None),
        Value::Str(name) if name.is_empty() => {
            Err(invalid(position, "filter", "the name of a room or the id of a socket, or null for all sockets"))
        }
        value => room(value).map(Some).ok_or_else(|| invalid(position, "filter", "a string, a whole number, or null")),
    }
}

fn room(value: Value) -> Option<Room> {
    match value {
        Value::Str(name) => Some(Room::from(&*name)),
        number => number.as_i64().map(Room::from),
    }
}

fn invalid(position: usize, name: &'static str, expected: &'static str) -> OperationError {
    OperationError::InvalidArgument { position: position + 1, name, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str, json: &str) -> Result<Operation, String> {
        let Ok(Value::Array(arguments)) = Value::from_json(json) else { panic!("{json} is not an array") };
        Operation::read(event, arguments).map_err(|error| error.to_string())
    }

    fn operation(filter: Option<Room>, what: What) -> Operation {
        Operation { namespace: "/chat".to_owned(), filter, what }
    }

    #[test]
    fn the_page_asks_for_one_socket_a_room_or_all() {
        let emit = |arguments| What::Emit { event: "e".to_owned(), arguments };
        let cases = [
            ("emit", r#"["/chat",null,"e"]"#, operation(None, emit(vec![]))),
            ("emit", r#"["/chat","a","e",1,null]"#, operation(Some("a".into()), emit(vec![Value::Int(1), Value::Nil]))),
            ("join", r#"["/chat","r"]"#, operation(None, What::Join("r".into()))),
            ("join", r#"["chat",42,"id"]"#, operation(Some("id".into()), What::Join(42.into()))),
            ("leave", r#"["/chat","r",42]"#, operation(Some(42.into()), What::Leave("r".into()))),
            ("_disconnect", r#"["/chat",true,"id"]"#, operation(Some("id".into()), What::Disconnect { close: true })),
            ("_disconnect", r#"["/chat"]"#, operation(None, What::Disconnect { close: false })),
            // A filter that is a number 0 is a room and not, as in Node.js, all sockets.
            ("leave", r#"["/chat","r",0]"#, operation(Some(0.into()), What::Leave("r".into()))),
        ];
        for (event, json, expected) in cases {
            assert_eq!(read(event, json), Ok(expected), "{event} {json}");
        }
    }

    #[test]
    fn bad_arguments_are_errors_that_name_them() {
        let cases = [
            ("emit", "[]", "argument 1 (namespace) must be a string"),
            ("emit", r#"["/"]"#, "argument 3 (event) must be a string"),
            ("emit", r#"["/",null,7]"#, "argument 3 (event) must be a string"),
            ("emit", r#"["/",{},"e"]"#, "argument 2 (filter) must be a string, a whole number, or null"),
            ("emit", r#"["/",["a"],"e"]"#, "argument 2 (filter) must be a string, a whole number, or null"),
            ("join", r#"["/"]"#, "argument 2 (room) must be a string or a whole number"),
            ("leave", r#"["/",1.5]"#, "argument 2 (room) must be a string or a whole number"),
            ("join", r#"[{"a":1},"r"]"#, "argument 1 (namespace) must be a string"),
            ("_disconnect", r#"["/","yes"]"#, "argument 2 (close) must be true or false"),
            (
                "_disconnect",
                r#"["/",true,""]"#,
                "argument 3 (filter) must be the name of a room or the id of a socket, or null for all sockets",
            ),
        ];
        for (event, json, expected) in cases {
            assert_eq!(read(event, json), Err(expected.to_owned()), "{event} {json}");
        }
    }
}
