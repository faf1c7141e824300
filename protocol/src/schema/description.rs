//! Turns doc comments into descriptions, and tidies derived schemas.

use schemars::{
    Schema,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};

/// Makes derived schemas fit for readers who do not know Rust.
#[derive(Clone)]
pub(super) struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        let is_constant = object.contains_key("const");
        object.retain(|key, value| match key.as_str() {
            // Rust's own: numbers have a range, but no width.
            "format" => value == "date-time",
            "minimum" => !is_constant,
            // Defaults that serde assumes do not mean that writers may leave the key out.
            "default" => false,
            _ => true,
        });
        // Beside a `$ref`, code generators take a description for a separate type, and number it.
        if object.len() > 1
            && let Some(reference) = object.shift_remove("$ref")
        {
            object.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
        }
        let Some(text) = object.get("description").and_then(Value::as_str).map(plain) else { return };
        // The description comes first.
        let front =
            ["$schema", "title"].into_iter().filter_map(|key| Some((key.to_owned(), object.shift_remove(key)?)));
        let mut ordered: Map<String, Value> = front.collect();
        object.shift_remove("description");
        ordered.insert("description".to_owned(), text.into());
        ordered.append(object);
        *object = ordered;
    }
}

/// A doc comment without code blocks and links, each paragraph in one line.
fn plain(documentation: &str) -> String {
    let mut paragraphs = vec![String::new()];
    let mut in_code = false;
    for line in documentation.lines().map(str::trim) {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if line.is_empty() {
            paragraphs.push(String::new());
        } else if !in_code && let Some(paragraph) = paragraphs.last_mut() {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    // [`Name`] is a link of rustdoc.
    paragraphs.join("\n\n").replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_neither_code_nor_links() {
        let documentation = "One line\nand another, see [`Other`].\n\n```json\n{\"type\":1}\n```\n\nThe end.\n";
        assert_eq!(plain(documentation), "One line and another, see `Other`.\n\nThe end.");
    }
}
