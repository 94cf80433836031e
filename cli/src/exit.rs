//! How the program ends: one code per kind of end, the same for every command.

use std::fmt;
use std::process::ExitCode;

use crate::output::complaint;

/// What `--help` says about exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done
   1  failed; the message says why
   2  wrong arguments
   3  answered, but a shard is missing in the answer, or some records were rejected
  69  no server answers, or it cannot take the request now
  70  the server had to stop because of a fault
  75  it is not known whether everything was stored; send it again with the same key
  78  the configuration or the data folder cannot be used
 141  whatever reads the answer has gone away, as in `hushlog search … | head`";

/// Ends that have a code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The arguments contradict each other.
    Arguments = 2,
    /// Something is missing in the answer, or some records were rejected.
    Partial = 3,
    /// No server, or none that takes the request.
    Unavailable = 69,
    /// The server had to stop.
    Fault = 70,
    /// Not known whether everything was stored.
    Unknown = 75,
    /// Configuration or data folder.
    Config = 78,
    /// Standard output is a pipe that nobody reads: what a shell reports for SIGPIPE.
    Closed = 141,
}

/// An error with a code of its own.
#[derive(Debug)]
pub(crate) struct Exit {
    code: Code,
    message: String,
}

impl Exit {
    /// An error that ends the program with this code.
    pub(crate) fn error(code: Code, message: impl Into<String>) -> anyhow::Error {
        Self {
            code,
            message: message.into(),
        }
        .into()
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

/// Prints the error and gives its code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let message = format!("{error:#}");
    if !message.is_empty() {
        complaint(message);
    }
    let code = error
        .downcast_ref::<Exit>()
        .map_or(1, |exit| exit.code as u8);
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_help() {
        for code in [
            Code::Arguments,
            Code::Partial,
            Code::Unavailable,
            Code::Fault,
            Code::Unknown,
            Code::Config,
            Code::Closed,
        ] {
            assert!(HELP.contains(&format!("{:>4}  ", code as u8)), "{code:?}");
        }
    }
}
