//! Where a read model lies: `DIR/{name}.v{schema}.db` is a link to one generation,
//! `{name}.v{schema}.g{N}.db`.
//!
//! Each schema version has files of its own, so that during an update, when the program that writes
//! and the one that reads are replaced one after the other, each finds what it knows: the reader
//! answers from the files as they were until it is replaced too. Those of earlier versions go when
//! the writer starts, has its own, and nobody wrote to them for a day.
//!
//! A generation is never renamed: SQLite finds a write-ahead log by its file's name, and a log
//! that meets another file of the same name would be replayed into it. So the switch is the
//! rename of a link, readers resolve it before they open, and numbers are not used twice.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The files of one read model.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
    name: &'static str,
    schema: u32,
}

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

impl Files {
    /// The read model `name` below `dir`, in one version of its schema.
    pub fn new(dir: impl Into<PathBuf>, name: &'static str, schema: u32) -> Self {
        Files { dir: dir.into(), name, schema }
    }

    fn stem(&self) -> String {
        format!("{}.v{}", self.name, self.schema)
    }

    /// The number of a generation's file.
    pub fn number(&self, generation: &Path) -> Option<u64> {
        let name = generation.file_name()?.to_str()?;
        name.strip_prefix(&self.stem())?.strip_prefix(".g")?.strip_suffix(".db")?.parse().ok()
    }

    /// The read model's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The link.
    pub fn link(&self) -> PathBuf {
        self.dir.join(format!("{}.db", self.stem()))
    }

    /// The file of one generation.
    pub fn generation(&self, n: u64) -> PathBuf {
        self.dir.join(format!("{}.g{n}.db", self.stem()))
    }

    /// The file that the link names now, if there is one.
    pub fn current(&self) -> io::Result<Option<PathBuf>> {
        match fs::read_link(self.link()) {
            Ok(target) => {
                let path = self.dir.join(target);
                Ok(path.exists().then_some(path))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            // A plain file of that name: none of ours.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A number that no file, nor a left-over companion of one, bears.
    pub fn next_generation(&self) -> io::Result<u64> {
        Ok(self.existing()?.into_iter().map(|(n, _)| n).max().unwrap_or(0) + 1)
    }

    /// Makes the link name this generation, at once and for good.
    pub fn publish(&self, n: u64) -> io::Result<()> {
        let target = self.generation(n);
        let name = target.file_name().ok_or_else(|| io::Error::other("a generation without a name"))?;
        let fresh = self.dir.join(format!("{}.db.new", self.stem()));
        remove(&fresh)?;
        std::os::unix::fs::symlink(name, &fresh)?;
        let link = self.link();
        if link.is_dir() && !link.is_symlink() {
            return Err(io::Error::other("a directory stands where the read model should be"));
        }
        fs::rename(&fresh, &link)?;
        fs::File::open(&self.dir)?.sync_all()
    }

    /// Removes every generation but this one. Queries that still have one open keep it until they
    /// close it.
    pub fn sweep(&self, keep: &Path) -> io::Result<()> {
        for (n, path) in self.existing()? {
            if self.generation(n) != keep {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the files of earlier schema versions to which nothing was written for so long. Until
    /// then an update may still be on its way, or be taken back.
    pub fn sweep_earlier(&self, idle: Duration) -> io::Result<()> {
        let mut versions: BTreeMap<u32, (SystemTime, Vec<PathBuf>)> = BTreeMap::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let rest = name.to_str().and_then(|n| n.strip_prefix(self.name)?.strip_prefix('.'));
            let version = match rest {
                // As they were named before their schema was in the name.
                Some(r) if r.starts_with("db") || r.starts_with('g') => 0,
                Some(r) => match r.strip_prefix('v').and_then(|r| r.split('.').next()?.parse().ok()) {
                    Some(v) => v,
                    None => continue,
                },
                None => continue,
            };
            let written = entry.metadata()?.modified()?;
            let of_version = versions.entry(version).or_insert((written, Vec::new()));
            of_version.0 = of_version.0.max(written);
            of_version.1.push(entry.path());
        }
        let now = SystemTime::now();
        let earlier = versions.into_iter().filter(|(v, _)| *v < self.schema).map(|(_, files)| files);
        for (_, paths) in earlier.filter(|(written, _)| now.duration_since(*written).is_ok_and(|d| d >= idle)) {
            for path in paths {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes one generation with its companions.
    pub fn remove_generation(&self, n: u64) -> io::Result<()> {
        let path = self.generation(n);
        for suffix in COMPANIONS {
            let mut p = path.clone().into_os_string();
            p.push(suffix);
            remove(Path::new(&p))?;
        }
        Ok(())
    }

    fn existing(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        let prefix = format!("{}.g", self.stem());
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|n| n.strip_prefix(&prefix)) else { continue };
            let Some((number, suffix)) = rest.split_once(".db") else { continue };
            if COMPANIONS.contains(&suffix)
                && let Ok(n) = number.parse()
            {
                found.push((n, entry.path()));
            }
        }
        Ok(found)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_not_used_again_while_anything_of_it_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let f = Files::new(dir.path(), "orders", 2);
        assert_eq!(f.next_generation().unwrap(), 1);
        fs::write(dir.path().join("orders.v2.g7.db-wal"), b"x").unwrap();
        fs::write(dir.path().join("orders-other.v2.g9.db"), b"x").unwrap();
        assert_eq!(f.next_generation().unwrap(), 8);
    }

    #[test]
    fn versions_live_beside_each_other_until_the_earlier_ones_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let f = Files::new(dir.path(), "orders", 2);
        let names =
            ["orders.db", "orders.g1.db-wal", "orders.v1.db", "orders.v1.g3.db", "orders.v10.g1.db", "orders-b.v1.db"];
        for n in names {
            fs::write(dir.path().join(n), b"x").unwrap();
        }
        assert_eq!((f.current().unwrap(), f.next_generation().unwrap()), (None, 1));
        fs::write(f.generation(1), b"x").unwrap();
        f.publish(1).unwrap();
        f.sweep(&f.generation(1)).unwrap();
        assert!(names.iter().all(|n| dir.path().join(n).exists()));
        assert_eq!((f.number(&f.generation(1)), f.number(Path::new("orders.v1.g3.db"))), (Some(1), None));
        f.sweep_earlier(Duration::from_secs(3600)).unwrap();
        assert!(names.iter().all(|n| dir.path().join(n).exists()), "they may still be needed");
        f.sweep_earlier(Duration::ZERO).unwrap();
        let left: Vec<&str> = names.into_iter().filter(|n| dir.path().join(n).exists()).collect();
        assert_eq!(left, ["orders.v10.g1.db", "orders-b.v1.db"]);
        assert_eq!(f.current().unwrap(), Some(f.generation(1)));
    }

    #[test]
    fn the_link_moves_and_the_rest_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let f = Files::new(dir.path(), "orders", 2);
        assert_eq!(f.current().unwrap(), None);
        for n in [1, 2] {
            fs::write(f.generation(n), [n as u8]).unwrap();
            f.publish(n).unwrap();
            assert_eq!(fs::read(f.link()).unwrap(), [n as u8]);
        }
        f.sweep(&f.generation(2)).unwrap();
        assert!(!f.generation(1).exists());
        assert_eq!(f.current().unwrap(), Some(f.generation(2)));
        fs::remove_file(f.generation(2)).unwrap();
        assert_eq!(f.current().unwrap(), None, "a link into nothing is no read model");
    }
}
