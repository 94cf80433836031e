//! The scenarios: which rows of the fault matrix each covers, and how its schedule is made from a seed.
//!
//! Makes lists of steps, runs nothing.

mod disks;
mod folders;
mod links;
mod maker;
mod members;
mod processes;
mod soak;

use self::maker::Maker;
use super::schedule::Schedule;

pub use self::soak::soak;

/// One scenario.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// Rows of the fault matrix.
    pub rows: &'static [u8],
    /// Whether it is part of every test run; the others run by `make chaos`.
    pub in_ci: bool,
    make: fn(&mut Maker),
}

impl Scenario {
    /// Its schedule for this seed.
    pub fn schedule(&self, seed: u64) -> Schedule {
        let mut maker = Maker::new(self.name, seed, 1_500);
        (self.make)(&mut maker);
        maker.schedule
    }
}

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

const fn ci(name: &'static str, rows: &'static [u8], make: fn(&mut Maker)) -> Scenario {
    Scenario {
        name,
        rows,
        in_ci: true,
        make,
    }
}

const fn long(name: &'static str, rows: &'static [u8], make: fn(&mut Maker)) -> Scenario {
    Scenario {
        in_ci: false,
        ..ci(name, rows, make)
    }
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    ci("kill", &[1, 2, 4], processes::kill),
    ci("freeze", &[3], processes::freeze),
    ci("buckets", &[1, 3, 6], processes::buckets),
    ci("power-one", &[5, 8], processes::power_one),
    ci("power-all", &[6], processes::power_all),
    ci("sync-error", &[9, 10], disks::sync_error),
    ci("sync-error-handover", &[9, 10], disks::sync_error_handover),
    ci("disk-full-one", &[12], disks::disk_full_one),
    ci("disk-full-resume", &[12], disks::disk_full_resume),
    ci("disk-full-all", &[13], disks::disk_full_all),
    long("disk-full-start", &[12], disks::disk_full_start),
    long("slow-disk", &[14], disks::slow_disk),
    ci("slow-disk-handover", &[14], disks::slow_disk_handover),
    long("stuck-disk", &[14], disks::stuck_disk),
    ci("read-only", &[15], disks::read_only),
    ci("flip-log", &[16], disks::flip_log),
    long("flip-segment", &[17], disks::flip_segment),
    ci("repair", &[17, 19], disks::repair),
    ci("lost-files", &[19], folders::lost_files),
    long("torn-log", &[8, 19], folders::torn_log),
    long("old-backup", &[19], folders::old_backup),
    ci("old-backup-votes", &[19], folders::old_backup_votes),
    long("wiped-voter", &[38], folders::wiped_voter),
    ci("wiped-voter-votes", &[38], folders::wiped_voter_votes),
    long("read-error", &[20], disks::read_error),
    ci("partition", &[21], links::partition),
    long("split", &[21], links::split),
    long("silence", &[21], links::silence),
    ci("bad-links", &[22, 23], links::bad_links),
    ci("gray-link", &[26], links::gray_link),
    long("flapping", &[24, 25], links::flapping),
    ci("resets", &[27], links::resets),
    ci("clock", &[32], processes::clock),
    long("out-of-memory", &[34], processes::out_of_memory),
    long("starved-cpu", &[35], processes::starved_cpu),
    long("overload", &[42], processes::overload),
    long("failover", &[2, 3], processes::failover),
    long("churn", &[7, 37, 39, 40], members::churn),
];

/// A cluster whose disks all lie: it must lose data, and the checks must see it.
pub const LYING_DISKS: Scenario = long("lying-disks", &[11], disks::lying_disks);

/// `make demo-power`.
pub const DEMO_POWER: Scenario = long("demo-power", &[5, 6], processes::demo_power);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::schedule::Tally;

    #[test]
    fn a_test_run_has_the_faults_that_were_promised() {
        let mut tally = Tally::default();
        let mut scenarios = 0;
        for scenario in ALL.iter().filter(|s| s.in_ci) {
            tally.merge(&scenario.schedule(1).tally());
            scenarios += 1;
        }
        assert!(scenarios >= 12, "{scenarios} scenarios");
        assert!(tally.total() >= 60, "{tally:?}");
        for class in ["power cut", "disk error", "bit flip"] {
            assert!(tally.of(class) >= 6, "{class}: {tally:?}");
        }
    }

    #[test]
    fn every_row_of_the_matrix_that_is_ours_has_a_scenario() {
        let rows = [
            1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 16, 19, 20, 21, 22, 23, 26, 27, 32, 34, 35,
            37, 38, 39, 40, 42,
        ];
        for row in rows {
            assert!(ALL.iter().any(|s| s.rows.contains(&row)), "row {row}");
        }
    }

    #[test]
    fn a_schedule_is_a_function_of_its_seed_and_survives_its_file() {
        for scenario in ALL {
            let once = serde_json::to_string(&scenario.schedule(7)).unwrap();
            assert_eq!(once, serde_json::to_string(&scenario.schedule(7)).unwrap());
            let read: Schedule = serde_json::from_str(&once).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), once);
        }
    }
}
