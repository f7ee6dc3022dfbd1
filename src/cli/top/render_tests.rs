//! Screens as they are drawn, against files in `screens/`; `UPDATE_SCREENS=1` writes them anew, to be read in review.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use sigward_proto::v1::{
    CheckStatus, HeightCounts, Instance, LatencyStatus, RefusalCount, StoreStatus, Watermark,
};

use super::*;

const NOW: i64 = 1_700_000_000;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn chain(name: &str) -> ChainStatus {
    let height = |height: i64| HeightStatus {
        height,
        proposal: height % 10 == 0,
        prevote: height % 17 != 0,
        precommit: !matches!(height % 17, 0 | 3) && height % 23 != 0,
        refused: height % 23 == 0,
    };
    ChainStatus {
        chain_id: name.to_owned(),
        key: "validator".to_owned(),
        address: "6A7B".repeat(10),
        configured: true,
        watermark: Some(Watermark {
            kind: "signed".to_owned(),
            height: 1_234_567,
            round: 0,
            step: "precommit".to_owned(),
        }),
        last_signed_at: at(NOW - 3),
        heights: (1_234_518..=1_234_567).map(height).collect(),
        passed: Some(HeightCounts {
            signed: 41,
            refused: 2,
            unfinished: 3,
            skipped: 3,
        }),
        nodes: vec![
            NodeStatus {
                name: "sentry-a".to_owned(),
                link: "unix".to_owned(),
                connected_since: at(NOW - 93_784),
                reconnects: 0,
                positions_won: 99,
                drained: false,
            },
            NodeStatus {
                name: "sentry-b".to_owned(),
                link: "loopback".to_owned(),
                connected_since: at(NOW - 65),
                reconnects: 2,
                positions_won: 43,
                drained: false,
            },
        ],
        ..ChainStatus::default()
    }
}

fn status(chains: Vec<ChainStatus>) -> GetStatusResponse {
    GetStatusResponse {
        instance: Some(Instance {
            serving: true,
            version: "1.2.3".to_owned(),
            commit: "abc".to_owned(),
            store_id: "id".to_owned(),
            started_at: at(NOW - 93_784),
            now: at(NOW),
        }),
        ready: true,
        checks: vec![CheckStatus {
            name: "store".to_owned(),
            required: true,
            failing: String::new(),
            remedy: "see the log".to_owned(),
        }],
        chains,
        store: Some(StoreStatus {
            healthy: true,
            commits: 1_000,
            audit_records: 1_001,
            database_bytes: Some(123_456_789),
            wal_bytes: Some(4_096),
            free_bytes: Some(66_571_993_088),
            ..StoreStatus::default()
        }),
        sign: Some(LatencyStatus {
            count: 142,
            p50_seconds: 0.000_145,
            p99_seconds: 0.001_9,
        }),
        commit: Some(LatencyStatus {
            count: 142,
            p50_seconds: 0.000_06,
            p99_seconds: 0.000_4,
        }),
    }
}

fn alarmed() -> GetStatusResponse {
    let mut bad = chain("my-chain-1");
    bad.nodes[0].connected_since = None;
    bad.nodes[0].link = "unauthenticated_network".to_owned();
    bad.nodes[1].drained = true;
    bad.frozen = true;
    bad.stop_line = Some(1_300_000);
    bad.refusals = vec![
        RefusalCount {
            reason: "double_sign_conflict".to_owned(),
            count: 2,
        },
        RefusalCount {
            reason: "height_regression".to_owned(),
            count: 17,
        },
    ];
    let mut status = status(vec![bad]);
    status.ready = false;
    status.checks.push(CheckStatus {
        name: "node/my-chain-1/sentry-a".to_owned(),
        required: false,
        failing: "No such file or directory\u{1b}[2J".to_owned(),
        remedy: "see that the node runs".to_owned(),
    });
    status
}

const UNICODE: Style = Style {
    words: Words::Unicode,
    colour: false,
};
const ASCII: Style = Style {
    words: Words::Ascii,
    colour: false,
};

