//! Arithmetic of half-open intervals, in milliseconds since 1970.

/// From one moment to just before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// The first millisecond.
    pub from: i64,
    /// The first one after it.
    pub until: i64,
}

impl Span {
    /// From, until.
    pub const fn new(from: i64, until: i64) -> Self {
        Span { from, until }
    }

    /// The part inside another span; `None` when nothing is.
    pub fn within(self, other: Span) -> Option<Span> {
        let s = Span::new(self.from.max(other.from), self.until.min(other.until));
        (s.from < s.until).then_some(s)
    }

    /// How long it is.
    pub fn millis(self) -> i64 {
        (self.until - self.from).max(0)
    }
}

/// The time that at least one of them covers, sorted and without overlap.
pub fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|s| s.from < s.until);
    spans.sort_unstable();
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for s in spans {
        match out.last_mut() {
            Some(last) if s.from <= last.until => last.until = last.until.max(s.until),
            _ => out.push(s),
        }
    }
    out
}

/// The time of the first that the second does not cover. Both are unions.
pub fn minus(a: &[Span], b: &[Span]) -> Vec<Span> {
    let mut out = Vec::new();
    let mut skip = 0;
    for s in a {
        let mut from = s.from;
        while b.get(skip).is_some_and(|x| x.until <= from) {
            skip += 1;
        }
        for x in b.iter().skip(skip).take_while(|x| x.from < s.until) {
            if from < x.from {
                out.push(Span::new(from, x.from));
            }
            from = from.max(x.until);
        }
        if from < s.until {
            out.push(Span::new(from, s.until));
        }
    }
    out
}

/// The time that both cover. Both are unions.
pub fn both(a: &[Span], b: &[Span]) -> Vec<Span> {
    minus(a, &minus(a, b))
}

/// How long a union is.
pub fn millis(spans: &[Span]) -> i64 {
    spans.iter().map(|s| s.millis()).sum()
}

/// Shares the time of one person: with n spans at a moment each has 1/n of it. Calls `each` with
/// the place of a span in the list and its share, in millionths of a millisecond.
pub fn shared(spans: &[Span], mut each: impl FnMut(usize, i128)) {
    let mut edges: Vec<(i64, bool, usize)> = Vec::with_capacity(spans.len() * 2);
    for (i, s) in spans.iter().enumerate().filter(|(_, s)| s.from < s.until) {
        edges.push((s.from, true, i));
        edges.push((s.until, false, i));
    }
    edges.sort_unstable();
    let (mut at, mut open): (i64, Vec<usize>) = (i64::MIN, Vec::new());
    for (t, starts, i) in edges {
        if !open.is_empty() && t > at {
            let share = i128::from(t - at) * 1_000_000 / open.len() as i128;
            open.iter().for_each(|o| each(*o, share));
        }
        at = t;
        if starts {
            open.push(i);
        } else {
            open.retain(|o| *o != i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(all: &[(i64, i64)]) -> Vec<Span> {
        all.iter().map(|(a, b)| Span::new(*a, *b)).collect()
    }

    #[test]
    fn union_difference_and_intersection() {
        let a = union(s(&[(5, 12), (0, 10), (20, 25), (21, 22), (30, 30)]));
        assert_eq!(a, s(&[(0, 12), (20, 25)]));
        let b = s(&[(-5, 1), (3, 4), (11, 21), (24, 90)]);
        assert_eq!(minus(&a, &b), s(&[(1, 3), (4, 11), (21, 24)]));
        assert_eq!(both(&a, &b), s(&[(0, 1), (3, 4), (11, 12), (20, 21), (24, 25)]));
        assert_eq!(millis(&a), 17);
        assert_eq!(minus(&[], &b), s(&[]));
    }

    #[test]
    fn parallel_work_of_a_person_is_shared() {
        let mut got = [0i128; 3];
        shared(&s(&[(0, 90), (30, 90), (60, 90)]), |i, share| got[i] += share);
        assert_eq!(got, [55_000_000, 25_000_000, 10_000_000]);
    }
}
