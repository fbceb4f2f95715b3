//! The listener: everything up to the upgrade. What is wrong is refused before it, since the switch then removes
//! its own end at once.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastwebsockets::upgrade::{self, UpgradeFut};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use sidetone_core::{
    call::{CallId, StreamEnd},
    frame::SampleRate,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    registry::{MediaRegistry, Slot, Token},
    socket,
    stats::{MediaStats, Refusal},
    wire::{Channels, Wire},
};
use crate::config;

/// What `mod_audio_fork` asks for and wants to see confirmed.
const FORK_PROTOCOL: &str = "audio.drachtio.org";
/// Connections that may be on their way to an upgrade; a further one is dropped.
const HANDSHAKES: usize = 1024;

/// How streams are taken.
#[derive(Debug, Clone)]
pub struct MediaOptions {
    /// A stream without audio for so long is closed, unless paused: an abandoned one can hang the switch.
    pub idle_timeout: Duration,
    /// Bytes of the longest message taken.
    pub max_message: usize,
    /// How long a request may take to arrive.
    pub header_timeout: Duration,
    /// How long we wait for the answer to our Close before the connection is dropped.
    pub close_wait: Duration,
}

impl Default for MediaOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(8),
            max_message: 256 * 1024,
            header_timeout: Duration::from_secs(5),
            close_wait: Duration::from_millis(900),
        }
    }
}

impl From<&config::Media> for MediaOptions {
    fn from(config: &config::Media) -> Self {
        Self { idle_timeout: config.idle_timeout, max_message: config.max_message_bytes, ..Self::default() }
    }
}