fn expect(name: &str, width: usize, lines: &[String]) {
    for line in lines {
        assert!(
            line.chars().count() <= width,
            "{name}: wider than {width}: {line}"
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/cli/top/screens")
        .join(name);
    let drawn = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &drawn).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(drawn == expected, "{name} is now\n{drawn}\nand was\n{expected}");
}

#[test]
fn two_chains_on_80_by_24() {
    let lines = frame(
        &status(vec![chain("my-chain-1"), chain("other-2")]),
        None,
        80,
        UNICODE,
    );
    let (shown, most) = window(lines, 24, 0);
    assert_eq!(most, 0, "it fits");
    expect("80x24.txt", 80, &shown);
}

#[test]
fn forty_columns_in_ascii() {
    let lines = frame(&status(vec![chain("my-chain-1")]), None, 40, ASCII);
    assert!(lines.iter().all(|line| line.is_ascii()));
    expect("40-ascii.txt", 40, &lines);
}

#[test]
fn a_hundred_and_twenty_eight_chains_scroll_under_the_head() {
    let chains = (0..128).map(|index| chain(&format!("chain-{index}"))).collect();
    let lines = frame(&status(chains), None, 80, UNICODE);
    let all = lines.len();
    let (top, most) = window(lines.clone(), 24, 0);
    assert_eq!((top.len(), most), (24, all - 24));
    let (middle, _) = window(lines.clone(), 24, 7 * 60);
    expect("128-chains-scrolled.txt", 80, &middle);
    let (end, _) = window(lines.clone(), 24, usize::MAX);
    assert_eq!(end.last(), lines.last());
    assert_eq!(end.first(), lines.first(), "the head stays");
}

#[test]
fn alarms_stand_first_and_cannot_draw_on_the_terminal() {
    let lines = frame(&alarmed(), None, 80, UNICODE);
    assert!(!lines.join("").contains('\u{1b}'));
    expect("alarms.txt", 80, &lines);
    let colour = Style {
        colour: true,
        ..UNICODE
    };
    let coloured = frame(&alarmed(), None, 80, colour).join("\n");
    assert!(
        coloured.contains("\u{1b}[1;31m! node/my-chain-1/sentry-a"),
        "{coloured}"
    );
    assert!(!coloured.contains("\u{1b}[2J"));
}

#[test]
fn a_daemon_that_went_away_is_said_above_what_was_heard_last() {
    let mut old = status(vec![chain("my-chain-1")]);
    old.ready = false;
    old.instance.as_mut().unwrap().serving = false;
    let lines = frame(&old, Some("no daemon is running; waiting for it"), 80, UNICODE);
    expect("daemon-gone.txt", 80, &lines);
    let nothing = frame(
        &GetStatusResponse::default(),
        Some("no daemon is running; waiting for it"),
        80,
        UNICODE,
    );
    expect("daemon-never-heard.txt", 80, &nothing);
}

#[test]
fn no_size_is_too_small() {
    for width in 1..100 {
        for height in [0, 1, 2, 3, 50] {
            for style in [ASCII, UNICODE] {
                let (lines, _) = window(frame(&alarmed(), Some("x"), width, style), height, 3);
                assert!(lines.len() <= height);
                assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}");
            }
        }
    }
}

#[test]
fn what_is_wrong_and_its_remedy_are_never_cut() {
    let mut bad = status(vec![]);
    let (failing, remedy) = ("why ".repeat(60), "what to do ".repeat(30));
    bad.checks[0].failing = failing.trim().to_owned();
    bad.checks[0].remedy = remedy.trim().to_owned();
    for width in [20, 40, 80, 110] {
        let style = Style {
            words: Words::Ascii,
            colour: false,
        };
        let lines = frame(&bad, None, width, style);
        assert!(
            lines.iter().all(|line| line.chars().count() <= width),
            "{lines:#?}"
        );
        let flat = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            flat.contains(failing.trim()) && flat.contains(remedy.trim()),
            "{lines:#?}"
        );
    }
}
