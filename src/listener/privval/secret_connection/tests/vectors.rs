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
const KEY_1: &str = "4de5c254243a6a7b52fafd0b0c4db59175975cd435e99b7f758265aaaeeea063";
const KEY_2: &str = "6083a1a00e5ea92cdc380c55013f3c87d87ade022666fd5aad4ae3a1530d0885";

fn bytes32(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// What `key` seals as its first frame.
fn first_frame(key: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Sealer::new(&bytes32(key)).seal(&hex::decode(message).unwrap(), &mut out).unwrap();
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
    alice.authenticate(&TestIdentity::new(bytes32(ALICE_IDENTITY)), &mut to_bob).unwrap();
    bob.authenticate(&TestIdentity::new(bytes32(BOB_IDENTITY)), &mut to_alice).unwrap();
    // Alice's key is the smaller one: she receives with the first key and sends with the second.
    assert_eq!(to_bob, first_frame(KEY_2, ALICE_AUTH));
    assert_eq!(to_alice, first_frame(KEY_1, BOB_AUTH));

    let mut alice = done(alice.receive(to_alice.as_mut_slice().try_into().unwrap()).unwrap());
    let mut bob = done(bob.receive(to_bob.as_mut_slice().try_into().unwrap()).unwrap());
    assert_eq!(hex::encode(alice.peer.as_bytes()), &BOB_AUTH[10..74]);
    assert_eq!(hex::encode(bob.peer.as_bytes()), &ALICE_AUTH[10..74]);
    assert_eq!(bob.peer.to_string().len(), 40);

    let mut frame = Vec::new();
    alice.sealer.seal(b"hello bob", &mut frame).unwrap();
    assert_eq!(bob.opener.open(frame.as_mut_slice().try_into().unwrap()).unwrap(), b"hello bob");
}

#[test]
fn an_authentication_in_several_frames_is_put_together() {
    let alice = AwaitingHello::with_secret(&bytes32(ALICE_EPHEMERAL));
    let bob = AwaitingHello::with_secret(&bytes32(BOB_EPHEMERAL));
    let mut awaiting = alice.receive(&bob.hello()).unwrap();
    let mut sealer = Sealer::new(&bytes32(KEY_1));
    let message = hex::decode(BOB_AUTH).unwrap();
    for (index, byte) in message.iter().enumerate() {
        let mut frame = Vec::new();
        sealer.seal(&[*byte], &mut frame).unwrap();
        match awaiting.receive(frame.as_mut_slice().try_into().unwrap()).unwrap() {
            Step::More(next) => awaiting = next,
            Step::Done(_) => return assert_eq!(index, message.len() - 1),
        }
    }
    panic!("never done");
}
