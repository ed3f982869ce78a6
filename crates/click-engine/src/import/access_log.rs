//! Web-server access logs in the combined format as clicks (SPEC §11): every request is a click,
//! its id the line number, its ad the path without query; user and price are unknown.

use super::columns::{Cells, Column};

/// Fills `cells` from line `number`.
///
/// # Errors
/// What of the format is missing.
pub fn parse(number: u64, line: &str, cells: &mut Cells) -> Result<(), String> {
    let (host, rest) = line.split_once(' ').ok_or("no host; expected the combined format")?;
    let (_, rest) = rest.split_once('[').ok_or("no [time]; expected the combined format")?;
    let (time, rest) = rest.split_once(']').ok_or("time without its closing ]")?;
    let (request, rest) = quoted(rest).ok_or("no \"request\" after the time")?;
    cells.clear();
    cells.set(Column::ClickId, &number.to_string());
    cells.set(Column::ReceivedAt, &epoch_ms(time)?.to_string());
    set_request(&request, cells)?;
    // A name instead of an address says nothing about the source: unknown.
    if host.parse::<std::net::IpAddr>().is_ok() {
        cells.set(Column::Ip, host);
    }
    if let Some((referrer, rest)) = quoted(rest) {
        cells.set(Column::Referrer, dash_is_empty(&referrer));
        if let Some((agent, _)) = quoted(rest) {
            cells.set(Column::UserAgent, dash_is_empty(&agent));
        }
    }
    Ok(())
}

fn set_request(request: &str, cells: &mut Cells) -> Result<(), String> {
    let mut words = request.split(' ').filter(|word| !word.is_empty());
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err("request has no method and path".to_owned());
    };
    cells.set(Column::Method, method);
    cells.set(Column::AdId, target.split('?').next().unwrap_or(target));
    Ok(())
}

fn dash_is_empty(value: &str) -> &str {
    if value == "-" { "" } else { value }
}

/// The next `"..."` of `text`, unescaped, and what follows. A missing end quote is the line's end.
fn quoted(text: &str) -> Option<(String, &str)> {
    let start = text.find('"')? + 1;
    let mut value = String::new();
    let mut chars = text[start..].char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[start + at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    Some((value, ""))
}

/// `17/May/2015:10:05:03 +0000` as milliseconds since 1970.
fn epoch_ms(time: &str) -> Result<u64, String> {
    const FORMAT: &str = "%d/%b/%Y:%H:%M:%S %z";
    let refuse = |why: &str| format!("time '{}' {why}", time.chars().take(64).collect::<String>());
    let parsed = jiff::fmt::strtime::parse(FORMAT, time).and_then(|parsed| parsed.to_timestamp());
    let instant = parsed.map_err(|_| refuse("is not like 17/May/2015:10:05:03 +0000"))?;
    u64::try_from(instant.as_millisecond()).map_err(|_| refuse("is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[(Column, Option<&str>)]) {
        let mut cells = Cells::default();
        parse(7, line, &mut cells).unwrap();
        for (column, value) in expected {
            assert_eq!(cells.get(*column), *value, "{column:?} of {line}");
        }
    }

    #[test]
    fn a_combined_line_is_a_click() {
        let line = concat!(
            r#"83.149.9.216 - frank [17/May/2015:10:05:03 +0100] "GET /a/b?c=d HTTP/1.1" "#,
            r#"200 203 "http://x/" "Mozilla \"5\"""#,
        );
        check(
            line,
            &[
                (Column::ClickId, Some("7")),
                (Column::AdId, Some("/a/b")),
                (Column::Method, Some("GET")),
                (Column::ReceivedAt, Some("1431853503000")),
                (Column::Ip, Some("83.149.9.216")),
                (Column::Referrer, Some("http://x/")),
                (Column::UserAgent, Some("Mozilla \"5\"")),
                (Column::UserId, None),
            ],
        );
    }

    #[test]
    fn dashes_are_empty_and_names_are_unknown() {
        let line =
            r#"crawler.example - - [17/May/2015:10:05:03 +0000] "HEAD / HTTP/1.0" 200 - "-" "-""#;
        check(
            line,
            &[
                (Column::Ip, None),
                (Column::Method, Some("HEAD")),
                (Column::Referrer, None),
                (Column::UserAgent, Some("")),
            ],
        );
    }

    #[test]
    fn a_missing_end_quote_ends_with_the_line() {
        let line =
            r#"::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 1 "-" "half an agent"#;
        check(line, &[(Column::UserAgent, Some("half an agent"))]);
        let common = r#"::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 1"#;
        check(common, &[(Column::UserAgent, None), (Column::Ip, Some("::1"))]);
    }

    #[test]
    fn other_lines_are_refused() {
        for (line, expected) in [
            ("nonsense", "no host"),
            ("1.1.1.1 - -", "no [time]"),
            ("1.1.1.1 - - [x", "closing ]"),
            (r#"1.1.1.1 - - [x] "GET / HTTP/1.1""#, "is not like"),
            ("1.1.1.1 - - [17/May/2015:10:05:03 +0000] 200", "no \"request\""),
            (r#"1.1.1.1 - - [17/May/2015:10:05:03 +0000] "-" 408"#, "no method and path"),
            (r#"1.1.1.1 - - [17/May/1915:10:05:03 +0000] "GET / HTTP/1.1" 200"#, "before 1970"),
        ] {
            let reason = parse(1, line, &mut Cells::default()).unwrap_err();
            assert!(reason.contains(expected), "{line}: {reason}");
        }
    }
}
