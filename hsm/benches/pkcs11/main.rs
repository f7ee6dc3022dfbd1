//! What a token can do, and what the provider makes of it, in one run: `cargo bench -p sigward-hsm --features testing --bench pkcs11`.
//!
//! Method. Bare threads call `C_SignInit` and `C_Sign` through cryptoki, each in a session of its own; callers of the provider wait for
//! each answer before the next order, as a node does. Both use the same key object and messages of the same length. They take turns,
//! in rounds, so that what the machine does to one it does to the other; each figure is the median of its rounds. Every signature of
//! the provider is verified after its turn. Two hops (a thread wakes another one, which works as long as a bare C_Sign takes, and
//! wakes the first) are measured in the same rounds: that much a provider with threads of its own must add.
//!
//! With `--bare-json` it measures one round of bare threads and hops, and prints that as JSON: `node-driver bench --bare` calls it between
//! its own rounds, so that a node's figures can be compared with the token's.
//!
//! SoftHSM2 is used, in a folder that is gone afterwards; another token with PKCS11_MODULE, PKCS11_TOKEN (its label) and
//! PKCS11_PIN_FILE. The keys made there are destroyed at the end.

mod measure;
mod token;

use std::time::Duration;

use measure::{Figure, Rounds, median};
use sigward_policies::model::algorithm::Algorithm;
use token::{Failure, Token};

/// Sessions of the provider, and most bare threads.
const SESSIONS: usize = 8;
const CALLERS: usize = 16;
const ROUNDS: usize = 9;
const TURN: Duration = Duration::from_millis(400);

fn main() -> Result<(), Failure> {
    if !token::is_configured() {
        return token::run_again_with_softhsm();
    }
    let token = Token::open(SESSIONS)?;
    if std::env::args().any(|arg| arg == "--bare-json") {
        return bare_json(&token);
    }
    println!(
        "{}; {SESSIONS} sessions, {} rounds of {TURN:?} a line, medians",
        token.about(),
        rounds_wanted()
    );
    for algorithm in [Algorithm::Ed25519, Algorithm::Secp256k1] {
        let key = token.make_key(algorithm)?;
        let measured = take_turns(&token, &key);
        token.destroy_key(&key)?;
        print(algorithm, &measured?);
    }
    Ok(())
}

/// One round of bare figures for Ed25519.
fn bare_json(token: &Token) -> Result<(), Failure> {
    let key = token.make_key(Algorithm::Ed25519)?;
    let mut rounds = Rounds::default();
    let measured = take_bare_turn(token, &key, &mut rounds);
    token.destroy_key(&key)?;
    measured?;
    let line = |(threads, figures): &(usize, Vec<Figure>)| {
        let figure = median(figures);
        serde_json::json!({
            "threads": threads,
            "signatures_per_second": figure.rate,
            "p50_us": figure.p50,
            "p99_us": figure.p99,
        })
    };
    let bare: Vec<_> = rounds.bare.iter().map(line).collect();
    println!(
        "{}",
        serde_json::json!({ "token": token.about(), "bare": bare, "two_hops_p50_us": median(&rounds.hops).p50 })
    );
    Ok(())
}

/// `-- --rounds N`, for a quick look; 9 otherwise.
fn rounds_wanted() -> usize {
    let mut args = std::env::args().skip_while(|arg| arg != "--rounds").skip(1);
    args.next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(ROUNDS)
        .max(1)
}

fn take_turns(token: &Token, key: &token::Key) -> Result<Rounds, Failure> {
    let mut rounds = Rounds::default();
    for _ in 0..rounds_wanted() {
        take_bare_turn(token, key, &mut rounds)?;
        rounds.elsewhere.push(token.bare_elsewhere(key, TURN)?);
        for (callers, figures) in &mut rounds.provider {
            figures.push(token.provider(key, *callers, TURN)?);
        }
    }
    Ok(rounds)
}

fn take_bare_turn(token: &Token, key: &token::Key, rounds: &mut Rounds) -> Result<(), Failure> {
    for (threads, figures) in &mut rounds.bare {
        figures.push(token.bare(key, *threads, TURN)?);
    }
    let alone = rounds.bare.first().and_then(|(_, figures)| figures.last());
    let work = alone.map_or(0.0, |figure| figure.p50 / 1e6);
    let hops = measure::two_hops(TURN, Duration::from_secs_f64(work));
    rounds.hops.push(hops);
    Ok(())
}

fn print(algorithm: Algorithm, rounds: &Rounds) {
    println!(
        "\n{:<34}{:>14}{:>10}{:>10}",
        algorithm.to_string(),
        "signatures/s",
        "p50 µs",
        "p99 µs"
    );
    let line = |what: String, figures: &[Figure]| {
        let figure = median(figures);
        println!(
            "{what:<34}{:>14.0}{:>10.1}{:>10.1}",
            figure.rate, figure.p50, figure.p99
        );
        figure
    };
    let bare: Vec<_> = rounds
        .bare
        .iter()
        .map(|(threads, figures)| line(format!("bare C_Sign, {threads} thread(s)"), figures))
        .collect();
    let elsewhere = line("bare C_Sign on a woken thread".to_owned(), &rounds.elsewhere);
    let provider: Vec<_> = rounds
        .provider
        .iter()
        .map(|(callers, figures)| line(format!("provider, {callers} caller(s)"), figures))
        .collect();
    let hops = median(&rounds.hops);
    println!(
        "{:<34}{:>14}{:>10.1}{:>10.1}",
        "two hops, with work between", "", hops.p50, hops.p99
    );
    let best = bare.iter().map(|figure| figure.rate).fold(0.0, f64::max);
    let (Some(one), Some(alone), Some(many)) = (bare.first(), provider.first(), provider.last()) else {
        return;
    };
    println!(
        "provider's rate at 1 caller / bare rate of one thread: {:.2}",
        alone.rate / one.rate
    );
    println!(
        "provider's rate at {CALLERS} callers / best bare rate:     {:.2}",
        many.rate / best
    );
    println!(
        "one signature through the provider: {:+.1} µs to a bare one ({:.1} times two hops); of these its own, beyond waking a thread: {:+.1} µs",
        alone.p50 - one.p50,
        (alone.p50 - one.p50) / hops.p50,
        alone.p50 - elsewhere.p50
    );
}
