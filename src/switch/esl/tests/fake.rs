//! The least of an event socket: it answers every command, remembers them, and sends what the test says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, mpsc},
    time::timeout,
};

#[derive(Clone)]
enum Order {
    Emit(String),
    Hush(bool),
    Drop,
}

pub(super) struct Fake {
    pub(super) port: u16,
    /// Every command but `auth`, `event` and the question whether it lives.
    commands: mpsc::UnboundedReceiver<String>,
    orders: broadcast::Sender<Order>,
    replies: Arc<Mutex<Vec<(String, String)>>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (log, commands) = mpsc::unbounded_channel();
        let orders = broadcast::Sender::new(64);
        let replies = Arc::new(Mutex::new(Vec::new()));
        let (to_all, answers) = (orders.clone(), replies.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let peer =
                    Peer { log: log.clone(), replies: answers.clone(), subscribed: false, hushed: false };
                tokio::spawn(peer.run(socket, to_all.subscribe()));
            }
        });
        Self { port, commands, orders, replies }
    }

    /// What `api` commands beginning so are answered from now on, instead of `+OK`.
    pub(super) fn reply(&self, to: &str, with: &str) {
        self.replies.lock().unwrap().insert(0, (to.to_owned(), with.to_owned()));
    }

    pub(super) fn emit(&self, json: impl Into<String>) {
        let _ = self.orders.send(Order::Emit(json.into()));
    }

    /// Answers nothing any more, or again.
    pub(super) fn hush(&self, hushed: bool) {
        let _ = self.orders.send(Order::Hush(hushed));
    }

    /// Breaks every connection; new ones are taken.
    pub(super) fn drop_all(&self) {
        let _ = self.orders.send(Order::Drop);
    }

    pub(super) async fn command(&mut self) -> String {
        timeout(Duration::from_secs(4), self.commands.recv()).await.expect("a command comes").unwrap()
    }

    /// No command came within `time`.
    pub(super) async fn quiet(&mut self, time: Duration) {
        if let Ok(command) = timeout(time, self.commands.recv()).await {
            panic!("not expected: {command:?}");
        }
    }
}

struct Peer {
    log: mpsc::UnboundedSender<String>,
    replies: Arc<Mutex<Vec<(String, String)>>>,
    subscribed: bool,
    hushed: bool,
}

impl Peer {
    async fn run(mut self, socket: TcpStream, mut orders: broadcast::Receiver<Order>) {
        let (read, mut write) = socket.into_split();
        let (blocks, mut arrived) = mpsc::unbounded_channel();
        tokio::spawn(read_blocks(read, blocks));
        write.write_all(b"Content-Type: auth/request\n\n").await.unwrap();
        loop {
            tokio::select! {
                block = arrived.recv() => match block {
                    Some(block) => self.answer(&block, &mut write).await,
                    None => return,
                },
                order = orders.recv() => match order {
                    Ok(Order::Emit(json)) if self.subscribed => {
                        let json = json.trim();
                        let frame = format!("Content-Length: {}\nContent-Type: text/event-json\n\n{json}", json.len());
                        let _ = write.write_all(frame.as_bytes()).await;
                    }
                    Ok(Order::Emit(_)) => {}
                    Ok(Order::Hush(hushed)) => self.hushed = hushed,
                    Ok(Order::Drop) | Err(_) => return,
                },
            }
        }
    }

    async fn answer(&mut self, block: &str, write: &mut OwnedWriteHalf) {
        let reply = |text: &str| format!("Content-Type: command/reply\nReply-Text: {text}\n\n");
        let (word, rest) = block.split_once(' ').unwrap_or((block, ""));
        let mut answer = match word {
            "auth" if rest == "ClueCon" => reply("+OK accepted"),
            "auth" => reply("-ERR invalid"),
            "event" => {
                self.subscribed = true;
                reply("+OK event listener enabled json")
            }
            "bgapi" => reply("+OK Job-UUID: j-1\nJob-UUID: j-1"),
            "api" => {
                let replies = self.replies.lock().unwrap();
                let scripted = replies.iter().find(|(to, _)| rest.starts_with(to.as_str()));
                let body = scripted.map_or("+OK\n", |(_, with)| with.as_str());
                format!("Content-Type: api/response\nContent-Length: {}\n\n{body}", body.len())
            }
            _ => reply("+OK"),
        };
        if !matches!(word, "auth" | "event") && rest != "echo alive" {
            let _ = self.log.send(block.to_owned());
            if self.hushed {
                answer.clear();
            }
        }
        let _ = write.write_all(answer.as_bytes()).await;
    }
}

async fn read_blocks(read: OwnedReadHalf, blocks: mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(read).lines();
    let mut block: Vec<String> = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.is_empty() {
            block.push(line);
        } else if !block.is_empty() && blocks.send(std::mem::take(&mut block).join("\n")).is_err() {
            return;
        }
    }
}
