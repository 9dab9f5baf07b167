//! Reproducible random numbers: the same seed gives the same sequence.

/// A pseudo-random sequence (`SplitMix64`).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(super) fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }
}

/// Faults at random steps, up to a number of them.
pub(super) struct RandomFaults {
    random: Random,
    remaining: usize,
    /// The number of further steps before the next one.
    pause: usize,
}

impl RandomFaults {
    pub(super) fn new(mut random: Random, faults: usize) -> Self {
        let pause = Self::pause(&mut random);
        Self { random, remaining: faults, pause }
    }

    /// Close to the last fault most of the time, and occasionally far away.
    fn pause(random: &mut Random) -> usize {
        let limit = random.one_of(&[2, 4, 8, 8, 16, 40]);
        random.below(limit)
    }

    /// The fault at this step, of those that can affect it.
    pub(super) fn next_fault<T: Copy>(&mut self, faults: &[T]) -> Option<T> {
        if self.remaining == 0 || faults.is_empty() {
            return None;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        self.remaining -= 1;
        self.pause = Self::pause(&mut self.random);
        Some(self.random.one_of(faults))
    }
}
