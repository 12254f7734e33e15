//! What is in the package and in its image, and how its container runs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::docker::{self, Container, docker};
use crate::site::{RELAY, Site, manifest, stock, unpack};

/// The image's name.
pub(crate) const IMAGE: &str = concat!("orbit-relay:", env!("CARGO_PKG_VERSION"));

/// The stock package, unpacked, and its image, loaded.
pub(crate) fn loaded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    unpack(&stock(), folder.path());
    let archive = folder.path().join("orbit-relay.tar.gz");
    docker(&["load", "--input", archive.to_str().unwrap()]);
    folder
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn the_image_holds_the_program_and_an_empty_data_directory_and_nothing_else() {
    let _folder = loaded();
    let id = docker(&["create", IMAGE]);
    let archive = tempfile::NamedTempFile::new().unwrap();
    let path = archive.path().to_str().unwrap();
    docker(&["export", "--output", path, id.trim()]);
    docker(&["rm", id.trim()]);
    let listed = docker::run("tar", &["--numeric-owner", "-tvf", path], None);
    let ours: Vec<_> = listed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|line| !made_by_docker(line[5]))
        .map(|line| format!("{} {} {}", line[0], line[1], line[5]))
        .collect();
    assert_eq!(
        ours,
        ["drwx------ 65532/65532 data/", "-rwxr-xr-x 0/0 orbit-relay"],
        "{listed}"
    );
}

/// What Docker puts into every container.
fn made_by_docker(name: &str) -> bool {
    ["dev", "etc", "proc", "sys", ".dockerenv"]
        .iter()
        .any(|made| name.trim_end_matches('/').split('/').next() == Some(made))
}

/// What an image says of itself, whoever built it.
fn configuration(image: &str) -> Value {
    let inspected: Value = serde_json::from_str(&docker(&["image", "inspect", image])).unwrap();
    let config = &inspected[0]["Config"];
    let environment = config["Env"].as_array().unwrap().iter();
    // A builder adds a path, though there is nothing to be found by it.
    let environment = environment.filter(|value| !value.as_str().unwrap().starts_with("PATH="));
    json!({
        "env": environment.collect::<Vec<_>>(),
        "user": config["User"],
        "entrypoint": config["Entrypoint"],
        "ports": config["ExposedPorts"],
        "health": config["Healthcheck"],
        "directory": config["WorkingDir"].as_str().map(|path| path.trim_end_matches('/')),
        "labels": config["Labels"],
        "architecture": inspected[0]["Architecture"],
        "os": inspected[0]["Os"],
    })
}

#[test]
fn docker_build_and_the_package_have_the_same_configuration() {
    let _folder = loaded();
    assert_eq!(
        configuration("orbit-relay:built-by-docker"),
        configuration(IMAGE)
    );
}

#[test]
fn image_and_package_are_within_their_sizes() {
    let folder = loaded();
    let image: Value = serde_json::from_str(&docker(&["image", "inspect", IMAGE])).unwrap();
    let image = image[0]["Size"].as_u64().unwrap();
    let package = bytes(&stock());
    println!("image {image} bytes, package {package} bytes");
    assert!(image <= 12_000_000, "{image}");
    assert!(package <= 6_000_000, "{package}");
    drop(folder);
}

#[test]
fn the_package_passes_its_own_check() {
    let _folder = loaded();
    let spx = stock();
    let (place, name) = (spx.parent().unwrap(), spx.file_name().unwrap());
    let mount = format!("{}:/dist:ro", place.display());
    let file = format!("/dist/{}", name.to_str().unwrap());
    let said = docker(&[
        "run", "--rm", "--volume", &mount, IMAGE, "package", "check", &file,
    ]);
    println!("{said}");
    assert!(said.contains(", 0 ✗,"), "{said}");
}

