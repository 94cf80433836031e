//! The four places that settings come from, one over the other.
//!
//! Values stay text until [`Config`](super::Config) reads them, so that every error can say which
//! key is meant, where its value came from and what was expected.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use super::keys::{self, KEYS};
use super::units;

/// A name further away than this is no help.
const SIMILARITY_MIN: f64 = 0.6;

/// Where a value came from; the later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The list of keys.
    Default,
    /// The file.
    File,
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "the defaults",
            Self::File => "the configuration file",
            Self::Environment => "the environment",
            Self::Flag => "a flag",
        })
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No key has this name.
    #[error("unknown key `{name}` in {origin}{}", nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// As given.
        name: String,
        /// Where it was found.
        origin: Origin,
        /// The most similar known key.
        nearest: Option<&'static str>,
    },
    /// The value cannot be used.
    #[error("`{key}` is `{value}` in {origin}; expected {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// As given.
        value: String,
        /// Where it was found.
        origin: Origin,
        /// What it should be.
        expected: String,
    },
    /// The file is not TOML.
    #[error("the configuration file is not valid TOML: {0}")]
    Syntax(String),
}

/// Settings gathered so far.
#[derive(Clone, Debug)]
pub struct Layers {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Default for Layers {
    fn default() -> Self {
        Self::new()
    }
}

impl Layers {
    /// The defaults.
    pub fn new() -> Self {
        let default = |key: &keys::Key| (key.name, (key.default.to_string(), Origin::Default));
        Self {
            values: KEYS.iter().map(default).collect(),
        }
    }

    /// Sets one key. A value from a weaker origin than the present one changes nothing.
    pub fn set(&mut self, name: &str, value: &str, origin: Origin) -> Result<(), Error> {
        let key =
            keys::find(name).ok_or_else(|| unknown(name, origin, KEYS.iter().map(|k| k.name)))?;
        self.put(key, value, origin);
        Ok(())
    }

    fn put(&mut self, key: &keys::Key, value: &str, origin: Origin) {
        let slot = self
            .values
            .get_mut(key.name)
            .expect("every known key has a default");
        if origin >= slot.1 {
            *slot = (value.into(), origin);
        }
    }

