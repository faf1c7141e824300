"""Makes types of the protocol's schemas, for languages whose own generators make one of all messages."""
