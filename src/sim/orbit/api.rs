//! Orbit's API, and under `/sim/` what no Orbit has: a remote control of the simulator.
//!
//! # Invariants
//! - Without the token nothing under `/api/v0/` answers but `version`, and no picture is given.
//! - A request that changes something and sends the `x-csrf-token` cookie must repeat it in the
//!   header of that name.
//! - `/sim/` needs no token: the simulator is a tool for the machine that it runs on, and its
//!   secrets are nobody's.

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

use super::records::{Page, Paging, Query, QueryError, decode_path, member};
use super::weather::{Redirect, Weather};
use super::web_view;
use super::webhook::Change;
use super::world::{KEPT_REQUESTS, Seen, State, World};
use crate::sim::model::javascript_time;
use crate::sim::plant::Medium;
use crate::sim::reply::{BrokenOff, Drip, Filler, respond, with_header, with_type};
use crate::sim::serve::Dropped;

/// Larger requests are refused.
const BODY_BYTES: usize = 1 << 20;

const CSRF: &str = "x-csrf-token";

/// Answers one request, as the weather lets it.
pub(super) async fn answer(
    world: World,
    request: Request<Body>,
) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES).await else {
        return Ok(problem(StatusCode::PAYLOAD_TOO_LARGE, "larger than 1 MiB"));
    };
    let path = head.uri.path().to_owned();
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if let ["sim", control @ ..] = segments.as_slice() {
        return Ok(remote_control(&world, &head.method, control, &body).await);
    }
    note(&mut world.state(), &head);
    let _being_answered = BeingAnswered::begin(&world);
    let weather = world.weather();
    tokio::time::sleep(Duration::from_millis(weather.delay_ms)).await;
    let is_under = |beginning: &String| path.starts_with(beginning.as_str());
    if weather.down || weather.down_under.iter().any(is_under) {
        return Err(Dropped);
    }
    if segments.starts_with(&["daq", "download"]) {
        tokio::time::sleep(Duration::from_millis(weather.media.delay_ms)).await;
    }
    if let Some(answer) = storm(&weather, &path) {
        return Ok(answer);
    }
    let answer = route(&world, &head, &segments, &body);
    let creates = head.method == Method::POST && segments == ["api", "v0", "webhooks"];
    if creates && weather.lose_create_answers {
        return Err(Dropped);
    }
    Ok(answer)
}

/// Counts a request while it is being answered.
struct BeingAnswered<'a>(&'a World);

impl<'a> BeingAnswered<'a> {
    fn begin(world: &'a World) -> Self {
        let mut state = world.state();
        state.at_once += 1;
        state.most_at_once = state.most_at_once.max(state.at_once);
        Self(world)
    }
}

impl Drop for BeingAnswered<'_> {
    fn drop(&mut self) {
        self.0.state().at_once -= 1;
    }
}

fn note(state: &mut State, head: &Parts) {
    state.seen_count += 1;
    state.seen.push_back(Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        authorization: head.headers.contains_key(header::AUTHORIZATION),
    });
    if state.seen.len() > KEPT_REQUESTS {
        state.seen.pop_front();
    }
}

