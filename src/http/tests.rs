use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{HttpState, Readiness, run};
use crate::{config::Secret, metrics::Metrics};

struct Server {
    address: SocketAddr,
    readiness: Readiness,
    stop: CancellationToken,
    done: JoinHandle<std::io::Result<()>>,
}

async fn server(token: &str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let readiness = Readiness::default();
    let metrics = Metrics::new().expect("registers");
    let state = HttpState { metrics, readiness: readiness.clone(), token: Secret::new(token) };
    let stop = CancellationToken::new();
    let done = tokio::spawn(run(listener, state, stop.clone()));
    Server { address, readiness, stop, done }
}

impl Server {
    /// Status, headers and body of a GET.
    async fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("read");
        (answer[9..12].parse().expect("a status"), answer)
    }
}

#[tokio::test]
async fn pages_answer() {
    let server = server("").await;
    let (status, text) = server.get("/", "").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("sidetone: /metrics /healthz /readyz\n"), "{text}");
    let (status, text) = server.get("/metrics", "").await;
    assert_eq!(status, 200);
    assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
    assert!(text.contains("\nsidetone_build_info{"), "{text}");
    assert_eq!(server.get("/healthz", "").await.0, 200);
    assert_eq!(server.get("/nothing", "").await.0, 404);
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let server = server("").await;
    let (status, text) = server.get("/readyz", "").await;
    assert_eq!(status, 503);
    for what in ["switch_down", "model_not_loaded", "store_not_writable"] {
        assert!(text.contains(what), "{text}");
    }
    assert!(!text.contains("draining"), "{text}");

    server.readiness.set_switch(true);
    server.readiness.set_model(true);
    server.readiness.set_store(true);
    let (status, text) = server.get("/readyz", "").await;
    assert_eq!(status, 200);
    assert!(text.ends_with(r#"{"ready":true,"reasons":[]}"#), "{text}");

    server.readiness.set_draining(true);
    let (status, text) = server.get("/readyz", "").await;
    assert_eq!(status, 503);
    assert!(text.contains(r#""ready":false"#) && text.contains("draining"), "{text}");
}

#[tokio::test]
async fn token_guards_everything_but_health() {
    let server = server("s3cret").await;
    for path in ["/", "/metrics", "/readyz"] {
        for headers in [
            "",
            "Authorization: Bearer wrong\r\n",
            "Authorization: Bearer s3cre\r\n",
            "Authorization: Basic s3cret\r\n",
        ] {
            let (status, text) = server.get(path, headers).await;
            assert_eq!(status, 401, "{path} {headers}");
            assert!(text.to_lowercase().contains("www-authenticate: bearer"), "{text}");
            assert!(!text.contains("sidetone_build_info"), "{text}");
        }
    }
    assert_eq!(server.get("/metrics", "Authorization: Bearer s3cret\r\n").await.0, 200);
    assert_eq!(server.get("/healthz", "").await.0, 200);
}

#[tokio::test]
async fn shutdown_ends_it() {
    let server = server("").await;
    assert_eq!(server.get("/healthz", "").await.0, 200);
    server.stop.cancel();
    server.done.await.expect("no panic").expect("ends well");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_recogniser_that_is_behind_is_a_reason() {
    let server = server("").await;
    server.readiness.set_hearing(Err(crate::asr::NotAdmitting::Failing));
    assert!(server.get("/readyz", "").await.1.contains("asr_failing"));
    server.readiness.set_hearing(Ok(()));
    assert!(!server.get("/readyz", "").await.1.contains("asr_"));
}
