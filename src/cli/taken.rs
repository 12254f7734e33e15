//! What a package brings: its `.env` is taken into the data directory, so that a later package
//! without one goes on with the same settings.
//!
//! # Invariants
//! - Nothing is taken that cannot be read as a configuration.
//! - That it cannot be taken is no error: it is read where it is.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::config::Input;

/// What was done with a package's `.env`.
pub(super) enum Taken {
    /// There is none, or it is there already.
    Nothing,
    /// It was taken.
    Settings,
    /// It could not be taken, and why.
    Not(String),
}

/// Takes what a package brings, from the files that were read.
pub(super) fn take(input: &Input, data_dir: &Path) -> Taken {
    let path = input.package_dotenv();
    let mut dotenvs = input.dotenvs.iter();
    let Some(text) = dotenvs.find(|text| Some(&text.path) == path.as_ref()) else {
        return Taken::Nothing;
    };
    let kept = data_dir.join(".env");
    if std::fs::read(&kept).is_ok_and(|there| there == text.bytes) {
        return Taken::Nothing;
    }
    match write(data_dir, &kept, &text.bytes) {
        Ok(()) => Taken::Settings,
        Err(error) => Taken::Not(format!(
            "the settings of the package cannot be taken into the data directory, so a package \
             without {} would not know them: {}: {error}",
            text.path.display(),
            kept.display()
        )),
    }
}

fn write(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // The journal would make it so.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let unfinished = dir.join(".env.new");
    // One that was left behind may have other rights.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    std::fs::File::open(dir)?.sync_all()
}
