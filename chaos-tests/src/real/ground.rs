//! What a run puts on the machine, written down before it is made, and taken away by that list.
//!
//! The list is a text file in the run's folder, one thing a line. A run that was killed leaves its
//! folder; the next run finds it, sees that its owner is dead, and takes away what the list names.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Start of the name of every run's folder.
const FOLDER: &str = "real-hushlog-";
const LIST: &str = "made.txt";
/// Longest wait for a process to be gone or a file system to be let go.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// Programs that a run calls.
const PROGRAMS: [&str; 10] = [
    "ip",
    "nft",
    "ss",
    "nsenter",
    "losetup",
    "mkfs.ext4",
    "mount",
    "umount",
    "fallocate",
    "cc",
];

/// One thing on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// A process, by id and the moment it began.
    Process(Process),
    /// A mounted file system.
    Mount(PathBuf),
    /// A loop device and its image.
    Loop(String, PathBuf),
    /// A network namespace, with all interfaces in it.
    Namespace(String),
    /// A control group.
    Group(PathBuf),
}

/// A process that was seen running; ids are used again by the system, moments are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    began: String,
}

impl Process {
    /// The process with this id, if it runs.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything; the rest is words.
        let mut words = stat.rsplit_once(") ")?.1.split(' ');
        let state = words.next()?;
        let began = words.nth(18)?.to_owned();
        (!matches!(state, "Z" | "X")).then_some(Self { pid, began })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.is_alive() {
            kill(Pid::from_raw(self.pid), signal)
                .with_context(|| format!("{signal} to process {}", self.pid))?;
        }
        Ok(())
    }
}

impl Made {
    fn line(&self) -> String {
        match self {
            Self::Process(process) => format!("process\t{}\t{}", process.pid, process.began),
            Self::Mount(path) => format!("mount\t{}", path.display()),
            Self::Loop(device, image) => format!("loop\t{device}\t{}", image.display()),
            Self::Namespace(name) => format!("namespace\t{name}"),
            Self::Group(path) => format!("group\t{}", path.display()),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split('\t').collect();
        Some(match *words.as_slice() {
            ["process", pid, began] => Self::Process(Process {
                pid: pid.parse().ok()?,
                began: began.to_owned(),
            }),
            ["mount", path] => Self::Mount(path.into()),
            ["loop", device, image] => Self::Loop(device.to_owned(), image.into()),
            ["namespace", name] => Self::Namespace(name.to_owned()),
            ["group", path] => Self::Group(path.into()),
            _ => return None,
        })
    }

    /// Processes hold the rest, so they go first.
    fn is_process(&self) -> bool {
        matches!(self, Self::Process(_))
    }

    /// Takes it away; gone already is what we want.
    fn undo(&self) -> Result<()> {
        match self {
            Self::Process(process) => {
                process.signal(Signal::SIGKILL)?;
                until("a process ends", || !process.is_alive())
            }
            Self::Mount(path) => unmount(path),
            Self::Loop(device, image) => {
                let attached = run("losetup", &["-n", "-O", "BACK-FILE", device]);
                if attached.is_ok_and(|file| Path::new(file.trim()) == image) {
                    run("losetup", &["-d", device])?;
                }
                Ok(())
            }
            Self::Namespace(name) => {
                if Path::new("/run/netns").join(name).exists() {
                    run("ip", &["netns", "del", name])?;
                }
                Ok(())
            }
            Self::Group(path) => {
                // A group is empty a moment after its last process has ended.
                until("a control group is empty", || {
                    !path.exists() || fs::remove_dir(path).is_ok()
                })
            }
        }
    }
}

/// The folder of one run, and all that it made.
pub struct Ground {
    folder: PathBuf,
    name: String,
}

static RUNS: AtomicU32 = AtomicU32::new(0);

impl Ground {
    /// Sweeps what dead runs left, then starts an empty list.
    pub fn new() -> Result<Self> {
        sweep()?;
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}x{number}", std::process::id());
        let folder = std::env::temp_dir().join(format!("{FOLDER}{name}"));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let ground = Self { folder, name };
        let own = i32::try_from(std::process::id())?;
        let own = Process::of(own).context("this process cannot be seen")?;
        fs::write(ground.folder.join("owner.txt"), Made::Process(own).line())?;
        Ok(ground)
    }

