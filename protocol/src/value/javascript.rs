//! How JavaScript treats numbers, dates, strings and objects.

use std::{borrow::Cow, collections::HashMap, collections::hash_map::Entry, fmt::Write};

use super::Value;

/// The greatest integer up to which every integer is a double of its own, 2^53 - 1:
/// `Number.MAX_SAFE_INTEGER`.
pub(super) const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// The range of a `Date`, in milliseconds before and after 1970.
const MAX_DATE: f64 = 8.64e15;

const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

/// Strings with more bytes than this go through `TextDecoder` and `TextEncoder` in Node.js's
/// MessagePack, shorter ones through its own code.
const TEXT_DECODER_THRESHOLD: usize = 200;

/// The integer that a double is, when it is a safe one (`Number.isSafeInteger`). -0 is 0.
pub(super) fn safe_integer(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER as f64).then_some(number as i64)
}

/// Writes a double as `String(number)` gives it.
pub(super) fn write_number(out: &mut String, number: f64) {
    if number.is_nan() {
        return out.push_str("NaN");
    }
    if number < 0.0 {
        out.push('-');
    }
    if number.is_infinite() {
        return out.push_str("Infinity");
    }
    let (digits, point) = shortest_digits(number.abs());
    let count = digits.len() as i32;
    match point {
        1..=21 if count <= point => {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', (point - count) as usize));
        }
        1..=21 => {
            let (integral, fraction) = digits.split_at(point as usize);
            out.extend([integral, ".", fraction]);
        }
        -5..=0 => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
            out.push_str(&digits);
        }
        _ => {
            let (first, others) = digits.split_at(1);
            out.push_str(first);
            if !others.is_empty() {
                out.extend([".", others]);
            }
            // writing to a string cannot fail
            let _ = write!(out, "e{:+}", point - 1);
        }
    }
}

/// The fewest digits that tell a finite double from all others, and how many of them stand before
/// the decimal point: none or less when zeros follow it.
///
/// Of two texts that are as short and as near, JavaScript takes the one that ends with an even
/// digit. So does serde_json; Rust's own formatting does not.
fn shortest_digits(number: f64) -> (String, i32) {
    let text = serde_json::to_string(&number).expect("a number can be written");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().expect("the exponent of a double is a small integer");
    let (integral, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integral}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading_zeros = (digits.len() - significant.len()) as i32;
    match significant.trim_end_matches('0') {
        "" => ("0".to_owned(), 1),
        significant => (significant.to_owned(), integral.len() as i32 + exponent - leading_zeros),
    }
}

/// Writes an integer: its digits, as long as it is a safe one.
pub(super) fn write_integer(out: &mut String, number: i64) {
    if number.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() {
        let _ = write!(out, "{number}");
    } else {
        write_number(out, number as f64);
    }
}

/// The time of a `Date` that Node.js decodes from the bytes of a MessagePack timestamp.
///
/// The arithmetic is the same as in @msgpack/msgpack, in doubles; a `Date` then drops what is less
/// than a millisecond.
pub(super) fn timestamp_millis(bytes: &[u8]) -> Option<i64> {
    let (seconds, nanoseconds) = if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        (f64::from(u32::from_be_bytes(bytes)), 0)
    } else if let Ok(bytes) = <[u8; 8]>::try_from(bytes) {
        // 30 bits of nanoseconds, 34 bits of seconds
        let packed = u64::from_be_bytes(bytes);
        ((packed & ((1 << 34) - 1)) as f64, (packed >> 34) as u32)
    } else {
        let (nanoseconds, seconds) = bytes.split_first_chunk()?;
        let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
        (seconds as f64, u32::from_be_bytes(*nanoseconds))
    };
    let millis = seconds * 1e3 + f64::from(nanoseconds) / 1e6;
    (millis.abs() <= MAX_DATE).then_some(millis.trunc() as i64)
}

