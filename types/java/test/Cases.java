import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import socketio.pg.messages.InvalidMessage;
import socketio.pg.messages.Message;

/**
 * The same values as the Rust crate: {@code java Cases CASES}, with {"json","read","written"} in each line: a message,
 * whether it is read, and whether it is written again as it was.
 */
public final class Cases {
    public static void main(String[] arguments) throws Exception {
        int read = 0;
        int refused = 0;
        int written = 0;
        for (String line : Files.readString(Path.of(arguments[0]), StandardCharsets.UTF_8).split("\n")) {
            Map<?, ?> sample = (Map<?, ?>) new Json(line).parse();
            Object value = new Json((String) sample.get("json")).parse();
            Message message;
            try {
                message = Message.read(value);
            } catch (InvalidMessage invalid) {
                check(sample.get("read").equals(false), invalid + ": " + line);
                refused++;
                continue;
            }
            check(sample.get("read").equals(true), "read: " + line);
            read++;
            if (sample.get("written").equals(true)) {
                check(Json.write(message.toMap()).equals(Json.write(value)), Json.write(message.toMap()) + " of " + line);
                written++;
            }
        }
        rules();
        System.out.println("{\"read\":" + read + ",\"refused\":" + refused + ",\"written\":" + written + "}");
    }

    private static void rules() {
        Message heartbeat = new Message("8f42b1c09d5e7a36", "/", new Message.Heartbeat());
        check(heartbeat.toMap().toString().equals("{type=2, uid=8f42b1c09d5e7a36, nsp=/, source=_sio_adapter}"), heartbeat.toMap().toString());
        Message.Selector all = new Message.Selector(List.of(), List.of(), Message.ABSENT);
        refused("/nsp is missing", new Message("a", null, new Message.Heartbeat()));
        refused("/source must be _sio_adapter", new Message(null, null, null, "a", "/", "me", null, null, null, null, new Message.Heartbeat()));
        Message.EventPacket hello = new Message.EventPacket(2, List.of("hello"), null);
        refused("/data/opts is missing", new Message("a", "/", new Message.Broadcast(hello, null, null)));
        Message.EventPacket ack = new Message.EventPacket(3, List.of("hello"), null);
        refused("/data/packet/type must be 2", new Message("a", "/", new Message.Broadcast(ack, null, all)));
        refused("/data/packet must be an array of at least 1", new Message("a", "/", new Message.ServerSideEmit(null, "e")));
        refused("/type 99 is unknown", new Message("a", "/", new Message.Unknown(99, Message.ABSENT)));
        refused("it has no body", new Message("a", "/", null));
        Message answer = new Message("a", "/", new Message.ServerSideEmitResponse("r", null));
        check(((Map<?, ?>) answer.toMap().get("data")).containsKey("packet"), "null is a value");
        // As decoders of MessagePack return them.
        List<Object> event = List.of("picture", new byte[] {1, 2}, java.time.Instant.EPOCH, BigInteger.ONE.shiftLeft(63));
        Map<String, Object> packet = Map.of("type", (byte) 2, "data", event);
        Map<String, Object> value = new LinkedHashMap<>(Map.of("type", 3, "uid", "a", "nsp", "/", "data", Map.of("packet", packet, "opts", Map.of())));
        Message picture = Message.read(value);
        check(((Message.Broadcast) picture.body()).packet().data() == event, "it is passed on");
        for (Object kind : new Object[] {1.5, -1, Double.NaN, Double.POSITIVE_INFINITY, 1e300, BigInteger.ONE.shiftLeft(64), "3", true}) {
            value.put("type", kind);
            try {
                Message.read(value);
            } catch (InvalidMessage expected) {
                continue;
            }
            throw new AssertionError(kind);
        }
        Message.NotificationHeader header = Message.NotificationHeader.read(Map.of("uid", "a", "type", 3.0, "attachmentId", " +17\n"));
        check(header.attachmentId() == 17 && header.type() == 3 && header.nsp() == null, header.toString());
        for (Object id : new Object[] {"x", "", 1.5, true, "9223372036854775808"}) {
            try {
                Message.NotificationHeader.read(Map.of("attachmentId", id));
            } catch (InvalidMessage expected) {
                continue;
            }
            throw new AssertionError(id);
        }
    }

    private static void refused(String expected, Message message) {
        try {
            message.toMap();
        } catch (InvalidMessage invalid) {
            check(invalid.getMessage().contains(expected), invalid.getMessage());
            return;
        }
        throw new AssertionError(expected);
    }

    private static void check(boolean truth, String otherwise) {
        if (!truth) {
            throw new AssertionError(otherwise);
        }
    }

    /** As much JSON as this needs: Java has none. */
    private static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            this.text = text;
        }

        Object parse() {
            skip();
            switch (text.charAt(at)) {
                case '{' -> {
                    Map<String, Object> object = new LinkedHashMap<>();
                    for (at++, skip(); text.charAt(at) != '}'; next()) {
                        String key = string();
                        skip();
                        at++;
                        object.put(key, parse());
                    }
                    at++;
                    return object;
                }
                case '[' -> {
                    List<Object> items = new ArrayList<>();
                    for (at++, skip(); text.charAt(at) != ']'; next()) {
                        items.add(parse());
                    }
                    at++;
                    return items;
                }
                case '"' -> {
                    return string();
                }
                default -> {
                    int from = at;
                    while (at < text.length() && ",]} \n".indexOf(text.charAt(at)) < 0) {
                        at++;
                    }
                    String word = text.substring(from, at);
                    return switch (word) {
                        case "null" -> null;
                        case "true" -> true;
                        case "false" -> false;
                        default -> Double.valueOf(word);
                    };
                }
            }
        }

        private void next() {
            skip();
            if (text.charAt(at) == ',') {
                at++;
            }
            skip();
        }

        private String string() {
            StringBuilder string = new StringBuilder();
            for (at++; text.charAt(at) != '"'; at++) {
                char character = text.charAt(at);
                if (character != '\\') {
                    string.append(character);
                    continue;
                }
                at++;
                int escape = "bfnrt".indexOf(text.charAt(at));
                if (escape >= 0) {
                    string.append("\b\f\n\r\t".charAt(escape));
                } else if (text.charAt(at) == 'u') {
                    string.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
                    at += 4;
                } else {
                    string.append(text.charAt(at));
                }
            }
            at++;
            return string.toString();
        }

        private void skip() {
            while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
                at++;
            }
        }

        /** Fit for comparing; not JSON, since nothing is escaped. */
        static String write(Object value) {
            if (value instanceof Map<?, ?> object) {
                var entries = object.entrySet().stream().map(entry -> entry.getKey() + ":" + write(entry.getValue()));
                return entries.sorted().collect(Collectors.joining(",", "{", "}"));
            }
            if (value instanceof List<?> items) {
                return items.stream().map(Json::write).collect(Collectors.joining(",", "[", "]"));
            }
            return value instanceof Number number ? String.valueOf(number.doubleValue()) : value + "";
        }
    }
}
