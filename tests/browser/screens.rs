//! Every screen in the browser.

use crate::first::{NAME, PASSWORD, SCREENS};
use crate::scene::Scene;
use crate::world::Site;

#[tokio::test]
async fn the_first_visit_in_orbits_frame_ends_logged_in() {
    let scene = Scene::of(Site::new().await).await;
    scene.first_visit().await;
    scene.go("/account").await;
    assert_eq!(scene.browser.text("h1").await, "My account");
    let cookies = scene.browser.cookies().await;
    let session = cookies
        .iter()
        .find(|cookie| cookie["name"] == "orbit_relay");
    let session = session.unwrap_or_else(|| panic!("{cookies:?}"));
    assert_eq!(session["httpOnly"], true, "{session}");
    assert_eq!(session["secure"], true, "{session}");
    scene.end().await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_the_right_one_enters_in_the_frame() {
    let scene = Scene::of(Site::new().await).await;
    scene.first_visit().await;
    scene.go("/account").await;
    scene.browser.click_text("button", "Log out").await;
    scene.log_in(NAME, "what ann does not know").await;
    scene.browser.until_there_is("[role=alert]").await;
    scene.log_in(NAME, PASSWORD).await;
    scene.browser.until_there_is_no("#password").await;
    scene.go("/account").await;
    assert_eq!(scene.browser.text("h1").await, "My account");
    scene.end().await;
}

#[tokio::test]
async fn every_screen_of_an_empty_relay_is_valid_accessible_and_fits_a_phone() {
    let scene = Scene::of(Site::new().await).await;
    let mut faults = scene.faults("first-visit", "/setup-code").await;
    scene.framed().await;
    scene.first_visit().await;
    for (name, path) in SCREENS {
        faults.extend(scene.faults(name, path).await);
    }
    scene.framed().await;
    scene.go("/account").await;
    scene.browser.click_text("button", "Log out").await;
    scene.browser.until_there_is("#password").await;
    faults.extend(scene.faults("login", "/login").await);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scene.end().await;
}
