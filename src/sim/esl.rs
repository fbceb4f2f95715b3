//! The event socket: one task a connection, single-threaded as FreeSWITCH's is.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval},
};

use super::{
    World,
    event::{Event, Format},
    hub::Listener,
    player::Job,
    report::EndedBy,
    wire::{self, AUTH_REQUEST, DISCONNECT, Request, api_response, command_reply, job_reply, take_request},
};

/// Events are looked for so often.
const POLL: Duration = Duration::from_millis(20);
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Accepts connections until the stand-in ends.
pub(super) async fn serve(world: Arc<World>, listener: TcpListener) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: some will come free.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if world.refuse_esl.load(Ordering::Acquire) {
            continue;
        }
        world.report.note(|r| r.esl_connections += 1);
        let dropped = world.esl_token();
        let connection = Connection::new(world.clone(), socket);
        world.spawn(async move {
            let world = connection.world.clone();
            world.esl_clients.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                () = dropped.cancelled() => {}
                () = connection.run() => {}
            }
            world.esl_clients.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// HEARTBEAT every 20 s, for those who judge the link by it.
pub(super) async fn heartbeat(world: Arc<World>) {
    let mut clock = interval(HEARTBEAT);
    loop {
        clock.tick().await;
        let event = Event::new("HEARTBEAT")
            .with("Event-Info", "System Ready")
            .with("Session-Count", world.channels().len().to_string())
            .with("Heartbeat-Interval", HEARTBEAT.as_secs().to_string());
        world.hub.publish(event);
    }
}

struct Connection {
    world: Arc<World>,
    socket: TcpStream,
    listener: Arc<Listener>,
    authorised: bool,
}

/// What a command leaves of the connection.
enum Then {
    Goes(String),
    Ends(String),
}

impl Connection {
    fn new(world: Arc<World>, socket: TcpStream) -> Self {
        let listener = world.hub.listen();
        Self { world, socket, listener, authorised: false }
    }

    async fn run(mut self) {
        let _ = self.socket.set_nodelay(true);
        if self.write(AUTH_REQUEST).await.is_err() {
            return;
        }
        let mut buffer = Vec::new();
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                read = self.socket.read_buf(&mut buffer) => {
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                }
                _ = poll.tick() => {}
            }
            loop {
                let request = match take_request(&mut buffer) {
                    Ok(Some(request)) => request,
                    Ok(None) => break,
                    Err(_) => return,
                };
                let (reply, ends) = match self.handle(&request).await {
                    Then::Goes(reply) => (reply, false),
                    Then::Ends(reply) => (reply, true),
                };
                if self.write(&reply).await.is_err() || ends {
                    return;
                }
            }
            if self.flush_events().await.is_err() {
                return;
            }
        }
    }

    async fn write(&mut self, text: &str) -> std::io::Result<()> {
        self.socket.write_all(text.as_bytes()).await
    }

    async fn flush_events(&mut self) -> std::io::Result<()> {
        let Some(format) = self.listener.wants().format else { return Ok(()) };
        let text: String = self.world.hub.due(&self.listener).iter().map(|e| e.to_wire(format)).collect();
        if text.is_empty() { Ok(()) } else { self.write(&text).await }
    }

    async fn handle(&mut self, request: &Request) -> Then {
        let line = request.line.trim();
        let (verb, args) = line.split_once(' ').map_or((line, ""), |(verb, args)| (verb, args.trim()));
        if !self.authorised {
            return self.authorise(verb, args);
        }
        let reply = match verb {
            "api" => {
                let (name, args) = args.split_once(' ').unwrap_or((args, ""));
                let body = self.world.api(name, args).await;
                self.world.note_refusal(&format!("{name} {args}"), &body);
                return Then::Goes(api_response(&body));
            }
            "bgapi" => return Then::Goes(self.background(args, request)),
            "sendmsg" => return Then::Goes(command_reply(&self.sendmsg(args, request))),
            "sendevent" => return Then::Goes(command_reply(&self.sendevent(args, request))),
            "event" => self.subscribe(args),
            "nixevent" => self.nix(args),
            "noevents" => self.no_events(),
            "filter" => self.filter(args),
            "linger" | "nolinger" | "myevents" | "divert_events" => {
                "-ERR not controlling a session".to_owned()
            }
            "log" | "nolog" => "+OK log level  [7]".to_owned(),
            "auth" => "+OK accepted".to_owned(),
            "exit" | "..." => return Then::Ends(command_reply("+OK bye") + DISCONNECT),
            _ => "-ERR command not found".to_owned(),
        };
        Then::Goes(command_reply(&reply))
    }

    fn authorise(&mut self, verb: &str, args: &str) -> Then {
        match verb {
            "auth" if args == self.world.password => {
                self.authorised = true;
                Then::Goes(command_reply("+OK accepted"))
            }
            "auth" => {
                self.world.report.note(|r| r.failed_logins += 1);
                Then::Ends(command_reply("-ERR invalid") + DISCONNECT)
            }
            "exit" => Then::Ends(command_reply("+OK bye") + DISCONNECT),
            _ => Then::Goes(command_reply("-ERR command not found")),
        }
    }

    fn background(&self, args: &str, request: &Request) -> String {
        let job = request.header("job-uuid").map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        let (name, args) = args.split_once(' ').unwrap_or((args, ""));
        let (name, args) = (name.to_owned(), args.trim().to_owned());
        let (world, id) = (self.world.clone(), job.clone());
        self.world.spawn(async move {
            let body = world.api(&name, &args).await;
            world.note_refusal(&format!("{name} {args}"), &body);
            let mut event = Event::new("BACKGROUND_JOB").with("Job-UUID", id).with("Job-Command", name);
            if !args.is_empty() {
                event = event.with("Job-Command-Arg", args);
            }
            world.hub.publish(event.body(body));
        });
        job_reply(&job)
    }

    fn sendmsg(&self, uuid: &str, request: &Request) -> String {
        let Some(channel) = self.world.channel(uuid) else {
            return format!("-ERR invalid session id [{uuid}]");
        };
        let app = request.header("execute-app-name").unwrap_or_default();
        let arg = request.header("execute-app-arg").or(request.body.as_deref()).unwrap_or_default();
        match request.header("call-command").unwrap_or_default() {
            "execute" => {}
            "hangup" => {
                let cause = request.header("hangup-cause").unwrap_or("NORMAL_CLEARING");
                self.world.hang_up(&channel, cause, EndedBy::Command);
                return "+OK".to_owned();
            }
            _ => return "-ERR invalid command".to_owned(),
        }
        match app {
            "playback" => {
                let own = || uuid::Uuid::new_v4().to_string();
                let app_uuid = request.header("event-uuid").map_or_else(own, str::to_owned);
                let job = Job { app_uuid, arg: arg.to_owned(), lead: 0 };
                super::hub::lock(&channel.leg).player.push(job);
            }
            "set" => {
                if let Some((name, value)) = arg.split_once('=') {
                    super::hub::lock(&channel.leg).set_var(name, value);
                }
            }
            "hangup" => {
                let cause = if arg.is_empty() { "NORMAL_CLEARING" } else { arg };
                self.world.hang_up(&channel, cause, EndedBy::Command);
            }
            "park" | "echo" => self.world.execute(&channel, app),
            // A leg that we dialled is answered by its callee; other applications leave no trace here.
            _ => {}
        }
        "+OK".to_owned()
    }

    fn sendevent(&self, name: &str, request: &Request) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let mut event = Event::new(name);
        event.subclass = request.header("event-subclass").map(str::to_owned);
        event.headers = request.headers.iter().filter(|(n, _)| n != "Event-Subclass").cloned().collect();
        event.headers.push(("Event-UUID".to_owned(), id.clone()));
        event.body.clone_from(&request.body);
        self.world.hub.publish(event);
        format!("+OK {id}")
    }

    fn subscribe(&self, args: &str) -> String {
        let mut words = args.split_whitespace().peekable();
        let (format, name) = match words.peek() {
            Some(&"json") => (Format::Json, "json"),
            Some(&"plain") => (Format::Plain, "plain"),
            Some(&"xml") => return "-ERR xml is not simulated".to_owned(),
            Some(_) | None => (Format::Plain, "plain"),
        };
        if matches!(words.peek(), Some(&("json" | "plain"))) {
            words.next();
        }
        if words.peek().is_none() {
            return "-ERR no keywords supplied".to_owned();
        }
        let mut wants = self.listener.wants();
        wants.format = Some(format);
        let mut custom = false;
        for word in words {
            if custom {
                wants.subclasses.insert(word.to_owned());
            } else if word.eq_ignore_ascii_case("CUSTOM") {
                custom = true;
            } else if word.eq_ignore_ascii_case("ALL") {
                wants.all = true;
            } else {
                wants.names.insert(word.to_uppercase());
            }
        }
        format!("+OK event listener enabled {name}")
    }

    fn nix(&self, args: &str) -> String {
        let mut wants = self.listener.wants();
        let mut custom = false;
        for word in args.split_whitespace() {
            if custom {
                wants.subclasses.remove(word);
            } else if word.eq_ignore_ascii_case("CUSTOM") {
                custom = true;
            } else {
                wants.names.remove(&word.to_uppercase());
            }
        }
        "+OK events nixed".to_owned()
    }

    fn no_events(&self) -> String {
        let mut wants = self.listener.wants();
        if wants.format.is_none() {
            return "-ERR not listening for events".to_owned();
        }
        *wants = super::hub::Wants::default();
        drop(wants);
        self.listener.clear();
        "+OK no longer listening for events".to_owned()
    }

    fn filter(&self, args: &str) -> String {
        let mut wants = self.listener.wants();
        let words = wire::split_args(args, ' ', 3);
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["delete", "all"] => {
                wants.filters.clear();
                "+OK filter deleted. [all][]".to_owned()
            }
            ["delete", name] => {
                wants.filters.retain(|(n, _)| n != name);
                format!("+OK filter deleted. [{name}][]")
            }
            ["delete", name, value] => {
                wants.filters.retain(|(n, v)| n != name || v != value);
                format!("+OK filter deleted. [{name}][{value}]")
            }
            [name, ref value @ ..] if !value.is_empty() => {
                let value = value.join(" ");
                wants.filters.push((name.to_owned(), value.clone()));
                format!("+OK filter added. [{name}]=[{value}]")
            }
            _ => "-ERR invalid syntax".to_owned(),
        }
    }
}
