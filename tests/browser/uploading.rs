//! An asset map is uploaded: one with a mistake, and one without.

use crate::scene::Scene;
use crate::world::Site;

const WITH_A_MISTAKE: &str =
    "action_name,asset_id\nP-101 motor DE,P-101\nP-102 motor DE,P-102,and,more\n";
const RIGHT: &str = "action_name,asset_id\nP-101 motor DE,P-101\nP-102 motor DE,P-102\n";

/// A relay without a map.
pub(crate) async fn without_a_map(scripts: bool) -> Scene {
    let scene = Scene::of(Site::new().await.without_flag("asset-map")).await;
    if !scripts {
        scene.without_scripts().await;
    }
    scene.first_visit().await;
    scene
}

/// Uploads both; the right one is applied, and undone.
pub(crate) async fn uploads(scene: &Scene) {
    let browser = &scene.browser;
    let file = scene.site.path("from the office.csv");
    scene.go("/assets/map").await;
    browser.click_text("main a", "Upload a CSV file").await;
    std::fs::write(&file, WITH_A_MISTAKE).unwrap();
    browser.upload("#file", &file).await;
    browser
        .click_text("main button", "Upload and compare")
        .await;
    let said = browser.until_text("[role=alert]", "Line 3").await;
    assert!(said.contains("Nothing was changed."), "{said}");
    scene.go("/assets/map").await;
    browser
        .until_text("#map-rows", "The map has no rows yet.")
        .await;

    scene.go("/assets/map/upload").await;
    std::fs::write(&file, RIGHT).unwrap();
    browser.upload("#file", &file).await;
    browser
        .click_text("main button", "Upload and compare")
        .await;
    browser.until_text("main", "Difference:").await;
    browser.until_text("main tbody tr", "P-102").await;
    let changed = scene.site.data_dir().join("page/assets.csv");
    assert!(
        !changed.exists(),
        "nothing is applied before it is confirmed"
    );
    browser
        .click_text("main button", "Make it the asset map")
        .await;
    browser.until_text("#map-rows", "2 rows").await;
    assert_eq!(std::fs::read_to_string(&changed).unwrap(), RIGHT);
    browser
        .click_text("main button", "Undo the last change")
        .await;
    browser
        .until_text("#map-rows", "The map has no rows yet.")
        .await;
}

#[tokio::test]
async fn a_mistake_in_a_csv_file_is_said_with_its_line_and_a_right_file_is_applied_and_undone() {
    let scene = without_a_map(true).await;
    uploads(&scene).await;
    scene.end().await;
}
