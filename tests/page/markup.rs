//! Reading HTML as the relay writes it: attributes in double quotes, no comments.
//!
//! # Not here
//! - Whether it is good HTML: html-validate looks at that, in `tests/browser`.

/// A start tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    /// The text behind it, up to the next tag.
    pub(crate) text: String,
}

impl Tag {
    /// An attribute's value; empty for one without a value.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_str())
    }
}

/// All start tags and end tags, in order; the name of an end tag begins with `/`.
pub(crate) fn tags(html: &str) -> Vec<Tag> {
    let mut parts = html.split('<');
    // What stands before the first tag.
    parts.next();
    parts.map(tag).collect()
}

fn tag(part: &str) -> Tag {
    let (inside, text) = split_at_end(part);
    let name = inside.split_whitespace().next().unwrap_or_default();
    let mut attributes = Vec::new();
    let mut rest = inside[name.len()..].trim_start();
    while !rest.is_empty() && rest != "/" {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace());
        let (attribute, after) = rest.split_at(end.unwrap_or(rest.len()));
        let quoted = after.strip_prefix("=\"").and_then(|q| q.split_once('"'));
        let (value, after) = quoted.unwrap_or(("", after));
        attributes.push((attribute.to_owned(), unescape(value)));
        rest = after.trim_start();
    }
    Tag {
        name: name.to_lowercase(),
        attributes,
        text: unescape(text),
    }
}

/// The tag and what follows: a `>` in quotes ends nothing.
fn split_at_end(part: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = part.find(|c| {
        quoted ^= c == '"';
        c == '>' && !quoted
    });
    let end = end.unwrap_or_else(|| panic!("a tag without its end: <{part}"));
    (&part[..end], &part[end + 1..])
}

fn unescape(text: &str) -> String {
    let pairs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A form as it stands in a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Where it goes.
    pub(crate) action: String,
    pub(crate) is_multipart: bool,
    /// What it sends as it stands: fields with their values, without its buttons.
    pub(crate) fields: Vec<(String, String)>,
    /// Names and values of its buttons, and what stands on them.
    pub(crate) buttons: Vec<(Option<(String, String)>, String)>,
}

/// All forms that are posted.
pub(crate) fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open = false;
    let mut list: Option<(String, bool)> = None;
    for tag in tags(html) {
        let of = |name: &str| tag.attribute(name).map(str::to_owned);
        match tag.name.as_str() {
            "form" => {
                open = of("method").is_some_and(|method| method == "post");
                if open {
                    forms.push(Form {
                        action: of("action").unwrap_or_default(),
                        is_multipart: of("enctype").is_some_and(|e| e.contains("multipart")),
                        fields: Vec::new(),
                        buttons: Vec::new(),
                    });
                }
            }
            "/form" => open = false,
            "/select" => list = None,
            _ => {}
        }
        let Some(form) = forms.last_mut().filter(|_| open) else {
            continue;
        };
        let value = of("value").unwrap_or_default();
        match (tag.name.as_str(), of("name")) {
            ("input", Some(name)) => {
                let kind = of("type").unwrap_or_default();
                let chosen = !["checkbox", "radio"].contains(&&*kind) || of("checked").is_some();
                if chosen && kind != "file" {
                    form.fields.push((name, value));
                }
            }
            ("textarea", Some(name)) => form.fields.push((name, tag.text.clone())),
            ("select", Some(name)) => list = Some((name, false)),
            ("option", _) => {
                let value = of("value").unwrap_or_else(|| tag.text.trim().to_owned());
                if let Some((name, seen)) = &mut list {
                    // The first stands until another is selected.
                    if !*seen {
                        form.fields.push((name.clone(), value));
                        *seen = true;
                    } else if of("selected").is_some() {
                        form.fields.pop();
                        form.fields.push((name.clone(), value));
                    }
                }
            }
            ("button", name) => {
                let sent = name.map(|name| (name, value));
                form.buttons.push((sent, tag.text.trim().to_owned()));
            }
            _ => {}
        }
    }
    forms
}

#[test]
fn forms_are_read_as_a_browser_would_send_them() {
    let html = r#"<form method="get" action="/search"><input name="q"></form>
        <form method="post" action="/a?b=c&amp;csrf=d"><label>N <input name="n" value="a &quot;>b"></label>
        <input type="checkbox" name="off"><input type="checkbox" name="on" value="1" checked>
        <select name="s"><option value="x">X</option><option selected>y</option></select>
        <textarea name="t">a &lt; b</textarea><button name="do" value="it">Do it</button></form>
        <form method="post" enctype="multipart/form-data" action="/up"><input type="file" name="f"></form>"#;
    let [form, upload] = forms(html).try_into().unwrap();
    let fields = [("n", "a \">b"), ("on", "1"), ("s", "y"), ("t", "a < b")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form.action, "/a?b=c&csrf=d");
    assert_eq!(form.fields, fields);
    let sent = Some(("do".to_owned(), "it".to_owned()));
    assert_eq!(form.buttons, [(sent, "Do it".to_owned())]);
    assert!(upload.is_multipart && !form.is_multipart && upload.fields.is_empty());
}
