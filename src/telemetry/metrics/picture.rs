//! The last heights of a chain, and what became of each. Plain data: no clock, no labels, no I/O.
//!
//! A height is *passed* when a message of a greater height was signed: only a signature proves where the chain is. A passed height is
//! counted once, as one of:
//!
//! - **signed**: a precommit of ours was released, for a block or for nil;
//! - **missed**: we were asked for something at that height, and no precommit came of it: `refused`, where at least one request was
//!   refused or failed, else `unfinished` (a proposal or a prevote was signed, and no precommit was ever asked for);
//! - **skipped**: nobody asked us for anything at that height.
//!
//! *Invariant:* what a node asks and is refused moves the picture by less than its own width at a time, and is forgotten as soon as
//! a signature says otherwise: a lying node cannot push the truth out of sight.

use sigward_policies::model::operation::Operation;
use sigward_policies::model::payload::Step;

/// How many heights are remembered.
pub const LAST_HEIGHTS: usize = 50;
const WIDTH: i64 = 50;

/// What happened at one height.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Marks {
    /// A proposal was signed.
    pub proposal: bool,
    /// A prevote was signed.
    pub prevote: bool,
    /// A precommit was signed.
    pub precommit: bool,
    /// A request was refused, or failed.
    pub refused: bool,
}

/// What passed heights came to, since they were counted last.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Passed {
    pub(super) signed: u64,
    pub(super) refused: u64,
    pub(super) unfinished: u64,
    pub(super) skipped: u64,
}

impl Passed {
    fn count(&mut self, marks: Marks) {
        if marks.precommit {
            self.signed += 1;
        } else if marks.refused {
            self.refused += 1;
        } else {
            self.unfinished += 1;
        }
    }
}

/// The picture of one chain.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Where it begins: nothing is said of heights below.
    from: i64,
    /// The greatest height with a signature; 0 before the first.
    top: i64,
    /// The greatest height shown.
    head: i64,
    /// By height modulo its length; a height of 0 is an empty place.
    places: [(i64, Marks); LAST_HEIGHTS],
    /// Heights above `top` that were counted because their place was taken.
    counted_above: u64,
}

impl Default for Picture {
    fn default() -> Self {
        Self {
            from: 0,
            top: 0,
            head: 0,
            places: [(0, Marks::default()); LAST_HEIGHTS],
            counted_above: 0,
        }
    }
}

impl Picture {
    /// Says where the guard stands: everything up to `height` was before our time.
    pub(super) fn begins_at(&mut self, height: i64) {
        if self.top == 0 && height > 0 {
            (self.from, self.top, self.head) = (height.saturating_add(1), height, height);
        }
    }

    /// Marks a signature at `height`; says what became of the heights that are passed by it.
    pub(super) fn signed(&mut self, height: i64, operation: Operation) -> Passed {
        let mut passed = Passed::default();
        if self.top == 0 {
            self.from = height;
        }
        if height > self.top {
            self.pass(height, &mut passed);
        }
        if let Some(marks) = self.place(height, &mut passed) {
            match operation.consensus_step() {
                Some(Step::Propose) => marks.proposal = true,
                Some(Step::Prevote) => marks.prevote = true,
                Some(Step::Precommit) => marks.precommit = true,
                // Not at a height.
                None => {}
            }
        }
        passed
    }

    /// Marks a refusal at `height`, unless it is so far above what is known that it may be anything.
    pub(super) fn refused(&mut self, height: i64) -> Passed {
        let mut passed = Passed::default();
        if self.top == 0 || height < self.from || height > self.head.saturating_add(WIDTH) {
            return passed;
        }
        self.head = self.head.max(height);
        if let Some(marks) = self.place(height, &mut passed) {
            marks.refused = true;
        }
        passed
    }

    /// The last heights in order, [`LAST_HEIGHTS`] at most.
    pub(super) fn last(&self) -> Vec<(i64, Marks)> {
        if self.from == 0 || self.head < self.from {
            return Vec::new();
        }
        let first = self.from.max(self.head - WIDTH + 1);
        (first..=self.head)
            .map(|height| {
                let marks = self.places.iter().find(|place| place.0 == height);
                (height, marks.map_or_else(Marks::default, |place| place.1))
            })
            .collect()
    }

    fn pass(&mut self, height: i64, passed: &mut Passed) {
        let mut asked = self.counted_above;
        for (at, marks) in &mut self.places {
            if *at >= self.top.max(1) && *at < height {
                passed.count(*marks);
                asked += u64::from(*at > self.top);
            } else if *at > height {
                // The signature says where the chain is.
                (*at, *marks) = (0, Marks::default());
            }
        }
        if self.top > 0 {
            let between = height.saturating_sub(self.top).saturating_sub(1).unsigned_abs();
            passed.skipped += between.saturating_sub(asked);
        }
        (self.top, self.head, self.counted_above) = (height, height, 0);
    }