    /// Where the run keeps its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A short name that no other run on this machine has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a thing on the list; to be called before it is made where its name is known by then.
    pub fn note(&self, made: &Made) -> Result<()> {
        let mut list = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(LIST))?;
        writeln!(list, "{}", made.line())?;
        Ok(())
    }
}

impl Drop for Ground {
    #[expect(
        clippy::print_stderr,
        reason = "there is nobody left to return an error to"
    )]
    fn drop(&mut self) {
        if let Err(error) = clear(&self.folder) {
            eprintln!("left behind in {}: {error:#}", self.folder.display());
        }
    }
}

/// Takes away what runs whose process is dead have left.
pub fn sweep() -> Result<()> {
    for entry in fs::read_dir(std::env::temp_dir())? {
        let folder = entry?.path();
        let ours = folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(FOLDER));
        if !ours {
            continue;
        }
        // Without an owner's line the run is just being made, or ended before it made anything.
        let owner = fs::read_to_string(folder.join("owner.txt")).unwrap_or_default();
        match Made::parse(&owner) {
            Some(Made::Process(owner)) if !owner.is_alive() => clear(&folder)?,
            _ => {}
        }
    }
    Ok(())
}

/// Takes away everything on the list of `folder`, newest first, then the folder.
fn clear(folder: &Path) -> Result<()> {
    let list = fs::read_to_string(folder.join(LIST)).unwrap_or_default();
    let made: Vec<Made> = list.lines().rev().filter_map(Made::parse).collect();
    let mut problems = String::new();
    let (processes, rest): (Vec<_>, Vec<_>) = made.into_iter().partition(Made::is_process);
    for made in processes.iter().chain(&rest) {
        if let Err(error) = made.undo() {
            write!(problems, "{}: {error:#}; ", made.line())?;
        }
    }
    if !problems.is_empty() {
        bail!("{problems}");
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    if mounts.contains(&format!("{}/", folder.display())) {
        bail!("something is still mounted");
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Unmounts `path`, if something is mounted there.
pub fn unmount(path: &Path) -> Result<()> {
    let started = Instant::now();
    let text = path.display().to_string();
    loop {
        let mounts = fs::read_to_string("/proc/mounts")?;
        if !mounts.contains(&format!(" {text} ")) {
            return Ok(());
        }
        match run("umount", &[&text]) {
            Ok(_) => {}
            Err(error) if started.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

/// Waits for something of the system's, in small steps.
pub fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !done() {
        if started.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} until {what}");
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// Runs a program to its end and gives what it printed.
pub fn run(program: &str, words: &[&str]) -> Result<String> {
    run_with(program, words, "")
}

/// The same, with something on its standard input.
pub fn run_with(program: &str, words: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether this machine lets a run be made.
pub enum Permission {
    /// It does.
    Granted,
    /// It does not; the sentence says what is missing.
    Missing(String),
}

/// Looks for what a run needs. Where the absence must not be overlooked (`CI=true` or
/// `CHAOS_REQUIRE=1`) it is an error.
pub fn permission() -> Result<Permission> {
    let Some(missing) = missing() else {
        return Ok(Permission::Granted);
    };
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if set("CI", "true") || set("CHAOS_REQUIRE", "1") {
        bail!("real faults cannot be made here: {missing}");
    }
    Ok(Permission::Missing(missing))
}

fn missing() -> Option<String> {
    if !is_root() {
        return Some("they need root (network namespaces, loop devices, control groups)".into());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let absent: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|program| {
            !path
                .split(':')
                .any(|folder| Path::new(folder).join(program).exists())
        })
        .collect();
    (!absent.is_empty()).then(|| format!("programs are missing: {}", absent.join(", ")))
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real, effective, saved, of the file system.
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_reads_back_what_was_noted() {
        let all = [
            Made::Process(Process {
                pid: 7,
                began: "99".into(),
            }),
            Made::Mount("/a/b".into()),
            Made::Loop("/dev/loop3".into(), "/a/b.img".into()),
            Made::Namespace("x1".into()),
            Made::Group("/sys/x".into()),
        ];
        for made in all {
            assert_eq!(Made::parse(&made.line()), Some(made));
        }
        assert_eq!(Made::parse("something else"), None);
    }

    #[test]
    fn a_process_that_took_over_an_id_is_another() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(Process::of(own).unwrap().is_alive());
        let other = Process {
            pid: own,
            began: "0".into(),
        };
        assert!(!other.is_alive());
        other.signal(Signal::SIGKILL).unwrap();
    }
}
