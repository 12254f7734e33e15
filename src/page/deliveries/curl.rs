//! A request as a command for a shell, with variables in the place of secrets.
//!
//! # Invariants
//! - Pure. Whatever stands in a request, a POSIX shell reads it as the same text, and runs nothing
//!   of it but `curl` (and `printf`, for what no eye can see).
//! - No secret is in it: what is `***` in the request is a variable.

use std::fmt::Write as _;

use crate::relay::deliver::preview::PreviewedRequest;

/// What the request shows in the place of a secret.
const HIDDEN: &str = "***";
/// A command line takes no longer text, in bytes.
const LONGEST_BODY: usize = 100_000;

/// The command; or why there is none.
pub(super) fn command(request: &PreviewedRequest) -> Result<String, &'static str> {
    match request.method {
        "" => {
            return Err(
                "The template is another one by now: with which method and headers it went is not \
                 kept.",
            );
        }
        "PUBLISH" => return Err("It goes to a broker, which curl does not speak to."),
        _ => {}
    }
    let body = request.body.as_deref();
    if body.is_some_and(|body| body.len() > LONGEST_BODY) {
        return Err("Its body is too long for a command.");
    }
    let mut command = format!("curl --globoff --request {}", request.method);
    add(&mut command, "--url", &url(&request.url))?;
    let mut has_type = false;
    for (name, value) in &request.headers {
        has_type |= name.eq_ignore_ascii_case("content-type");
        let head = format!("{name}: ");
        let parts = match &**value {
            HIDDEN => vec![Part::Text(&head), Part::Secret(variable(name))],
            // Without a value the header would be left out.
            "" => vec![Part::Text(name), Part::Text(";")],
            value => vec![Part::Text(&head), Part::Text(value)],
        };
        add(&mut command, "--header", &parts)?;
    }
    if let Some(body) = body {
        if !has_type {
            add(&mut command, "--header", &[Part::Text("Content-Type:")])?;
        }
        add(&mut command, "--data-raw", &[Part::Text(body)])?;
    }
    Ok(command)
}

/// The variables that a command needs.
pub(super) fn variables(request: &PreviewedRequest) -> Vec<String> {
    let secret = |part: &Part<'_>| match part {
        Part::Secret(name) => Some(name.clone()),
        Part::Text(_) => None,
    };
    let of_url = url(&request.url);
    let of_url = of_url.iter().filter_map(secret);
    let headers = request.headers.iter();
    let of_headers = headers.filter(|(_, value)| value == HIDDEN);
    let mut all: Vec<_> = of_url
        .chain(of_headers.map(|(name, _)| variable(name)))
        .collect();
    all.dedup();
    all
}

enum Part<'a> {
    Text(&'a str),
    /// The variable that holds it.
    Secret(String),
}

fn add(command: &mut String, option: &str, parts: &[Part<'_>]) -> Result<(), &'static str> {
    command.push_str(" \\\n  ");
    command.push_str(option);
    command.push(' ');
    for part in parts {
        match part {
            Part::Text(text) => quote(command, text)?,
            Part::Secret(name) => {
                command.push_str("\"$");
                command.push_str(name);
                command.push('"');
            }
        }
    }
    Ok(())
}

/// What of a URL is hidden is the destination's own path, or its own query.
fn url(url: &str) -> Vec<Part<'_>> {
    let behind_scheme = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at_checked(behind_scheme).unwrap_or(("", url));
    let host = rest.find('/').unwrap_or(rest.len());
    let (origin, mut path) = url
        .split_at_checked(scheme.len() + host)
        .unwrap_or((url, ""));
    let mut parts = vec![Part::Text(origin)];
    if let Some(behind) = path.strip_prefix("/***") {
        parts.push(Part::Text("/"));
        parts.push(Part::Secret("SECRET_PATH".to_owned()));
        path = behind;
    }
    match path.strip_suffix("?***") {
        Some(before) => {
            parts.push(Part::Text(before));
            parts.push(Part::Text("?"));
            parts.push(Part::Secret("SECRET_QUERY".to_owned()));
        }
        None => parts.push(Part::Text(path)),
    }
    parts
}

/// `SECRET_X_API_KEY` of `x-api-key`.
fn variable(header: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = header.chars().map(plain).collect();
    format!("SECRET_{name}")
}

/// The text as one word, or a part of one.
fn quote(command: &mut String, text: &str) -> Result<(), &'static str> {
    command.push('\'');
    for c in text.chars() {
        match c {
            '\0' => return Err("It holds a zero byte, which no command line takes."),
            '\'' => command.push_str("'\\''"),
            '\n' | '\t' => command.push(c),
            c if is_unseen(c) => {
                command.push_str("'\"$(printf '");
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // A text takes all that is written to it.
                    write!(command, "\\{byte:03o}").ok();
                }
                command.push_str("')\"'");
            }
            c => command.push(c),
        }
    }
    command.push('\'');
    Ok(())
}

