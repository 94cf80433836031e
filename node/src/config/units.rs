//! Sizes and durations as people write them.

use std::time::Duration;

/// Reads `250ms`, `10s`, `5m`, `1h`, `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Reads `4096`, `4096B`, `64KiB`, `32MiB`, `1GiB`, `1TiB`.
pub(super) fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = split(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    usize::try_from(number.checked_mul(1 << shift)?).ok()
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number = text.get(..end)?.parse().ok()?;
    Some((number, text.get(end..)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_durations() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(bytes("64 MiB"), Some(64 << 20));
        assert_eq!(bytes("10"), Some(10));
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "ms", "1.5h", "-1s", "10", "99999999999999999d", "1é"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in [
            "",
            "MiB",
            "1MB",
            "-1",
            "99999999999999999999",
            "99999999TiB",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
