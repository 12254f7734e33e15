//! Accounts and API tokens, for the role configure.
//!
//! # Invariants
//! - An API token is shown in the one answer that made it.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::guard::to;
use super::super::view::{Account, Accounts, Token};
use super::super::{Configure, Person, Refused, Role};
use super::{Field, field, fields, named, problem, role as chosen, roles, said, with_retry_after};
use crate::page::html::{layout, parts};
use crate::page::{Answer, Page};
use crate::secret::Secret;

/// What stands above the lists.
#[derive(Default)]
struct News<'a> {
    wrong: Option<&'a str>,
    /// A new API token: its name and text.
    token: Option<(&'a str, &'a Secret)>,
}

pub(super) async fn show(State(page): State<Arc<Page>>, Configure(person): Configure) -> Answer {
    let accounts = page.outside.access.accounts().await;
    Ok(screen(&person, &accounts, &News::default()).into_response())
}

fn screen(person: &Person, all: &Accounts, news: &News<'_>) -> Markup {
    layout::screen(
        person,
        layout::Here::Account,
        "Accounts",
        &html! {
            (problem(news.wrong))
            @if let Some((name, text)) = news.token {
                section.card aria-labelledby="new-token" {
                    h2 id="new-token" { "API token " (named(name)) }
                    p { "Copy it now: it is not shown again." }
                    pre { code { (text.expose()) } }
                }
            }
            p {
                "A role may do all that the one before it may: " b { "see" } " looks, " b { "decide" }
                " replays, discards, resumes and maps, " b { "configure" }
                " sets up and says who may do what. What each did is in " a href="/acts" { "Acts" } "."
            }
            (accounts_table(person, &all.accounts))
            (add_form(person))
            h2 { "API tokens" }
            (tokens_table(person, &all.tokens))
            (token_form(person))
        },
    )
}

fn accounts_table(person: &Person, accounts: &[Account]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                caption { "Accounts" }
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Role" }
                        th.n scope="col" { "Sessions" }
                        th scope="col" { "Password" }
                        th scope="col" { "Remove" }
                    }
                }
                tbody {
                    @for (n, account) in accounts.iter().enumerate() {
                        tr {
                            th scope="row" { (named(&account.name)) }
                            td {
                                (parts::form(person, "/accounts/role", &html! {
                                    div.row {
                                        (hidden(&account.name))
                                        (roles(
                                            &format!("role-{n}"),
                                            &format!("Role of {}", account.name),
                                            account.role,
                                        ))
                                        button.second type="submit" { "Change" }
                                    }
                                }))
                            }
                            td.n { (account.sessions) }
                            td { (new_password(person, account, n)) }
                            td { (remove_button(person, "/accounts/remove", &account.name)) }
                        }
                    }
                }
            }
        }
    }
}

fn new_password(person: &Person, account: &Account, n: usize) -> Markup {
    let (id, hint) = (format!("password-{n}"), format!("password-{n}-hint"));
    html! {
        @if !account.has_password { p.soft { "none: by reverse proxy only" } }
        details {
            summary { "Give a new one" }
            (parts::form(person, "/accounts/password", &html! {
                (hidden(&account.name))
                label for=(id) { "New password of " (named(&account.name)) }
                p.hint id=(hint) { "12 characters or more. Their sessions end." }
                input id=(id) name="password" type="password" autocomplete="new-password" required
                    minlength="12" maxlength="1000" aria-describedby=(hint);
                p { button type="submit" { "Set it" } }
            }))
        }
    }
}

fn hidden(name: &str) -> Markup {
    html! { input type="hidden" name="name" value=(name); }
}

fn remove_button(person: &Person, action: &str, name: &str) -> Markup {
    parts::form(
        person,
        action,
        &html! {
            (hidden(name))
            button.danger type="submit" aria-label=(format!("Remove {name}")) { "Remove" }
        },
    )
}

fn add_form(person: &Person) -> Markup {
    html! {
        h2 { "Add an account" }
        (parts::form(person, "/accounts", &html! {
            (Field {
                hint: Some("Letters, digits and . - _ @ +, no spaces."),
                ..field("name", "Name", "text", "off")
            }.show())
            label for="role" { "Role" }
            (roles("role", "", Role::See))
            label for="password" { "Password" }
            p.hint id="password-hint" {
                "12 characters or more. Tell it to them; they can change it. Leave it empty where a "
                "reverse proxy logs them in."
            }
            input id="password" name="password" type="password" autocomplete="new-password"
                minlength="12" maxlength="1000" aria-describedby="password-hint";
            p { button type="submit" { "Add the account" } }
        }))
    }
}

