use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use tokio::net::TcpListener;

use super::*;

/// The `authorization` header and the body.
type Asked = (String, Vec<u8>);

/// Answers in turn, the last one for ever; keeps what it was sent.
#[derive(Clone)]
struct Service {
    answers: Arc<Vec<(u16, &'static str)>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

async fn answer(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let key = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    let (status, text) = {
        let mut asked = service.asked.lock().unwrap();
        asked.push((key, body.to_vec()));
        service.answers[asked.len().min(service.answers.len()) - 1]
    };
    if text == "slow" {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    (StatusCode::from_u16(status).unwrap(), text)
}

async fn service(answers: &[(u16, &'static str)]) -> (Service, Remote) {
    let service = Service { answers: Arc::new(answers.to_vec()), asked: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/audio/transcriptions", post(answer)).with_state(service.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let options = OpenAi {
        url,
        key: Secret::new("secret"),
        model: "whisper-large".to_owned(),
        timeout: Duration::from_millis(300),
        retries: 1,
        connections: 2,
    };
    (service, Remote::new(&options))
}

async fn hear(remote: Remote) -> Result<Vec<Recognized>, String> {
    let segment = Segment { pcm: vec![7; 16_000].into(), voiced: Duration::from_secs(1) };
    let heard = move || remote.recognize("fr", &[segment]).map_err(|error| error.to_string());
    tokio::task::spawn_blocking(heard).await.unwrap()
}

#[tokio::test]
async fn a_segment_goes_as_wav_and_comes_back_as_text_with_its_certainty() {
    let body = r#"{"text":" Allô, oui ? ","segments":[{"avg_logprob":-0.2,"no_speech_prob":0.1},
                   {"avg_logprob":-0.4,"no_speech_prob":0.3}]}"#;
    let (service, remote) = service(&[(200, body)]).await;
    let heard = hear(remote).await.unwrap().remove(0);
    assert_eq!(heard.text, "Allô, oui ?");
    assert!((heard.score + 0.3).abs() < 1e-6 && (heard.no_speech - 0.1).abs() < 1e-6, "{heard:?}");
    let (key, sent) = service.asked.lock().unwrap().remove(0);
    assert_eq!(key, "Bearer secret");
    let text = String::from_utf8_lossy(&sent);
    for part in [
        "name=\"model\"\r\n\r\nwhisper-large\r\n",
        "name=\"language\"\r\n\r\nfr\r\n",
        "audio/wav\r\n\r\nRIFF",
    ] {
        assert!(text.contains(part), "{part:?} is not in what was sent");
    }
    assert!(sent.len() > 32_000);
}

#[tokio::test]
async fn a_busy_service_is_asked_again_and_no_further() {
    let (service_, remote) = service(&[(503, ""), (200, r#"{"text":"hello"}"#)]).await;
    assert_eq!(hear(remote).await.unwrap()[0].text, "hello");
    assert_eq!(service_.asked.lock().unwrap().len(), 2);
    let (service_, remote) = service(&[(503, "")]).await;
    let error = hear(remote).await.unwrap_err();
    assert!(error.ends_with("status 503"), "{error}");
    assert_eq!(service_.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_service_without_verbose_answers_is_asked_for_plain_ones() {
    let (service, remote) = service(&[(400, "verbose_json?"), (200, r#"{"text":"hello"}"#)]).await;
    assert_eq!(hear(remote).await.unwrap()[0].text, "hello");
    let sent = service.asked.lock().unwrap().remove(1).1;
    assert!(String::from_utf8_lossy(&sent).contains("\r\n\r\njson\r\n"));
}

#[tokio::test]
async fn a_refusal_is_told_in_its_own_words_and_a_slow_service_is_not_waited_for() {
    let (_, remote) = service(&[(401, "wrong key")]).await;
    let error = hear(remote).await.unwrap_err();
    assert!(error.contains("status 401: wrong key") && !error.contains("secret"), "{error}");
    let (_, remote) = service(&[(200, "slow")]).await;
    let began = std::time::Instant::now();
    assert!(hear(remote).await.unwrap_err().contains("timeout"));
    assert!(began.elapsed() < Duration::from_millis(1500));
    let (_, remote) = service(&[(200, "<html>")]).await;
    assert!(hear(remote).await.unwrap_err().contains("no transcript"));
}