/// What the public `build_extension.py` asks of a manifest, and what Orbit needs besides.
#[test]
fn the_manifest_passes_each_check_of_the_vendors_builder() {
    let folder = tempfile::tempdir().unwrap();
    unpack(&stock(), folder.path());
    let manifest = manifest(folder.path());
    assert_eq!(
        manifest["images"],
        json!(["orbit-relay.tar.gz"]),
        "as the archive is called"
    );
    let text = |name: &str| {
        manifest[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}"))
            .to_owned()
    };
    for required in ["version", "installation_target", "date"] {
        assert!(!text(required).is_empty(), "{required}");
    }
    let name = text("extension_name");
    assert!(
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "{name}"
    );
    let version = text("version");
    let numbers: Vec<_> = version.split('.').collect();
    assert_eq!(numbers.len(), 3, "{version}");
    assert!(
        numbers.iter().all(|number| number.parse::<u32>().is_ok()),
        "{version}"
    );
    text("date").parse::<jiff::civil::Date>().unwrap();
    assert_eq!(text("installation_target"), "orbit");
    assert!(folder.path().join(text("icon")).exists());
    let compose = folder.path().join("docker-compose.yml");
    let compose = compose.to_str().unwrap();
    docker::run("docker-compose", &["-f", compose, "config", "-q"], None);
}

#[test]
fn the_package_is_flat_and_its_name_has_no_underscore() {
    let spx = stock();
    let listed = docker::run("tar", &["-tzf", spx.to_str().unwrap()], None);
    let names: Vec<_> = listed.lines().collect();
    assert_eq!(
        names,
        [
            "manifest.json",
            "docker-compose.yml",
            "icon.png",
            "orbit-relay.tar.gz"
        ]
    );
    let name = spx.file_name().unwrap().to_str().unwrap();
    assert!(!name.contains(['_', ' ']), "{name}");
}

/// Every setting of the program, by its first variable.
fn contract() -> Vec<&'static str> {
    let settings = orbit_relay::config::settings::SETTINGS.iter();
    settings.map(|setting| setting.variables[0]).collect()
}

#[test]
fn compose_names_every_variable_of_the_contract() {
    let compose = include_str!("../../extension/docker-compose.yml");
    // Where the image itself says it, nobody else should.
    let image = ["DATA_DIR", "CONFIG_DIR"];
    for variable in contract().into_iter().filter(|name| !image.contains(name)) {
        let named = compose.contains(&format!("\n      {variable}: \""));
        assert!(named, "{variable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_container_is_as_closed_as_it_can_be() {
    let site = Site::empty().await;
    site.install(&stock());
    let state = Container::state_of(RELAY);
    let host = &state["HostConfig"];
    assert_eq!(host["NetworkMode"], "bridge");
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["CapAdd"], Value::Null);
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]));
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["Memory"], 256 << 20);
    assert_eq!(host["OomScoreAdj"], 1000);
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(state["Config"]["User"], "65532:65532");
    let ports: BTreeMap<String, Value> =
        serde_json::from_value(host["PortBindings"].clone()).unwrap();
    let of = |port: &str| ports[port][0].clone();
    assert_eq!(of("21600/tcp")["HostIp"], "");
    assert_eq!(of("22101/tcp")["HostIp"], "127.0.0.1");
    assert_eq!(ports.len(), 2);

    // Nothing but the program runs in it: there is nobody whose children it would have to bury.
    site.until_ready(|ready| ready["journal"]["status"] == "open")
        .await;
    let processes = docker(&["top", RELAY, "-eo", "pid,stat,args"]);
    let others = processes.lines().skip(1);
    let others = others.filter(|line| !line.ends_with("/orbit-relay health"));
    assert_eq!(others.count(), 1, "{processes}");
}

#[test]
fn a_data_folder_that_docker_made_as_root_is_named_with_path_and_uid() {
    let _folder = loaded();
    let parent = tempfile::tempdir().unwrap();
    let mount = format!("{}/made-by-docker:/data", parent.path().display());
    let relay = Container::run(&["--read-only", "--volume", &mount, IMAGE]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let said = runtime.block_on(relay.line("cannot be written"));
    assert!(
        said.contains("/data") && said.contains("uid 65532"),
        "{said}"
    );
    let state = relay.inspect();
    assert_eq!(state["State"]["Running"], true, "{}", relay.logs());
}