fn tokens_table(person: &Person, tokens: &[Token]) -> Markup {
    html! {
        @if tokens.is_empty() {
            (parts::nothing("No API token. A program needs one to use the API."))
        } @else {
            div.scroll tabindex="0" {
                table {
                    caption { "What may call the API" }
                    thead {
                        tr {
                            th scope="col" { "Name" }
                            th scope="col" { "Role" }
                            th scope="col" { "Made" }
                            th scope="col" { "By" }
                            th scope="col" { "Remove" }
                        }
                    }
                    tbody {
                        @for token in tokens {
                            tr {
                                th scope="row" { (named(&token.name)) }
                                td { (token.role) }
                                td { (parts::time(token.made)) }
                                td { (named(&token.by)) }
                                td {
                                    (remove_button(person, "/accounts/tokens/remove", &token.name))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn token_form(person: &Person) -> Markup {
    html! {
        h3 { "Make an API token" }
        (parts::form(person, "/accounts/tokens", &html! {
            label for="token-name" { "Name" }
            p.hint id="token-name-hint" { "What uses it, such as nightly-export." }
            input id="token-name" name="name" type="text" autocomplete="off" required
                aria-describedby="token-name-hint";
            label for="token-role" { "Role" }
            (roles("token-role", "", Role::See))
            p { button type="submit" { "Make the token" } }
        }))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    name: String,
    role: String,
    password: String,
}

type Given = Result<Form<Wish>, FormRejection>;

/// On to the list, with what was done; or the list with why not.
async fn end(page: &Page, person: &Person, done: Result<String, Refused>) -> Response {
    match done {
        Ok(said) => {
            page.say(person, said);
            to("/accounts")
        }
        Err(refused) => {
            let (status, why) = said(&refused);
            let accounts = page.outside.access.accounts().await;
            let news = News {
                wrong: Some(&why),
                token: None,
            };
            let screen = screen(person, &accounts, &news);
            with_retry_after((status, screen).into_response(), &refused)
        }
    }
}

pub(super) async fn add(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    form: Given,
) -> Answer {
    let wish = fields(form)?;
    let password = (!wish.password.is_empty()).then_some(wish.password.as_str());
    let done = match chosen(&wish.role) {
        Ok(role) => {
            let (access, doer) = (&page.outside.access, person.doer(&page));
            let added = access.add(doer, &wish.name, role, password).await;
            added.map(|name| format!("There is an account {name} now."))
        }
        Err(why) => Err(why),
    };
    Ok(end(&page, &person, done).await)
}

pub(super) async fn role(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    form: Given,
) -> Answer {
    let wish = fields(form)?;
    let done = match chosen(&wish.role) {
        Ok(role) => {
            let (access, doer) = (&page.outside.access, person.doer(&page));
            let set = access.set_role(doer, &wish.name, role).await;
            set.map(|()| {
                format!(
                    "{} has the role {role}; their sessions have ended.",
                    wish.name
                )
            })
        }
        Err(why) => Err(why),
    };
    Ok(end(&page, &person, done).await)
}

pub(super) async fn password(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    form: Given,
) -> Answer {
    let wish = fields(form)?;
    let (access, doer) = (&page.outside.access, person.doer(&page));
    let set = access.set_password(doer, &wish.name, &wish.password).await;
    let done = set.map(|()| format!("{} has a new password.", wish.name));
    Ok(end(&page, &person, done).await)
}

pub(super) async fn remove(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    form: Given,
) -> Answer {
    let wish = fields(form)?;
    let (access, doer) = (&page.outside.access, person.doer(&page));
    let removed = access.remove(doer, &wish.name).await;
    let done = removed.map(|()| format!("The account {} is removed.", wish.name));
    Ok(end(&page, &person, done).await)
}

pub(super) async fn add_token(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    form: Given,
) -> Answer {
    let wish = fields(form)?;
    let (access, doer) = (&page.outside.access, person.doer(&page));
    let made = match chosen(&wish.role) {
        Ok(role) => access.add_token(doer, &wish.name, role).await,
        Err(why) => Err(why),
    };
    let text = match made {
        Ok(text) => text,
        Err(refused) => return Ok(end(&page, &person, Err(refused)).await),
    };
    // Not by way of a redirect: it would have to be kept until then.
    let accounts = access.accounts().await;
    let news = News {
        wrong: None,
        token: Some((&wish.name, &text)),
    };
    let screen = screen(&person, &accounts, &news);
    Ok((StatusCode::CREATED, screen).into_response())
}

pub(super) async fn remove_token(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    form: Given,
) -> Answer {
    let wish = fields(form)?;
    let (access, doer) = (&page.outside.access, person.doer(&page));
    let removed = access.remove_token(doer, &wish.name).await;
    let done = removed.map(|()| format!("The API token {} is removed.", wish.name));
    Ok(end(&page, &person, done).await)
}
