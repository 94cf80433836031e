//! Durations as arguments: `15m`, `24h`, `7d`.

use jiff::SignedDuration;

const HELP: &str = "a duration is a number with s, m, h, d or w behind it, such as 15m";
/// Longest duration, in seconds: 100 years.
const SECONDS_MAX: i64 = 36_500 * 86_400;
/// The windows that a server takes, in seconds.
const WINDOW_SECONDS: std::ops::RangeInclusive<i64> = 60..=3_660 * 86_400;

/// Reads a duration.
///
/// # Errors
/// Says what a duration looks like, or that it is longer than a hundred years.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, &'static str> {
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(HELP)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(HELP),
    };
    let number: i64 = number.parse().map_err(|_| HELP)?;
    let seconds = number.checked_mul(seconds);
    seconds
        .filter(|seconds| *seconds <= SECONDS_MAX)
        .map(SignedDuration::from_secs)
        .ok_or("that is longer than 36500d")
}

/// Checks the window of a count, and leaves it as it is written.
///
/// # Errors
/// As [`duration`], and for what is shorter than a minute or longer than ten years.
pub(crate) fn window(text: &str) -> Result<String, &'static str> {
    let window = duration(text)?;
    if !WINDOW_SECONDS.contains(&window.as_secs()) {
        return Err("a window is from 1m to 3660d long");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [("0s", 0), ("15m", 900), ("24h", 86_400), ("2w", 1_209_600)] {
            assert_eq!(duration(text), Ok(SignedDuration::from_secs(seconds)));
        }
        for text in [
            "",
            "15",
            "m",
            "5x",
            "1y",
            "-5m",
            "36501d",
            "99999999999999d",
            "9999999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(window("90s"), Ok("90s".into()));
        for text in ["5x", "59s", "0m", "3661d"] {
            assert!(window(text).is_err(), "{text}");
        }
    }
}
