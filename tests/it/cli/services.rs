//! The admin socket as any gRPC client sees it: health, reflection, and nobody else's business.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sigward_proto::v1::key_service_client::KeyServiceClient;
use sigward_proto::v1::{CreateKeyRequest, GetKeyRequest, ListKeysRequest};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::admin;
use crate::support::scene::{KEY, Scene};

#[test]
fn health_and_reflection_tell_of_every_service() {
    let mut scene = Scene::new();
    scene.start();
    let socket = scene.signer.home().join("admin.sock");
    admin::block_on(async {
        let channel = admin::connect(&socket).await;
        let mut health = HealthClient::new(channel.clone());
        for service in [
            "",
            "sigward.v1.KeyService",
            "sigward.v1.StateService",
            "sigward.v1.AuditService",
            "sigward.v1.StatusService",
            "sigward.v1.BackupService",
        ] {
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            let reply = health.check(request).await.unwrap().into_inner();
            assert_eq!(reply.status, 1, "{service:?} serves");
        }
        let unknown = HealthCheckRequest {
            service: "sigward.v1.Nothing".to_owned(),
        };
        assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);

        let ask = |question| {
            tokio_stream::once(ServerReflectionRequest {
                host: String::new(),
                message_request: Some(question),
            })
        };
        let mut reflection = ServerReflectionClient::new(channel.clone());
        let mut replies = reflection
            .server_reflection_info(ask(MessageRequest::ListServices(String::new())))
            .await
            .unwrap()
            .into_inner();
        let Some(MessageResponse::ListServicesResponse(list)) =
            replies.message().await.unwrap().unwrap().message_response
        else {
            panic!("a list of services");
        };
        let names: Vec<&str> = list.service.iter().map(|service| &*service.name).collect();
        for service in [
            "sigward.v1.KeyService",
            "sigward.v1.StateService",
            "sigward.v1.AuditService",
            "sigward.v1.StatusService",
            "sigward.v1.BackupService",
            "grpc.health.v1.Health",
        ] {
            assert!(names.contains(&service), "{service} in {names:?}");
        }
        let mut replies = reflection
            .server_reflection_info(ask(MessageRequest::FileContainingSymbol(
                "sigward.v1.KeyService.Import".to_owned(),
            )))
            .await
            .unwrap()
            .into_inner();
        assert!(matches!(
            replies.message().await.unwrap().unwrap().message_response,
            Some(MessageResponse::FileDescriptorResponse(_))
        ));

        // A refusal is a status with a stable code first in its message.
        let mut keys = KeyServiceClient::new(channel);
        let get = GetKeyRequest {
            name: "nobody".to_owned(),
        };
        let status = keys.get(get).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().starts_with("key_not_found: "), "{status}");
        let create = CreateKeyRequest {
            provider: String::new(),
            name: KEY.to_owned(),
            algorithm: "ed25519".to_owned(),
        };
        assert_eq!(keys.create(create).await.unwrap_err().code(), Code::AlreadyExists);
    });
}

#[test]
fn the_admin_socket_is_the_owners_and_survives_nonsense() {
    let mut scene = Scene::new();
    scene.start();
    let socket = scene.signer.home().join("admin.sock");
    let waited = crate::support::poll(Duration::from_secs(10), || socket.exists().then_some(()));
    assert!(waited.is_some());
    assert_eq!(
        std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let garbage: [&[u8]; 4] = [
        &[0xff; 4096],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00",
        b"",
    ];
    let mut half_open = Vec::new();
    for bytes in garbage {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let _refused = stream.write_all(bytes);
        let mut answer = [0; 1024];
        let _whatever = stream.read(&mut answer);
        half_open.push(stream);
    }
    scene.sign(1..=3);
    admin::block_on(async {
        let mut keys = KeyServiceClient::new(admin::connect(&socket).await);
        let huge = CreateKeyRequest {
            provider: String::new(),
            name: "x".repeat(1 << 20),
            algorithm: "ed25519".to_owned(),
        };
        assert!(keys.create(huge).await.is_err());
        assert_eq!(
            keys.list(ListKeysRequest {})
                .await
                .unwrap()
                .into_inner()
                .keys
                .len(),
            1
        );
    });
    // Half-open clients do not hold up the end.
    scene.signer.terminate();
}
