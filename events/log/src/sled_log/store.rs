//! Frames in sled, with everything that sled 0.34 needs to keep them.
//!
//! [`crate::guarded`] lists what is guarded, and against what.
//!
//! One tree. Keys of frames are the commit number (u64) and the part (u16), big endian; the key
//! [`FRONTIER`] holds the Merkle frontier after the last batch. This module must never decode a
//! frame's body, and never change a record that is there.

use std::path::Path;

use mw_contract::CommitNumber;

use crate::error::LogError;
use crate::frame;
use crate::guarded::{GuardedSled, PART, SyncFn};

/// Numbers of commits stay below 2^56, so no key of a frame begins with this byte.
const FRONTIER: [u8; 1] = [0xff];

pub(super) struct Store {
    db: GuardedSled,
}

fn key(number: u64, part: u16) -> [u8; 10] {
    let mut k = [0; 10];
    k[..8].copy_from_slice(&number.to_be_bytes());
    k[8..].copy_from_slice(&part.to_be_bytes());
    k
}

fn read_key(k: &[u8]) -> Option<(u64, u16)> {
    let (n, p) = k.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*n), u16::from_be_bytes(p.try_into().ok()?)))
}

impl Store {
    /// Opens or makes the store. `sync` is `None` when nothing need survive a power loss.
    pub fn open(dir: &Path, cache_bytes: u64, sync: Option<SyncFn>) -> Result<Self, LogError> {
        Ok(Store { db: GuardedSled::open(dir, cache_bytes, sync)? })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.db.dir()
    }

    /// Stores consecutive frames and the frontier after them: all or nothing, and durable when
    /// this returns. After an error nobody knows what is on the disk.
    pub fn append(&self, first: CommitNumber, frames: &[Vec<u8>], frontier: Vec<u8>) -> Result<(), LogError> {
        let mut batch = sled::Batch::default();
        for (i, frame) in frames.iter().enumerate() {
            for (part, bytes) in frame.chunks(PART).enumerate() {
                batch.insert(&key(first.0 + i as u64, part as u16), bytes);
            }
        }
        batch.insert(&FRONTIER, frontier);
        self.db.run(|db| db.apply_batch(batch))?;
        self.flush()
    }

    /// Makes everything that was written durable.
    pub fn flush(&self) -> Result<(), LogError> {
        self.db.flush()
    }

    /// The frontier after the last batch; `None` in an empty store.
    pub fn frontier(&self) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.db.run(|db| db.get(FRONTIER))?.map(|v| v.to_vec()))
    }

    /// The number of the last commit; zero in an empty store.
    pub fn last(&self) -> Result<CommitNumber, LogError> {
        let last = self.db.run(|db| db.range(..&FRONTIER[..]).next_back().transpose())?;
        match last {
            None => Ok(CommitNumber::ZERO),
            Some((k, _)) => match read_key(&k) {
                Some((n, _)) => Ok(CommitNumber(n)),
                None => Err(self.db.engine("a record has a key that no log writes")),
            },
        }
    }

    /// The frame of one commit; `None` when it has no record.
    pub fn frame(&self, number: CommitNumber) -> Result<Option<Vec<u8>>, LogError> {
        let mut found = None;
        self.scan(number, &mut |n, bytes| {
            if n == number {
                found = Some(bytes.to_vec());
            }
            Ok(false)
        })?;
        Ok(found)
    }

    /// Gives the frames from number `from` on, in order, until `each` says `false`. Parts are put
    /// together here; a part that is missing is [`LogError::Corrupt`].
    pub fn scan(
        &self,
        from: CommitNumber,
        each: &mut dyn FnMut(CommitNumber, &[u8]) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        let mut parts = self.db.run(|db| Ok(db.range(&key(from.0, 0)[..]..&FRONTIER[..])))?;
        let mut joined: Vec<u8> = Vec::new();
        // The commit whose parts are being collected, and the part that comes next.
        let mut open: Option<(u64, u16)> = None;
        while let Some((k, bytes)) = self.db.run(|_| parts.next().transpose())? {
            let Some((number, part)) = read_key(&k) else {
                return Err(self.db.engine("a record has a key that no log writes"));
            };
            if let Some((n, _)) = open.filter(|&open| open != (number, part)) {
                return Err(LogError::Corrupt {
                    commit: CommitNumber(n),
                    reason: "a part of its frame is missing".into(),
                });
            }
            if open.is_none() && part != 0 {
                let reason = "the first part of its frame is missing".into();
                return Err(LogError::Corrupt { commit: CommitNumber(number), reason });
            }
            let whole = |b: &[u8]| frame::announced_len(b).is_none_or(|l| b.len() as u64 >= u64::from(l));
            // A frame that says it is longer than this part goes on in the next; a damaged length
            // shows when that next part is not there.
            let more = if open.is_none() && (bytes.len() < PART || whole(&bytes)) {
                if !each(CommitNumber(number), &bytes)? {
                    return Ok(());
                }
                continue;
            } else {
                joined.extend_from_slice(&bytes);
                joined.len() <= frame::MAX_FRAME && bytes.len() == PART && !whole(&joined)
            };
            if more {
                open = Some((number, part + 1));
            } else {
                open = None;
                let go_on = each(CommitNumber(number), &joined)?;
                joined.clear();
                if !go_on {
                    return Ok(());
                }
            }
        }
        match open {
            Some((n, _)) => {
                Err(LogError::Corrupt { commit: CommitNumber(n), reason: "the end of its frame is missing".into() })
            }
            None => Ok(()),
        }
    }

    /// Bytes on the disk.
    pub fn size_on_disk(&self) -> u64 {
        self.db.run(sled::Db::size_on_disk).unwrap_or(0)
    }

    /// Overwrites a record, as damage would.
    #[cfg(test)]
    pub fn damage(&self, number: u64, part: u16, bytes: Option<&[u8]>) {
        match bytes {
            Some(b) => self.db.run(|db| db.insert(key(number, part), b)).unwrap(),
            None => self.db.run(|db| db.remove(key(number, part))).unwrap(),
        };
        self.db.flush().unwrap();
    }

    #[cfg(test)]
    pub fn raw_part(&self, number: u64, part: u16) -> Option<Vec<u8>> {
        self.db.run(|db| db.get(key(number, part))).unwrap().map(|v| v.to_vec())
    }
}
