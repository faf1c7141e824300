using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using SocketIO.Postgres;

/// <summary>
/// The same values as the Rust crate: <c>Cases.exe CASES</c>, with {"json","read","written"} in each line: a message,
/// whether it is read, and whether it is written again as it was.
/// </summary>
public static class Cases
{
    public static int Main(string[] arguments)
    {
        int read = 0, refused = 0, written = 0;
        foreach (var line in File.ReadAllText(arguments[0], Encoding.UTF8).Trim().Split('\n'))
        {
            var sample = (IDictionary)new Json(line).Parse();
            var value = new Json((string)sample["json"]).Parse();
            Message message;
            try
            {
                message = Message.Read(value);
            }
            catch (InvalidMessageException invalid)
            {
                Check(sample["read"].Equals(false), invalid.Message + ": " + line);
                refused++;
                continue;
            }
            Check(sample["read"].Equals(true), "read: " + line);
            read++;
            if (sample["written"].Equals(true))
            {
                var text = Json.Write(message.ToDictionary());
                Check(text == Json.Write(value), text + " of " + line);
                written++;
            }
        }
        Rules();
        Console.WriteLine("{\"read\":" + read + ",\"refused\":" + refused + ",\"written\":" + written + "}");
        return 0;
    }

    private static void Rules()
    {
        var heartbeat = new Message("8f42b1c09d5e7a36", "/", new Heartbeat()).ToDictionary();
        Check(string.Join(" ", heartbeat.Keys) == "type uid nsp source", string.Join(" ", heartbeat.Keys));
        Refused("/nsp is missing", new Message("a", null, new Heartbeat()));
        Refused("/source must be _sio_adapter", new Message("a", "/", new Heartbeat()) { Source = "me" });
        var hello = new EventPacket { Data = new List<object> { "hello" } };
        Refused("/data/opts is missing", new Message("a", "/", new Broadcast { Packet = hello }));
        var ack = new EventPacket { Type = 3, Data = hello.Data };
        Refused("/data/packet/type must be 2", new Message("a", "/", new Broadcast { Packet = ack, Opts = new Selector() }));
        Refused("/data/packet must be an array of at least 1", new Message("a", "/", new ServerSideEmit { Packet = "e" }));
        Refused("it has no body", new Message("a", "/", null));
        var answer = new Message("a", "/", new ServerSideEmitResponse { RequestId = "r", Packet = null }).ToDictionary();
        Check(((IDictionary)answer["data"]).Contains("packet"), "null is a value");
        answer = new Message("a", "/", new ServerSideEmitResponse { RequestId = "r" }).ToDictionary();
        Check(!((IDictionary)answer["data"]).Contains("packet"), "it is missing");
        // As decoders of MessagePack return them.
        var data = new object[] { "picture", new byte[] { 1, 2 }, DateTime.UtcNow, ulong.MaxValue };
        var packet = new Dictionary<object, object> { { "type", (byte)2 }, { "data", data } };
        var body = new Dictionary<object, object> { { "packet", packet }, { "opts", new Dictionary<object, object>() } };
        var value = new Dictionary<object, object> { { "type", 3 }, { "uid", "a" }, { "nsp", "/" }, { "data", body } };
        Check(((Broadcast)Message.Read(value).Body).Packet.Data == (object)data, "it is passed on");
        foreach (var kind in new object[] { 1.5, -1, double.NaN, double.PositiveInfinity, 1e300, ulong.MaxValue, "3", true, null })
        {
            value["type"] = kind;
            try
            {
                Message.Read(value);
            }
            catch (InvalidMessageException)
            {
                continue;
            }
            Check(false, "" + kind);
        }
        var header = NotificationHeader.Read(new Dictionary<string, object> { { "type", 3.0 }, { "attachmentId", " +17\n" } });
        Check(header.AttachmentId == 17 && header.Type == 3 && header.Nsp == null, "a header");
        foreach (var id in new object[] { "x", "", 1.5, true, null, "9223372036854775808" })
        {
            try
            {
                NotificationHeader.Read(new Dictionary<string, object> { { "attachmentId", id } });
            }
            catch (InvalidMessageException)
            {
                continue;
            }
            Check(false, "" + id);
        }
    }

    private static void Refused(string expected, Message message)
    {
        try
        {
            message.ToDictionary();
        }
        catch (InvalidMessageException invalid)
        {
            Check(invalid.Message.Contains(expected), invalid.Message);
            return;
        }
        Check(false, expected);
    }

    private static void Check(bool truth, string otherwise)
    {
        if (!truth) throw new Exception(otherwise);
    }

    /// <summary>As much JSON as this needs, for any version of .NET.</summary>
    private sealed class Json
    {
        private readonly string text;
        private int at;

        internal Json(string text)
        {
            this.text = text;
        }

        internal object Parse()
        {
            Skip();
            switch (text[at])
            {
                case '{':
                    var values = new Dictionary<string, object>();
                    for (at++, Skip(); text[at] != '}'; Next())
                    {
                        var key = String();
                        Skip();
                        at++;
                        values[key] = Parse();
                    }
                    at++;
                    return values;
                case '[':
                    var items = new List<object>();
                    for (at++, Skip(); text[at] != ']'; Next()) items.Add(Parse());
                    at++;
                    return items;
                case '"':
                    return String();
                default:
                    var from = at;
                    while (at < text.Length && ",]} \n".IndexOf(text[at]) < 0) at++;
                    var word = text.Substring(from, at - from);
                    if (word == "null") return null;
                    if (word == "true" || word == "false") return word == "true";
                    return double.Parse(word, CultureInfo.InvariantCulture);
            }
        }

        private void Next()
        {
            Skip();
            if (text[at] == ',') at++;
            Skip();
        }

        private string String()
        {
            var found = new StringBuilder();
            for (at++; text[at] != '"'; at++)
            {
                if (text[at] != '\\')
                {
                    found.Append(text[at]);
                    continue;
                }
                at++;
                var escape = "bfnrt".IndexOf(text[at]);
                if (escape >= 0) found.Append("\b\f\n\r\t"[escape]);
                else if (text[at] == 'u')
                {
                    found.Append((char)int.Parse(text.Substring(at + 1, 4), NumberStyles.HexNumber));
                    at += 4;
                }
                else found.Append(text[at]);
            }
            at++;
            return found.ToString();
        }

        private void Skip()
        {
            while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0) at++;
        }

        /// <summary>Fit for comparing; not JSON, since nothing is escaped.</summary>
        internal static string Write(object value)
        {
            if (value is IDictionary values)
            {
                var entries = values.Keys.Cast<string>().OrderBy(key => key, StringComparer.Ordinal);
                return "{" + string.Join(",", entries.Select(key => key + ":" + Write(values[key]))) + "}";
            }
            if (value is IList items) return "[" + string.Join(",", items.Cast<object>().Select(Write)) + "]";
            if (value is long || value is double)
            {
                return Convert.ToDouble(value, CultureInfo.InvariantCulture).ToString("R", CultureInfo.InvariantCulture);
            }
            return Convert.ToString(value ?? "null", CultureInfo.InvariantCulture);
        }
    }
}
