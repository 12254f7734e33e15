//! The API's document goes into the program compressed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

const DOCUMENT: &str = "src/page/api/openapi.json";

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script by the environment alone"
)]
fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let out = std::env::var_os("OUT_DIR").expect("cargo says where");
    let file = File::create(Path::new(&out).join("openapi.json.gz"))?;
    let mut packed = GzEncoder::new(file, Compression::best());
    packed.write_all(&std::fs::read(DOCUMENT)?)?;
    packed.finish()?;
    Ok(())
}
