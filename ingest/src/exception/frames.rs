//! The frames of a stack trace: where, which function, and whether the code is the application's.
//!
//! A frame is known by the shape of its line, whatever the language of the lines around it. Line and
//! column numbers, addresses and arguments are no part of a frame. At most [`FRAMES_MAX`] frames are
//! read, from the side of the trace where the exception was raised.

use super::in_app;
use super::lines;
use super::normalise::{basename, function, qualified};
use crate::digits::is_digits;
use crate::limits::{FRAME_LINE_BYTES_MAX, FRAMES_MAX};

/// A frame of a stack trace, normalised: the same for every run and build of the same code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Package, class or name of the file; may be empty.
    pub module: String,
    /// Function or method; may be empty.
    pub function: String,
    /// Whether it is the application's own code and not a library's or the runtime's.
    pub in_app: bool,
}

/// Starts of lines that end the trace of the reported exception: what follows is another's.
const ENDS: [&str; 7] = [
    "Caused by: ",
    "Suppressed: ",
    "Wrapped by: ",
    "During handling of the above exception",
    "The above exception was the direct cause",
    "[cause]: ",
    "[errors]: ",
];

/// The frames of the reported exception, innermost first.
pub fn frames(stack: &str) -> Vec<Frame> {
    if let Some(start) =
        memchr::memmem::rfind(stack.as_bytes(), b"Traceback (most recent call last):")
    {
        return python(&stack[start..]);
    }
    if let Some(at) = goroutine(stack) {
        return go(&stack[at..]);
    }
    let mut frames = Vec::new();
    for line in lines(stack) {
        let line = stack[line].trim().trim_start_matches("! ");
        if !frames.is_empty() && ENDS.iter().any(|end| line.starts_with(end)) {
            break;
        }
        if line.len() > FRAME_LINE_BYTES_MAX {
            continue;
        }
        if let Some(frame) = frame(line) {
            push(&mut frames, frame);
        }
        if frames.len() == FRAMES_MAX {
            break;
        }
    }
    frames
}

/// A function that calls itself is one frame.
fn push(frames: &mut Vec<Frame>, frame: Frame) {
    if frames.last() != Some(&frame) {
        frames.push(frame);
    }
}

/// Whether a line is a frame of a form that is known, beyond the word `at`.
pub(super) fn is_known_frame(line: &str) -> bool {
    line.len() <= FRAME_LINE_BYTES_MAX
        && (line.starts_with("... ") || frame(line.trim_start_matches("! ")).is_some())
}

fn frame(line: &str) -> Option<Frame> {
    if let Some(rest) = line.strip_prefix("at ") {
        return at(rest);
    }
    firefox(line)
        .or_else(|| numbered(line))
        .or_else(|| ruby(line))
        .or_else(|| elixir(line))
        .or_else(|| perl(line))
        .or_else(|| lua(line))
}

fn made(module: &str, function_name: &str, place: &str, language: in_app::Language) -> Frame {
    Frame {
        in_app: in_app::is(language, module, place),
        module: qualified(module),
        function: function(function_name),
    }
}

/// `at …` of Java, .NET and JavaScript.
fn at(rest: &str) -> Option<Frame> {
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let Some((name, inner)) = called(rest) else {
        return at_place(rest);
    };
    if is_java(inner) {
        return java(name);
    }
    if is_position(inner) {
        return Some(javascript(name.trim_end(), inner));
    }
    // Mono writes a space before the arguments.
    let name = name.strip_suffix(' ').unwrap_or(name);
    if name.contains(' ') {
        return None;
    }
    let (module, method) = name.rsplit_once('.')?;
    // A constructor or a nested method is written with two points.
    let (module, method) = match module.strip_suffix('.') {
        Some(module) => (module, method),
        None => (module, method),
    };
    Some(made(module, method, "", in_app::Language::DotNet))
}

