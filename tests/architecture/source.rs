//! One source file as the architecture sees it: which paths it names, and how much code it holds.
//!
//! # Invariants
//! - Comments and strings are never taken for code.
//! - A path is found wherever it stands: in `use` trees, expressions, attributes, macro calls.
//!
//! # Not here
//! What is allowed.

use std::collections::{BTreeSet, HashMap, HashSet};

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

/// A path as it was written, and where.
pub(crate) struct Named {
    pub(crate) parts: Vec<String>,
    /// It began with `::`, so its first part is an outside crate.
    outside: bool,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

/// What the tokens of one file hold.
pub(crate) struct Source<'a> {
    lines: Vec<&'a str>,
    /// The module that the walk is in, inline modules included.
    module: Vec<String>,
    /// Every path, in the order of the file.
    pub(crate) paths: Vec<Named>,
    /// What a name stands for since some `use`, wherever in the file that is.
    aliases: HashMap<String, Vec<String>>,
    /// Modules with a body in this file, and their lines.
    pub(crate) inline_modules: Vec<(String, usize)>,
    /// Modules that are declared here, with a body or without.
    declared: HashSet<String>,
    /// Lines with a token that is neither a comment nor part of a test.
    pub(crate) code_lines: BTreeSet<usize>,
    /// The first line with something else than a declaration of a module.
    pub(crate) more_than_a_map: Option<usize>,
}

impl<'a> Source<'a> {
    /// Reads the text of the file that holds `module`.
    pub(crate) fn read(text: &'a str, module: Vec<String>) -> Result<Self, proc_macro2::LexError> {
        let tokens = text.parse()?;
        let mut source = Self {
            lines: text.lines().collect(),
            module,
            paths: Vec::new(),
            aliases: HashMap::new(),
            inline_modules: Vec::new(),
            declared: HashSet::new(),
            code_lines: BTreeSet::new(),
            more_than_a_map: None,
        };
        source.walk(tokens, false);
        Ok(source)
    }

    /// The path from `crate`, or from the outside crate that it leads to.
    pub(crate) fn resolved(&self, named: &Named) -> Vec<String> {
        let mut path = named.parts.clone();
        if named.outside {
            return path;
        }
        // An alias of an alias is followed, one of itself not for ever.
        for _ in 0..4 {
            let Some((first, rest)) = path.split_first() else {
                break;
            };
            if self.declared.contains(first) {
                break;
            }
            match self.aliases.get(first) {
                Some(full) => path = full.iter().chain(rest).cloned().collect(),
                None => break,
            }
        }
        match path.first() {
            // A child of this module, which may be called like an outside crate.
            Some(first) if self.declared.contains(first) => Vec::new(),
            _ => path,
        }
    }

    /// A path with `self`, `super` and this crate's own name turned into `crate`.
    fn absolute(&self, parts: Vec<String>) -> Vec<String> {
        let mut base = self.module.clone();
        let mut rest = parts.as_slice();
        match parts.first().map(String::as_str) {
            Some("crate") if base.first().is_some_and(|top| top == "main") => base.truncate(1),
            Some("crate" | "orbit_relay") => base.clear(),
            Some("self") => {}
            Some("super") => {
                while rest.get(1).is_some_and(|part| part == "super") {
                    base.pop();
                    rest = rest.get(1..).unwrap_or_default();
                }
                base.pop();
            }
            _ => return parts,
        }
        let rest = rest.iter().skip(1).cloned();
        std::iter::once("crate".to_owned())
            .chain(base)
            .chain(rest)
            .collect()
    }

    /// Walks one level of tokens, and into its groups.
    fn walk(&mut self, tokens: TokenStream, in_test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut item_in_test = false;
        let mut rest = tokens.as_slice();
        while let Some((token, after)) = rest.split_first() {
            let before = tokens.get(..tokens.len() - rest.len()).unwrap_or_default();
            let test = in_test || item_in_test;
            if is_punct(token, '#') {
                let inner = after.first().is_some_and(|next| is_punct(next, '!'));
                let after = if inner {
                    after.get(1..).unwrap_or_default()
                } else {
                    after
                };
                if let Some((TokenTree::Group(group), after)) = after.split_first() {
                    if !self.is_comment(token.span()) {
                        item_in_test |= is_cfg_test(group);
                        self.count(token.span(), test || item_in_test);
                        let map = self.more_than_a_map;
                        self.group(group, test || item_in_test);
                        self.more_than_a_map = map;
                    }
                    rest = after;
                    continue;
                }
            }
            if !matches!(token, TokenTree::Group(_)) {
                self.count(token.span(), test);
            }
            rest = match token {
                TokenTree::Group(group) => {
                    self.beyond_map(token);
                    self.group(group, test);
                    item_in_test &= group.delimiter() != Delimiter::Brace;
                    after
                }
                TokenTree::Punct(punct) => {
                    item_in_test &= punct.as_char() != ';';
                    after
                }
                TokenTree::Ident(ident) => {
                    let after = self.word(before, token, after, test);
                    item_in_test &= ident != "mod";
                    after
                }
                TokenTree::Literal(_) => after,
            };
        }
    }

