//! Base64, in which packed messages travel.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};

use crate::error::{DecodeError, DecodeErrorKind};

/// As JavaScript and Python read it: bits behind the last byte mean nothing.
const ENGINE: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

pub(crate) fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// How many characters stand for this many bytes.
pub(crate) fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    ENGINE.decode(text).map_err(|error| DecodeError::new(DecodeErrorKind::Base64, error))
}
