//! Everything but what changes by itself works where scripts may not run.

use crate::first::{NAME, PASSWORD};
use crate::{mapping, replaying, uploading};

#[tokio::test]
async fn without_scripts_a_person_logs_in_and_maps_an_action() {
    let scene = mapping::three_parked(false).await;
    mapping::maps(&scene).await;
    scene.go("/account").await;
    scene.browser.click_text("button", "Log out").await;
    scene.log_in(NAME, PASSWORD).await;
    scene.browser.until_text("h1", "Today").await;
    // Times stand in UTC, as the server wrote them.
    scene.go("/acts").await;
    scene.browser.until_text("main time", "UTC").await;
    scene.end().await;
}

#[tokio::test]
async fn without_scripts_what_is_dead_is_replayed() {
    let scene = replaying::two_dead(false).await;
    replaying::replays(&scene).await;
    scene.end().await;
}

#[tokio::test]
async fn without_scripts_a_file_is_uploaded_applied_and_undone() {
    let scene = uploading::without_a_map(false).await;
    uploading::uploads(&scene).await;
    scene.end().await;
}
