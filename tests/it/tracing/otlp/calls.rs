//! What a collector gets of calls.

use hyper_util::rt::TokioIo;
use sigward_proto::v1::ListKeysRequest;
use sigward_proto::v1::key_service_client::KeyServiceClient;
use tokio::net::UnixStream;
use tonic::Request;
use tonic::transport::{Endpoint, Uri};

use super::collector::Collector;
use super::send_to;
use crate::support::home::Home;
use crate::support::signer::Signer;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// What `keys list` over the admin socket answers for its trace.
fn list(signer: &Signer, parent: Option<String>) -> String {
    let socket = signer.home().join("admin.sock");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let connector = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://sigward");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        let mut request = Request::new(ListKeysRequest::default());
        if let Some(parent) = parent {
            let parent = parent.parse().unwrap();
            request.metadata_mut().insert("traceparent", parent);
        }
        let answer = KeyServiceClient::new(channel).list(request).await.unwrap();
        let told = answer.metadata().get("traceparent").unwrap();
        told.to_str().unwrap().to_owned()
    })
}

#[test]
fn a_call_is_a_child_of_the_span_that_it_names_and_of_none_where_that_is_not_followed() {
    let collector = Collector::start();
    let home = Home::new();
    let mut signer = Signer::init(&home);
    send_to(&signer, &collector.endpoint(), &[]);
    signer.start();
    let told = list(&signer, Some(format!("00-{TRACE}-{SPAN}-01")));
    let root = collector.span(|span| span.trace == TRACE && span.parent == SPAN);
    assert_eq!(told, format!("00-{TRACE}-{}-01", root.id));
    assert_eq!(root.name, "sigward.v1.KeyService/List");
    for (name, value) in [
        ("rpc.system", "grpc"),
        ("rpc.service", "sigward.v1.KeyService"),
        ("rpc.method", "List"),
        ("rpc.grpc.status_code", "0"),
    ] {
        assert_eq!(root.attributes[name], value);
    }
    let stages = collector.stages(&root);
    let names: Vec<_> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["authn", "authz", "act"]);
    assert!(
        stages
            .iter()
            .all(|stage| root.start <= stage.start && stage.end <= root.end)
    );

    // Its caller does not follow this one; the next has a trace of its own, which is followed here.
    let unwanted = list(&signer, Some(format!("00-{}-{SPAN}-00", TRACE.replace('0', "1"))));
    assert!(unwanted.ends_with("-00"), "{unwanted}");
    let own = list(&signer, None);
    let (trace, id) = (&own[3..35], &own[36..52]);
    assert!(own.ends_with("-01"), "{own}");
    let root = collector.span(|span| span.trace == trace && span.parent.is_empty());
    assert_eq!(root.id, id);
    signer.terminate();
    let others = collector.spans();
    assert!(
        others.iter().all(|span| !unwanted.contains(&span.trace)),
        "{others:#?}"
    );
}
