//! A set of granules of one segment.

/// Which granules to read; a bit per granule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GranuleSet {
    count: u32,
    words: Vec<u64>,
}

impl GranuleSet {
    /// None of `count` granules.
    pub fn none(count: u32) -> Self {
        Self {
            count,
            words: vec![0; (count as usize).div_ceil(64)],
        }
    }

    /// All of `count` granules.
    pub fn all(count: u32) -> Self {
        let mut all = Self::none(count);
        (0..count).for_each(|granule| all.insert(granule));
        all
    }

    /// Adds a granule; one that does not exist is passed over.
    pub fn insert(&mut self, granule: u32) {
        if granule < self.count {
            self.words[granule as usize / 64] |= 1 << (granule % 64);
        }
    }

    /// Whether it holds this granule.
    pub fn contains(&self, granule: u32) -> bool {
        granule < self.count && self.words[granule as usize / 64] >> (granule % 64) & 1 == 1
    }

    /// Keeps what `other` holds too.
    pub fn intersect(&mut self, other: &Self) {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(a, b)| *a &= b);
    }

    /// Adds what `other` holds.
    pub fn unite(&mut self, other: &Self) {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(a, b)| *a |= b);
    }

    /// Number of granules in it.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Its granules, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.count).filter(|granule| self.contains(*granule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_unite_intersect_and_list_what_they_hold() {
        let of = |granules: &[u32]| {
            let mut set = GranuleSet::none(130);
            granules.iter().for_each(|granule| set.insert(*granule));
            set
        };
        let mut set = of(&[0, 63, 64, 129, 500]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        set.intersect(&of(&[63, 64, 65]));
        set.unite(&of(&[1]));
        assert_eq!(
            (set.iter().collect::<Vec<_>>(), set.len()),
            (vec![1, 63, 64], 3)
        );
        assert_eq!(GranuleSet::all(130).len(), 130);
        assert!(GranuleSet::none(0).is_empty() && !set.contains(200));
    }
}
