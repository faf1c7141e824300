//! Reads whole numbers as JavaScript writes them: `3` and `3.0` are the same.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// The greatest integer up to which a double has no gaps, 2^53.
const MAX_SAFE: f64 = 9_007_199_254_740_992.0;

/// The greatest number of things that all languages count exactly, 2^53 - 1.
const MAX_COUNT: u64 = 9_007_199_254_740_991;

/// Reads how many there are of something; null means that it is not told.
pub(crate) fn deserialize_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Count(#[serde(deserialize_with = "deserialize")] u64);

    let count = Option::<Count>::deserialize(deserializer)?.map(|Count(count)| count);
    match count.filter(|count| *count > MAX_COUNT) {
        Some(count) => Err(D::Error::invalid_value(Unexpected::Unsigned(count), &"at most 2^53 - 1")),
        None => Ok(count),
    }
}

/// Reads a whole number that is not negative.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Whole;

    impl Visitor<'_> for Whole {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number that is not negative")
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
            u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
            if value.fract() == 0.0 && (0.0..=MAX_SAFE).contains(&value) {
                Ok(value as u64)
            } else {
                Err(E::invalid_value(Unexpected::Float(value), &self))
            }
        }
    }

    deserializer.deserialize_any(Whole)
}
