//! Files that must be there after the power went: written beside, synced, renamed, directory synced.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::LogError;

/// Makes a directory and what is missing above it, and syncs every directory that changed.
pub(crate) fn create_dir(dir: &Path) -> Result<(), LogError> {
    let mut missing = Vec::new();
    let mut at = Some(dir);
    while let Some(d) = at.filter(|d| !d.as_os_str().is_empty() && !d.exists()) {
        missing.push(d.to_path_buf());
        at = d.parent();
    }
    fs::create_dir_all(dir).map_err(LogError::io("creating directory", dir))?;
    for d in missing.iter().rev() {
        sync_dir(&parent(d))?;
    }
    Ok(())
}

/// Syncs a directory, so that names made or removed in it stay so.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(LogError::io("syncing directory", dir))
}

/// The directory that holds a path.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Replaces a file in one step. A `secret` one is readable by its owner alone from the start.
pub(crate) fn replace(path: &Path, bytes: &[u8], secret: bool) -> Result<(), LogError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let tmp = path.with_file_name(name);
    match fs::remove_file(&tmp) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(LogError::io("removing", &tmp)(e)),
        _ => {}
    }
    let mut o = fs::OpenOptions::new();
    o.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        o.mode(if secret { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut f = o.open(&tmp).map_err(LogError::io("creating", &tmp))?;
    f.write_all(bytes).and_then(|()| f.sync_all()).map_err(LogError::io("writing", &tmp))?;
    fs::rename(&tmp, path).map_err(LogError::io("renaming to", path))?;
    sync_dir(&parent(path))
}

/// The whole of a file, `None` when it is not there.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    match fs::read(path) {
        Ok(b) => Ok(Some(b)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(LogError::io("reading", path)(e)),
    }
}
