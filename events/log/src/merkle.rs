//! The RFC 6962 Merkle tree over the stored frames, kept as its frontier: the roots of the full
//! subtrees, largest first, one for each bit that is set in the size.
//!
//! Appending and the root of the current size are all that writing and checking need; inclusion
//! and consistency proofs will be computed from the stored frames and need nothing more kept here.

use aws_lc_rs::digest::{Context, SHA256};

/// A node of the tree.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 of 0x00 and the frame.
pub fn leaf_hash(frame: &[u8]) -> Hash {
    hash(&[&[0], frame])
}

/// The hash of an inner node: SHA-256 of 0x01, left and right.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut c = Context::new(&SHA256);
    for p in parts {
        c.update(p);
    }
    let mut h = [0; 32];
    h.copy_from_slice(c.finish().as_ref());
    h
}

/// A tree of a given size, as much of it as appending needs: at most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its [`leaf_hash`].
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each set low bit is a full subtree of the size that the new one has just reached.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The tree's root; of the empty tree it is the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut rest = self.nodes.iter().rev();
        match rest.next() {
            None => hash(&[]),
            Some(last) => rest.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    /// Size (u64, big endian), then the nodes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut b = Vec::with_capacity(8 + 32 * self.nodes.len());
        b.extend_from_slice(&self.size.to_be_bytes());
        for n in &self.nodes {
            b.extend_from_slice(n);
        }
        b
    }

    /// Reads [`Frontier::to_bytes`]; `None` when the number of nodes does not fit the size.
    pub fn from_bytes(b: &[u8]) -> Option<Self> {
        let (size, rest) = b.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let (nodes, odd) = rest.as_chunks::<32>();
        (odd.is_empty() && nodes.len() == size.count_ones() as usize).then(|| Frontier { size, nodes: nodes.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(h: &[u8]) -> String {
        h.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The eight leaves that implementations of RFC 6962 test with, and the root at each size.
    #[test]
    fn the_roots_are_those_of_rfc_6962() {
        let leaves: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut f = Frontier::default();
        assert_eq!(hex(&f.root()), roots[0]);
        for (leaf, root) in leaves.iter().zip(&roots[1..]) {
            f.append(leaf_hash(leaf));
            assert_eq!(hex(&f.root()), *root);
            assert_eq!(Frontier::from_bytes(&f.to_bytes()).as_ref(), Some(&f));
        }
    }

    /// The definition of RFC 6962 section 2.1, written as it stands there.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash(&[]),
            [one] => *one,
            _ => {
                let k = (leaves.len() - 1).checked_ilog2().map_or(1, |b| 1 << b);
                node_hash(&by_definition(&leaves[..k]), &by_definition(&leaves[k..]))
            }
        }
    }

    #[test]
    fn every_size_agrees_with_the_definition() {
        let leaves: Vec<Hash> = (0u32..200).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut f = Frontier::default();
        for (i, leaf) in leaves.iter().enumerate() {
            assert_eq!(f.root(), by_definition(&leaves[..i]));
            f.append(*leaf);
        }
    }

    #[test]
    fn a_frontier_of_the_wrong_length_is_not_read() {
        let mut f = Frontier::default();
        for i in 0u8..7 {
            f.append(leaf_hash(&[i]));
        }
        let b = f.to_bytes();
        assert!(Frontier::from_bytes(&b[..b.len() - 1]).is_none());
        assert!(Frontier::from_bytes(&b[..b.len() - 32]).is_none());
        assert!(Frontier::from_bytes(&b[..7]).is_none());
    }
}