/// What a screen, a field or a terminal would change or hide: controls, and what turns the
/// direction of a text.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn request(url: &str, headers: &[(&str, &str)], body: Option<&str>) -> PreviewedRequest {
        let headers = headers.iter();
        PreviewedRequest {
            step: "send".into(),
            round: "send".into(),
            adds: false,
            frozen: true,
            when: None,
            method: "POST",
            url: url.into(),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.map(str::to_owned),
        }
    }

    /// The words that a shell makes of a command, in the place of `curl`.
    fn words(command: &str) -> Vec<String> {
        let words = command.strip_prefix("curl ").unwrap();
        let script = format!("printf '%s\\000' {words}");
        let run = Command::new("sh")
            .args(["-c", &script])
            .env("SECRET_AUTHORIZATION", "Bearer $(id) ' \" * x")
            .env("SECRET_PATH", "hook/9")
            .env("SECRET_QUERY", "k=v")
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        assert!(run.stderr.is_empty(), "{run:?}");
        let text = String::from_utf8(run.stdout).unwrap();
        let words = text.strip_suffix('\0').unwrap().split('\0');
        words.map(str::to_owned).collect()
    }

    const HOSTILE: [&str; 18] = [
        "'",
        "'; touch /tmp/owned; '",
        "$(id)",
        "`id`",
        "\"$HOME\"",
        "\\",
        "\\'",
        "'\\''",
        "-o /etc/passwd",
        "@/etc/passwd",
        "a\nb\n",
        "\r\n\t\u{1b}[2J\u{7f}\u{85}",
        "\u{202e}txt.exe\u{2066}\u{feff}\u{200b}",
        "!history !!",
        "{a,b}[1-9]*?~#&|<>()%s%n",
        "日本語 é 🦀",
        "",
        "  ",
    ];

    #[test]
    fn a_shell_reads_every_hostile_body_and_header_as_the_same_text() {
        for hostile in HOSTILE {
            let headers = [("content-type", "text/plain"), ("x-name", hostile)];
            let command = command(&request("https://cmms/a", &headers, Some(hostile))).unwrap();
            let header = if hostile.is_empty() {
                "x-name;".to_owned()
            } else {
                format!("x-name: {hostile}")
            };
            let expected = [
                "--globoff",
                "--request",
                "POST",
                "--url",
                "https://cmms/a",
                "--header",
                "content-type: text/plain",
                "--header",
                &header,
                "--data-raw",
                hostile,
            ];
            assert_eq!(words(&command), expected, "{command}");
            let seen = |c: char| !is_unseen(c) || c == '\n' || c == '\t';
            assert!(command.chars().all(seen), "{command:?}");
        }
    }

    #[test]
    fn a_shell_reads_every_hostile_url_as_the_same_text() {
        for hostile in HOSTILE {
            let url = format!("https://cmms:8443/{hostile}?q={hostile}");
            let command = command(&request(&url, &[], None)).unwrap();
            assert_eq!(words(&command).last(), Some(&url), "{command}");
        }
    }

    #[test]
    fn secrets_are_variables_and_nothing_of_them_is_split_or_run() {
        let headers = [("authorization", HIDDEN), ("x", "y")];
        let one = request("https://cmms/***/tickets?***", &headers, Some("{}"));
        let text = command(&one).unwrap();
        assert!(!text.contains(HIDDEN), "{text}");
        let words = words(&text);
        assert_eq!(words[4], "https://cmms/hook/9/tickets?k=v");
        assert_eq!(words[6], "authorization: Bearer $(id) ' \" * x");
        assert_eq!(
            variables(&one),
            ["SECRET_PATH", "SECRET_QUERY", "SECRET_AUTHORIZATION"]
        );
        // Without a type of its own curl would name one.
        assert!(words.contains(&"Content-Type:".to_owned()), "{words:?}");
    }

    #[test]
    fn what_no_command_line_takes_is_said() {
        let base = request("https://cmms/", &[], Some("a\0b"));
        assert!(command(&base).unwrap_err().contains("zero byte"));
        let long = "x".repeat(LONGEST_BODY + 1);
        let long = request("https://cmms/", &[], Some(&long));
        assert!(command(&long).unwrap_err().contains("too long"));
        let other = PreviewedRequest {
            method: "",
            ..base.clone()
        };
        assert!(command(&other).unwrap_err().contains("not kept"));
        let broker = PreviewedRequest {
            method: "PUBLISH",
            ..base
        };
        assert!(command(&broker).unwrap_err().contains("broker"));
    }
}
