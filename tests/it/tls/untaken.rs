//! Answers that nobody takes: a client of HTTP/2 says how much of them may be sent, and may say nothing.

use std::io::{Read as _, Write as _};
use std::thread::{JoinHandle, spawn};

use super::frames::{ACK, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, frame, get};
use super::stage::{PATIENCE, Raw, Stage, said};
use crate::support::poll;

const CONNECTIONS: u32 = 60;
const STREAMS: u32 = 64;
/// What all of it may cost: the answers alone would be more.
const MEMORY: f64 = 150e6;
/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.5.2): 0.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// Asks for everything there is, and takes nothing.
fn asks(stage: &Stage) -> Raw {
    let mut raw = stage.raw("h2");
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &NO_WINDOW)].concat();
    let metrics = get("/metrics");
    let streams = (0..STREAMS).map(|nth| nth * 2 + 1);
    bytes.extend(streams.flat_map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &metrics)));
    raw.send(&bytes).unwrap();
    raw
}

/// Answers every PING of its connection until that ends, as whoever is there does.
fn lives_on(mut raw: Raw) -> JoinHandle<()> {
    spawn(move || {
        let mut head = [0_u8; 9];
        while raw.stdout.read_exact(&mut head).is_ok() {
            let [a, b, c, kind, flags, ..] = head;
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
            let mut payload = vec![0; length];
            if raw.stdout.read_exact(&mut payload).is_err() {
                return;
            }
            if kind == PING && flags & ACK == 0 {
                let _gone = raw.stdin.write_all(&frame(PING, ACK, 0, &payload));
                let _gone = raw.stdin.flush();
            }
        }
    })
}

#[test]
fn who_takes_no_answers_is_refused_more_of_them_and_then_hung_up_on() {
    let stage = Stage::serving();
    stage.signer.run(&["pki", "client", "other"]);
    let scraped = |who: &str| said(&stage.curl(Some(&stage.client(who)), &[&stage.url("/metrics")]));
    assert!(scraped("admin").contains("sigward_build_info"));
    let many: Vec<_> = (0..CONNECTIONS).map(|_| lives_on(asks(&stage))).collect();

    let busy = || stage.metric("sigward_tls_refused_requests_total", &[("reason", "busy")]);
    let asked = f64::from(CONNECTIONS * STREAMS);
    let refused = poll(PATIENCE, || (busy() > asked * 0.8).then_some(()));
    eprintln!("{} of {asked} refused, {} bytes", busy(), memory(&stage));
    assert!(refused.is_some(), "{}", stage.signer.log_tail());
    assert!(memory(&stage) < MEMORY, "{} bytes", memory(&stage));
    // Its holder is told so, and others are served.
    let told = scraped("admin");
    assert!(told.starts_with("busy: "), "{told}");
    assert!(scraped("other").contains("sigward_build_info"));
    stage.assert_unharmed();

    // Each of them lives, and is ten minutes too young for its age to end it.
    let ended = || many.iter().all(JoinHandle::is_finished).then_some(());
    assert!(poll(PATIENCE * 2, ended).is_some(), "{}", stage.signer.log_tail());
    assert!(scraped("admin").contains("sigward_build_info"));
    assert!(memory(&stage) < MEMORY, "{} bytes", memory(&stage));
    stage.assert_unharmed();
}

fn memory(stage: &Stage) -> f64 {
    stage.metric("sigward_resident_memory_bytes", &[])
}
