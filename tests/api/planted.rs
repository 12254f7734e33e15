//! That mistakes of an API are found: small APIs with one mistake each, and one without.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::ask;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// It answers 500.
    Breaks,
    /// It answers what its document does not know.
    Undocumented,
    /// Its answer is not of the shape that the document says.
    Misshapen,
    /// It asks nobody for a token.
    Open,
}

fn document() -> Value {
    let answer = json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {"id": {"type": "integer"}},
    });
    json!({
        "openapi": "3.1.0",
        "info": {"title": "things", "version": "1"},
        "servers": [{"url": "/api/v1"}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
        "paths": {"/things/{id}": {"get": {
            "parameters": [{
                "name": "id", "in": "path", "required": true,
                "schema": {"type": "integer", "minimum": 0, "maximum": 1000},
            }],
            "responses": {
                "200": {"description": "it", "content": {"application/json": {"schema": answer}}},
                "400": {"description": "no number"},
                "401": {"description": "no token"},
            },
        }}},
    })
}

fn is_let_in(headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION);
    shown.is_some_and(|shown| shown == "Bearer token")
}

async fn thing(
    State(mistake): State<Mistake>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if mistake != Mistake::Open && !is_let_in(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(id) = id.parse::<u32>().ok().filter(|id| *id <= 1000) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match mistake {
        Mistake::Breaks => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mistake::Undocumented => StatusCode::CONFLICT.into_response(),
        Mistake::Misshapen => axum::Json(json!({"id": id.to_string()})).into_response(),
        Mistake::None | Mistake::Open => axum::Json(json!({"id": id})).into_response(),
    }
}

async fn asked(mistake: Mistake) -> (bool, String) {
    let document = async |headers: HeaderMap| {
        if is_let_in(&headers) {
            axum::Json(document()).into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        }
    };
    let api = Router::new()
        .route("/api/v1/openapi.json", get(document))
        .route("/api/v1/things/{id}", get(thing))
        .with_state(mistake);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, api).await });
    ask(url, "token", 10).await
}

#[tokio::test]
async fn an_api_that_does_as_it_says_passes() {
    let (well, said) = asked(Mistake::None).await;
    assert!(well, "{said}");
    assert!(said.contains("nothing is wrong"), "{said}");
}

#[tokio::test]
async fn each_planted_mistake_is_found() {
    for (mistake, words) in [
        (Mistake::Breaks, "Server error"),
        (Mistake::Undocumented, "Undocumented status code"),
        (Mistake::Misshapen, "Response violates schema"),
        (
            Mistake::Open,
            "GET /api/v1/things/{id} without a token: 200, not 401",
        ),
    ] {
        let (well, said) = asked(mistake).await;
        assert!(!well && said.contains(words), "{mistake:?}: {said}");
    }
}