/// A MessagePack timestamp, in the shortest of its three forms.
pub(super) fn timestamp_bytes(millis: i64) -> Vec<u8> {
    let seconds = millis.div_euclid(1000);
    let nanoseconds = millis.rem_euclid(1000) as u32 * 1_000_000;
    match (u32::try_from(seconds), u64::try_from(seconds)) {
        (Ok(seconds), _) if nanoseconds == 0 => seconds.to_be_bytes().into(),
        (_, Ok(seconds)) if seconds < 1 << 34 => (u64::from(nanoseconds) << 34 | seconds).to_be_bytes().into(),
        _ => [&nanoseconds.to_be_bytes()[..], &seconds.to_be_bytes()].concat(),
    }
}

/// Writes a date as `Date.prototype.toISOString` does.
pub(super) fn write_iso_date(out: &mut String, millis: i64) {
    let (year, month, day) = civil_date(millis.div_euclid(MILLIS_PER_DAY));
    match year {
        0..=9999 => _ = write!(out, "{year:04}"),
        _ => _ = write!(out, "{year:+07}"),
    }
    let time = millis.rem_euclid(MILLIS_PER_DAY);
    let (hours, minutes) = (time / 3_600_000, time / 60_000 % 60);
    let (seconds, millis) = (time / 1000 % 60, time % 1000);
    let _ = write!(out, "-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z");
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counted in eras of 400 years, which all have the same number of days, and in years that begin in
/// March, so that the leap day is the last one.
fn civil_date(days_since_1970: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days_since_1970 + 719_468; // since 0000-03-01
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// The bytes of a `str`, as @msgpack/msgpack decodes them.
pub(super) fn decode_str(bytes: &[u8]) -> Value {
    let is_large = bytes.len() > TEXT_DECODER_THRESHOLD;
    match str::from_utf8(bytes) {
        // `TextDecoder` replaces what is not UTF-8, and drops a byte order mark.
        Ok(text) if is_large => Value::from(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(_) if is_large => {
            let text = String::from_utf8_lossy(bytes);
            Value::from(text.strip_prefix('\u{feff}').unwrap_or(&text))
        }
        Ok(text) => Value::from(text),
        Err(_) => Value::BrokenStr(bytes.to_vec()),
    }
}

/// How many bytes at the beginning of a string are in JSON as they are.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Without a branch for each byte, the compiler looks at many at a time.
    let plain =
        bytes.chunks_exact(32).take_while(|chunk| !chunk.iter().fold(false, |any, byte| any | is_special(*byte)));
    let plain = 32 * plain.count();
    bytes[plain..].iter().position(|byte| is_special(*byte)).map_or(bytes.len(), |position| plain + position)
}

/// The bytes that @msgpack/msgpack writes for a broken string: its own encoder keeps them, but
/// `TextEncoder` replaces lone surrogates.
pub(super) fn encode_broken(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > TEXT_DECODER_THRESHOLD { broken_lossy(&bytes).into_bytes() } else { bytes }
}

/// The UTF-16 of a broken string, as @msgpack/msgpack decodes it: a lone surrogate becomes itself,
/// and garbage the same garbage. Bytes that are missing at the end are 0 here; Node.js takes the
/// bytes that follow the string.
pub(super) fn broken_utf16(bytes: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter().map(|byte| u32::from(*byte));
    while let Some(first) = bytes.next() {
        let mut continuation = || bytes.next().unwrap_or(0) & 0x3f;
        let unit = match first {
            0xc0..=0xdf => (first & 0x1f) << 6 | continuation(),
            0xe0..=0xef => (first & 0x1f) << 12 | continuation() << 6 | continuation(),
            0xf0..=0xf7 => (first & 0x07) << 18 | continuation() << 12 | continuation() << 6 | continuation(),
            _ => first,
        };
        match unit.checked_sub(0x1_0000) {
            Some(above) => units.extend([0xd800 | (above >> 10 & 0x3ff) as u16, 0xdc00 | (above & 0x3ff) as u16]),
            // `String.fromCharCode` takes 16 bits
            None => units.push(unit as u16),
        }
    }
    units
}

/// A broken string with U+FFFD in place of what a Rust string cannot hold.
pub(super) fn broken_lossy(bytes: &[u8]) -> String {
    String::from_utf16_lossy(&broken_utf16(bytes))
}

/// Writes a lone surrogate in the three bytes that UTF-8 would have for it if it allowed it.
pub(super) fn write_surrogate(out: &mut Vec<u8>, unit: u16) {
    out.extend_from_slice(&[0xed, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]);
}

/// A property of a JavaScript object.
pub(super) struct Property<'a> {
    pub(super) name: Name<'a>,
    pub(super) value: &'a Value,
}

/// The name of a property.
pub(super) enum Name<'a> {
    Text(Cow<'a, str>),
    /// With lone surrogates, each as [`write_surrogate`] writes it.
    Broken(Vec<u8>),
}

impl<'a> Name<'a> {
    fn of(key: &'a Value) -> Self {
        Self::Text(match key {
            Value::Str(text) => Cow::Borrowed(text),
            Value::BrokenStr(bytes) => return Self::of_broken(bytes),
            Value::Float(number) => number_name(*number).into(),
            Value::Float32(number) => number_name((*number).into()).into(),
            // integers; anything else comes from no decoder, only from an application that built
            // the map itself
            other => other.to_json().into(),
        })
    }

    /// Garbage may decode to a name that can be written plainly: then it is that name.
    fn of_broken(bytes: &[u8]) -> Self {
        let units = broken_utf16(bytes);
        if let Ok(text) = String::from_utf16(&units) {
            return Self::Text(text.into());
        }
        let mut name = Vec::with_capacity(bytes.len());
        for unit in char::decode_utf16(units) {
            match unit {
                Ok(c) => name.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(lone) => write_surrogate(&mut name, lone.unpaired_surrogate()),
            }
        }
        Self::Broken(name)
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Broken(bytes) => bytes,
        }
    }

    pub(super) fn to_lossy(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Broken(bytes) => broken_lossy(bytes).into(),
        }
    }
}

