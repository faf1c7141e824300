//! Strategies for application data.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*};

use crate::Value;

/// The greatest integer up to which a double has no gaps.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// How deep values are nested.
const DEPTH: u32 = 4;

/// How many values the whole tree has, about.
const SIZE: u32 = 24;

/// Data that means the same inline and in an attachment, in the form that [`Value::from_json`]
/// gives it: integers are safe ones, floats are not integers, and the keys of an object are unique
/// and in JavaScript's order.
pub fn json() -> BoxedStrategy<Value> {
    let float = any::<f64>().prop_filter("only what is no integer is a float", |number| {
        number.is_finite() && !(number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER as f64)
    });
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        integer(MAX_SAFE_INTEGER).prop_map(Value::Int),
        float.prop_map(Value::Float),
        text().prop_map(Value::Str),
        broken_text(),
    ];
    leaf.prop_recursive(DEPTH, SIZE, 8, |item| {
        prop_oneof![
            collection::vec(item.clone(), 0..8).prop_map(Value::Array),
            (indices(item.clone()), collection::btree_map(name(), item, 0..6))
                .prop_map(|(indices, names)| Value::Map(indices.into_iter().chain(entries(names)).collect())),
        ]
    })
    .boxed()
}

/// Any data that MessagePack can hold: binary, dates and other extensions, numbers of all widths,
/// keys that are numbers or occur twice. Only what a decoder never returns is left out.
pub fn data() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        3 => json(),
        1 => integer(i64::MAX).prop_map(Value::Int),
        1 => (i64::MAX as u64 + 1..).prop_map(Value::UInt),
        1 => any::<f64>().prop_map(Value::Float),
        1 => any::<f32>().prop_map(Value::Float32),
        2 => collection::vec(any::<u8>(), 0..300).prop_map(Value::Bin),
        1 => any::<i64>().prop_map(|millis| Value::from_date_millis(millis / 1000)),
        1 => (any::<i8>(), collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
    ];
    leaf.prop_recursive(DEPTH, SIZE, 8, |item| {
        let key = prop_oneof![
            4 => text().prop_map(Value::Str),
            1 => broken_text(),
            1 => integer(i64::MAX).prop_map(Value::Int),
            1 => any::<f64>().prop_map(Value::Float),
        ];
        prop_oneof![
            collection::vec(item.clone(), 0..20).prop_map(Value::Array),
            collection::vec((key, item), 0..20).prop_map(Value::Map),
        ]
    })
    .boxed()
}

/// An integer up to a limit, on both sides of 0, of any length.
fn integer(limit: i64) -> impl Strategy<Value = i64> {
    let around_0 = -300..300_i64;
    let any_length = (-limit..=limit, 0..63_u32).prop_map(|(number, shift)| number >> shift);
    prop_oneof![around_0, any_length, Just(limit), Just(-limit)]
}

/// Text of any characters, now and then longer than what MessagePack writes in a short form.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        40 => "[a-z]{0,8}",
        40 => any::<String>(),
        10 => Just("\0\u{1f}\"\\\u{7f}\u{2028}\u{feff}\u{1f600}".to_owned()),
        1 => (0..70_000_usize).prop_map(|length| "x".repeat(length)),
    ]
}

/// Text with a lone surrogate, in the bytes that stand for it.
pub(super) fn broken_text() -> impl Strategy<Value = Value> {
    // Only short ones: Node.js decodes a longer one with `TextDecoder`, which does not keep
    // surrogates.
    ("[a-zé😀]{0,10}", 0xd800..0xe000_u32, "[a-zé😀]{1,10}").prop_map(|(before, surrogate, after)| {
        let encoded = [0xed, 0x80 | (surrogate >> 6 & 0x3f) as u8, 0x80 | (surrogate & 0x3f) as u8];
        Value::BrokenStr([before.as_bytes(), &encoded, after.as_bytes()].concat())
    })
}

/// The name of a property that is not an index.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,6}",
        any::<String>().prop_filter("indices come first", |name| !name.bytes().all(|byte| byte.is_ascii_digit())),
        Just("__proto__".to_owned()),
        Just("01".to_owned()),
    ]
}

/// Properties whose names are numbers, in ascending order.
fn indices(item: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(Value, Value)>> {
    let indices = collection::btree_map(0..u32::MAX, item, 0..3);
    indices.prop_map(|properties| {
        properties.into_iter().map(|(index, value)| (Value::Str(index.to_string()), value)).collect()
    })
}

fn entries(names: BTreeMap<String, Value>) -> impl Iterator<Item = (Value, Value)> {
    names.into_iter().map(|(name, value)| (Value::Str(name), value))
}
