//! `package check`: exit codes and memory.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::process::{Home, Process, end};

const MANIFEST: &str = r#"{"extension_name": "orbit-relay-config", "version": "1.0.0",
    "installation_target": "orbit", "date": "2026-11-22"}"#;
/// In a debug build: some 20 MiB before anything is read.
const MOST_KIB: u64 = 64 << 10;
const BOMB: usize = 128 << 20;

fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len().try_into().unwrap());
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

async fn code(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["package", "check"], arguments].concat();
    let ended = end(home.command(&arguments)).await;
    (ended.code, ended.out, ended.err)
}

#[tokio::test]
async fn package_check_ends_with_0_4_or_1_and_shows_no_value() {
    let home = Home::new();
    let files: [(&str, &[u8]); 2] = [
        ("manifest.json", MANIFEST.as_bytes()),
        (".env", b"ORBIT_API_TOKEN=canary\n"),
    ];
    home.write("orbit-relay-config.spx", package(&files));
    home.write("bad_name.spx", package(&files));
    let (ended, out, err) = code(&home, &["orbit-relay-config.spx"]).await;
    assert_eq!((ended, &*err), (Some(0), ""), "{out}");
    assert!(
        out.contains("contains credentials: ORBIT_API_TOKEN in .env"),
        "{out}"
    );
    assert!(!out.contains("canary"), "{out}");
    let (ended, out, _) = code(&home, &["bad_name.spx"]).await;
    assert_eq!(ended, Some(4));
    assert!(out.starts_with("✗ file name "), "{out}");
    for missing in ["nowhere.spx", "."] {
        let (ended, out, err) = code(&home, &[missing]).await;
        assert_eq!((ended, &*out), (Some(1), ""), "{err}");
        assert!(
            err.starts_with(&format!("error: {missing} cannot be read: ")),
            "{err}"
        );
    }
}

/// A bomb comes through a pipe, so that the memory can be looked at before the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_leaves_the_memory_as_it_was() {
    let home = Home::new();
    let pipe = home.path().join("bomb.spx");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let zeros = vec![0; BOMB];
    let image = package(&[("layer.tar", &zeros)]);
    let bomb = package(&[("icon.png", &zeros), ("orbit-relay.tar.gz", &image)]);
    let process = Process::start(home.command(&["package", "check", "bomb.spx"]));
    let (all_but_the_end, rest) = bomb.split_at(bomb.len() - 16);
    let mut file = open(&pipe).await;
    file.write_all(all_but_the_end).unwrap();
    let peak = process.peak_memory();
    assert!(peak < MOST_KIB, "{peak} KiB");
    file.write_all(rest).unwrap();
    drop(file);
    let mut process = process;
    let ended = process.ended(std::time::Duration::from_mins(1)).await;
    assert_eq!(ended, Some(4), "{}", process.text());
}

async fn open(pipe: &Path) -> std::fs::File {
    let pipe = pipe.to_owned();
    let opened =
        tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(pipe));
    opened.await.unwrap().unwrap()
}