/// Serves streams until `shutdown`; then closes them all and returns once they are gone (about a second).
pub async fn run(
    listener: TcpListener,
    registry: MediaRegistry,
    options: MediaOptions,
    stats: Arc<MediaStats>,
    shutdown: CancellationToken,
) {
    let tick = (options.idle_timeout / 8).clamp(Duration::from_millis(20), Duration::from_millis(500));
    let mut idle_check = interval(tick);
    let server =
        Arc::new(Server { registry, options, stats, handshakes: Arc::new(Semaphore::new(HANDSHAKES)) });
    let streams = TaskTracker::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = idle_check.tick() => server.registry.close_idle(server.options.idle_timeout),
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => server.accept(socket, &streams, &shutdown),
                Err(error) => {
                    // Usually out of file descriptors: accepting again at once would only spin.
                    tracing::warn!(%error, "a media connection could not be accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    server.registry.close_all(StreamEnd::Shutdown);
    streams.close();
    let _ = timeout(server.options.close_wait + Duration::from_millis(500), streams.wait()).await;
}

struct Server {
    registry: MediaRegistry,
    options: MediaOptions,
    stats: Arc<MediaStats>,
    handshakes: Arc<Semaphore>,
}

/// A request that was let in; its socket follows.
struct Admitted {
    call: CallId,
    slot: Arc<Slot>,
    wire: Wire,
    upgrade: UpgradeFut,
}

impl Server {
    fn accept(self: &Arc<Self>, socket: TcpStream, streams: &TaskTracker, shutdown: &CancellationToken) {
        let Ok(permit) = self.handshakes.clone().try_acquire_owned() else {
            self.stats.count_refused(Refusal::Dropped);
            return;
        };
        // Answers are small and the switch waits no longer than a second for the first.
        let _ = socket.set_nodelay(true);
        let (server, shutdown) = (self.clone(), shutdown.clone());
        streams.spawn(async move {
            // Until the upgrade a shutdown just drops the connection; after it, `close_all` closes the stream.
            let admitted = tokio::select! {
                () = shutdown.cancelled() => None,
                admitted = server.handshake(socket, permit) => admitted,
            };
            if let Some(admitted) = admitted {
                server.serve(admitted, &shutdown).await;
            }
        });
    }

    /// Reads one request and answers it.
    async fn handshake(&self, socket: TcpStream, _permit: OwnedSemaphorePermit) -> Option<Admitted> {
        let admitted = Mutex::new(None);
        let service = service_fn(|request: Request<Incoming>| {
            let response = match self.admit(request) {
                Ok((response, stream)) => {
                    *admitted.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
                    response
                }
                Err(why) => {
                    self.stats.count_refused(why);
                    tracing::debug!(reason = why.name(), "media connection refused");
                    refusal(why)
                }
            };
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        if connection.await.is_err() {
            self.stats.count_refused(Refusal::Dropped);
        }
        admitted.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, request: Request<Incoming>) -> Result<(Response<Full<Bytes>>, Admitted), Refusal> {
        let path = request.uri().path().strip_prefix("/media/").ok_or(Refusal::UnknownCall)?;
        if !upgrade::is_upgrade_request(&request) {
            return Err(Refusal::NotUpgrade);
        }
        let call = CallId::new(path).ok_or(Refusal::UnknownCall)?;
        let slot = self.registry.slot(&call).ok_or(Refusal::UnknownCall)?;
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        if !query.token.is_some_and(|token| slot.admits(&token)) {
            return Err(Refusal::BadToken);
        }
        let fork = offers_fork_protocol(&request);
        let (response, upgrade) = upgrade::upgrade(request).map_err(|_| Refusal::BadRequest)?;
        let mut response = response.map(|_| Full::default());
        if fork {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(FORK_PROTOCOL));
        }
        Ok((response, Admitted { call, slot, wire: Wire::new(query.rate, query.channels), upgrade }))
    }

    async fn serve(&self, admitted: Admitted, shutdown: &CancellationToken) {
        let Ok(socket) = admitted.upgrade.await else { return };
        let Some((feed, stop)) = admitted.slot.connect() else { return };
        // Nobody else holds the slot for long: the call may be released while its stream goes on.
        drop(admitted.slot);
        self.stats.count_opened();
        if shutdown.is_cancelled() {
            self.registry.close_all(StreamEnd::Shutdown);
        }
        tracing::debug!(call = %admitted.call, "audio stream open");
        let stream = socket::Stream { feed, wire: admitted.wire, stats: &self.stats, options: &self.options };
        let end = stream.run(socket, stop).await;
        tracing::debug!(call = %admitted.call, ?end, "audio stream closed");
    }
}

struct Query {
    token: Option<Token>,
    rate: SampleRate,
    channels: Channels,
}

impl Query {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut parsed = Self { token: None, rate: SampleRate::HZ_8000, channels: Channels::Mono };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "t" => parsed.token = Token::parse(value),
                "rate" => {
                    let rate = value.parse().ok().and_then(SampleRate::new);
                    parsed.rate = rate.ok_or(Refusal::BadRequest)?;
                }
                "channels" => {
                    parsed.channels = match value {
                        "1" => Channels::Mono,
                        "2" => Channels::Stereo,
                        _ => return Err(Refusal::BadRequest),
                    }
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

fn offers_fork_protocol(request: &Request<Incoming>) -> bool {
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    offers
        .iter()
        .filter_map(|offer| offer.to_str().ok())
        .any(|offer| offer.split(',').any(|protocol| protocol.trim() == FORK_PROTOCOL))
}

fn refusal(why: Refusal) -> Response<Full<Bytes>> {
    let (status, words) = match why {
        Refusal::UnknownCall => (StatusCode::NOT_FOUND, "no such call is expected\n"),
        Refusal::BadToken => (StatusCode::FORBIDDEN, "the token is missing or wrong\n"),
        Refusal::NotUpgrade => (StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n"),
        Refusal::BadRequest => (StatusCode::BAD_REQUEST, "the query or the WebSocket headers are wrong\n"),
        Refusal::Dropped => (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n"),
    };
    let mut response = Response::new(Full::from(words));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if why == Refusal::NotUpgrade {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
    }
    response
}