/// Splits `name(inner) …` at the bracket that opens the arguments or the place.
fn called(text: &str) -> Option<(&str, &str)> {
    // A JavaScript place stands last and in brackets after a space.
    if text.ends_with(')')
        && let Some(open) = text.rfind(" (")
        && is_position(&text[open + 2..text.len() - 1])
    {
        return Some((&text[..open + 1], &text[open + 2..text.len() - 1]));
    }
    let open = text.find('(')?;
    let close = open + text[open..].rfind(')')?;
    (open > 0).then(|| (&text[..open], &text[open + 1..close]))
}

/// `app.js:1:2`, `<anonymous>:8:9`, `native`, `index 0`.
fn is_position(inner: &str) -> bool {
    let mut parts = inner.rsplitn(3, ':');
    let numbers = parts.next().is_some_and(is_digits) && parts.next().is_some_and(is_digits);
    numbers
        || matches!(inner, "native" | "<anonymous>" | "native code")
        || inner.starts_with("eval at ")
}

/// `Pay.java:12`, `Unknown Source`, `Native Method`, `NO_SOURCE_FILE:1`.
fn is_java(inner: &str) -> bool {
    let file = inner.split(':').next().unwrap_or(inner);
    let known = ["java", "kt", "kts", "scala", "groovy", "clj", "cljc"];
    let extension = file.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| known.contains(&extension))
        || matches!(
            inner,
            "Unknown Source" | "Native Method" | "<generated>" | "NO_SOURCE_FILE"
        )
}

/// `java.base/java.lang.Thread.run`, `app//c.f.Pay.charge`, `c.f.Pay$$Lambda$14/0x0000.run`.
fn java(name: &str) -> Option<Frame> {
    if name.contains("$$Lambda") {
        return None;
    }
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    let (module, method) = name.rsplit_once('.')?;
    Some(made(module, method, "", in_app::Language::Java))
}

fn javascript(name: &str, place: &str) -> Frame {
    let name = name.split(" [as ").next().unwrap_or(name);
    let name = name.strip_prefix("new ").unwrap_or(name);
    // The object in front depends on how it was called.
    let name = name.rsplit_once('.').map_or(name, |(_, method)| method);
    let name = match name {
        "<anonymous>" | "eval" | "Anonymous function" => "",
        name => name.trim_end_matches(')'),
    };
    made(&file_of(place), name, place, in_app::Language::JavaScript)
}

/// `at /srv/app.js:1:2`, `at https://host/app.js:1:2`, without a function; Rust's own lines `at
/// ./a.rs:3:9` belong to the line before.
fn at_place(rest: &str) -> Option<Frame> {
    if !rest.contains(':') || !is_position(rest) || rest.contains(".rs:") {
        return None;
    }
    Some(javascript("", rest))
}

/// Firefox and Safari: `name@https://host/app.js:1:2`.
fn firefox(line: &str) -> Option<Frame> {
    let (name, place) = line.split_once('@')?;
    let spaced = name.contains(' ');
    (!spaced && is_position(place) && (place.contains("://") || place.starts_with('/')))
        .then(|| javascript(name.trim_end_matches("/<"), place))
}

/// The name of the file of a position, without host, folders, query and numbers.
fn file_of(place: &str) -> String {
    let mut parts = place.rsplitn(3, ':');
    let path = parts.nth(2).unwrap_or(place);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    basename(path)
}

/// Frames with a number: PHP and Dart `#0 …`, GDB `#0  0x… in f (…) at a.c:1`, Boost `0# f(int) at a.cc:1`,
/// Rust `4: a::main`.
fn numbered(line: &str) -> Option<Frame> {
    let (number, rest) = match line.strip_prefix('#') {
        Some(rest) => rest.split_once(' ')?,
        None => line.split_once("# ").or_else(|| line.split_once(": "))?,
    };
    if !is_digits(number) {
        return None;
    }
    let rest = rest.trim_start();
    if !line.starts_with('#') {
        return native(rest);
    }
    dart(rest).or_else(|| php(rest)).or_else(|| native(rest))
}

