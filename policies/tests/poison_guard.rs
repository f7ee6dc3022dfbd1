//! The poison guard: how far one request may move the watermark. Its boundaries, exactly, and at the ends of the number line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{A, NOW, OWN, PREVOTE, Signer, chain, vote};
use proptest::prelude::*;
use sigward_policies::double_sign::{GuardRow, Limits, Verdict, Watermark, judge};
use sigward_policies::model::id::{Height, UnixSeconds};
use sigward_policies::model::parse::RawTimestamp;
use sigward_policies::model::payload::Consensus;

const LAST: i64 = (1 << 62) - 1;

fn height(value: i64) -> Height {
    Height::new(value).unwrap()
}

/// A row that signed (height, round, prevote) at `NOW`.
fn signed(value: i64, round: i32) -> GuardRow {
    let mut signer = Signer::new(GuardRow::begin(Watermark::Fresh, NOW));
    signer.sign(&vote(PREVOTE, value, round, Some(A))).unwrap();
    signer.stored
}

fn closed(value: i64) -> GuardRow {
    GuardRow::begin(
        Watermark::Closed {
            height: height(value),
        },
        NOW,
    )
}

#[track_caller]
fn says(row: &GuardRow, (value, round): (i64, i32), seconds_later: i64, expected: &str) {
    let request = vote(PREVOTE, value, round, Some(A));
    let now = UnixSeconds(NOW.0.saturating_add(seconds_later));
    let verdict = judge(
        row,
        &Default::default(),
        &request,
        &chain(),
        &Limits::default(),
        now,
    );
    let said = match &verdict {
        Verdict::Sign => "sign",
        Verdict::Repeat => "repeat",
        Verdict::Refuse(refusal) => refusal.code.as_str(),
    };
    assert_eq!(
        said, expected,
        "{value}/{round} after {seconds_later} s: {verdict:?}"
    );
}

#[test]
fn a_height_may_rise_by_a_hundred_thousand_or_twenty_for_each_second() {
    for row in [signed(10, 0), closed(10)] {
        says(&row, (100_010, 0), 0, "sign");
        says(&row, (100_011, 0), 0, "height_jump");
        // 5,000 s × 20 are the same; one second more is worth twenty heights.
        says(&row, (100_011, 0), 5_000, "height_jump");
        says(&row, (100_030, 0), 5_001, "sign");
        says(&row, (100_031, 0), 5_001, "height_jump");
        // A clock that went back takes nothing away.
        says(&row, (100_010, 0), -1_000_000, "sign");
        says(&row, (100_011, 0), -1_000_000, "height_jump");
        says(&row, (100_010, 0), i64::MIN, "sign");
        says(&row, (LAST, 0), i64::MIN, "height_jump");
    }
}

#[test]
fn a_round_may_rise_by_a_thousand_within_a_height() {
    let row = signed(10, 5);
    says(&row, (10, 1_005), 0, "sign");
    says(&row, (10, 1_006), 0, "round_jump");
    says(&row, (10, 1_006), i64::MAX, "round_jump");
    says(&row, (11, i32::MAX), 0, "sign");
    let row = signed(10, i32::MAX - 1);
    says(&row, (10, i32::MAX), 0, "sign");
    says(&row, (10, i32::MAX - 1), 0, "repeat");
}

#[test]
fn an_operator_allows_heights_up_to_one_and_no_more() {
    for row in [signed(10, 5), closed(10)] {
        let row = row.allowed(height(1_000_000));
        says(&row, (1_000_000, 7_000), 0, "sign");
        says(&row, (1_000_001, 0), 0, "height_jump");
        // The ordinary rule still stands below and above it.
        assert_eq!(row.allowed(height(5)), row);
        says(
            &row,
            (10, 4),
            0,
            if matches!(row.watermark, Watermark::Closed { .. }) {
                "height_closed"
            } else {
                "round_regression"
            },
        );
    }
    // A leave for a round ends with the signature that used it.
    let mut signer = Signer::new(signed(10, 5).allowed(height(10)));
    signer.sign(&vote(PREVOTE, 10, 5_000, Some(A))).unwrap();
    assert_eq!(signer.stored.allow_until, None);
    says(&signer.stored, (10, 6_001), 0, "round_jump");
    // A leave for heights ends when the last of them is reached.
    let mut signer = Signer::new(signed(10, 5).allowed(height(1_000_000)));
    signer.sign(&vote(PREVOTE, 999_999, 0, Some(A))).unwrap();
    assert_eq!(signer.stored.allow_until, Some(height(1_000_000)));
    signer.sign(&vote(PREVOTE, 1_000_000, 0, Some(A))).unwrap();
    assert_eq!(signer.stored.allow_until, None);
}

