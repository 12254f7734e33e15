//! The headers of a captured request, as people have them in a file.
//!
//! # Invariants
//! - Pure. Any bytes give headers or a sentence that names the line.

/// No request that the relay takes has more.
pub(super) const LARGEST: usize = 128 * 1024;

/// What nginx writes before a header in its debug log.
const NGINX: &str = "http header: \"";

/// A header: its name, and its value without the white space around it.
pub(super) type Header = (String, Vec<u8>);

/// Reads `Name: value` lines; those of `curl -v` (`> Name: value`, all else left out), and of
/// nginx's debug log. A request line before them is left out, and so is what stands below an empty
/// line. A line that begins with white space goes on with the one before.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Header>, String> {
    if text.len() > LARGEST {
        return Err("it is larger than 128 KiB; no request's headers are".to_owned());
    }
    // A value may have any bytes; each is a character here, and becomes that byte again.
    let text: String = text.iter().map(|byte| char::from(*byte)).collect();
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    let lines: Vec<(usize, &str)> = lines.enumerate().map(|(at, line)| (at + 1, line)).collect();
    let of_curl = lines.iter().any(|(_, line)| line.starts_with("> "));
    let of_nginx = !of_curl && lines.iter().any(|(_, line)| line.contains(NGINX));
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut begun = false;
    for (at, line) in lines {
        let line = if of_curl {
            match line.strip_prefix('>') {
                Some(line) => line.strip_prefix(' ').unwrap_or(line),
                None => continue,
            }
        } else if of_nginx {
            match in_nginx(line) {
                Some(line) => line,
                None => continue,
            }
        } else {
            line
        };
        if bare(line).is_empty() {
            if headers.is_empty() {
                continue;
            }
            break;
        }
        if line.starts_with([' ', '\t']) {
            let Some((_, value)) = headers.last_mut() else {
                return Err(format!(
                    "line {at}: it goes on with a header, and there is none before it"
                ));
            };
            value.push(' ');
            value.push_str(bare(line));
            continue;
        }
        if !std::mem::replace(&mut begun, true) && is_request_line(line) {
            continue;
        }
        // HTTP/2 has method and path as `:method` and `:path`.
        if line.starts_with(':') {
            continue;
        }
        let header = line.split_once(':').filter(|(name, _)| is_name(name));
        let Some((name, value)) = header else {
            return Err(format!(
                "line {at}: write headers as `Name: value`, one a line"
            ));
        };
        headers.push((name.to_owned(), bare(value).to_owned()));
    }
    if headers.is_empty() {
        return Err("it has no headers: write them as `Name: value`, one a line".to_owned());
    }
    let bytes = |value: String| value.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    let headers = headers.into_iter();
    Ok(headers.map(|(name, value)| (name, bytes(value))).collect())
}

/// Without the white space around it; what looks like other white space is a byte of a value.
fn bare(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The header in a line of nginx's debug log.
fn in_nginx(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(NGINX)?;
    let (header, _) = rest.rsplit_once('"')?;
    Some(header)
}

/// `POST /hooks/x HTTP/1.1`, and what a server begins with.
fn is_request_line(line: &str) -> bool {
    let last = line.rsplit(' ').next().unwrap_or_default();
    last.starts_with("HTTP/") || line.starts_with("HTTP/")
}

fn is_name(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let headers = parse(text.as_bytes())?.into_iter();
        Ok(headers
            .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn headers_are_read_however_they_were_written_down() {
        let both = || Ok(vec![pair("Host", "a:1"), pair("X-Sig", "sha256=0 ü")]);
        for text in [
            "Host: a:1\nX-Sig: sha256=0 ü",
            "Host: a:1\r\nX-Sig: sha256=0 ü\r\n\r\n{\"not\": \"read\"}",
            "POST /hooks/x HTTP/1.1\r\nHost:a:1\r\nX-Sig:   sha256=0 ü \r\n",
            "\n\nHost: a:1\nX-Sig: sha256=0\n  ü\n",
            "* Connected to a\n> POST / HTTP/1.1\n> Host: a:1\n> X-Sig: sha256=0 ü\n>\n} [2 bytes data]\n< HTTP/1.1 200 OK\n< Server: b\n",
            "> Host: a:1\r\n> X-Sig: sha256=0 ü\r\n> \r\n",
            ":method: POST\n:path: /x\nHost: a:1\nX-Sig: sha256=0 ü\n",
            "2026/02/03 09:14:07 [debug] 7#7: *1 http process request header line\n\
             2026/02/03 09:14:07 [debug] 7#7: *1 http header: \"Host: a:1\"\n\
             2026/02/03 09:14:07 [debug] 7#7: *1 http header: \"X-Sig: sha256=0 ü\"\n\
             2026/02/03 09:14:07 [debug] 7#7: *1 http header done\n",
        ] {
            assert_eq!(read(text), both(), "{text:?}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_stays_twice_and_one_without_a_value_stays() {
        let twice = read("a: 1\nA: 2\nb:\n").unwrap();
        assert_eq!(twice, [pair("a", "1"), pair("A", "2"), pair("b", "")]);
    }

    #[test]
    fn what_is_no_header_is_refused_with_its_line() {
        for (text, says) in [
            ("a: 1\nno header\n", "line 2: "),
            ("a b: 1\n", "line 1: "),
            (": 1\na\n", "line 2: "),
            (" a: 1\n", "line 1: "),
            ("", "no headers"),
            ("POST / HTTP/1.1\n\n{}", "line 3: "),
            ("* curl\n> \n", "no headers"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(says), "{text:?}: {refused}");
        }
        let long = format!("a: {}", "x".repeat(LARGEST));
        assert!(read(&long).unwrap_err().contains("128 KiB"));
    }

    #[test]
    fn a_value_keeps_its_bytes() {
        let headers = parse(b"a: \xff\x80b\xa0 \n").unwrap();
        assert_eq!(headers, [("a".to_owned(), b"\xff\x80b\xa0".to_vec())]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "[> a:\r\n\t\"/]{0,60}") {
            drop(parse(&bytes));
            drop(parse(text.as_bytes()));
        }
    }
}
