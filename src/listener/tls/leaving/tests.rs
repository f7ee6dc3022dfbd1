//! Answers that are taken, slowly, or never.
#![allow(clippy::unwrap_used, reason = "tests")]

use axum::http::HeaderMap;
use http_body_util::BodyExt as _;
use sigward_policies::model::bearer::TokenHolder;
use sigward_policies::model::caller::SubjectName;
use tokio::time::timeout;

use super::*;

fn cert(name: &str) -> Caller {
    let name = SubjectName::dns(name).unwrap();
    Caller::Certificate { name }
}

async fn whole(length: usize) -> Whole {
    Whole::of(Response::new(Body::from(vec![b'x'; length]))).await
}

/// An answer of so many bytes, if there is room for it.
async fn answered(
    rooms: &Rooms,
    who: &Caller,
    client: &Arc<Untaken>,
    length: usize,
) -> Option<Response<Body>> {
    let mut room = rooms.room(Some(who), client)?;
    let answer = whole(length).await;
    answer.fits(&mut room).then(|| answer.leave(Some(room), client))
}

async fn piece(body: &mut Body) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn a_connection_a_holder_and_all_have_their_bounds_and_all_of_it_comes_back() {
    const LENGTH: usize = 64 << 10;
    let (rooms, ada) = (Rooms::default(), cert("ada"));
    let mut held = Vec::new();
    let take_all = async |held: &mut Vec<_>, who: &Caller| {
        let (client, before) = (Arc::default(), held.len());
        while let Some(answer) = answered(&rooms, who, &client, LENGTH).await {
            held.push((client.clone(), answer));
        }
        held.len() - before
    };
    for _ in 0..OF_HOLDER / OF_CONNECTION {
        assert_eq!(take_all(&mut held, &ada).await, OF_CONNECTION / LENGTH);
    }
    assert_eq!(take_all(&mut held, &ada).await, 0, "ada has her share");
    // An issuer has one for all whom it invents.
    for subject in ["a", "b", "c", "d", "e"] {
        let holder = TokenHolder::parse(&format!("ci/{subject}")).unwrap();
        let taken = take_all(&mut held, &Caller::Token { holder }).await;
        assert_eq!(taken == 0, subject == "e");
    }
    for other in 0..ALL / OF_HOLDER {
        for _ in 0..OF_HOLDER / OF_CONNECTION {
            take_all(&mut held, &cert(&format!("other-{other}"))).await;
        }
    }
    assert_eq!(held.len(), ALL / LENGTH);
    assert!(
        answered(&rooms, &cert("late"), &Arc::default(), 1)
            .await
            .is_none()
    );
    held.pop();
    assert!(
        answered(&rooms, &cert("late"), &Arc::default(), 1)
            .await
            .is_some()
    );
    drop(held);
    assert_eq!(rooms.all.available_permits(), ALL);
}

#[tokio::test]
async fn room_is_held_until_the_last_byte_was_sent_and_not_until_it_was_handed_over() {
    let (rooms, ada, client) = (Rooms::default(), cert("ada"), Arc::default());
    let taken = || ALL - rooms.all.available_permits();
    let answer = answered(&rooms, &ada, &client, 3 * PIECE + 1).await.unwrap();
    assert_eq!(answer.body().size_hint().exact(), Some(3 * 16_384 + 1));
    let mut body = answer.into_body();
    let mut pieces = Vec::new();
    while !body.is_end_stream() {
        pieces.push(piece(&mut body).await);
    }
    assert!(body.frame().await.is_none());
    drop(body);
    let lengths: Vec<_> = pieces.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [PIECE, PIECE, PIECE, 1]);
    let last = pieces.pop().unwrap();
    drop(pieces);
    assert_eq!(taken(), 3 * PIECE + 1);
    drop(last);
    assert_eq!((taken(), client.lock().since.len()), (0, 0));
    // What is small costs something too.
    let small = answered(&rooms, &ada, &client, 0).await.unwrap();
    assert_eq!(taken(), 4096);
    drop(small);
    assert_eq!(taken(), 0);
}