/// The answer that hides what was asked for, if the weather has one.
fn storm(weather: &Weather, path: &str) -> Option<Response<Body>> {
    if let Some(redirect) = &weather.redirect {
        return Some(elsewhere(redirect, path));
    }
    if let Some(code) = weather.status {
        let answer = problem(status(code), "the weather is bad");
        return Some(match weather.retry_after_s {
            Some(s) => with_header(answer, header::RETRY_AFTER, &s.to_string()),
            None => answer,
        });
    }
    let page = "<html><body>Please accept the terms of use</body></html>";
    let nonsense = weather.nonsense;
    nonsense.then(|| with_type(StatusCode::OK, "text/html", page))
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn elsewhere(redirect: &Redirect, path: &str) -> Response<Body> {
    let to = format!("{}{path}", redirect.location.trim_end_matches('/'));
    let answer = problem(status(redirect.status), "elsewhere");
    with_header(answer, header::LOCATION, &to)
}

fn route(world: &World, head: &Parts, segments: &[&str], body: &Bytes) -> Response<Body> {
    let method = &head.method;
    if segments.is_empty() && method == Method::GET {
        return home(world);
    }
    if (method, segments) == (&Method::GET, &["web-view"][..]) {
        let shown = world.state().web_view;
        return shown.map_or_else(not_found, web_view::framed);
    }
    if let (&Method::GET, ["api", "v0", "version"]) = (method, segments) {
        let version = json!({"version": "5.1.4", "serial": "sim", "hostEnvironment": "simulator"});
        return respond(StatusCode::OK, &version);
    }
    if !has_token(world, head) {
        return problem(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    if method != Method::GET && !csrf_matches(head) {
        return problem(StatusCode::FORBIDDEN, "invalid csrf token");
    }
    match segments {
        ["daq", "download", ..] if method == Method::GET => download(world, head.uri.path()),
        ["api", "v0", "webhooks", rest @ ..] => webhooks(world, method, rest, body),
        ["api", "v0", "anomalies", rest @ ..] if method == Method::PATCH => {
            close_anomalies(world, rest, body)
        }
        [
            "api",
            "v0",
            list @ ("run_events" | "run_captures" | "runs" | "anomalies"),
        ] if method == Method::GET => read_list(world, list, head.uri.query()),
        ["api", "v0", rest @ ..] if method == Method::GET => read(world, rest),
        _ => not_found(),
    }
}

fn home(world: &World) -> Response<Body> {
    let page = "<!doctype html><title>Orbit (simulated)</title><p>A simulated Orbit.</p>";
    let answer = with_type(StatusCode::OK, "text/html; charset=utf-8", page);
    let mut state = world.state();
    if state.weather.no_csrf_cookie {
        return answer;
    }
    let cookie = format!(
        "{CSRF}={}; Path=/; Secure; SameSite=Strict",
        state.ids.uuid()
    );
    with_header(answer, header::SET_COOKIE, &cookie)
}

fn has_token(world: &World, head: &Parts) -> bool {
    let expected = format!("Bearer {}", world.token().expose());
    let given = head.headers.get(header::AUTHORIZATION);
    given.is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

fn csrf_matches(head: &Parts) -> bool {
    let cookies = head.headers.get_all(header::COOKIE).into_iter();
    let cookie = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == CSRF);
    let Some((_, cookie)) = cookie else {
        return true;
    };
    let given = head.headers.get(CSRF);
    given.is_some_and(|given| given.as_bytes() == cookie.as_bytes())
}

/// Only a path that was percent-encoded well finds a name with `#`, `?` or `%` in it.
fn download(world: &World, path: &str) -> Response<Body> {
    let weather = world.weather().media;
    if let Some(redirect) = &weather.redirect {
        return elsewhere(redirect, path);
    }
    if let Some(code) = weather.status {
        return problem(status(code), "the weather is bad for pictures");
    }
    let file = |body| with_type(StatusCode::OK, "image/jpeg", body);
    if weather.login_page {
        return with_type(StatusCode::OK, "text/html", "<html>Log in</html>");
    }
    if weather.drips {
        return file(Body::new(Drip::default()));
    }
    if weather.breaks_off {
        return file(Body::new(BrokenOff::default()));
    }
    let Some(path) = decode_path(path) else {
        return problem(StatusCode::BAD_REQUEST, "the path is not well encoded");
    };
    let medium = world.state().records.medium(&path);
    let picture = |bytes: &'static [u8]| file(Body::from(bytes));
    match medium {
        Some(Medium::Thermal) => picture(include_bytes!("thermal.jpg")),
        Some(Medium::Camera) => picture(include_bytes!("camera.jpg")),
        Some(Medium::Metadata) => respond(StatusCode::OK, &json!({"path": path})),
        Some(Medium::Filler { bytes, declared }) => file(Body::new(Filler::of(bytes, declared))),
        None => not_found(),
    }
}

fn webhooks(world: &World, method: &Method, rest: &[&str], body: &Bytes) -> Response<Body> {
    let created_at = javascript_time(world.now());
    let mut guard = world.state();
    let state = &mut *guard;
    let masked = state.weather.mask_secrets;
    let place = rest.first().and_then(|uuid| {
        let mut uuids = state.webhooks.iter().map(|hook| &hook.uuid);
        uuids.position(|known| known == uuid)
    });
    match (method, rest, place) {
        (&Method::GET, [], _) => {
            let all: Vec<Value> = state.webhooks.iter().map(|w| w.shown(masked)).collect();
            respond(StatusCode::OK, &all)
        }
        (&Method::POST, [], _) => {
            let change = match parse::<Change>(body) {
                Ok(change) => change,
                Err(error) => return bad_request(&error),
            };
            match change.create(state.ids.uuid(), created_at) {
                Ok(webhook) => {
                    let shown = webhook.shown(masked);
                    state.webhooks.push(webhook);
                    if state.weather.create_answers_all {
                        if let Some(made) = state.webhooks.last_mut() {
                            made.url.push('/');
                        }
                        let all = state.webhooks.iter().map(|w| w.shown(masked));
                        respond(StatusCode::OK, &all.collect::<Vec<_>>())
                    } else if state.weather.create_answers_array {
                        respond(StatusCode::OK, &[shown])
                    } else {
                        respond(StatusCode::OK, &shown)
                    }
                }
                Err(error) => bad_request(&error),
            }
        }
        (&Method::DELETE, [_], Some(place)) => {
            state.webhooks.remove(place);
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        (method, [_], Some(place)) => {
            let Some(webhook) = state.webhooks.get_mut(place) else {
                return not_found();
            };
            if method == Method::POST {
                let change = match parse::<Change>(body) {
                    Ok(change) => change,
                    Err(error) => return bad_request(&error),
                };
                if let Err(error) = change.apply(webhook) {
                    return bad_request(&error);
                }
            } else if method != Method::GET {
                return problem(StatusCode::METHOD_NOT_ALLOWED, "GET, POST or DELETE");
            }
            respond(StatusCode::OK, &webhook.shown(masked))
        }
        _ => not_found(),
    }
}

/// A page of a list, as the weather lets it.
fn read_list(world: &World, list: &str, query: Option<&str>) -> Response<Body> {
    let now = world.now();
    let mut state = world.state();
    state.lists += 1;
    let lists = state.lists;
    let is_one = |every: u64| every > 0 && lists.is_multiple_of(every);
    let weather = &state.weather;
    if is_one(weather.busy_every) {
        let answer = problem(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        return with_header(answer, header::RETRY_AFTER, "1");
    }
    let paging = Paging {
        largest: weather.largest_page,
        wrong_total: weather.wrong_totals,
        ignore_offset: weather.ignore_offset,
        empty: is_one(weather.empty_page_every),
        ignore_filters: weather.ignore_filters,
        anomalies_until: (weather.anomalies_after_ms > 0)
            .then(|| now.checked_sub(Duration::from_millis(weather.anomalies_after_ms)))
            .and_then(Result::ok),
    };
    if is_one(weather.break_off_every) {
        return with_type(
            StatusCode::OK,
            "application/json",
            Body::new(BrokenOff::default()),
        );
    }
    let (records, query) = (&state.records, Query::parse(query, paging));
    match list {
        "run_events" => page(records.run_events(&query)),
        "run_captures" => page(records.captures(&query)),
        "runs" => page(records.runs(&query)),
        _ => page(records.anomalies(&query)),
    }
}

fn read(world: &World, rest: &[&str]) -> Response<Body> {
    let now_ms = world.now().as_millisecond();
    let state = world.state();
    let records = &state.records;
    match rest {
        ["api_token", "authenticate"] => respond(StatusCode::OK, &json!({"success": true})),
        ["settings", "system-time"] => respond(StatusCode::OK, &json!({"msSinceEpoch": now_ms})),
        ["run_events", uuid] => one(records.run_event(uuid)),
        ["runs", uuid] => one(records.run(uuid)),
        _ => not_found(),
    }
}

/// One anomaly by its uuid, or all of some elements by the bulk command.
fn close_anomalies(world: &World, rest: &[&str], body: &Bytes) -> Response<Body> {
    let asked = match parse::<Value>(body) {
        Ok(asked) => asked,
        Err(error) => return bad_request(&error),
    };
    let at = javascript_time(world.now());
    let mut state = world.state();
    match (rest, member(&asked, "status"), member(&asked, "command")) {
        ([uuid], Some(status @ ("open" | "closed")), _) => {
            let changed = state.records.set_status(|a| a.uuid == *uuid, status, &at);
            one(changed.first())
        }
        ([], _, Some("close")) => {
            let elements = asked.get("elementIds").and_then(Value::as_array);
            let elements = elements.map(Vec::as_slice).unwrap_or_default();
            let which = |id: &str| elements.iter().any(|element| element == id);
            let changed = state
                .records
                .set_status(|a| which(&a.element_id), "closed", &at);
            respond(StatusCode::OK, &changed)
        }
        _ => problem(StatusCode::BAD_REQUEST, "status is open or closed"),
    }
}

async fn remote_control(
    world: &World,
    method: &Method,
    control: &[&str],
    body: &Bytes,
) -> Response<Body> {
    match (method, control) {
        (&Method::POST, ["inspect"]) => respond(StatusCode::OK, &world.inspect().await),
        (&Method::POST, ["test-payload"]) => {
            let mut posts = Vec::new();
            for webhook in world.webhooks() {
                posts.extend(world.send_test(&webhook.uuid).await);
            }
            respond(StatusCode::OK, &posts)
        }
        (&Method::POST, ["weather"]) => match parse::<Weather>(body) {
            Ok(weather) => {
                world.set_weather(weather.clone());
                respond(StatusCode::OK, &weather)
            }
            Err(error) => bad_request(&error),
        },
        (&Method::GET, ["state"]) => {
            let webhooks: Vec<Value> = world.webhooks().iter().map(|w| w.shown(true)).collect();
            let latest: Vec<Seen> = world.requests().into_iter().rev().take(20).collect();
            let state = json!({
                "webhooks": webhooks,
                "weather": world.weather(),
                "run_events": world.run_event_count(),
                "requests": world.request_count(),
                "latest_requests": latest,
            });
            respond(StatusCode::OK, &state)
        }
        _ => problem(
            StatusCode::NOT_FOUND,
            "POST /sim/inspect, /sim/test-payload or /sim/weather, or GET /sim/state",
        ),
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body)
}

fn page<T: serde::Serialize>(page: Result<Page<T>, QueryError>) -> Response<Body> {
    match page {
        Ok(page) => respond(StatusCode::OK, &page),
        Err(error) => bad_request(&error),
    }
}

fn one<T: serde::Serialize>(found: Option<&T>) -> Response<Body> {
    found.map_or_else(not_found, |found| respond(StatusCode::OK, found))
}

fn not_found() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "not found")
}

fn problem(status: StatusCode, text: &str) -> Response<Body> {
    respond(status, &json!({"error": text}))
}

fn bad_request(error: &impl std::error::Error) -> Response<Body> {
    problem(StatusCode::BAD_REQUEST, &error.to_string())
}
