//! Processes by id, with a second look: ids are used again by the system.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::output::complaint;

/// A process that was seen running: its id and the moment it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pid: i32,
    began: String,
}

impl Identity {
    /// The process with this id, if it runs.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            began: began(pid)?,
        })
    }

    /// The same, if it is a node with its data in `folder`.
    pub(crate) fn of_node(pid: i32, folder: &Path) -> Option<Self> {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = command.split(|byte| *byte == 0);
        let folder = folder.as_os_str().as_encoded_bytes();
        if words.any(|word| word == folder) {
            Self::of(pid)
        } else {
            None
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        began(self.pid).as_ref() == Some(&self.began)
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
        // One that stands still hears nothing until it goes on.
        self.signal(Signal::SIGCONT);
    }

    /// Ends it.
    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        if self.is_alive()
            && let Err(error) = kill(Pid::from_raw(self.pid), signal)
        {
            complaint(format_args!("{signal} to process {}: {error}", self.pid));
        }
    }
}

/// When it began, in the system's ticks; `None` when there is none or it is only waiting to be
/// collected by its parent.
fn began(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the rest is words.
    let mut words = stat.rsplit_once(") ")?.1.split(' ');
    let state = words.next()?;
    // State is the third word of the whole, the start time the twenty-second.
    let began = words.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| began.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        i32::try_from(std::process::id()).expect("process ids are small")
    }

    #[test]
    fn this_process_runs_and_is_itself() {
        let own_process = Identity::of(own()).expect("it runs");
        assert!(own_process.is_alive());
        assert!(Identity::of_node(own(), Path::new("/no/such/folder")).is_none());
    }

    #[test]
    fn a_process_that_took_over_an_id_is_another() {
        let other = Identity {
            pid: own(),
            began: "0".into(),
        };
        assert!(!other.is_alive());
    }
}