/// `main.<anonymous closure> (file:///a.dart:1:2)`
fn dart(rest: &str) -> Option<Frame> {
    let (name, place) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    if !place.contains(".dart") && !place.starts_with("dart:") {
        return None;
    }
    let file = place.split(".dart").next().unwrap_or(place);
    Some(made(&basename(file), name, place, in_app::Language::Dart))
}

/// `/srv/app.php(5): App\Pay->charge(1)`, `[internal function]: f()`, `{main}`
fn php(rest: &str) -> Option<Frame> {
    if rest == "{main}" {
        return None;
    }
    let (place, call) = rest.split_once(": ")?;
    let file = place.split('(').next().unwrap_or(place);
    // Since PHP 8.4 the name of a closure holds its place.
    if let Some((module, _)) = call.split_once("{closure") {
        let module = module.trim_end_matches('\\');
        return Some(made(module, "{closure}", place, in_app::Language::Php));
    }
    let call = call.split('(').next().unwrap_or(call);
    let (class, method) = call
        .rsplit_once("->")
        .or_else(|| call.rsplit_once("::"))
        .unwrap_or(("", call));
    let class = class.split('@').next().unwrap_or(class);
    let file_name = basename(file);
    let module = if class.is_empty() { &file_name } else { class };
    Some(made(module, method, place, in_app::Language::Php))
}

/// `core::panicking::panic_fmt`, `0x00007f in std::vector<int>::at (this=…) at v.cc:3`, `f(int) at a.cc:1`
fn native(rest: &str) -> Option<Frame> {
    let name = match rest.strip_prefix("0x") {
        Some(rest) => {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            let after = after.trim_start_matches(['-', ' ']);
            after.strip_prefix("in ").unwrap_or(after).trim_start()
        }
        None => rest,
    };
    let name = name.split(" at ").next().unwrap_or(name);
    let name = without_arguments(name);
    let plain = name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '<'));
    if !plain || (name.contains(' ') && !name.contains("::")) {
        return None;
    }
    let name = without_hash(name);
    let (module, function) = name.rsplit_once("::").unwrap_or(("", name));
    Some(made(module, function, "", in_app::Language::Native))
}

/// Without the `::h0123456789abcdef` of a mangled Rust name.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && super::parameterise::is_hex(hash) => name,
        _ => name,
    }
}

/// Without arguments and what follows them.
fn without_arguments(name: &str) -> &str {
    let end = name
        .char_indices()
        .skip(1)
        .find(|(_, c)| *c == '(')
        .map_or(name.len(), |(at, _)| at);
    name[..end].trim_end()
}

/// `from app.rb:9:in 'Pay#charge'`, `app.rb:6:in `f': message`
fn ruby(line: &str) -> Option<Frame> {
    let line = line.strip_prefix("from ").unwrap_or(line);
    let at = line.find(":in `").or_else(|| line.find(":in '"))?;
    let name = &line[at + 5..];
    let name = &name[..name.find('\'')?];
    // `block (2 levels) in f`: how deep it is changes with the code around it.
    let name = match name.rsplit_once(" in ") {
        Some((_, outer)) => outer,
        None => name,
    };
    let place = line[..at]
        .rsplit_once(':')
        .map_or(&line[..at], |(file, _)| file);
    Some(made(&basename(place), name, place, in_app::Language::Ruby))
}

/// `(elixir 1.14.0) lib/code.ex:1245: Code.require_file/2`, `a.exs:5: Pay.charge/1`
fn elixir(line: &str) -> Option<Frame> {
    let (place, name) = line.rsplit_once(": ")?;
    let (file, number) = place.rsplit_once(':')?;
    let extension = file.ends_with(".ex") || file.ends_with(".exs") || file.ends_with(".erl");
    if !extension || !is_digits(number) {
        return None;
    }
    let call = without_arguments(name);
    let (module, function) = call.rsplit_once('.').unwrap_or(("", call));
    Some(made(module, function, place, in_app::Language::Elixir))
}