    /// Takes in what a word begins, an item or a path, and gives what follows it.
    fn word<'t>(
        &mut self,
        before: &[TokenTree],
        token: &TokenTree,
        after: &'t [TokenTree],
        in_test: bool,
    ) -> &'t [TokenTree] {
        match token.to_string().as_str() {
            "use" if !after.first().is_some_and(|next| is_punct(next, '<')) => {
                self.beyond_map(token);
                let end = after.iter().position(|token| is_punct(token, ';'));
                let (tree, after) = after.split_at(end.unwrap_or(after.len()));
                self.use_tree(tree, &[], false, in_test);
                for token in tree {
                    self.count(token.span(), in_test);
                }
                after
            }
            "mod" => self.module_item(after, in_test),
            "extern" if after.first().is_some_and(|next| is_ident(next, "crate")) => {
                self.beyond_map(token);
                let name = after.get(1).map(ToString::to_string);
                self.name(name.into_iter().collect(), true, token.span(), in_test);
                after.get(2..).unwrap_or_default()
            }
            // In its parentheses stands a module that holds this one.
            "pub" => match after {
                [TokenTree::Group(group), after @ ..]
                    if group.delimiter() == Delimiter::Parenthesis =>
                {
                    after
                }
                _ => after,
            },
            _ => {
                self.beyond_map(token);
                self.path(before, token, after, in_test)
            }
        }
    }

    /// Takes in a module's declaration, with its body if that is here, and gives what follows.
    fn module_item<'t>(&mut self, item: &'t [TokenTree], in_test: bool) -> &'t [TokenTree] {
        let [TokenTree::Ident(name), rest @ ..] = item else {
            return item;
        };
        self.count(name.span(), in_test);
        self.declared.insert(name.to_string());
        let [TokenTree::Group(body), rest @ ..] = rest else {
            return rest;
        };
        let line = name.span().start().line;
        self.more_than_a_map.get_or_insert(line);
        self.inline_modules.push((name.to_string(), line));
        self.module.push(name.to_string());
        self.group(body, in_test);
        self.module.pop();
        rest
    }

    fn group(&mut self, group: &Group, in_test: bool) {
        self.count(group.span_open(), in_test);
        self.count(group.span_close(), in_test);
        self.walk(group.stream(), in_test);
    }

    /// Takes the path that begins at `token`, if one does, and gives what follows it.
    fn path<'t>(
        &mut self,
        before: &[TokenTree],
        token: &TokenTree,
        mut after: &'t [TokenTree],
        in_test: bool,
    ) -> &'t [TokenTree] {
        let mut parts = vec![token.to_string()];
        while let [colon, second, TokenTree::Ident(part), rest @ ..] = after
            && is_punct(colon, ':')
            && is_punct(second, ':')
        {
            parts.push(part.to_string());
            self.count(part.span(), in_test);
            after = rest;
        }
        let outside = match before {
            [owner @ .., colon, second] if is_punct(colon, ':') && is_punct(second, ':') => {
                if goes_on(owner) {
                    return after;
                }
                true
            }
            _ => false,
        };
        if parts.len() > 1 {
            self.name(parts, outside, token.span(), in_test);
        }
        after
    }

    /// Takes in one level of a `use` tree.
    fn use_tree(&mut self, tree: &[TokenTree], prefix: &[String], outside: bool, in_test: bool) {
        for branch in tree.split(|token| is_punct(token, ',')) {
            let Some(first) = branch.first() else {
                continue;
            };
            let outside = outside || (prefix.is_empty() && is_punct(first, ':'));
            let mut parts = prefix.to_vec();
            let mut alias = None;
            let mut leaf = true;
            let mut tokens = branch.iter();
            while let Some(token) = tokens.next() {
                match token {
                    TokenTree::Ident(ident) if ident == "as" => {
                        alias = tokens.next().map(ToString::to_string);
                    }
                    TokenTree::Ident(ident) => parts.push(ident.to_string()),
                    TokenTree::Punct(punct) if punct.as_char() == '*' => parts.push("*".into()),
                    TokenTree::Group(group) => {
                        leaf = false;
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.use_tree(&inner, &parts, outside, in_test);
                    }
                    _ => {}
                }
            }
            if !leaf {
                continue;
            }
            if parts.len() > 1 && parts.last().is_some_and(|last| last == "self") {
                parts.pop();
            }
            if let Some(name) = alias.or_else(|| parts.last().cloned()) {
                let full = self.absolute(parts.clone());
                self.aliases.insert(name, full);
            }
            self.name(parts, outside, first.span(), in_test);
        }
    }

    fn name(&mut self, parts: Vec<String>, outside: bool, span: Span, in_test: bool) {
        let parts = self.absolute(parts);
        self.paths.push(Named {
            parts,
            outside,
            line: span.start().line,
            in_test,
        });
    }

    fn beyond_map(&mut self, token: &TokenTree) {
        let line = token.span().start().line;
        self.more_than_a_map.get_or_insert(line);
    }

    fn count(&mut self, span: Span, in_test: bool) {
        if !in_test {
            self.code_lines.extend(span.start().line..=span.end().line);
        }
    }

    /// A comment that documents becomes an attribute, but its text begins with a slash.
    fn is_comment(&self, span: Span) -> bool {
        let line = self.lines.get(span.start().line.saturating_sub(1));
        line.and_then(|line| line.chars().nth(span.start().column)) == Some('/')
    }
}

fn is_punct(token: &TokenTree, expected: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == expected)
}

fn is_ident(token: &TokenTree, expected: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == expected)
}

/// Whether `::` after these tokens goes on with a path rather than begins one.
fn goes_on(before: &[TokenTree]) -> bool {
    const BEFORE_A_PATH: [&str; 14] = [
        "as", "return", "in", "else", "mut", "dyn", "impl", "ref", "for", "break", "match", "if",
        "move", "while",
    ];
    match before {
        [.., TokenTree::Ident(ident)] => !BEFORE_A_PATH.contains(&ident.to_string().as_str()),
        [.., shaft, head] if is_punct(head, '>') => !is_punct(shaft, '-') && !is_punct(shaft, '='),
        [.., token] => is_punct(token, '>'),
        [] => false,
    }
}

/// `[cfg(test)]` or `[cfg(all(test, …))]`: what is in no shipped program.
fn is_cfg_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string();
    let text: String = text.split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}
