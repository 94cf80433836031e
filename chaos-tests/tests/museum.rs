//! The museum is closed: the program that all other tests start has no planted bug inside.

use hushlog_chaos_tests::cluster::binary;
use hushlog_record::museum::{IS_OPEN, VARIABLE};
use memchr::memmem;

#[test]
fn the_program_under_test_knows_of_planted_bugs_only_in_a_museum_build() {
    let path = binary().expect("the program that other tests start");
    let program = std::fs::read(&path).expect("the program can be read");
    let found = memmem::find(&program, VARIABLE.as_bytes()).is_some();
    assert_eq!(found, IS_OPEN, "{}", path.display());
}