/// `main::charge(7) called at pay.pl line 12`
fn perl(line: &str) -> Option<Frame> {
    let (call, place) = line.split_once(" called at ")?;
    let (file, _) = place.split_once(" line ")?;
    let name = without_arguments(call);
    let (module, function) = name.rsplit_once("::").unwrap_or(("", name));
    Some(made(module, function, file, in_app::Language::Perl))
}

/// `a.lua:1: in upvalue 'f'`, `a.lua:3: in main chunk`, `[C]: in ?`
fn lua(line: &str) -> Option<Frame> {
    let (place, what) = line.split_once(": in ")?;
    let file = place.split(':').next().unwrap_or(place);
    if !file.ends_with(".lua") && file != "[C]" {
        return None;
    }
    let name = what
        .split_once('\'')
        .and_then(|(_, rest)| rest.split_once('\''))
        .map_or("", |(name, _)| name);
    let name = if what == "main chunk" { what } else { name };
    Some(made(&basename(file), name, file, in_app::Language::Lua))
}

/// `File "app/pay.py", line 3, in charge`; the last call stands last.
fn python(section: &str) -> Vec<Frame> {
    let mut found: Vec<Frame> = Vec::new();
    for line in lines(section).skip(1) {
        let line = section[line].trim_start_matches(['|', ' ']);
        if ENDS.iter().any(|end| line.starts_with(end)) {
            break;
        }
        let Some((path, rest)) = line
            .strip_prefix("File \"")
            .filter(|line| line.len() <= FRAME_LINE_BYTES_MAX)
            .and_then(|line| line.split_once("\", line "))
        else {
            continue;
        };
        let name = rest
            .split_once(", in ")
            .map_or("", |(_, name)| name.trim_end());
        let file = basename(path);
        let module = file.strip_suffix(".py").unwrap_or(&file);
        push(
            &mut found,
            made(module, name, path, in_app::Language::Python),
        );
    }
    let skip = found.len().saturating_sub(FRAMES_MAX);
    found.drain(..skip);
    found.reverse();
    found
}

/// Where the line `goroutine 1 [running]:` stands.
fn goroutine(stack: &str) -> Option<usize> {
    let word = "goroutine ";
    let at = memchr::memmem::find(stack.as_bytes(), word.as_bytes())?;
    let rest = stack[at + word.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
    rest.starts_with(" [").then_some(at)
}

/// The stack of the first goroutine: a function, and on the next line its place.
fn go(section: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut all = lines(section).skip(1).map(|line| &section[line]).peekable();
    while let Some(line) = all.next() {
        if line.trim().is_empty() || frames.len() == FRAMES_MAX {
            break;
        }
        let place = all.peek().copied().unwrap_or_default();
        let call = line.strip_prefix("created by ").unwrap_or(line);
        let call = call.split(" in goroutine ").next().unwrap_or(call);
        if call.starts_with(['\t', ' ']) || call.len() > FRAME_LINE_BYTES_MAX {
            continue;
        }
        let name = go_name(call);
        let dot = name.rfind('/').map_or(0, |at| at + 1);
        let Some(package) = name[dot..].find('.') else {
            continue;
        };
        let (module, function) = (&name[..dot + package], &name[dot + package + 1..]);
        push(
            &mut frames,
            made(module, function, place.trim(), in_app::Language::Go),
        );
    }
    frames
}

/// `main.(*Pay).Charge(0xc0001, {0x1, 0x2})` without its arguments: the last bracket that is closed at
/// the end of the line.
fn go_name(call: &str) -> &str {
    if !call.ends_with(')') {
        return call;
    }
    let mut depth = 0usize;
    for (at, byte) in call.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &call[..at];
        }
    }
    call
}
