//! Where two observations differ.

use serde_json::Value;

/// How many differences of an observation are shown, and after how many characters each is cut.
const SHOWN_DIFFERENCES: usize = 12;
const SHOWN_CHARACTERS: usize = 400;

/// Where two observations differ, one line each.
pub fn differences(seen: &Value, expected: &Value) -> String {
    let mut lines = Vec::new();
    compare("", seen, expected, &mut lines);
    let more = lines.len().saturating_sub(SHOWN_DIFFERENCES);
    lines.truncate(SHOWN_DIFFERENCES);
    if more > 0 {
        lines.push(format!("    … and {more} more"));
    }
    lines.join("\n")
}

fn compare(path: &str, seen: &Value, expected: &Value, lines: &mut Vec<String>) {
    match (seen, expected) {
        (Value::Object(seen), Value::Object(expected)) => {
            for key in seen.keys().chain(expected.keys().filter(|key| !seen.contains_key(*key))) {
                match (seen.get(key), expected.get(key)) {
                    (Some(seen), Some(expected)) => compare(&format!("{path}/{key}"), seen, expected, lines),
                    (seen, expected) => lines.push(line(&format!("{path}/{key}"), seen, expected)),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (seen, expected)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}/{index}"), seen, expected, lines);
            }
        }
        _ if seen == expected => {}
        _ => lines.push(line(path, Some(seen), Some(expected))),
    }
}

fn line(path: &str, seen: Option<&Value>, expected: Option<&Value>) -> String {
    let text = |value: Option<&Value>| {
        let text = value.map_or("nothing".to_owned(), Value::to_string);
        match text.char_indices().nth(SHOWN_CHARACTERS) {
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
            None => text,
        }
    };
    format!("    {path}: {}\n      expected {}", text(seen), text(expected))
}
