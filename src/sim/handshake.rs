//! The WebSocket upgrade as the stream modules write it, byte for byte; a library would write it nicer.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::client::generate_key, protocol::Role},
};

use super::slot::Module;

/// libwsc gives up so soon, whatever its documentation says.
const UPGRADE_WITHIN: Duration = Duration::from_secs(1);
const MAX_HEAD: usize = 16 * 1024;

/// Where to connect, in parts that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

impl Target {
    /// What the modules take as a URL: `ws://` or `wss://`, a host of letters, digits, dots and dashes.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (rest, default) = match (url.strip_prefix("ws://"), url.strip_prefix("wss://")) {
            (Some(rest), _) => (rest, 80),
            (None, Some(rest)) => (rest, 443),
            (None, None) => return None,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, default),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        let fits = !host.is_empty() && host.bytes().all(plain) && url.len() <= 4096;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        fits.then(|| Self { host: host.to_owned(), port, path })
    }
}

/// Why there is no stream, in the module's own code and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: u32,
    pub(super) words: String,
}

impl Refused {
    fn io(error: &io::Error) -> Self {
        let words = match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::ConnectionRefused, code) => {
                format!("Connection refused (system error {})", code.unwrap_or(111))
            }
            (_, Some(code)) => format!("{error} (system error {code})"),
            (_, None) => "WebSocket upgrade failed".to_owned(),
        };
        Self { code: 6, words }
    }

    fn upgrade() -> Self {
        Self { code: 6, words: "WebSocket upgrade failed".to_owned() }
    }
}

/// Connects and upgrades within a second.
pub(super) async fn connect(
    target: &Target,
    module: Module,
    extra: &[(String, String)],
) -> Result<WebSocketStream<TcpStream>, Refused> {
    match timeout(UPGRADE_WITHIN, upgrade(target, module, extra)).await {
        Ok(result) => result,
        Err(_) => Err(Refused { code: 10, words: "Timeout".to_owned() }),
    }
}

async fn upgrade(
    target: &Target,
    module: Module,
    extra: &[(String, String)],
) -> Result<WebSocketStream<TcpStream>, Refused> {
    let address = (target.host.as_str(), target.port);
    let mut tcp = TcpStream::connect(address).await.map_err(|e| Refused::io(&e))?;
    tcp.write_all(request(target, module, extra).as_bytes()).await.map_err(|e| Refused::io(&e))?;
    let mut read = Vec::new();
    let end = loop {
        if tcp.read_buf(&mut read).await.map_err(|e| Refused::io(&e))? == 0 || read.len() > MAX_HEAD {
            return Err(Refused::upgrade());
        }
        if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
    // The value of the accept header is not checked by the module either.
    if !head.starts_with("http/1.1 101") || !head.contains("sec-websocket-accept") {
        return Err(Refused::upgrade());
    }
    let rest = read.split_off(end);
    Ok(WebSocketStream::from_partially_read(tcp, rest, Role::Client, None).await)
}

fn request(target: &Target, module: Module, extra: &[(String, String)]) -> String {
    let Target { host, port, path } = target;
    let key = generate_key();
    let mut head = match module {
        Module::AudioStream => format!(
            "GET {path} HTTP/1.1\r\nHost:{host}:{port}\r\nUpgrade:websocket\r\nConnection:upgrade\r\n\
             Sec-WebSocket-Key:{key}\r\nSec-WebSocket-Version:13\r\nOrigin:http://{host}:{port}\r\n"
        ),
        Module::AudioFork => format!(
            "GET {path} HTTP/1.1\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nHost: {host}\r\n\
             Origin: http://{host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: audio.drachtio.org\r\n"
        ),
    };
    for (name, value) in extra {
        head.push_str(&format!("{name}:{value}\r\n"));
    }
    head.push_str("\r\n");
    head
}
