// What Messages.cs reads and writes with. C# 7, without dependencies.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace SocketIO.Postgres
{
    /// <summary>A message that cannot be read or must not be written. The text says what is wrong with it, and where.</summary>
    public sealed class InvalidMessageException : Exception
    {
        internal InvalidMessageException(string text) : base("not a message: " + text) { }
    }

    /// <summary>Stands for a value of the application that is missing. Null is a value.</summary>
    public sealed class Absent
    {
        /// <summary>The only one.</summary>
        public static readonly Absent Value = new Absent();

        private Absent() { }

        /// <inheritdoc/>
        public override string ToString() => "absent";
    }

    /// <summary>What is read of a key.</summary>
    [Flags]
    internal enum Rule
    {
        Required = 0,
        /// <summary>It may be missing.</summary>
        Optional = 1,
        /// <summary>Null counts as missing.</summary>
        Null = 2,
        /// <summary>Any value of another type counts as missing.</summary>
        Lenient = 4,
    }

    /// <summary>An object that is read.</summary>
    internal sealed class Input
    {
        /// <summary>The greatest integer up to which a double has no gaps.</summary>
        private const double MaxSafe = 9007199254740992.0;

        private readonly IDictionary values;
        private readonly string place;

        private Input(IDictionary values, string place)
        {
            this.values = values;
            this.place = place;
        }

        internal static Input Of(object value)
        {
            if (value is IDictionary values) return new Input(values, "");
            throw new InvalidMessageException("it is not an object");
        }

        /// <summary>A text of at most so many bytes; 0: of any length. Null if it is missing.</summary>
        internal string Text(string key, int limit, Rule rule = Rule.Required)
        {
            var value = Value(key, rule);
            if (value == null || ((rule & Rule.Lenient) != 0 && !(value is string))) return null;
            if (!(value is string text)) throw Wrong(key, "is not a string");
            if (limit > 0 && Encoding.UTF8.GetByteCount(text) > limit) throw Wrong(key, "has more than " + limit + " bytes");
            return text;
        }

        internal bool Bool(string key, Rule rule = Rule.Required)
        {
            var value = Value(key, rule);
            if (value == null) return false;
            if (value is bool truth) return truth;
            throw Wrong(key, "is not a boolean");
        }

        /// <summary>A whole number that is not negative; null if it is missing.</summary>
        internal long? Whole(string key, Rule rule = Rule.Required)
        {
            var value = Value(key, rule);
            if (value == null) return null;
            var number = Whole(value);
            if (number == null || number < 0) throw Wrong(key, "is not a whole number that is not negative");
            return number;
        }

        /// <summary>The number of a row: a text or a number, with white space as PostgreSQL takes it.</summary>
        internal long Row(string key, Rule rule = Rule.Required)
        {
            var value = Value(key, rule);
            if (value is string text)
            {
                if (long.TryParse(text.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var row)) return row;
            }
            else if (Whole(value) is long number)
            {
                return number;
            }
            throw Wrong(key, "is not the number of a row");
        }

        /// <summary>Any value, null included; <see cref="Absent"/> if it is missing.</summary>
        internal object Any(string key, Rule rule = Rule.Required)
        {
            if (values.Contains(key)) return values[key];
            if ((rule & Rule.Optional) == 0) throw Wrong(key, "is missing");
            return Absent.Value;
        }

        internal List<object> List(string key, Rule rule = Rule.Required)
        {
            var value = Value(key, rule);
            var objects = new List<object>();
            if (value == null) return objects;
            if (!(value is IList items) || value is byte[]) throw Wrong(key, "is not an array");
            foreach (var item in items) objects.Add(item);
            return objects;
        }

        internal List<T> List<T>(string key, Func<Input, T> read, Rule rule = Rule.Required)
        {
            var objects = new List<T>();
            foreach (var item in List(key, rule)) objects.Add(read(Inner(key + "/" + objects.Count, item)));
            return objects;
        }

        /// <summary>Texts of at most so many bytes each. Null if they are missing.</summary>
        internal List<string> Texts(string key, int limit, Rule rule = Rule.Required)
        {
            if (Value(key, rule) == null) return null;
            var texts = new List<string>();
            foreach (var item in List(key, rule))
            {
                var place = key + "/" + texts.Count;
                if (!(item is string text)) throw Wrong(place, "is not a string");
                if (Encoding.UTF8.GetByteCount(text) > limit) throw Wrong(place, "has more than " + limit + " bytes");
                texts.Add(text);
            }
            return texts;
        }

        internal Input Object(string key, Rule rule = Rule.Required) => Inner(key, Value(key, rule));

        private Input Inner(string key, object value)
        {
            if (value is IDictionary inner) return new Input(inner, place + "/" + key);
            throw Wrong(key, "is not an object");
        }

        private object Value(string key, Rule rule)
        {
            var isThere = values.Contains(key);
            var value = isThere ? values[key] : null;
            if (value != null || (rule & Rule.Lenient) != 0) return value;
            if ((rule & (isThere ? Rule.Null : Rule.Optional)) != 0) return null;
            throw Wrong(key, isThere ? "is null" : "is missing");
        }

        private InvalidMessageException Wrong(string key, string what) =>
            new InvalidMessageException(place + "/" + key + " " + what);

        /// <summary>3.0 is 3, as in JavaScript. Decoders return numbers of many types.</summary>
        private static long? Whole(object value)
        {
            if (value is long number) return number;
            if (value is ulong large) return large <= long.MaxValue ? (long)large : (long?)null;
            if (value is int || value is uint || value is short || value is ushort || value is sbyte || value is byte)
            {
                return Convert.ToInt64(value, CultureInfo.InvariantCulture);
            }
            if (!(value is double || value is float || value is decimal)) return null;
            var real = Convert.ToDouble(value, CultureInfo.InvariantCulture);
            return Math.Floor(real) == real && Math.Abs(real) <= MaxSafe ? (long)real : (long?)null;
        }
    }

    /// <summary>An object that is written, with its keys in the order in which Node.js writes them.</summary>
    internal sealed class Output
    {
        internal readonly Dictionary<string, object> Values = new Dictionary<string, object>();
        private readonly string place;

        internal Output(string place)
        {
            this.place = place;
        }

        internal void Put(string key, object value) => Values[key] = value;

        internal void Text(string key, string value, bool required, string constant)
        {
            if (value == null)
            {
                if (required) throw Wrong(key, "is missing: no other node would hear the message");
                return;
            }
            if (constant != null && constant != value) throw Wrong(key, "must be " + constant);
            Put(key, value);
        }

        internal void PutIfAny(string key, object value)
        {
            if (value != null) Put(key, value);
        }

        internal void Whole(string key, long value, long constant)
        {
            if (constant != 0 && value != constant) throw Wrong(key, "must be " + constant);
            Put(key, value);
        }

        /// <summary>A value that may be missing. With items it must be an array, of at least so many.</summary>
        internal void Any(string key, object value, bool required, int items)
        {
            if (value == Absent.Value)
            {
                if (required) throw Wrong(key, "is missing");
                return;
            }
            if (items > 0 && !(value is IList list && !(value is byte[]) && list.Count >= items))
            {
                throw Wrong(key, "must be an array of at least " + items);
            }
            Put(key, value);
        }

        internal void List(string key, List<object> items) => Put(key, items ?? new List<object>());

        internal void List<T>(string key, List<T> items, Func<T, string, Dictionary<string, object>> write) where T : class
        {
            var objects = new List<object>();
            foreach (var item in items ?? new List<T>()) objects.Add(Inner(key + "/" + objects.Count, item, write));
            Put(key, objects);
        }

        internal void Object<T>(string key, T value, Func<T, string, Dictionary<string, object>> write) where T : class =>
            Put(key, Inner(key, value, write));

        private Dictionary<string, object> Inner<T>(string key, T value, Func<T, string, Dictionary<string, object>> write)
            where T : class
        {
            if (value == null) throw Wrong(key, "is missing");
            return write(value, place + "/" + key);
        }

        private InvalidMessageException Wrong(string key, string what) =>
            new InvalidMessageException(place + "/" + key + " " + what);
    }
}
