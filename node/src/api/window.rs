//! Windows of time as questions name them: `5m`, `90s`, `1h`, `7d`.
//!
//! How long records are kept is not known here: the coordinator refuses what is longer than that.

use std::time::Duration;

use hushlog_query::when;

use super::{Failure, Kind};

/// Shortest window.
const WINDOW_MIN: Duration = Duration::from_secs(60);
/// Longest window: longer than any rule may have records kept.
const WINDOW_MAX: Duration = Duration::from_secs(3_660 * 86_400);

/// Reads a window between one minute and ten years, to the second.
pub(super) fn parse(text: &str) -> Result<Duration, Failure> {
    let window = when::duration(text)
        .and_then(|nanos| u64::try_from(nanos).ok())
        .map(Duration::from_nanos)
        .filter(|window| (WINDOW_MIN..=WINDOW_MAX).contains(window) && window.subsec_nanos() == 0);
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
            "60500ms",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
