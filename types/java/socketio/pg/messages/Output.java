package socketio.pg.messages;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;

/** An object that is written. */
final class Output {
    private final Map<String, Object> values = new LinkedHashMap<>();
    private final String place;

    Output(String place) {
        this.place = place;
    }

    Map<String, Object> values() {
        return values;
    }

    void put(String key, Object value) {
        values.put(key, value);
    }

    void putIfAny(String key, Object value) {
        if (value != null) {
            put(key, value);
        }
    }

    void text(String key, String value, boolean required, String constant) {
        if (value == null) {
            if (required) {
                throw wrong(key, "is missing: no other node would hear the message");
            }
            return;
        }
        if (constant != null && !constant.equals(value)) {
            throw wrong(key, "must be " + constant);
        }
        put(key, value);
    }

    void whole(String key, long value, long constant) {
        if (constant != 0 && value != constant) {
            throw wrong(key, "must be " + constant);
        }
        put(key, value);
    }

    /** A value that may be missing. With items it must be an array, of at least so many. */
    void any(String key, Object value, boolean required, int items) {
        if (value == Message.ABSENT) {
            if (required) {
                throw wrong(key, "is missing");
            }
            return;
        }
        if (items > 0 && !(value instanceof List<?> list && list.size() >= items)) {
            throw wrong(key, "must be an array of at least " + items);
        }
        put(key, value);
    }

    void list(String key, List<?> items) {
        put(key, items == null ? List.of() : items);
    }

    <T> void list(String key, List<T> items, BiFunction<T, String, Map<String, Object>> write) {
        List<Object> objects = new ArrayList<>();
        for (T item : items == null ? List.<T>of() : items) {
            objects.add(inner(key + "/" + objects.size(), item, write));
        }
        put(key, objects);
    }

    <T> void object(String key, T value, BiFunction<T, String, Map<String, Object>> write) {
        put(key, inner(key, value, write));
    }

    private <T> Object inner(String key, T value, BiFunction<T, String, Map<String, Object>> write) {
        if (value == null) {
            throw wrong(key, "is missing");
        }
        return write.apply(value, place + "/" + key);
    }

    private InvalidMessage wrong(String key, String what) {
        return new InvalidMessage("not a message: " + place + "/" + key + " " + what);
    }
}
