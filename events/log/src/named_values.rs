//! A few durable values by name, for services that keep small things beside a log: each value is
//! there whole or not at all, and on stable storage when [`NamedValues::write`] returns.
//!
//! Keys are the name, a zero byte and the part (u16, big endian); the first part begins with the
//! length of the whole value (u32, big endian).

use std::path::Path;
use std::sync::Arc;

use crate::error::LogError;
use crate::guarded::{GuardedSled, PART};

/// sled's page cache: the values are read once, at the start.
const CACHE: u64 = 4 * 1024 * 1024;
/// The most bytes of one value: what the parts' numbers can count, with room to spare.
pub const MAX_VALUE: usize = 64 * 1024 * 1024;

/// The values in one directory.
pub struct NamedValues {
    db: GuardedSled,
}

/// A name and its new value; `None` removes it.
pub type Change = (String, Option<Vec<u8>>);

fn key(name: &str, part: u16) -> Vec<u8> {
    let mut k = Vec::with_capacity(name.len() + 3);
    k.extend_from_slice(name.as_bytes());
    k.push(0);
    k.extend_from_slice(&part.to_be_bytes());
    k
}

fn read_key(k: &[u8]) -> Option<(&str, u16)> {
    let (rest, part) = k.split_last_chunk::<2>()?;
    let (zero, name) = rest.split_last()?;
    (*zero == 0).then_some((std::str::from_utf8(name).ok()?, u16::from_be_bytes(*part)))
}

impl NamedValues {
    /// Opens or makes the directory.
    ///
    /// # Errors
    /// When it is in use, can't be read, or holds what no such store writes.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        Ok(NamedValues { db: GuardedSled::open(dir, CACHE, Some(Arc::new(|f| f.sync_data())))? })
    }

    /// Every value, by name. One that is not whole is left out, and the log says which.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn all(&self) -> Result<Vec<(String, Vec<u8>)>, LogError> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut records = self.db.run(|db| Ok(db.iter()))?;
        let mut next = 0;
        while let Some((k, bytes)) = self.db.run(|_| records.next().transpose())? {
            let Some((name, part)) = read_key(&k) else {
                return Err(self.db.engine("a record has a key that no such store writes"));
            };
            match found.last_mut() {
                Some((n, value)) if n == name && part == next => value.extend_from_slice(&bytes),
                // A part out of line makes its value too short or too long, which shows below.
                _ => found.push((name.to_owned(), bytes.to_vec())),
            }
            next = part + 1;
        }
        found.retain_mut(|(name, value)| {
            let whole =
                value.split_first_chunk::<4>().filter(|(len, rest)| u32::from_be_bytes(**len) as usize == rest.len());
            let is_whole = whole.is_some();
            if is_whole {
                value.drain(..4);
            } else {
                tracing::error!(dir = %self.db.dir().display(), name = %name.escape_debug(), "a value is not whole");
            }
            is_whole
        });
        Ok(found)
    }

    /// Makes all changes or none; they are on stable storage when this returns. After an error
    /// nobody knows what is on the disk, but the same changes may be written again.
    ///
    /// # Errors
    /// When a value is too large or the store can't be written.
    pub fn write(&self, changes: &[Change]) -> Result<(), LogError> {
        let mut batch = sled::Batch::default();
        for (name, value) in changes {
            let mut parts = 0u16;
            if let Some(value) = value {
                if value.len() > MAX_VALUE {
                    return Err(self.db.engine("a value is too large"));
                }
                let mut whole = Vec::with_capacity(4 + value.len());
                whole.extend_from_slice(&(value.len() as u32).to_be_bytes());
                whole.extend_from_slice(value);
                for bytes in whole.chunks(PART) {
                    batch.insert(key(name, parts), bytes);
                    parts += 1;
                }
            }
            // What a longer value before had more.
            let beyond = key(name, parts);
            let mut old = self.db.run(|db| Ok(db.range(beyond..=key(name, u16::MAX))))?;
            while let Some((k, _)) = self.db.run(|_| old.next().transpose())? {
                batch.remove(k);
            }
        }
        self.db.run(|db| db.apply_batch(batch))?;
        self.db.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_length_are_there_after_reopening_and_what_was_removed_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let value = |n: usize| (0..n).map(|i| (i % 251) as u8).collect::<Vec<u8>>();
        let lengths = [0, 1, PART - 5, PART - 4, PART - 3, PART, 3 * PART, 200_000];
        let name = |n: usize| format!("a/topic/{n}");
        {
            let s = NamedValues::open(dir.path()).unwrap();
            let changes: Vec<Change> = lengths.iter().map(|n| (name(*n), Some(value(*n)))).collect();
            s.write(&changes).unwrap();
            // One grows shorter, one goes.
            s.write(&[(name(200_000), Some(value(10))), (name(0), None)]).unwrap();
        }
        let s = NamedValues::open(dir.path()).unwrap();
        let mut expected: Vec<_> = lengths[1..].iter().map(|n| (name(*n), value(*n))).collect();
        expected.last_mut().unwrap().1 = value(10);
        expected.sort();
        let mut found = s.all().unwrap();
        found.sort();
        assert_eq!(found, expected);
        assert!(std::fs::read_dir(dir.path().join("blobs")).map_or(0, Iterator::count) == 0);
        assert!(NamedValues::open(dir.path()).is_err(), "one process at a time");
    }

    #[test]
    fn a_value_that_lost_a_part_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let s = NamedValues::open(dir.path()).unwrap();
        s.write(&[("long".into(), Some(vec![7; 3 * PART])), ("short".into(), Some(vec![1]))]).unwrap();
        s.db.run(|db| db.remove(key("long", 1))).unwrap();
        assert_eq!(s.all().unwrap(), [("short".to_owned(), vec![1])]);
    }
}
