//! JSON text, written in another of the usual ways: without a value being built of it.
//!
//! # Invariants
//! - Pure: only white space outside strings changes. Any bytes give bytes or nothing, bounded.

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Without white space, as JavaScript writes it.
    Compact,
    /// A space behind each comma and colon, as Python writes it.
    Spaced,
    /// A line for each member, with so many spaces for each level.
    Indented(usize),
}

/// Nothing deeper is written anew, and nothing that becomes longer.
const DEEPEST: usize = 128;
const LONGEST: usize = 32 * 1024 * 1024;

/// The same JSON in this layout; none where it is too deep, or would be too long.
pub(super) fn lay_out(json: &[u8], layout: Layout) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut rest = json.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if out.len() > LONGEST {
            return None;
        }
        if in_string {
            out.push(byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            _ if is_space(byte) => {}
            b'{' | b'[' => {
                out.push(byte);
                while rest.next_if(|next| is_space(*next)).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(end);
                    continue;
                }
                depth += 1;
                if depth > DEEPEST {
                    return None;
                }
                new_line(&mut out, layout, depth);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, layout, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                if layout == Layout::Spaced {
                    out.push(b' ');
                }
                new_line(&mut out, layout, depth);
            }
            b':' => {
                out.push(byte);
                if layout != Layout::Compact {
                    out.push(b' ');
                }
            }
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    Some(out)
}

fn new_line(out: &mut Vec<u8>, layout: Layout, depth: usize) {
    if let Layout::Indented(spaces) = layout {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth.saturating_mul(spaces)));
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMPACT: &str = r#"{"a":[1,{"b c":"x, y: \" {"}],"e":{},"f":[],"n":-0.50}"#;

    fn laid(json: &str, layout: Layout) -> String {
        String::from_utf8(lay_out(json.as_bytes(), layout).unwrap()).unwrap()
    }

    #[test]
    fn each_layout_is_what_the_usual_writers_give() {
        insta::assert_snapshot!(laid(COMPACT, Layout::Spaced), @r#"{"a": [1, {"b c": "x, y: \" {"}], "e": {}, "f": [], "n": -0.50}"#);
        insta::assert_snapshot!(laid(COMPACT, Layout::Indented(2)), @r#"
        {
          "a": [
            1,
            {
              "b c": "x, y: \" {"
            }
          ],
          "e": {},
          "f": [],
          "n": -0.50
        }
        "#);
    }

    #[test]
    fn every_layout_leads_back_to_every_other() {
        for first in [Layout::Spaced, Layout::Indented(2), Layout::Indented(4)] {
            assert_eq!(
                laid(&laid(COMPACT, first), Layout::Compact),
                COMPACT,
                "{first:?}"
            );
        }
    }

    #[test]
    fn what_is_too_deep_is_left() {
        let deep = "[".repeat(DEEPEST + 1) + "1";
        assert_eq!(lay_out(deep.as_bytes(), Layout::Indented(4)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            for layout in [Layout::Compact, Layout::Spaced, Layout::Indented(4)] {
                lay_out(&bytes, layout);
            }
        }
    }
}
