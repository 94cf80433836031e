//! Long and hostile texts are searched to their end, matches in them hidden whole.

use hushlog_pii::Pattern;
use hushlog_pii::limits::MATCH_BYTES_MAX;

use super::masker;

#[test]
fn a_long_match_is_hidden_to_its_end_and_a_late_one_is_found() {
    let masker = masker(vec![
        Pattern::new("run", r"Q[a-z]+"),
        Pattern::new("late", r"\bz\d{3}\b"),
    ]);
    let between = ". é ".repeat(5000);
    for length in [
        1,
        MATCH_BYTES_MAX,
        2 * MATCH_BYTES_MAX - 1,
        10 * MATCH_BYTES_MAX,
        1 << 17,
    ] {
        let text = format!("Q{} z123 {between}z456", "a".repeat(length));
        let masked = masker.mask_text(&text).masked.into_owned();
        assert_eq!(masked, format!("[RUN] [LATE] {between}[LATE]"), "{length}");
        assert_eq!(masker.mask_text(&masked).masked, masked);
    }
}

/// Wherever a match stands in a long text, it is found whole, and the one that begins first counts.
#[test]
fn no_match_is_cut_by_the_stretch_that_it_is_sought_in() {
    let masker = masker(vec![Pattern::new(
        "number",
        r"\d{4}(?:-\d{20})?|x.{0,300}END|N\d+",
    )]);
    let numbers = [
        "1234".to_owned(),
        format!("1234-{}", "7".repeat(20)),
        format!("x{} 5678 {}END", "y".repeat(100), "z".repeat(150)),
        format!("N{}", "7".repeat(MATCH_BYTES_MAX - 1)),
        format!("N{}", "7".repeat(9 * MATCH_BYTES_MAX)),
    ];
    for start in (0..2 * MATCH_BYTES_MAX).step_by(7).chain(1000..1030) {
        for number in &numbers {
            let (before, after) = (". ".repeat(start), ". ".repeat(MATCH_BYTES_MAX));
            let text = format!("{before}{number};{after}");
            let masked = masker.mask_text(&text).masked.into_owned();
            let expected = format!("{before}[NUMBER];{after}");
            assert!(masked == expected, "{number} at {}", before.len());
        }
    }
}

/// Patterns and texts that make a search read on and on. What they cost is counted in `src/work.rs`.
#[test]
fn hostile_texts_are_searched_to_their_end() {
    let masker = masker(vec![
        Pattern::new("far", r".*[^A-Z]{2}END|[A-Z]"),
        Pattern::new("nested", r"(?:x+x+)+y"),
        Pattern::new("mail", r"[\w.]+@corp"),
    ]);
    for (piece, masked) in [
        ("A", "[FAR]"),
        ("x", "x"),
        ("w.", "w."),
        ("é", "é"),
        ("A@cor", "[FAR]@cor"),
    ] {
        let times = (1 << 17) / piece.len();
        let text = format!("{} x.a@corp", piece.repeat(times));
        let expected = format!("{} [MAIL]", masked.repeat(times));
        assert!(masker.mask_text(&text).masked == expected, "{piece}");
    }
}
