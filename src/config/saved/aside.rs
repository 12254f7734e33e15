//! What was saved and cannot be read any more is put aside, so that it can be begun anew.
//!
//! # Invariants
//! - Only what cannot be read is put aside; nothing is removed by that. Secrets that nothing else
//!   names go with the next save.

use std::path::Path;

use super::write::sync;
use super::{DOTENV, FILE, PAGE, read_dotenv, read_file};

/// What a file that was put aside is called besides.
const ASIDE: &str = "unusable";

/// Puts each saved file that cannot be read aside, under a name that says so; gives their new
/// names.
pub fn set_aside(data_dir: &Path) -> std::io::Result<Vec<String>> {
    let dir = data_dir.join(PAGE);
    let broken = [
        (DOTENV, read_dotenv(&dir).is_err()),
        (FILE, read_file(&dir).is_err()),
    ];
    let mut names = Vec::new();
    for (name, _) in broken.iter().filter(|(_, is_broken)| *is_broken) {
        let free = (1_u32..).map(|number| format!("{name}.{ASIDE}.{number}"));
        let mut free = free.filter(|name| std::fs::symlink_metadata(dir.join(name)).is_err());
        let aside = free.next().unwrap_or_default();
        std::fs::rename(dir.join(name), dir.join(&aside))?;
        names.push(aside);
    }
    if !names.is_empty() {
        sync(&dir)?;
    }
    Ok(names)
}