    /// The place of `height`, emptied of an older one; `None` when it is out of the picture.
    fn place(&mut self, height: i64, passed: &mut Passed) -> Option<&mut Marks> {
        if height <= self.head - WIDTH || height > self.head {
            return None;
        }
        let index = usize::try_from(height.rem_euclid(WIDTH)).ok()?;
        let (at, marks) = self.places.get_mut(index)?;
        if *at != height {
            // Counted now, or never: a long line of refusals pushes heights out before a signature passes them.
            if *at > 0 && *at >= self.top {
                passed.count(*marks);
                self.counted_above += u64::from(*at > self.top);
            }
            (*at, *marks) = (height, Marks::default());
        }
        Some(marks)
    }
}

#[cfg(test)]
mod tests {
    use sigward_policies::model::operation::Operation::{SignPrecommit, SignPrevote, SignProposal};

    use super::*;

    fn sum(all: impl IntoIterator<Item = Passed>) -> Passed {
        all.into_iter().fold(Passed::default(), |a, b| Passed {
            signed: a.signed + b.signed,
            refused: a.refused + b.refused,
            unfinished: a.unfinished + b.unfinished,
            skipped: a.skipped + b.skipped,
        })
    }

    #[test]
    fn a_passed_height_is_one_of_four_things() {
        let mut picture = Picture::default();
        picture.begins_at(9);
        let all = sum([
            picture.signed(10, SignProposal),
            picture.signed(10, SignPrevote),
            picture.signed(10, SignPrecommit),
            picture.signed(11, SignPrevote),
            picture.refused(11),
            picture.signed(12, SignPrevote),
            picture.refused(14),
            picture.signed(15, SignPrecommit),
        ]);
        let expected = Passed {
            signed: 1,
            refused: 2,
            unfinished: 1,
            skipped: 1,
        };
        assert_eq!(all, expected);
        let seen: String = picture.last().iter().map(|(_, marks)| letter(*marks)).collect();
        assert_eq!(seen, "sRu.Rs");
    }

    fn letter(marks: Marks) -> char {
        match marks {
            Marks { precommit: true, .. } => 's',
            Marks { refused: true, .. } => 'R',
            Marks { prevote: true, .. } | Marks { proposal: true, .. } => 'u',
            _ => '.',
        }
    }

    #[test]
    fn a_long_line_of_refusals_is_counted_once_each() {
        let mut picture = Picture::default();
        let mut all = vec![picture.signed(100, SignPrecommit)];
        all.extend((101..=1_100).map(|height| picture.refused(height)));
        assert_eq!(picture.last().len(), LAST_HEIGHTS);
        assert!(picture.last().iter().all(|(_, marks)| marks.refused));
        all.push(picture.signed(1_101, SignPrecommit));
        let all = sum(all);
        assert_eq!((all.signed, all.refused, all.skipped), (1, 1_000, 0));
    }

    #[test]
    fn a_lying_node_cannot_push_the_truth_out_of_sight() {
        let mut picture = Picture::default();
        picture.signed(100, SignPrecommit);
        picture.refused(1 << 60);
        assert_eq!(picture.last().len(), 1);
        for height in 101..300 {
            picture.refused(height);
        }
        picture.signed(101, SignPrecommit);
        let last = picture.last();
        assert_eq!(last.last().map(|(height, _)| *height), Some(101));
        assert!(
            picture.refused(3) == Passed::default(),
            "what is below is nobody's business"
        );
    }

    #[test]
    fn nothing_is_said_of_the_time_before() {
        let mut picture = Picture::default();
        assert_eq!(picture.refused(5), Passed::default());
        assert!(picture.last().is_empty());
        picture.begins_at(1_000_000);
        assert!(picture.last().is_empty());
        let after_weeks = picture.signed(1_200_001, SignPrevote);
        assert_eq!(after_weeks.skipped, 200_000);
        assert_eq!(picture.last().len(), LAST_HEIGHTS);
        picture.begins_at(5);
        assert_eq!(
            picture.last().len(),
            LAST_HEIGHTS,
            "a second word changes nothing"
        );
    }

    #[test]
    fn the_ends_of_the_numbers_do_no_harm() {
        let mut picture = Picture::default();
        picture.signed(1, SignPrevote);
        picture.signed(i64::MAX, SignPrevote);
        picture.refused(i64::MAX);
        picture.begins_at(i64::MAX);
        assert_eq!(picture.last().len(), LAST_HEIGHTS);
    }
}
