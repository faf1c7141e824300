package socketio.pg.messages;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** An object that is read. */
final class Input {
    /** The greatest integer up to which a double has no gaps. */
    private static final double MAX_SAFE = 9007199254740992.0;

    private final Map<?, ?> values;
    private final String place;

    private Input(Map<?, ?> values, String place) {
        this.values = values;
        this.place = place;
    }

    static Input of(Object value) {
        if (value instanceof Map<?, ?> values) {
            return new Input(values, "");
        }
        throw new InvalidMessage("not a message: it is not an object");
    }

    /** What is read of a key. */
    enum Rule {
        /** It may be missing. */
        OPTIONAL,
        /** Null counts as missing. */
        NULL,
        /** Any value of another type counts as missing. */
        LENIENT;

        boolean in(Rule[] rules) {
            return List.of(rules).contains(this);
        }
    }

    /** A text of at most so many bytes; 0: of any length. Null if it is missing. */
    String text(String key, int limit, Rule... rules) {
        Object value = value(key, rules);
        if (value == null || Rule.LENIENT.in(rules) && !(value instanceof String)) {
            return null;
        }
        if (!(value instanceof String text)) {
            throw wrong(key, "is not a string");
        }
        if (limit > 0 && text.getBytes(StandardCharsets.UTF_8).length > limit) {
            throw wrong(key, "has more than " + limit + " bytes");
        }
        return text;
    }

    boolean bool(String key, Rule... rules) {
        Object value = value(key, rules);
        if (value == null) {
            return false;
        }
        if (value instanceof Boolean truth) {
            return truth;
        }
        throw wrong(key, "is not a boolean");
    }

    /** A whole number; null if it is missing. */
    Long whole(String key, Rule... rules) {
        Object value = value(key, rules);
        if (value == null) {
            return null;
        }
        Long number = whole(value);
        if (number == null || number < 0) {
            throw wrong(key, "is not a whole number that is not negative");
        }
        return number;
    }

    /** The number of a row: a text or a number, with white space as PostgreSQL takes it. */
    long row(String key, Rule... rules) {
        Object value = value(key, rules);
        Long number = null;
        if (value instanceof String text) {
            try {
                number = Long.valueOf(text.strip());
            } catch (NumberFormatException invalid) {
                throw wrong(key, "is not the number of a row");
            }
        } else {
            number = whole(value);
        }
        if (number == null) {
            throw wrong(key, "is not the number of a row");
        }
        return number;
    }

    /** Any value, null included; {@link Message#ABSENT} if it is missing. */
    Object any(String key, Rule... rules) {
        if (values.containsKey(key)) {
            return values.get(key);
        }
        if (!Rule.OPTIONAL.in(rules)) {
            throw wrong(key, "is missing");
        }
        return Message.ABSENT;
    }

    List<Object> list(String key, Rule... rules) {
        Object value = value(key, rules);
        if (value == null) {
            return List.of();
        }
        if (value instanceof List<?> items) {
            return new ArrayList<>(items);
        }
        throw wrong(key, "is not an array");
    }

    <T> List<T> list(String key, Function<Input, T> read, Rule... rules) {
        List<T> objects = new ArrayList<>();
        for (Object item : list(key, rules)) {
            objects.add(read.apply(inner(key + "/" + objects.size(), item)));
        }
        return objects;
    }

    /** Texts of at most so many bytes each. Null if they are missing. */
    List<String> texts(String key, int limit, Rule... rules) {
        if (value(key, rules) == null) {
            return null;
        }
        List<String> texts = new ArrayList<>();
        for (Object item : list(key, rules)) {
            String place = key + "/" + texts.size();
            if (!(item instanceof String text)) {
                throw wrong(place, "is not a string");
            }
            if (text.getBytes(StandardCharsets.UTF_8).length > limit) {
                throw wrong(place, "has more than " + limit + " bytes");
            }
            texts.add(text);
        }
        return texts;
    }

    Input object(String key, Rule... rules) {
        return inner(key, value(key, rules));
    }

    private Input inner(String key, Object value) {
        if (value instanceof Map<?, ?> object) {
            return new Input(object, place + "/" + key);
        }
        throw wrong(key, "is not an object");
    }

    private Object value(String key, Rule... rules) {
        Object value = values.get(key);
        if (value != null || Rule.LENIENT.in(rules)) {
            return value;
        }
        if (values.containsKey(key) ? Rule.NULL.in(rules) : Rule.OPTIONAL.in(rules)) {
            return null;
        }
        throw wrong(key, values.containsKey(key) ? "is null" : "is missing");
    }

    private InvalidMessage wrong(String key, String what) {
        return new InvalidMessage("not a message: " + place + "/" + key + " " + what);
    }

    /** 3.0 is 3, as in JavaScript. Decoders return numbers of many types. */
    private static Long whole(Object value) {
        if (value instanceof BigDecimal decimal) {
            return whole(decimal.doubleValue());
        }
        if (value instanceof BigInteger big) {
            return big.bitLength() < Long.SIZE ? big.longValue() : null;
        }
        if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue();
            return number == Math.rint(number) && Math.abs(number) <= MAX_SAFE ? (long) number : null;
        }
        return value instanceof Number number ? number.longValue() : null;
    }
}
