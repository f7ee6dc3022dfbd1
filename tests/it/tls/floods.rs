//! Whoever floods the door: the daemon stays up, its memory and its files stay bounded, and the admin socket answers meanwhile.

use std::io::Write as _;
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Resource, getrlimit};

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, get, post,
};
use super::stage::{PATIENCE, Stage, said};
use crate::support::poll;

/// What a flood may cost at most.
const MEMORY: f64 = 150e6;

#[test]
fn ten_thousand_connections_take_no_seat_from_another_address() {
    let stage = Stage::serving();
    // This process needs files too.
    let files = getrlimit(Resource::Nofile).current.unwrap_or(20_000);
    let many = usize::try_from(files.saturating_sub(500).min(10_000)).unwrap();
    let before = stage.metric("sigward_open_fds", &[]);
    let mut flood = Vec::with_capacity(many);
    for _ in 0..many {
        flood.push(TcpStream::connect(("127.0.0.1", stage.port)).unwrap());
    }
    eprintln!("{many} connections stand");
    assert!(stage.metric("sigward_open_fds", &[]) < before + 1100.0);
    let admin = stage.client("admin");
    let output = stage.curl(Some(&admin), &["--interface", "127.0.0.2", &stage.url("/livez")]);
    assert_eq!(said(&output), "ok\n");
    stage.assert_unharmed();
    let turned_away = || stage.metric("sigward_tls_turned_away_total", &[("reason", "source")]);
    assert!(poll(PATIENCE, || (turned_away() > 1000.0).then_some(())).is_some());
    drop(flood);
    let back = poll(PATIENCE, || {
        let output = stage.curl(Some(&admin), &[&stage.url("/livez")]);
        output.status.success().then_some(())
    });
    assert!(back.is_some(), "{}", stage.signer.log_tail());
    assert!(stage.handshakes("late") + stage.handshakes("failed") > 0.0);
}

#[test]
fn whoever_shakes_hands_all_the_time_is_slowed_down_and_nobody_else() {
    let stage = Stage::serving();
    let turned_away = || stage.metric("sigward_tls_turned_away_total", &[("reason", "pace")]);
    let slowed = poll(PATIENCE, || {
        for _ in 0..500 {
            drop(TcpStream::connect(("127.0.0.1", stage.port)));
        }
        (turned_away() > 0.0).then_some(())
    });
    assert!(slowed.is_some(), "{}", stage.signer.log_tail());
    let admin = stage.client("admin");
    let output = stage.curl(Some(&admin), &["--interface", "127.0.0.2", &stage.url("/livez")]);
    assert_eq!(said(&output), "ok\n");
    stage.assert_unharmed();
}

#[test]
fn heads_that_do_not_end_and_messages_that_are_too_large_are_refused_unread() {
    let stage = Stage::serving();
    let admin = stage.client("admin");
    let mut slow = stage.raw("http/1.1");
    slow.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        .unwrap();
    let large = format!("x-large: {}", "x".repeat(100_000));
    for version in ["--http1.1", "--http2"] {
        let output = stage.curl(
            Some(&admin),
            &[
                version,
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-H",
                &large,
                &stage.url("/livez"),
            ],
        );
        assert!(!said(&output).starts_with("200"), "{version}: {}", said(&output));
    }
    // A gigabyte is announced (gRPC: a flag, four bytes of length), and a little sent.
    let message = stage.home.path("message");
    let mut bytes = vec![0_u8, 0x40, 0, 0, 0];
    bytes.extend([0_u8; 10_000]);
    std::fs::write(&message, bytes).unwrap();
    let data = format!("@{}", message.display());
    for (method, status) in [
        ("StatusService/Get", "grpc-status: 11"),
        ("KeyService/Import", "grpc-status: 7"),
    ] {
        let output = stage.curl(
            Some(&admin),
            &[
                "-i",
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
                "--data-binary",
                &data,
                &stage.url(&format!("/sigward.v1.{method}")),
            ],
        );
        assert!(said(&output).contains(status), "{method}: {}", said(&output));
    }
    // It was told 408 or nothing, and it was ended.
    let end = slow.read_to_end();
    assert!(!String::from_utf8_lossy(&end).contains("200 OK"));
    bounded(&stage);
}

/// 256 MB of nothing in 260 kB, as gRPC would have it (a flag that says compressed, the length, the message): nobody unpacks it.
#[test]
fn a_compressed_bomb_stays_packed() {
    let stage = Stage::serving();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    let nothing = vec![0; 1 << 20];
    for _ in 0..256 {
        packed.write_all(&nothing).unwrap();
    }
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 1_000_000, "{}", packed.len());
    let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
    let message = stage.home.path("bomb");
    std::fs::write(&message, [&[1][..], &length, &packed].concat()).unwrap();
    let data = format!("@{}", message.display());
    for encoding in [
        "grpc-encoding: gzip",
        "grpc-encoding: identity",
        "content-encoding: gzip",
    ] {
        let output = stage.curl(
            Some(&stage.client("admin")),
            &[
                "-i",
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
                "-H",
                encoding,
                "--data-binary",
                &data,
                &stage.url("/sigward.v1.StatusService/Get"),
            ],
        );
        let told = said(&output);
        // Its stream may be ended before curl has sent all of it.
        let refused = ["grpc-status: 12", "grpc-status: 13", "Stream error"];
        assert!(
            refused.iter().any(|word| told.contains(word)),
            "{encoding}: {told}"
        );
    }
    bounded(&stage);
}

