//! The token endpoint, and POSTs that need a token.
//!
//! # Invariants
//! - As in the parent.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

use super::answer;
use super::backend::{Plant, TEN};
use crate::clock::{Clock, Hand};
use crate::secret::Secret;
use crate::sim::backend::{Answer, OAuth, TOKEN_PATH, Tally};

const GRANT: &str = "grant_type=client_credentials&scope=post";
const FORM: &str = "application/x-www-form-urlencoded";
const HOUR: Duration = Duration::from_hours(1);

/// A plant whose paths all need a token, which the client `relay` gets with `s:e cret+`.
async fn start() -> (Plant, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
    let plant = Plant::with_clock(clock).await;
    plant.world.set_oauth(Some(OAuth {
        client_id: "relay".into(),
        client_secret: Secret::new("s:e cret+".into()),
        expires_in: HOUR,
    }));
    plant.world.set_answer(Answer::RequireToken);
    (plant, hand)
}

fn ask(plant: &Plant, form: &str) -> RequestBuilder {
    let request = plant.post(TOKEN_PATH, form);
    request.header(header::CONTENT_TYPE, FORM)
}

/// As RFC 6749 wants it: each of the two is form encoded first.
fn ask_by_basic(plant: &Plant, form: &str) -> RequestBuilder {
    ask(plant, form).basic_auth("relay", Some("s%3Ae+cret%2B"))
}

async fn token(plant: &Plant) -> String {
    let (status, body) = answer(ask_by_basic(plant, GRANT)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    body["access_token"].as_str().unwrap().to_owned()
}

async fn post(plant: &Plant, token: &str) -> u16 {
    let request = plant.post("/inspections", "{}").bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn credentials_are_taken_by_basic_or_in_the_form_and_no_two_tokens_are_equal() {
    let (plant, _hand) = start().await;
    let by_basic = token(&plant).await;
    let form = format!("{GRANT}&client_id=relay&client_secret=s%3Ae+cret%2B");
    let (status, body) = answer(ask(&plant, &form)).await;
    assert_eq!(status, StatusCode::OK);
    let by_form = body["access_token"].as_str().unwrap();
    assert_ne!(by_form, by_basic);
    assert_eq!(plant.world.tokens_issued(), 2);
    assert_eq!(post(&plant, &by_basic).await, 200);
    assert_eq!(post(&plant, by_form).await, 200);
}

#[tokio::test]
async fn a_request_for_a_token_that_is_wrong_is_told_why() {
    let (plant, _hand) = start().await;
    let other = "grant_type=password";
    for (request, status, error) in [
        (ask(&plant, GRANT), 401, "invalid_client"),
        (
            ask(&plant, GRANT).basic_auth("relay", Some("guess")),
            401,
            "invalid_client",
        ),
        (
            ask(&plant, GRANT).bearer_auth("relay"),
            401,
            "invalid_client",
        ),
        (ask_by_basic(&plant, other), 400, "unsupported_grant_type"),
        (ask_by_basic(&plant, ""), 400, "invalid_request"),
        (plant.post(TOKEN_PATH, GRANT), 400, "invalid_request"),
    ] {
        let (got, body) = answer(request).await;
        assert_eq!((got.as_u16(), body), (status, json!({"error": error})));
    }
    assert_eq!(plant.world.tokens_issued(), 0);
}

#[tokio::test]
async fn a_token_is_refused_when_it_is_unknown_expired_or_revoked() {
    let (plant, hand) = start().await;
    let first = token(&plant).await;
    assert_eq!(post(&plant, "token-of-nobody").await, 401);
    hand.advance(Duration::from_secs(3_599));
    let second = token(&plant).await;
    assert_eq!(post(&plant, &first).await, 200);
    hand.advance(Duration::from_secs(1));
    assert_eq!(post(&plant, &first).await, 401);
    assert_eq!(post(&plant, &second).await, 200);
    plant.world.revoke_tokens();
    let refused = plant.post("/inspections", "{}").bearer_auth(&second);
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = &refused.headers()[header::WWW_AUTHENTICATE];
    assert_eq!(challenge, r#"Bearer error="invalid_token""#);
    let third = token(&plant).await;
    assert_eq!(post(&plant, &third).await, 200);
}

#[tokio::test]
async fn a_token_endpoint_may_fail_hang_and_come_back() {
    let (plant, _hand) = start().await;
    let world = &plant.world;
    let script = [Answer::Status(500), Answer::Slow(Duration::ZERO)];
    world.set_oauth_answer(Answer::Script(script.into()));
    let (status, body) = answer(ask_by_basic(&plant, GRANT)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["access_token"], Value::Null);
    token(&plant).await;
    world.set_oauth_answer(Answer::Hang);
    let short = Duration::from_millis(200);
    let hanging = ask_by_basic(&plant, GRANT).timeout(short).send();
    let asked = world.wait_until(|_| world.token_requests().len() == 3);
    let (hanging, asked) = tokio::join!(hanging, tokio::time::timeout(TEN, asked));
    assert!(hanging.unwrap_err().is_timeout());
    asked.unwrap();
    world.set_oauth_answer(Answer::Ok);
    token(&plant).await;
    assert_eq!(world.tokens_issued(), 2);
}

#[tokio::test]
async fn a_request_for_a_token_is_no_post_unless_nobody_gets_one() {
    let (plant, _hand) = start().await;
    token(&plant).await;
    let asked = plant.world.token_requests();
    assert_eq!(asked[0].body, GRANT);
    assert_eq!(asked[0].answered, Some(200));
    assert_eq!(plant.world.tally(), Tally::default());
    plant.world.set_oauth(None);
    plant.world.set_answer(Answer::Status(404));
    let (status, _) = answer(ask_by_basic(&plant, GRANT)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(plant.world.tally_at(TOKEN_PATH).attempts, 1);
}
