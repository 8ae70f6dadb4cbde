//! Values of the recordings, read from JSON.

use core::ops::Range;

use serde_json::Value;

use super::Failure;

pub(super) fn list(value: &Value) -> Result<&Vec<Value>, Failure> {
    let list = value.as_array();
    list.ok_or_else(|| format!("{value} is no list").into())
}

pub(super) fn number(value: &Value) -> Result<usize, Failure> {
    let number = value
        .as_u64()
        .ok_or_else(|| format!("{value} is no count"))?;
    Ok(usize::try_from(number)?)
}

pub(super) fn numbers(value: &Value) -> Result<Vec<usize>, Failure> {
    list(value)?.iter().map(number).collect()
}

/// Runs that are recorded as first page and count.
pub(super) fn runs(value: &Value) -> Result<Vec<Range<usize>>, Failure> {
    let mut runs = Vec::new();
    for run in list(value)? {
        let first = number(&run[0])?;
        runs.push(first..first + number(&run[1])?);
    }
    Ok(runs)
}

pub(super) fn address(value: &Value) -> Result<usize, Failure> {
    let hex = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let hex = hex.ok_or_else(|| format!("{value} is no address"))?;
    Ok(usize::from_str_radix(hex, 16)?)
}