#[test]
fn the_first_position_of_a_fresh_key_is_free_and_the_ends_of_the_line_hold() {
    let fresh = GuardRow::begin(Watermark::Fresh, NOW);
    says(&fresh, (LAST, i32::MAX), 0, "sign");
    for row in [signed(LAST, i32::MAX), closed(LAST)] {
        says(
            &row,
            (LAST - 1, 0),
            i64::MAX,
            if matches!(row.watermark, Watermark::Closed { .. }) {
                "height_closed"
            } else {
                "height_regression"
            },
        );
    }
    says(&closed(LAST), (LAST, 0), i64::MAX, "height_closed");
    says(&closed(LAST - 1), (LAST, i32::MAX), 0, "sign");
    says(&signed(LAST - 100_000, 0), (LAST, 0), 0, "sign");
    says(&signed(LAST - 100_001, 0), (LAST, 0), 0, "height_jump");
    says(&signed(1, 0), (LAST, 0), i64::MAX, "sign");
    for bad in [i64::MIN, -1, 0, 1 << 62, i64::MAX] {
        let raw = common::raw_vote(PREVOTE, bad, 0, Some(A));
        assert_eq!(
            Consensus::from_vote(&raw, &OWN).unwrap_err().code.as_str(),
            "invalid_height"
        );
    }
}

#[test]
fn a_clock_that_went_back_does_not_take_the_row_s_time_back() {
    let mut signer = Signer::new(signed(10, 0));
    signer.now = UnixSeconds(NOW.0 - 1_000_000);
    signer.sign(&vote(PREVOTE, 11, 0, Some(A))).unwrap();
    assert_eq!(signer.stored.touched, NOW);
    assert_eq!(signer.stored.closed_to(height(12), UnixSeconds(0)).touched, NOW);
}

#[test]
fn closing_heights_never_opens_any() {
    let row = signed(10, 5);
    assert_eq!(row.closed_to(height(9), NOW), row, "behind: nothing changes");
    for value in [10, 11] {
        let closed = row.closed_to(height(value), NOW);
        assert_eq!(
            closed.watermark,
            Watermark::Closed {
                height: height(value)
            }
        );
        assert!(row.watermark.is_below(&closed.watermark) && !closed.watermark.is_below(&row.watermark));
        says(&closed, (10, 5), 0, "height_closed");
        says(&closed, (value, 6), 0, "height_closed");
        says(&closed, (value + 1, 0), 0, "sign");
        assert_eq!(closed.closed_to(height(value), NOW), closed);
        assert!(
            row.stop().closed_to(height(value), NOW).stopped,
            "closing starts nothing"
        );
    }
    assert_eq!(
        GuardRow::begin(Watermark::Fresh, NOW)
            .closed_to(height(1), NOW)
            .watermark,
        Watermark::Closed { height: height(1) }
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    /// No number, however mad the clock or the settings, makes the rule panic or sign at or below the watermark.
    #[test]
    fn the_rule_is_total(
        (known, known_round, asked, round) in (1..=LAST, 0..=i32::MAX, 1..=LAST, 0..=i32::MAX),
        near in any::<bool>(), step in -3_i64..4,
        (touched, now) in (any::<i64>(), any::<i64>()),
        (height_jump, heights_per_second, round_jump) in (any::<i64>(), any::<i64>(), any::<i32>()),
        allow in proptest::option::of(1..=LAST),
        is_closed in any::<bool>(),
    ) {
        let asked = if near { known.saturating_add(step).clamp(1, LAST) } else { asked };
        let row = if is_closed { closed(known) } else { signed(known, known_round) };
        let row = GuardRow { touched: UnixSeconds(touched), allow_until: allow.map(height), ..row };
        let limits = Limits { height_jump, heights_per_second, round_jump, strict_extensions: true };
        let mut raw = common::raw_vote(PREVOTE, asked, round, Some(A));
        raw.timestamp = Some(RawTimestamp { seconds: 0, nanos: 0 });
        let request = Consensus::from_vote(&raw, &OWN).unwrap();
        let above = if is_closed { asked > known } else { (asked, round) > (known, known_round) };
        match judge(&row, &Default::default(), &request, &chain(), &limits, UnixSeconds(now)) {
            Verdict::Sign => prop_assert!(above),
            Verdict::Repeat => prop_assert!(!is_closed && (asked, round) == (known, known_round)),
            Verdict::Refuse(_) => {}
        }
    }
}
