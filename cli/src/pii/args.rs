//! The command line of `hushlog pii`. The text of each argument's help is its documentation.

use clap::Subcommand;

use crate::args::ServerArgs;

/// What `pii` does.
#[derive(Debug, Subcommand)]
pub(crate) enum PiiCommand {
    /// Patterns that are masked beside the built-in detectors, on every node. A change is in force for
    /// every record accepted after the command has ended.
    #[command(subcommand)]
    Patterns(PatternsCommand),
    /// The built-in detectors: what each does with what it finds, and where it looks.
    #[command(subcommand)]
    Detectors(DetectorsCommand),
    /// Countries whose numbers (of identity cards, taxpayers, insurances) are looked for.
    #[command(subcommand)]
    Countries(CountriesCommand),
    /// Shows what holds for all rules, or changes it.
    Settings {
        /// Whether loopback and unspecified addresses stay as they are.
        #[arg(long, value_name = "true|false")]
        keep_loopback: Option<bool>,
        /// Whether addresses of private networks stay as they are.
        #[arg(long, value_name = "true|false")]
        keep_private: Option<bool>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Has `hash` go on with the next key. Questions for clear values find what every key has hashed; without
    /// the question, hashes of different keys cannot be told to be of the same value.
    RotateKey {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows how often each rule has found something, on all nodes since they were started.
    Findings {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows what masking does to a text; nothing of it is kept.
    Test {
        /// The text; none: standard input.
        text: Option<String>,
        /// The service that the text is taken to be of.
        #[arg(long)]
        service: Option<String>,
        /// Where the text is taken to stand: the name of a field, `message`, `host` [default: message]
        #[arg(long)]
        path: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What `pii patterns` does.
#[derive(Debug, Subcommand)]
pub(crate) enum PatternsCommand {
    /// Lists all patterns.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Adds a pattern: hushlog pii patterns add badge 'B-[0-9]{6}' --keyword badge
    Add {
        /// Its name; in `pii` and in masks it has lower-case letters, digits and `_` only.
        name: String,
        /// The regular expression (the language of Rust's `regex`).
        regex: String,
        /// What the pattern is changed and removed by [default: its name in masks]
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        members: Box<PatternArgs>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Changes a pattern; what is not given stays.
    Set {
        /// Which one.
        id: String,
        /// Its name.
        #[arg(long)]
        name: Option<String>,
        /// The regular expression.
        #[arg(long)]
        regex: Option<String>,
        #[command(flatten)]
        members: Box<PatternArgs>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Removes a pattern.
    Remove {
        /// Which one.
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What `pii detectors` does.
#[derive(Debug, Subcommand)]
pub(crate) enum DetectorsCommand {
    /// Lists all detectors.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Changes a detector; what is not given stays. One that is off goes on, unless `--active false` is given:
    /// hushlog pii detectors set email --strategy hash --service 'pay*'
    Set {
        /// Which one.
        name: String,
        #[command(flatten)]
        members: Box<RuleArgs>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Sets a detector back to what it does unless somebody says otherwise.
    Reset {
        /// Which one.
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What `pii countries` does.
#[derive(Debug, Subcommand)]
pub(crate) enum CountriesCommand {
    /// Lists all countries.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Has the numbers of a country looked for.
    Add {
        /// Its code in ISO 3166, such as DE.
        code: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Has them left, also those that other countries share with it.
    Remove {
        /// Its code in ISO 3166, such as DE.
        code: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What a pattern says beside its name and its expression.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct PatternArgs {
    /// What kind of data it finds, in your words.
    #[arg(long = "type", value_name = "TEXT")]
    pub(crate) pattern_type: Option<String>,
    /// The group of the expression that is the finding [default: the whole match]
    #[arg(long, value_name = "N")]
    pub(crate) capture: Option<u32>,
    /// A word that must stand near a match; may be given several times.
    #[arg(long = "keyword", value_name = "WORD")]
    pub(crate) keywords: Vec<String>,
    /// A word that must not stand near a match; may be given several times.
    #[arg(long = "not-keyword", value_name = "WORD")]
    pub(crate) keywords_except: Vec<String>,
    /// How far before a match words are looked for, in bytes [default: 30]
    #[arg(long, value_name = "BYTES")]
    pub(crate) before: Option<u16>,
    /// How far behind a match words are looked for, in bytes [default: 0]
    #[arg(long, value_name = "BYTES")]
    pub(crate) after: Option<u16>,
    /// A check that must hold for a match: luhn, card, iban, nanp, or the name of a detector.
    #[arg(long, value_name = "NAME")]
    pub(crate) validator: Option<String>,
    /// Of two findings of the same bytes that of the higher priority counts [default: 100]
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<u8>,
    #[command(flatten)]
    pub(crate) rule: RuleArgs,
}

/// What is done with findings, and where they are looked for.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RuleArgs {
    /// What is done with findings.
    #[arg(long, value_enum)]
    pub(crate) strategy: Option<Strategy>,
    /// What `redact` writes [default: the name in brackets]
    #[arg(long, value_name = "TEXT")]
    pub(crate) replacement: Option<String>,
    /// Whether findings are hidden, or only counted.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Only in this service, whole or with `*` at the end; may be given several times. Scopes that are given
    /// take the place of all that were.
    #[arg(long = "service", value_name = "NAME")]
    pub(crate) services: Vec<String>,
    /// Not in this service; may be given several times.
    #[arg(long = "not-service", value_name = "NAME")]
    pub(crate) services_except: Vec<String>,
    /// Only in this field, or at `message`, `host` and the like; may be given several times.
    #[arg(long = "field", value_name = "NAME")]
    pub(crate) fields: Vec<String>,
    /// Not in this field; may be given several times.
    #[arg(long = "not-field", value_name = "NAME")]
    pub(crate) fields_except: Vec<String>,
    /// In all services and fields again.
    #[arg(long, conflicts_with_all = ["services", "services_except", "fields", "fields_except"])]
    pub(crate) everywhere: bool,
    /// Leave this value; may be given several times. Values that are given take the place of all that were.
    #[arg(long = "allow", value_name = "VALUE")]
    pub(crate) allow: Vec<String>,
    /// Leave values that begin so; may be given several times.
    #[arg(long = "allow-prefix", value_name = "TEXT")]
    pub(crate) allow_prefix: Vec<String>,
    /// Leave values that end so; may be given several times.
    #[arg(long = "allow-suffix", value_name = "TEXT")]
    pub(crate) allow_suffix: Vec<String>,
    /// Leave no value any more.
    #[arg(long, conflicts_with_all = ["allow", "allow_prefix", "allow_suffix"])]
    pub(crate) allow_none: bool,
    /// Whether it is in force.
    #[arg(long, value_name = "true|false")]
    pub(crate) active: Option<bool>,
}

/// What is done with findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Strategy {
    /// A fixed text takes their place.
    Redact,
    /// A keyed hash takes their place: equal values stay equal.
    Hash,
    /// A part of them stays.
    PartialMask,
}

/// Whether findings are hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// They are hidden.
    Mask,
    /// They are counted and stay as they are.
    Observe,
}
