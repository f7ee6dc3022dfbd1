//! The handshake of two given peers, byte for byte (cometbft-p2p 0.3.0 `src/test_vectors.rs`).

use super::super::*;
use super::TestIdentity;

const ALICE_IDENTITY: &str = "a0d068d7c44e951610d54a7eb90279e8a31b61128d44d2dd92311763c468185c";
const BOB_IDENTITY: &str = "b07e65300419ce0b5d7274bcbc67fcfd3fb68272de9aa52a452a6889c7d33fd5";
const ALICE_EPHEMERAL: &str = "a14d1fe92419d4e23b4007079439b497ae77494ccda0195ac1c70680bb460908";
const BOB_EPHEMERAL: &str = "b19aff79f5b8cd2f37d46b19e294364d843b1d820b0ac55ec72e9d4e7e04f041";
const ALICE_HELLO: &str = "220a202faa1fdf0320284c3f8aae4f30c89f02bffac563155ddd572e887214464f5463";
const ALICE_AUTH: &str = "660a220a208f5a716b651b628b3e6fffd28f8b1fafc765fcfca53f7cad89f4680585c7668012402735eb20c3f2b8d6643d761be7d873427ccbb83fd6f64d04e5cbf8a1fa523422dcbc17fe2fb831fcb378cf17136f19e67defaebbcbc06135df8a7471734e9406";
const BOB_AUTH: &str = "660a220a201ac739117419d70a79bc031b74a7dbcf3e1d6f82342693078d526ddbd41984c21240fc9ecf23994aef6a1eae80ebb2fe10ac8784b9ec08cf1d17a19a5d87c1217e11430f955c7f6c213a7f00a9cecd181214c3ffc62b352417c775dec6c93b3d7f0a";
// Worked out once from the ephemeral keys by plain integer arithmetic (RFC 7748, 5; RFC 5869), because the
// frame keys in that file belong to another pair.
const FIRST_KEY: &str = "0763a27fc021bc40ef098f0e7e56892a26a68cd8e14116793d7abef93dc9a25f";
const SECOND_KEY: &str = "a34390198e6cd8ca13d3de08622412e789a8996785e3860953c4e7cd16959950";

fn bytes32(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// What `key` seals as its first frame.
fn first_frame(key: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Sealer::new(&bytes32(key))
        .seal(&hex::decode(message).unwrap(), &mut out)
        .unwrap();
    out
}

fn done(step: Step) -> Established {
    match step {
        Step::Done(established) => established,
        Step::More(_) => panic!("the message was whole"),
    }
}

#[test]
fn the_handshake_of_alice_and_bob_byte_for_byte() {
    let alice = AwaitingHello::with_secret(&bytes32(ALICE_EPHEMERAL));
    let bob = AwaitingHello::with_secret(&bytes32(BOB_EPHEMERAL));
    assert_eq!(hex::encode(alice.hello()), ALICE_HELLO);

    let (to_bob, to_alice) = (alice.hello(), bob.hello());
    let mut alice = alice.receive(&to_alice).unwrap();
    let mut bob = bob.receive(&to_bob).unwrap();
    let (mut to_bob, mut to_alice) = (Vec::new(), Vec::new());
    alice
        .authenticate(&TestIdentity::new(bytes32(ALICE_IDENTITY)), &mut to_bob)
        .unwrap();
    bob.authenticate(&TestIdentity::new(bytes32(BOB_IDENTITY)), &mut to_alice)
        .unwrap();
    // Alice's key is the smaller one: she receives with the first key and sends with the second.
    assert!(to_bob == first_frame(SECOND_KEY, ALICE_AUTH));
    assert!(to_alice == first_frame(FIRST_KEY, BOB_AUTH));

    let mut alice = done(
        alice
            .receive(to_alice.as_mut_slice().try_into().unwrap())
            .unwrap(),
    );
    let mut bob = done(bob.receive(to_bob.as_mut_slice().try_into().unwrap()).unwrap());
    assert_eq!(hex::encode(alice.peer.as_bytes()), &BOB_AUTH[10..74]);
    assert_eq!(hex::encode(bob.peer.as_bytes()), &ALICE_AUTH[10..74]);
    assert_eq!(bob.peer.to_string().len(), 40);

    let mut frame = Vec::new();
    alice.sealer.seal(b"hello bob", &mut frame).unwrap();
    assert_eq!(
        bob.opener.open(frame.as_mut_slice().try_into().unwrap()).unwrap(),
        b"hello bob"
    );
}

#[test]
fn an_authentication_in_several_frames_is_put_together() {
    let alice = AwaitingHello::with_secret(&bytes32(ALICE_EPHEMERAL));
    let bob = AwaitingHello::with_secret(&bytes32(BOB_EPHEMERAL));
    let mut awaiting = alice.receive(&bob.hello()).unwrap();
    let mut sealer = Sealer::new(&bytes32(FIRST_KEY));
    let message = hex::decode(BOB_AUTH).unwrap();
    for (index, byte) in message.iter().enumerate() {
        let mut frame = Vec::new();
        sealer.seal(&[*byte], &mut frame).unwrap();
        match awaiting
            .receive(frame.as_mut_slice().try_into().unwrap())
            .unwrap()
        {
            Step::More(next) => awaiting = next,
            Step::Done(_) => return assert_eq!(index, message.len() - 1),
        }
    }
    panic!("never done");
}
