//! The YAML that is read, and the YAML that is not; the shapes of a plan.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use super::tree::Tree;
use super::*;

fn scalar(text: &str) -> Tree {
    Tree::Scalar(text.to_owned())
}

fn map(fields: &[(&str, Tree)]) -> Tree {
    Tree::Map(
        fields
            .iter()
            .map(|(name, tree)| ((*name).to_owned(), tree.clone()))
            .collect(),
    )
}

#[test]
fn the_yaml_that_signers_write_is_read() {
    for (text, want) in [
        ("", Tree::Null),
        ("# nothing\n\n", Tree::Null),
        ("---\na: 1\n", map(&[("a", scalar("1"))])),
        (
            "a: tcp://h:1 # why\nb: \"x # y\"\n",
            map(&[("a", scalar("tcp://h:1")), ("b", scalar("x # y"))]),
        ),
        (
            "a: it's\n'b c': 'it''s'\n",
            map(&[("a", scalar("it's")), ("b c", scalar("it's"))]),
        ),
        (
            "a:\nb: ~\nc: null\n",
            map(&[("a", Tree::Null), ("b", Tree::Null), ("c", Tree::Null)]),
        ),
        (
            "a: [x, \"y, z\", 3]\nb: []\n",
            map(&[
                ("a", Tree::List(vec![scalar("x"), scalar("y, z"), scalar("3")])),
                ("b", Tree::List(vec![])),
            ]),
        ),
        (
            "a:\n- x\n- y\nb: 1\n",
            map(&[
                ("a", Tree::List(vec![scalar("x"), scalar("y")])),
                ("b", scalar("1")),
            ]),
        ),
        (
            "a:\n  - id: 1\n    s: 2\n  - id: 3\n",
            map(&[(
                "a",
                Tree::List(vec![
                    map(&[("id", scalar("1")), ("s", scalar("2"))]),
                    map(&[("id", scalar("3"))]),
                ]),
            )]),
        ),
        (
            "a:\n  - k:\n    - x\n    m: y\n",
            map(&[(
                "a",
                Tree::List(vec![map(&[
                    ("k", Tree::List(vec![scalar("x")])),
                    ("m", scalar("y")),
                ])]),
            )]),
        ),
        (
            "a:\n  b:\n    c: d\n",
            map(&[("a", map(&[("b", map(&[("c", scalar("d"))]))]))]),
        ),
    ] {
        assert_eq!(yaml::parse(text).unwrap(), want, "{text:?}");
    }
}

#[test]
fn the_yaml_that_means_more_is_refused_with_its_line() {
    for (text, line) in [
        ("a: &x 1\n", 1),
        ("a: *x\n", 1),
        ("a: !!str 1\n", 1),
        ("a: |\n  text\n", 1),
        ("a: {b: c}\n", 1),
        ("a: [x,\n  y]\n", 1),
        ("a: \"x\n", 1),
        ("a: 1\na: 2\n", 2),
        ("a: 1\n  b: 2\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("\ta: 1\n", 1),
        ("a: b: c\n", 1),
        ("a: \"\\x41\"\n", 1),
        ("just text\n", 1),
    ] {
        let said = yaml::parse(text).unwrap_err().message;
        assert!(said.starts_with(&format!("line {line}: ")), "{text:?}: {said}");
    }
    let deep: String = (0..200)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    assert!(yaml::parse(&deep).is_err());
}

/// A megabyte of names: each compared with all before it would take minutes.
#[test]
fn many_names_are_read_and_the_one_that_is_there_twice_is_found() {
    let mut text: String = (0..100_000).map(|n| format!("n{n}: 1\n")).collect();
    assert!(yaml::parse(&text).is_ok());
    text.push_str("n7: 1\n");
    let said = yaml::parse(&text).unwrap_err().message;
    assert!(said.starts_with("line 100001: "), "{said}");
}

#[test]
fn tmkms_steps_close_their_whole_height() {
    use sigward_policies::double_sign::Beginning;
    for (json, height) in [
        (r#"{"height":"5","round":"0","step":0,"block_id":null}"#, 5),
        (
            r#"{"height":"5","round":"3","step":2,"block_id":{"hash":"AB","parts":{"total":1,"hash":"CD"}}}"#,
            5,
        ),
        (r#"{"height":"6","round":"3","step":1}"#, 6),
    ] {
        match parse_tmkms_state(json.as_bytes()).unwrap() {
            Beginning::Unproven(closed) => assert_eq!(closed.value(), height),
            other => panic!("{json}: {other:?}"),
        }
    }
    let never = parse_tmkms_state(br#"{"height":"0","round":"0","step":0,"block_id":null}"#).unwrap();
    assert_eq!(never, Beginning::NeverSigned);
}

#[test]
fn horcruxs_sign_bytes_become_cometbfts() {
    let json = horcrux_state(br#"{"height":"5","round":"0","step":3,"signature":"AA==","signbytes":"q80="}"#)
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value["signbytes"], "ABCD");
    assert!(horcrux_state(br#"{"signbytes":"?"}"#).is_err());
    assert!(horcrux_state(br#"{"signbytes":5}"#).is_err());
}
