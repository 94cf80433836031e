//! What the operating system says about this process, as metrics.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::metrics::{Kind, Registry};

/// Adds the process's metrics.
pub(crate) fn register(registry: &Registry) {
    registry.probe(
        "hushlog_node_cpu_seconds_total",
        Kind::Counter,
        "CPU time of the process, user and system.",
        &[],
        cpu_seconds,
    );
    registry.probe(
        "hushlog_node_resident_bytes",
        Kind::Gauge,
        "Memory of the process.",
        &[],
        || status_bytes("VmRSS:"),
    );
    registry.probe(
        "hushlog_node_resident_peak_bytes",
        Kind::Gauge,
        "Most memory that the process ever had.",
        &[],
        || status_bytes("VmHWM:"),
    );
    registry.probe(
        "hushlog_node_open_files_count",
        Kind::Gauge,
        "Open file descriptors.",
        &[],
        open_files,
    );
}

fn cpu_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
}

/// A line of `/proc/self/status` in bytes; 0 where there is none.
fn status_bytes(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}

fn open_files() -> f64 {
    let count = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
