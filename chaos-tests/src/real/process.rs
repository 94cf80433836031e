//! One `hushlog serve` in its namespace, on its file system, behind the preloaded shim.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::ground::{Ground, Made, Process};

const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";
const CPU_GROUPS: &str = "/sys/fs/cgroup/cpu";
const TICK: Duration = Duration::from_millis(5);
/// Longest part of a node's own log that a report quotes, in bytes.
const LOG_TAIL_BYTES: usize = 1_500;

/// How a node is started; everything but its process.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Words before the program: its namespace.
    pub inside: [String; 2],
    /// The program under test.
    pub binary: PathBuf,
    /// The library in front of its libc.
    pub preload: PathBuf,
    /// The page that steers the library.
    pub page: PathBuf,
    /// Flags after `serve`.
    pub flags: Vec<String>,
    /// Settings by variable.
    pub variables: Vec<(String, String)>,
    /// Its standard output and error.
    pub log: PathBuf,
}

/// A node's process, running or ended.
pub struct NodeProcess {
    child: Child,
    process: Process,
    frozen: bool,
    log: PathBuf,
    log_from: u64,
}

impl NodeProcess {
    /// Starts it. It ends with this process at the latest: the binary is told to.
    pub fn start(plan: &Plan, data: &Path, ground: &Ground) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&plan.log)?;
        let log_from = log.metadata()?.len();
        let [enter, namespace] = &plan.inside;
        let child = Command::new(enter)
            .arg(namespace)
            .arg("env")
            .arg(format!("LD_PRELOAD={}", plan.preload.display()))
            .arg(format!("CHAOS_PAGE={}", plan.page.display()))
            .arg(&plan.binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(&plan.flags)
            .args(["--end-with", &std::process::id().to_string()])
            .envs(plan.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", plan.binary.display()))?;
        let pid = i32::try_from(child.id())?;
        let process = Process::of(pid).context("a node ended before it was seen")?;
        ground.note(&Made::Process(process.clone()))?;
        Ok(Self {
            child,
            process,
            frozen: false,
            log: plan.log.clone(),
            log_from,
        })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Whether it is stopped by a signal.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Stops it where it stands.
    pub fn freeze(&mut self) -> Result<()> {
        self.frozen = true;
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw(&mut self) -> Result<()> {
        self.frozen = false;
        self.process.signal(Signal::SIGCONT)
    }

    /// Asks it to end.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        self.thaw()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if started.elapsed() > within {
                return None;
            }
            std::thread::sleep(TICK);
        }
    }

    /// What it has printed since it was started.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(usize::MAX);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// The end of that.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let mut from = log.len().saturating_sub(LOG_TAIL_BYTES);
        while !log.is_char_boundary(from) {
            from += 1;
        }
        log.get(from..).unwrap_or_default().trim().to_owned()
    }

    /// Limits its memory to `mib` MiB beyond what the group already counts; the system kills it above.
    pub fn limit_memory(&self, ground: &Ground, mib: u64) -> Result<()> {
        let group = self.group(ground, MEMORY_GROUPS)?;
        let bytes = (mib << 20).to_string();
        fs::write(group.join("memory.limit_in_bytes"), bytes)?;
        self.enter(&group)
    }

    /// Gives it this share of one core, in percent; 0 takes the limit away.
    pub fn limit_cpu(&self, ground: &Ground, percent: u32) -> Result<()> {
        let group = self.group(ground, CPU_GROUPS)?;
        let quota = if percent == 0 {
            -1
        } else {
            i64::from(percent) * 1_000
        };
        fs::write(group.join("cpu.cfs_quota_us"), quota.to_string())?;
        self.enter(&group)
    }

    /// How often its share of a core was used up.
    pub fn times_starved(&self, ground: &Ground) -> Result<u64> {
        let stat = fs::read_to_string(self.group(ground, CPU_GROUPS)?.join("cpu.stat"))?;
        let times = stat
            .lines()
            .find_map(|line| line.strip_prefix("nr_throttled "));
        Ok(times.context("the control group counts nothing")?.parse()?)
    }

    fn group(&self, ground: &Ground, root: &str) -> Result<PathBuf> {
        let name = format!("hl{}p{}", ground.name(), self.process.pid);
        let group = Path::new(root).join(name);
        if !group.exists() {
            ground.note(&Made::Group(group.clone()))?;
            fs::create_dir(&group).with_context(|| format!("no control group in {root}"))?;
        }
        Ok(group)
    }

    fn enter(&self, group: &Path) -> Result<()> {
        fs::write(group.join("cgroup.procs"), self.process.pid.to_string())?;
        Ok(())
    }

    /// Whether the system killed it, for memory or otherwise by SIGKILL.
    pub fn was_killed(status: ExitStatus) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        status.signal() == Some(Signal::SIGKILL as i32)
    }

    /// Resident bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    /// Most resident bytes that it ever had.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
        Some(kib << 10)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Gone already is what we want; the ground's list has it too.
            let _gone = self.kill();
        }
    }
}
