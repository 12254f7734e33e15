//! Somebody guesses a password.

use crate::first::{NAME, PASSWORD};
use crate::scene::Scene;
use crate::world::Site;

/// So often a wrong password costs nothing but the time that it takes.
const FREE: usize = 5;

#[tokio::test]
async fn ten_wrong_passwords_are_refused_with_words_and_a_time() {
    let scene = Scene::of(Site::new().await).await;
    scene.first_visit().await;
    scene.go("/account").await;
    scene.browser.click_text("button", "Log out").await;
    let browser = &scene.browser;
    for n in 0..10 {
        // What the last try was answered is gone from the screen before the next one.
        scene.go("/login").await;
        let guess = format!("what bob guesses: number {n}");
        scene.log_in(NAME, &guess).await;
        let words = if n < FREE {
            "not right"
        } else {
            "The next one is taken in"
        };
        let said = browser.text("[role=alert]").await;
        assert!(said.contains(words), "try {n}: {said}");
    }
    scene.go("/login").await;
    scene.log_in(NAME, PASSWORD).await;
    let said = browser.until_text("[role=alert]", "seconds").await;
    assert!(said.contains("a right one is refused too"), "{said}");
    scene.go("/login").await;
    assert_eq!(browser.count("#password").await, 1, "nobody is logged in");
    scene.end().await;
}
