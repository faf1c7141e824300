package socketio.pg.messages;

/** A message that cannot be read or must not be written. The text says what is wrong with it, and where. */
public final class InvalidMessage extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    InvalidMessage(String text) {
        super(text);
    }
}