#[tokio::test]
async fn no_answer_is_too_large_and_two_of_them_are_too_many_beside_others() {
    let (rooms, ada, client) = (Rooms::default(), cert("ada"), Arc::default());
    let _small = answered(&rooms, &ada, &client, 1).await.unwrap();
    let large = answered(&rooms, &ada, &client, 2 * OF_CONNECTION).await.unwrap();
    assert!(answered(&rooms, &ada, &client, OF_CONNECTION).await.is_none());
    // Of a refused one nothing is kept.
    let _medium = answered(&rooms, &ada, &client, OF_CONNECTION / 4).await.unwrap();
    let another = Arc::default();
    assert!(answered(&rooms, &ada, &another, OF_CONNECTION).await.is_some());
    drop(large);
    assert!(answered(&rooms, &ada, &client, OF_CONNECTION / 2).await.is_some());
}

#[tokio::test]
async fn trailers_and_what_breaks_off_are_passed_on() {
    let client = Arc::default();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let parts = [
        Ok(Frame::data("ab".into())),
        Ok(Frame::trailers(trailers.clone())),
    ];
    let told = Whole {
        head: Response::new(()).into_parts().0,
        parts: parts.into(),
    };
    let body = told.leave(None, &client).into_body();
    assert_eq!(body.size_hint().exact(), None);
    let told = body.collect().await.unwrap();
    assert_eq!(told.trailers(), Some(&trailers));
    assert_eq!(told.to_bytes(), "ab");
    let broken = tokio_stream::iter([Ok("ab"), Err(std::io::Error::other("gone"))]);
    let broken = Whole::of(Response::new(Body::from_stream(broken))).await;
    let mut body = broken.leave(None, &client).into_body();
    assert_eq!(piece(&mut body).await, "ab");
    assert!(body.frame().await.unwrap().is_err());
    assert!(whole(0).await.leave(None, &client).body().is_end_stream());
}

#[tokio::test]
async fn who_takes_no_refusals_is_told_by_heads_alone() {
    let client = Arc::default();
    let mut refused = Vec::new();
    for _ in 0..BARE {
        refused.push(whole(9).await.leave(None, &client));
    }
    assert!(refused.iter().all(|refused| !refused.body().is_end_stream()));
    assert!(whole(9).await.leave(None, &client).body().is_end_stream());
    refused.pop();
    assert!(!whole(9).await.leave(None, &client).body().is_end_stream());
    drop(refused);
    let waiting = client.lock();
    assert_eq!((waiting.small, waiting.since.len()), (0, 0));
}

#[tokio::test]
async fn who_takes_something_is_waited_for_and_who_takes_nothing_is_not() {
    let client = Arc::<Untaken>::default();
    let too_long = |times: u32| timeout(UNTAKEN * times, client.waits_too_long());
    assert!(too_long(3).await.is_err(), "there is nothing to be taken");
    let mut slow = whole(5 * PIECE).await.leave(None, &client).into_body();
    let taking = async {
        for _ in 0..4 {
            tokio::time::sleep(UNTAKEN / 2).await;
            drop(piece(&mut slow).await);
        }
    };
    tokio::select! {
        () = client.waits_too_long() => panic!("it was still taking"),
        () = taking => {}
    }
    assert!(too_long(3).await.is_ok());
    // One is enough: others of the connection that are taken do not help it.
    let others = async {
        loop {
            tokio::time::sleep(UNTAKEN / 5).await;
            let mut other = whole(1).await.leave(None, &client).into_body();
            poll_fn(|cx| Pin::new(&mut other).poll_frame(cx)).await;
        }
    };
    tokio::select! {
        waited = too_long(3) => assert!(waited.is_ok()),
        () = others => {}
    }
}