    /// Takes in the text of a file.
    pub fn add_file(&mut self, text: &str) -> Result<(), Error> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Error::Syntax(error.to_string()))?;
        self.add_table("", &table)
    }

    fn add_table(&mut self, prefix: &str, table: &toml::Table) -> Result<(), Error> {
        for (name, value) in table {
            let name = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                toml::Value::Table(inner) => self.add_table(&name, inner)?,
                other => self.set(&name, &plain(other), Origin::File)?,
            }
        }
        Ok(())
    }

    /// Takes in every variable that begins with `HUSHLOG_`. Gives those that name no key: other
    /// programs may have their own, so the caller says so and goes on.
    pub fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<Error> {
        let mut unknown = Vec::new();
        for (name, value) in variables {
            if !name.starts_with("HUSHLOG_") {
                continue;
            }
            let key = KEYS.iter().find(|key| key.variable() == name);
            let Some(key) = key else {
                unknown.push(Error::Unknown {
                    nearest: nearest(&name, KEYS.iter().map(|key| (key.variable(), key.name))),
                    name,
                    origin: Origin::Environment,
                });
                continue;
            };
            self.put(key, &value, Origin::Environment);
        }
        unknown
    }

    /// The text of a key.
    ///
    /// # Panics
    /// When `key` is not in [`KEYS`]: a mistake in this crate.
    pub(super) fn text(&self, key: &str) -> &str {
        &self.values.get(key).expect("only known keys are read").0
    }

    pub(super) fn number<N: FromStr>(&self, key: &str) -> Result<N, Error> {
        self.parse(key, "a whole number", |text| text.parse().ok())
    }

    pub(super) fn address(&self, key: &str) -> Result<SocketAddr, Error> {
        let expected = "an address with a port such as 127.0.0.1:7700";
        self.parse(key, expected, |text| text.parse().ok())
    }

    /// `None` when it is empty.
    pub(super) fn optional_address(&self, key: &str) -> Result<Option<SocketAddr>, Error> {
        match self.text(key) {
            "" => Ok(None),
            _ => self.address(key).map(Some),
        }
    }

    pub(super) fn duration(&self, key: &str) -> Result<Duration, Error> {
        self.parse(
            key,
            "a duration such as 250ms, 10s, 5m, 1h or 7d",
            units::duration,
        )
    }

    pub(super) fn bytes(&self, key: &str) -> Result<usize, Error> {
        self.parse(key, "a size such as 64MiB", units::bytes)
    }

    fn parse<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        parse(self.text(key)).ok_or_else(|| self.invalid(key, expected))
    }

    /// The error that says why a key's value cannot be used.
    pub(super) fn invalid(&self, key: &str, expected: &str) -> Error {
        let (key, (value, origin)) = self
            .values
            .get_key_value(key)
            .expect("only known keys are read");
        Error::Invalid {
            key,
            value: value.clone(),
            origin: *origin,
            expected: expected.into(),
        }
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn unknown(name: &str, origin: Origin, known: impl Iterator<Item = &'static str>) -> Error {
    let nearest = nearest(name, known.map(|key| (key.to_string(), key)));
    Error::Unknown {
        name: name.into(),
        origin,
        nearest,
    }
}

/// The key whose spelling is most similar; the last part of a dotted name counts as well, so that
/// `replication` finds `cluster.replication`.
fn nearest(
    name: &str,
    known: impl Iterator<Item = (String, &'static str)>,
) -> Option<&'static str> {
    known
        .map(|(spelling, key)| {
            let last = spelling.rsplit('.').next().unwrap_or(&spelling);
            let similarity =
                strsim::jaro_winkler(name, &spelling).max(strsim::jaro_winkler(name, last));
            (similarity, key)
        })
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win_whatever_the_order_they_come_in() {
        let mut layers = Layers::new();
        layers.set("node.id", "3", Origin::Flag).expect("known");
        layers
            .add_file("threads = 2\n[node]\nid = 1\nzone = \"a\"")
            .expect("valid");
        let variables = [
            ("HUSHLOG_NODE_ID", "2"),
            ("HUSHLOG_NODE_ZONE", "b"),
            ("PATH", "/bin"),
        ];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string()));
        assert!(layers.add_environment(variables).is_empty());
        assert_eq!(layers.text("node.id"), "3");
        assert_eq!(layers.text("node.zone"), "b");
        assert_eq!(layers.text("threads"), "2");
    }

    #[test]
    fn arrays_of_the_file_are_lists() {
        let mut layers = Layers::new();
        layers
            .add_file("[cluster]\npeers = [\"1=a:1\", \"2=b:1\"]")
            .expect("valid");
        assert_eq!(layers.text("cluster.peers"), "1=a:1,2=b:1");
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let cases = [
            ("[cluster]\nreplicaton = 3", "cluster.replication"),
            ("replication = 3", "cluster.replication"),
            ("htpp = \"a\"", "http"),
            ("[limit]\nbody = 1", "limits.body"),
        ];
        for (file, nearest) in cases {
            let error = Layers::new().add_file(file).expect_err(file).to_string();
            assert!(
                error.contains(&format!("did you mean `{nearest}`?")),
                "{error}"
            );
        }
        let variables = [("HUSHLOG_CUT_BYTE".to_string(), "1".to_string())];
        let error = Layers::new().add_environment(variables)[0].to_string();
        assert!(error.contains("did you mean `cut.bytes`?"), "{error}");
        let error = Layers::new()
            .add_file("zzzz = 1")
            .expect_err("unknown")
            .to_string();
        assert_eq!(error, "unknown key `zzzz` in the configuration file");
    }

    #[test]
    fn a_bad_value_says_where_it_came_from() {
        let mut layers = Layers::new();
        layers.add_file("[cut]\nage = 10").expect("known");
        let error = layers.duration("cut.age").expect_err("no unit").to_string();
        assert!(
            error.starts_with("`cut.age` is `10` in the configuration file; expected"),
            "{error}"
        );
    }

    #[test]
    fn a_broken_file_is_refused() {
        assert!(matches!(
            Layers::new().add_file("a = = 1"),
            Err(Error::Syntax(_))
        ));
    }
}
