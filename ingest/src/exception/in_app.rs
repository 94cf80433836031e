//! Which frames are the application's own: by package in Java, .NET, Go and native code, by path
//! elsewhere.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Java,
    DotNet,
    JavaScript,
    Python,
    Go,
    Ruby,
    Php,
    Native,
    Dart,
    Elixir,
    Perl,
    Lua,
}

const JAVA: [&str; 30] = [
    "java.",
    "javax.",
    "jakarta.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "kotlinx.",
    "scala.",
    "groovy.",
    "clojure.",
    "android.",
    "androidx.",
    "com.android.",
    "dalvik.",
    "akka.",
    "reactor.",
    "io.netty.",
    "io.grpc.",
    "io.micrometer.",
    "io.undertow.",
    "org.springframework.",
    "org.apache.",
    "org.hibernate.",
    "org.eclipse.",
    "org.jboss.",
    "org.junit.",
    "org.postgresql.",
    "com.fasterxml.",
    "com.google.common.",
];
const DOTNET: [&str; 6] = [
    "System.",
    "Microsoft.",
    "Newtonsoft.",
    "MS.",
    "Mono.",
    "Npgsql.",
];
const NATIVE: [&str; 15] = [
    "std::",
    "core::",
    "alloc::",
    "__rustc",
    "__cxxabi",
    "__gnu_cxx",
    "__gxx",
    "tokio::",
    "futures",
    "hyper::",
    "tower::",
    "tracing",
    "anyhow::",
    "backtrace::",
    "boost::",
];
/// What the standard library's own implementations of traits, as Rust writes them, hold.
const IMPLEMENTED: [&str; 3] = [" as core::", " as std::", " as alloc::"];
/// Parts of paths under which libraries lie.
const FOLDERS: [&str; 15] = [
    "node_modules/",
    "node_modules\\",
    "site-packages/",
    "dist-packages/",
    "/lib/python",
    "/runtimes/python",
    "/gems/",
    "/lib/ruby/",
    "/vendor/",
    "\\vendor\\",
    "/pkg/mod/",
    "/goroot/",
    "/usr/lib/go",
    "/usr/local/go/",
    "/perl5/",
];
/// Starts of places that are the runtime's own.
const RUNTIMES: [&str; 14] = [
    "<frozen ",
    "<internal:",
    "<anonymous>",
    "[internal function]",
    "[C]",
    "native",
    "node:",
    "internal/",
    "dart:",
    "package:flutter/",
    "/usr/share/perl",
    "/usr/lib/",
    "webpack/",
    "??",
];
/// Applications of Erlang's and Elixir's own, and of the frameworks that most programs run on.
const BEAM: [&str; 14] = [
    "(elixir ",
    "(stdlib ",
    "(kernel ",
    "(erts ",
    "(mix ",
    "(iex ",
    "(ex_unit ",
    "(phoenix",
    "(plug",
    "(ecto",
    "(db_connection ",
    "(cowboy",
    "(bandit ",
    "(telemetry",
];
/// First parts of the packages of Go's standard library.
const GO: [&str; 44] = [
    "archive",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
];

/// Whether code of this module, at this place, is the application's.
pub(super) fn is(language: Language, module: &str, place: &str) -> bool {
    let starts = |known: &[&str]| known.iter().any(|start| module.starts_with(start));
    let outside = match language {
        Language::Java => starts(&JAVA),
        Language::DotNet => starts(&DOTNET),
        // A function without a module is the program's, or the C library's.
        Language::Native => starts(&NATIVE) || implemented(module),
        Language::Go => GO.contains(&module.split(['/', '.']).next().unwrap_or(module)),
        Language::Elixir => BEAM.iter().any(|start| place.starts_with(start)),
        Language::JavaScript
        | Language::Python
        | Language::Ruby
        | Language::Php
        | Language::Dart
        | Language::Perl
        | Language::Lua => false,
    };
    !outside
        && !FOLDERS.iter().any(|folder| place.contains(folder))
        && !RUNTIMES.iter().any(|start| place.starts_with(start))
}

/// `<alloc::vec::Vec<T,A> as core::ops::index::Index<I>>`
fn implemented(module: &str) -> bool {
    module.starts_with('<') && IMPLEMENTED.iter().any(|part| module.contains(part))
}
