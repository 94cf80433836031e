//! Windows of time as questions name them: `5m`, `90s`, `1h`, `7d`.
//!
//! How long records are kept is not known here: the coordinator refuses what is longer than that.

use std::time::Duration;

use super::{Failure, Kind};

/// Shortest window.
const WINDOW_MIN: Duration = Duration::from_secs(60);
/// Longest window: longer than any rule may have records kept.
const WINDOW_MAX: Duration = Duration::from_secs(3_660 * 86_400);

/// Reads a window between one minute and ten years, to the second.
pub(super) fn parse(text: &str) -> Result<Duration, Failure> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => 0,
    };
    let window = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .filter(|window| (WINDOW_MIN..=WINDOW_MAX).contains(window));
    window.ok_or_else(|| {
        let message = "the window must be a duration from 1m on, such as 5m, 1h, 24h or 7d";
        Failure::new(Kind::InvalidArgument, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_windows_and_refuses_nonsense() {
        assert_eq!(parse("1h").expect("valid"), Duration::from_secs(3_600));
        assert_eq!(parse("90s").expect("valid"), Duration::from_secs(90));
        for text in [
            "",
            "1",
            "h",
            "0m",
            "59s",
            "-1h",
            "1y",
            "99999999999999999999d",
            "4000d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
