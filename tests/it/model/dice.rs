//! Reproducible random numbers: the same seed gives the same sequence.

/// A pseudo-random sequence (`SplitMix64`).
pub(super) struct Dice(u64);

impl Dice {
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
pub(super) struct Throws {
    dice: Dice,
    left: usize,
    /// The number of further steps before the next one.
    pause: usize,
}

impl Throws {
    pub(super) fn new(mut dice: Dice, faults: usize) -> Self {
        let pause = Self::pause(&mut dice);
        Self { dice, left: faults, pause }
    }

    /// Close to the last fault most of the time, and occasionally far away.
    fn pause(dice: &mut Dice) -> usize {
        let limit = dice.one_of(&[2, 4, 8, 8, 16, 40]);
        dice.below(limit)
    }

    /// The fault at this step, of those that can affect it.
    pub(super) fn strike<T: Copy>(&mut self, faults: &[T]) -> Option<T> {
        if self.left == 0 || faults.is_empty() {
            return None;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        self.left -= 1;
        self.pause = Self::pause(&mut self.dice);
        Some(self.dice.one_of(faults))
    }
}
