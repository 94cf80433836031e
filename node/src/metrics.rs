//! Numbers about the node, in the text format of Prometheus.
//!
//! A small registry: counters, gauges and histograms are shared cells, updated without locks and read
//! when someone asks. Names are `hushlog_<crate>_<noun>_<unit>[_total]`. Labels are few and fixed
//! when a metric is made; text of records never becomes one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Upper bounds in seconds of the cells of every latency histogram.
pub const LATENCY_BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// A number that only rises.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one to it.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Time that only rises, kept in nanoseconds and shown in seconds.
#[derive(Clone, Debug, Default)]
pub struct Seconds(Counter);

impl Seconds {
    /// Adds to it.
    pub fn add(&self, time: Duration) {
        self.0
            .add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds nanoseconds to it.
    pub fn add_nanos(&self, nanos: u64) {
        self.0.add(nanos);
    }

    /// Its value.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.get())
    }
}

/// A number that rises and falls.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Adds to it, or takes away.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How latencies are spread, in the cells of [`LATENCY_BOUNDS`].
#[derive(Clone, Debug, Default)]
pub struct Latency {
    cells: Arc<[AtomicU64; LATENCY_BOUNDS.len()]>,
    count: Counter,
    sum: Seconds,
}

impl Latency {
    /// Takes in one latency.
    pub fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        for (cell, bound) in self.cells.iter().zip(LATENCY_BOUNDS) {
            if seconds <= bound {
                cell.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        self.count.increment();
        self.sum.add(time);
    }

    /// How many were taken in.
    pub fn count(&self) -> u64 {
        self.count.get()
    }
}

type Probe = Arc<dyn Fn() -> f64 + Send + Sync>;
type Readings = Arc<dyn Fn(&mut dyn FnMut(Labels<'_>, f64)) + Send + Sync>;

#[derive(Clone)]
enum Cell {
    Counter(Counter),
    Seconds(Seconds),
    Gauge(Gauge),
    Latency(Latency),
    Probe(Probe),
}

struct Family {
    kind: &'static str,
    help: &'static str,
    cells: BTreeMap<String, Cell>,
    /// What gives further members when someone asks.
    readings: Option<Readings>,
}

/// All metrics of a node; cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

/// Labels of one metric: name and value, fixed.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Registry {
    /// A counter; the same one for the same name and labels.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        let made = Cell::Counter(Counter::default());
        match self.cell(name, "counter", help, labels, made) {
            Cell::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// A sum of time; the same one for the same name and labels.
    pub fn seconds(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Seconds {
        let made = Cell::Seconds(Seconds::default());
        match self.cell(name, "counter", help, labels, made) {
            Cell::Seconds(seconds) => seconds,
            _ => Seconds::default(),
        }
    }

    /// A gauge; the same one for the same name and labels.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        match self.cell(name, "gauge", help, labels, Cell::Gauge(Gauge::default())) {
            Cell::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// A latency histogram; the same one for the same name and labels.
    pub fn latency(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Latency {
        let made = Cell::Latency(Latency::default());
        match self.cell(name, "histogram", help, labels, made) {
            Cell::Latency(latency) => latency,
            _ => Latency::default(),
        }
    }

    /// A number that is read when someone asks for it. A later probe of the same name replaces it.
    pub fn probe(
        &self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
        labels: Labels<'_>,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let mut families = self.families.lock();
        let family = families.entry(name).or_insert_with(|| Family {
            kind: kind.name(),
            help,
            cells: BTreeMap::new(),
            readings: None,
        });
        family
            .cells
            .insert(label_text(labels), Cell::Probe(Arc::new(read)));
    }

    /// Numbers whose labels are known only when someone asks for them: `read` is given what takes each.
    pub fn readings(
        &self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
        read: impl Fn(&mut dyn FnMut(Labels<'_>, f64)) + Send + Sync + 'static,
    ) {
        let family = Family {
            kind: kind.name(),
            help,
            cells: BTreeMap::new(),
            readings: Some(Arc::new(read)),
        };
        self.families.lock().insert(name, family);
    }

    fn cell(
        &self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        made: Cell,
    ) -> Cell {
        let mut families = self.families.lock();
        let family = families.entry(name).or_insert_with(|| Family {
            kind,
            help,
            cells: BTreeMap::new(),
            readings: None,
        });
        family
            .cells
            .entry(label_text(labels))
            .or_insert(made)
            .clone()
    }

    /// The text that a scraper reads.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, family) in &*self.families.lock() {
            render_family(&mut text, name, family).expect("writing to a string cannot fail");
        }
        text
    }
}

/// What a probe's number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

fn render_family(text: &mut String, name: &str, family: &Family) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {}", family.help)?;
    writeln!(text, "# TYPE {name} {}", family.kind)?;
    for (labels, cell) in &family.cells {
        match cell {
            Cell::Counter(counter) => line(text, name, labels, counter.get())?,
            Cell::Seconds(seconds) => line(text, name, labels, seconds.get().as_secs_f64())?,
            Cell::Gauge(gauge) => line(text, name, labels, gauge.get())?,
            Cell::Probe(read) => line(text, name, labels, read())?,
            Cell::Latency(latency) => render_latency(text, name, labels, latency)?,
        }
    }
    let mut outcome = Ok(());
    if let Some(read) = &family.readings {
        read(&mut |labels, value| {
            let written = line(text, name, &label_text(labels), value);
            outcome = outcome.and(written);
        });
    }
    outcome
}

fn render_latency(
    text: &mut String,
    name: &str,
    labels: &str,
    latency: &Latency,
) -> std::fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    let count = latency.count.get();
    let mut so_far = 0;
    for (cell, bound) in latency.cells.iter().zip(LATENCY_BOUNDS) {
        so_far += cell.load(Ordering::Relaxed);
        writeln!(
            text,
            "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {so_far}"
        )?;
    }
    writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
    line(
        text,
        &format!("{name}_sum"),
        labels,
        latency.sum.get().as_secs_f64(),
    )?;
    line(text, &format!("{name}_count"), labels, count)
}

fn line(
    text: &mut String,
    name: &str,
    labels: &str,
    value: impl std::fmt::Display,
) -> std::fmt::Result {
    if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    }
}

fn label_text(labels: Labels<'_>) -> String {
    let parts: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_prometheus_reads() {
        let registry = Registry::default();
        registry
            .counter("hushlog_node_a_total", "A.", &[("kind", "x")])
            .add(3);
        registry
            .counter("hushlog_node_a_total", "A.", &[("kind", "x")])
            .increment();
        registry.gauge("hushlog_node_b_bytes", "B.", &[]).set(-2);
        registry
            .seconds("hushlog_node_c_seconds_total", "C.", &[])
            .add(Duration::from_millis(1500));
        registry.probe("hushlog_node_d_count", Kind::Gauge, "D.", &[], || 7.0);
        registry.readings("hushlog_node_e_total", Kind::Counter, "E.", |take| {
            take(&[("rule", "a")], 1.0);
            take(&[("rule", "b")], 2.0);
        });
        let expected = "\
# HELP hushlog_node_a_total A.
# TYPE hushlog_node_a_total counter
hushlog_node_a_total{kind=\"x\"} 4
# HELP hushlog_node_b_bytes B.
# TYPE hushlog_node_b_bytes gauge
hushlog_node_b_bytes -2
# HELP hushlog_node_c_seconds_total C.
# TYPE hushlog_node_c_seconds_total counter
hushlog_node_c_seconds_total 1.5
# HELP hushlog_node_d_count D.
# TYPE hushlog_node_d_count gauge
hushlog_node_d_count 7
# HELP hushlog_node_e_total E.
# TYPE hushlog_node_e_total counter
hushlog_node_e_total{rule=\"a\"} 1
hushlog_node_e_total{rule=\"b\"} 2
";
        assert_eq!(registry.render(), expected);
    }

    #[test]
    fn histogram_cells_add_up() {
        let registry = Registry::default();
        let latency = registry.latency("hushlog_node_ack_seconds", "Ack.", &[("way", "http")]);
        for millis in [1, 3, 40_000] {
            latency.observe(Duration::from_millis(millis));
        }
        let text = registry.render();
        assert!(text.contains("hushlog_node_ack_seconds_bucket{way=\"http\",le=\"0.001\"} 1\n"));
        assert!(text.contains("hushlog_node_ack_seconds_bucket{way=\"http\",le=\"0.005\"} 2\n"));
        assert!(text.contains("hushlog_node_ack_seconds_bucket{way=\"http\",le=\"30\"} 2\n"));
        assert!(text.contains("hushlog_node_ack_seconds_bucket{way=\"http\",le=\"+Inf\"} 3\n"));
        assert!(text.contains("hushlog_node_ack_seconds_sum{way=\"http\"} 40.004\n"));
        assert!(text.contains("hushlog_node_ack_seconds_count{way=\"http\"} 3\n"));
    }
}
