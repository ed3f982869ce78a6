//! Rules about one file: its length, its lines, its functions and the words it may not hold.
//!
//! Code is what people write and read as code. Lock files, licences and data are not; prose has
//! no line length, since a table's row is one line.

use super::File;

const MAX_LINES: usize = 500;
const MAX_COLUMNS: usize = 100;
const MAX_FUNCTION_LINES: usize = 70;

const CODE: [&str; 11] =
    ["rs", "js", "mjs", "css", "html", "py", "go", "java", "sql", "proto", "sh"];

/// Words that have no place in a file, with what to do instead. Written in two halves so that
/// this file does not complain about itself.
const BANNED: [(&str, &str, &str); 6] = [
    ("todo", "!(", "finish it or leave it out"),
    ("unimplemented", "!(", "finish it or leave it out"),
    ("dbg", "!(", "use tracing, or remove it"),
    ("#[ign", "ore]", "say why: #[ignore = \"reason\"]"),
    ("[all", "ow(", "use #[expect(lint, reason = \"...\")]"),
    ("/wo", "rk/", "a path of one machine"),
];

/// Applies every rule of this file.
pub(crate) fn check(file: &File, complaints: &mut Vec<String>) {
    let extension = file.extension();
    if CODE.contains(&extension) {
        length(file, complaints);
        columns(file, complaints);
    } else if extension == "md" {
        length(file, complaints);
    }
    if extension == "rs" {
        module_doc(file, complaints);
        functions(file, complaints);
    }
    banned(file, complaints);
}

fn length(file: &File, complaints: &mut Vec<String>) {
    let lines = file.text.lines().count();
    if lines >= MAX_LINES {
        complaints.push(format!("{}: {lines} lines; below {MAX_LINES} please", file.path));
    }
}

fn columns(file: &File, complaints: &mut Vec<String>) {
    for (number, line) in (1..).zip(file.text.lines()) {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS {
            complaints.push(format!("{}:{number}: {columns} columns", file.path));
        }
    }
}

fn module_doc(file: &File, complaints: &mut Vec<String>) {
    let first = file.text.lines().find(|line| !line.trim().is_empty());
    if !first.is_some_and(|line| line.starts_with("//!")) {
        complaints.push(format!("{}: begins without a module doc (//!)", file.path));
    }
}

/// Length from the line with `fn` to the brace that closes at its indentation, as rustfmt
/// lays code out.
fn functions(file: &File, complaints: &mut Vec<String>) {
    let lines: Vec<&str> = file.text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if !starts_function(code) || code.ends_with(';') || code.ends_with('}') {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let found = lines[at..].iter().position(|line| *line == end).map(|n| n + 1);
        let length = found.unwrap_or(0);
        if length > MAX_FUNCTION_LINES {
            let at = at + 1;
            complaints.push(format!("{}:{at}: a function of {length} lines", file.path));
        }
    }
}

fn starts_function(code: &str) -> bool {
    let mut rest = code;
    for before in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(before).unwrap_or(rest);
    }
    rest.starts_with("fn ")
}

fn banned(file: &File, complaints: &mut Vec<String>) {
    for (number, line) in (1..).zip(file.text.lines()) {
        for (one, two, instead) in BANNED {
            let word = format!("{one}{two}");
            if line.contains(&word) {
                complaints.push(format!("{}:{number}: `{word}`: {instead}", file.path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let mut complaints = Vec::new();
        check(&File { path: path.to_owned(), text: text.to_owned() }, &mut complaints);
        complaints
    }

    #[test]
    fn a_good_file_is_left_alone() {
        assert!(complaints("a.rs", "//! Doc.\nfn f() {}\n").is_empty());
        assert!(complaints("a.md", &"x".repeat(300)).is_empty());
    }

    #[test]
    fn each_rule_is_enforced() {
        let long_line = format!("//! Doc.\n// {}\n", "x".repeat(98));
        let long_file = format!("//! Doc.\n{}", "\n".repeat(499));
        let long_function = format!("//! Doc.\n    pub fn f() {{\n{}    }}\n", "\n".repeat(69));
        let cases = [
            ("columns", long_line),
            ("500 lines", long_file),
            ("a function of 71 lines", long_function),
            ("module doc", "fn f() {}\n".to_owned()),
            ("finish it", format!("//! Doc.\n{}{}\n", BANNED[0].0, BANNED[0].1)),
            ("one machine", format!("//! {}{}\n", BANNED[5].0, BANNED[5].1)),
        ];
        for (wanted, text) in cases {
            let found = complaints("a.rs", &text);
            assert!(found.len() == 1 && found[0].contains(wanted), "{wanted}: {found:?}");
        }
    }

    #[test]
    fn a_function_at_the_limit_passes() {
        let text = format!("//! Doc.\nfn f() {{\n{}}}\n", "\n".repeat(68));
        assert!(complaints("a.rs", &text).is_empty());
    }
}