/// The name of the property that a key of a map is, with U+FFFD in place of what a Rust string
/// cannot hold.
pub(crate) fn property_name(key: &Value) -> String {
    Name::of(key).to_lossy().into_owned()
}

fn number_name(number: f64) -> String {
    let mut name = String::new();
    write_number(&mut name, number);
    name
}

/// The properties that an object has after each entry of a map was assigned to it, in the order of
/// the object.
pub(super) fn properties(entries: &[(Value, Value)]) -> Vec<Property<'_>> {
    let mut properties: Vec<Property<'_>> =
        entries.iter().map(|(key, value)| Property { name: Name::of(key), value }).collect();
    let names: Vec<&[u8]> = properties.iter().map(|property| property.name.as_bytes()).collect();
    if let Some(surviving) = surviving_assignments(&names) {
        properties = surviving
            .into_iter()
            .map(|position| {
                let (key, value) = &entries[position];
                Property { name: Name::of(key), value }
            })
            .collect();
    }
    sort_indices_first(&mut properties, |property| property.name.as_bytes());
    properties
}

/// Puts the names that are indices first, in ascending order; the others stay in the order of their
/// assignment.
pub(super) fn sort_indices_first<T>(properties: &mut [T], name: impl Fn(&T) -> &[u8]) {
    if properties.iter().any(|property| index(name(property)).is_some()) {
        properties.sort_by_key(|property| index(name(property)).unwrap_or(u32::MAX));
    }
}

/// The number that a name is, if JavaScript counts it among an object's indices.
fn index(name: &[u8]) -> Option<u32> {
    let canonical = name == b"0" || matches!(name.first(), Some(b'1'..=b'9'));
    if !canonical || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok().filter(|index| *index < u32::MAX)
}

/// Which of several assignments to properties survive, each in the place of the first one to its
/// name. `None` when all do.
pub(super) fn surviving_assignments(names: &[&[u8]]) -> Option<Vec<usize>> {
    const FEW: usize = 16;
    if names.len() <= FEW && !names.iter().enumerate().any(|(position, name)| names[..position].contains(name)) {
        return None;
    }
    let mut last = Vec::with_capacity(names.len());
    let mut places = HashMap::with_capacity(names.len());
    for (position, name) in names.iter().enumerate() {
        match places.entry(name) {
            Entry::Vacant(place) => {
                place.insert(last.len());
                last.push(position);
            }
            Entry::Occupied(place) => last[*place.get()] = position,
        }
    }
    (last.len() < names.len()).then_some(last)
}