#[test]
fn a_rapid_reset_ends_its_connection() {
    let stage = Stage::serving();
    let mut flood = stage.raw("h2");
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let head = get("/livez");
    for stream in (1..40_001).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // It may be ended before all is written.
    let _broken = flood.send(&bytes);
    flood.until_it_ends();
    bounded(&stage);
}

#[test]
fn a_flood_of_continuations_ends_its_connection() {
    let stage = Stage::serving();
    let mut flood = stage.raw("h2");
    let begin = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &frame(HEADERS, END_STREAM, 1, &get("/livez")),
    ]
    .concat();
    flood.send(&begin).unwrap();
    // A field of its own in each; 200 MB of them, if anybody read so far.
    let mut field = vec![0_u8, 1, b'x', 127, 0x80, 0x7c];
    field.extend(vec![b'a'; 127 + (0x7c << 7)]);
    let more = frame(CONTINUATION, 0, 1, &field);
    let sent = (0..12_000).take_while(|_| flood.send(&more).is_ok()).count();
    assert!(sent < 12_000, "all of it was read");
    flood.until_it_ends();
    bounded(&stage);
}

/// A certificate that may nothing holds open as many bodies as it can, over gRPC and in JSON: a few are waited for, the others are
/// refused at once, and everybody else is answered.
#[test]
fn slow_bodies_are_bounded_together_and_keep_nobody_else_waiting() {
    const STREAMS: u32 = 60;
    let stage = Stage::serving();
    stage.signer.run(&["pki", "client", "other"]);
    let refused = |code| stage.metric("sigward_tls_refused_requests_total", &[("reason", code)]);
    let many = ["application/json", "application/grpc"].map(|kind| {
        let mut slow = stage.raw("h2");
        let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let call = post("/sigward.v1.StatusService/Get", kind);
        let streams = || (0..STREAMS).map(|nth| nth * 2 + 1);
        bytes.extend(streams().flat_map(|stream| frame(HEADERS, END_HEADERS, stream, &call)));
        // Two parts each, and never an end.
        for part in [&[0_u8][..], &[0, 0]] {
            bytes.extend(streams().flat_map(|stream| frame(DATA, 0, stream, part)));
        }
        slow.send(&bytes).unwrap();
        // The first has what places there are: its answers can be read.
        let busy = poll(PATIENCE, || (refused("busy") > 40.0).then_some(()));
        assert!(busy.is_some(), "{}", stage.signer.log_tail());
        slow
    });
    let total = f64::from(STREAMS) * 2.0;
    let busy = poll(PATIENCE, || (refused("busy") >= total - 20.0).then_some(()));
    assert!(busy.is_some(), "{} of {total}", refused("busy"));

    // Somebody else's body of many parts, while the few are waited for; and one that is too long for what it is.
    let (file, get) = (
        stage.home.path("body"),
        stage.url("/sigward.v1.StatusService/Get"),
    );
    let say = |length: usize| {
        std::fs::write(&file, format!("{}{{}}", " ".repeat(length))).unwrap();
        let (data, kind) = (format!("@{}", file.display()), "content-type: application/json");
        let output = stage.curl(
            Some(&stage.client("other")),
            &["-H", kind, "--data-binary", &data, &get],
        );
        said(&output)
    };
    assert!(say(60_000).contains("\"serving\":true"), "{}", say(60_000));
    assert!(say(70_000).contains("body_too_long"), "{}", say(70_000));
    // The holder of them all is answered too: its message comes in one part.
    let status = stage.grpcurl(Some(&stage.client("admin")), "sigward.v1.StatusService/Get");
    assert!(status.status.success(), "{}", said(&status));
    bounded(&stage);

    // Those that were waited for have had their time.
    let all = || refused("busy") + refused("deadline_exceeded");
    let ended = poll(PATIENCE, || (all() >= total).then_some(()));
    assert!(ended.is_some(), "{} of {total}", all());
    assert!(refused("deadline_exceeded") > 0.0);
    let [mut json, _grpc] = many;
    let told = json.read_until("deadline_exceeded: ");
    assert!(
        told.contains("\"busy: ") && told.contains("deadline_exceeded: "),
        "{told}"
    );
    bounded(&stage);
}

fn bounded(stage: &Stage) {
    stage.assert_unharmed();
    assert_eq!(stage.get("/livez"), "ok\n");
    let memory = stage.metric("sigward_resident_memory_bytes", &[]);
    assert!(memory < MEMORY, "{memory} bytes");
}
