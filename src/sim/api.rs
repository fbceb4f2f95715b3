//! `api` and `bgapi` commands, with FreeSWITCH's own replies.

use std::{sync::Arc, time::Duration};

use super::{
    World,
    channel::Channel,
    event::Format,
    hub::lock,
    player::{BROADCAST_LEAD, Job},
    report::{BreakReport, EndedBy},
    slot::Module,
    wire::split_args,
};

const NO_CHANNEL: &str = "-ERR No such channel!\n";
/// How long somebody stays after they were transferred away.
const TRANSFERRED_FOR: Duration = Duration::from_secs(3);

impl World {
    /// The reply's body, as `api` sends it and as BACKGROUND_JOB carries it.
    pub(super) async fn api(self: &Arc<Self>, name: &str, args: &str) -> String {
        match name {
            "originate" => self.originate(args).await,
            "uuid_audio_stream" if self.has("mod_audio_stream") => {
                self.stream_command(Module::AudioStream, args).await
            }
            "uuid_audio_fork" if self.has("mod_audio_fork") => {
                self.stream_command(Module::AudioFork, args).await
            }
            "uuid_break" => self.uuid_break(args),
            "uuid_kill" => self.uuid_kill(args),
            "uuid_transfer" => self.uuid_transfer(args),
            "uuid_exists" => self.channel(args.trim()).is_some().to_string(),
            "uuid_getvar" => self.uuid_getvar(args),
            "uuid_setvar" => self.uuid_setvar(args),
            "uuid_broadcast" => self.uuid_broadcast(args),
            "uuid_send_dtmf" => self.with_channel(args, |_| {}),
            "uuid_buglist" => self.uuid_buglist(args),
            "uuid_dump" => self.uuid_dump(args),
            "uuid_answer" | "uuid_park" => self.with_channel(args, |_| {}),
            "show" => self.show(args),
            "hupall" => self.hupall(args),
            "status" => self.status(),
            "version" => "FreeSWITCH Version 1.10.12-release+stand-in (sidetone simulate)\n".to_owned(),
            "hostname" => "stand-in".to_owned(),
            "module_exists" => self.module_exists(args.trim()).to_string(),
            "load" => self.load(args.trim()),
            "file_exists" => std::path::Path::new(args.trim()).is_file().to_string(),
            "strftime" | "echo" => args.to_owned(),
            "global_getvar" | "eval" | "expand" | "create_uuid" => self.small(name, args),
            "reloadxml" => "+OK [Success]\n".to_owned(),
            _ => format!("-ERR {name} Command not found!\n"),
        }
    }

    /// Keeps `-ERR` replies for the report.
    pub(super) fn note_refusal(&self, command: &str, reply: &str) {
        // A call that fails is no refused command.
        let call = command.starts_with("originate");
        if !call && (reply.starts_with("-ERR") || reply.starts_with("-USAGE")) {
            // What follows a URL's `?` may be a token.
            let command = command.split('?').next().unwrap_or_default();
            let line = format!("{command}: {}", reply.trim());
            self.report.note(|report| report.refused_commands.push(line));
        }
    }

    fn has(&self, module: &str) -> bool {
        self.modules.iter().any(|m| m == module)
    }

    fn module_exists(&self, module: &str) -> bool {
        self.has(module)
            || ["mod_event_socket", "mod_commands", "mod_dptools", "mod_sofia", "mod_loopback", "mod_sndfile"]
                .contains(&module)
    }

    fn load(&self, module: &str) -> String {
        if self.module_exists(module) {
            "+OK Reloading XML\n-ERR [Module already loaded]\n".to_owned()
        } else {
            "+OK Reloading XML\n-ERR [module load file routine returned an error]\n".to_owned()
        }
    }

    fn small(&self, name: &str, args: &str) -> String {
        match (name, args.trim()) {
            ("create_uuid", _) => uuid::Uuid::new_v4().to_string(),
            ("global_getvar", "hostname") => "stand-in".to_owned(),
            ("global_getvar", _) => String::new(),
            (_, text) => text.to_owned(),
        }
    }

    fn uuid_break(&self, args: &str) -> String {
        let (uuid, rest) = first(args);
        let Some(channel) = self.channel(uuid) else { return NO_CHANNEL.to_owned() };
        let all = rest.split_whitespace().any(|word| word == "all");
        let effect = lock(&channel.leg).player.stop(all);
        self.report.call(uuid, Some(format!("break ({effect:?})")), |call, now| {
            call.breaks.push(BreakReport { at_ms: now, all, effect });
        });
        "+OK\n".to_owned()
    }

    fn uuid_kill(&self, args: &str) -> String {
        let (uuid, cause) = first(args);
        let cause = if cause.is_empty() { "NORMAL_CLEARING" } else { cause };
        let Some(channel) = self.channel(uuid) else { return NO_CHANNEL.to_owned() };
        self.report.call(uuid, None, |call, _| call.kills.push(cause.to_owned()));
        self.hang_up(&channel, cause, EndedBy::Command);
        "+OK\n".to_owned()
    }

    fn uuid_transfer(self: &Arc<Self>, args: &str) -> String {
        let argv = split_args(args, ' ', 6);
        let (Some(uuid), Some(mut target)) = (argv.first(), argv.get(1)) else {
            return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n".to_owned();
        };
        if target.starts_with("-b") {
            let Some(next) = argv.get(2) else { return "-ERR No destination\n".to_owned() };
            target = next;
        }
        let Some(channel) = self.channel(uuid) else { return NO_CHANNEL.to_owned() };
        self.transfer(&channel, target);
        if target.starts_with("park") || target == "sidetone_test" {
            self.execute(&channel, target.split(':').next().unwrap_or("park"));
            return "+OK\n".to_owned();
        }
        let world = self.clone();
        self.spawn(async move {
            tokio::time::sleep(TRANSFERRED_FOR).await;
            world.hang_up(&channel, "NORMAL_CLEARING", EndedBy::Callee);
        });
        "+OK\n".to_owned()
    }

    fn uuid_getvar(&self, args: &str) -> String {
        let (uuid, name) = first(args);
        let Some(channel) = self.channel(uuid) else { return NO_CHANNEL.to_owned() };
        lock(&channel.leg).var(name).unwrap_or("_undef_").to_owned()
    }

    fn uuid_setvar(&self, args: &str) -> String {
        let argv = split_args(args, ' ', 3);
        let (Some(uuid), Some(name)) = (argv.first(), argv.get(1)) else {
            return "-USAGE: <uuid> <var> [value]\n".to_owned();
        };
        let Some(channel) = self.channel(uuid) else { return NO_CHANNEL.to_owned() };
        lock(&channel.leg).set_var(name, argv.get(2).map_or("", String::as_str));
        "+OK\n".to_owned()
    }

    fn uuid_broadcast(&self, args: &str) -> String {
        let (uuid, rest) = first(args);
        let Some(channel) = self.channel(uuid) else { return "-ERR invalid uuid\n".to_owned() };
        let path = rest.split_whitespace().next().unwrap_or_default();
        let path = path.strip_prefix("playback::").unwrap_or(path);
        let job =
            Job { app_uuid: uuid::Uuid::new_v4().to_string(), arg: path.to_owned(), lead: BROADCAST_LEAD };
        lock(&channel.leg).player.push(job);
        "+OK Message sent\n".to_owned()
    }

    fn uuid_buglist(&self, args: &str) -> String {
        let Some(channel) = self.channel(args.trim()) else { return NO_CHANNEL.to_owned() };
        let bugs: String = lock(&channel.leg)
            .streams
            .iter()
            .map(|s| {
                format!(
                    " <media-bug>\n  <function>{}</function>\n  <target>N/A</target>\n </media-bug>\n",
                    s.module.bug()
                )
            })
            .collect();
        format!("<media-bugs>\n{bugs}</media-bugs>\n")
    }

    fn uuid_dump(&self, args: &str) -> String {
        let (uuid, format) = first(args);
        let Some(channel) = self.channel(uuid) else { return NO_CHANNEL.to_owned() };
        let format = if format == "json" { Format::Json } else { Format::Plain };
        let wire = channel.dump().stamped("stand-in", 0).to_wire(format);
        wire.split_once("\n\n").map_or_else(String::new, |(_, text)| text.to_owned())
    }

    fn show(&self, args: &str) -> String {
        let words: Vec<&str> = args.split_whitespace().collect();
        if !matches!(words.first(), Some(&("channels" | "calls"))) {
            return "-USAGE: channels|calls [count|like <text>] [as json|xml|delim]\n".to_owned();
        }
        let like = words.iter().position(|w| *w == "like").and_then(|at| words.get(at + 1));
        let rows: Vec<serde_json::Value> = self
            .channels()
            .iter()
            .map(|c| c.row())
            .filter(|row| like.is_none_or(|like| row.to_string().contains(like)))
            .collect();
        let count = rows.len();
        if words.ends_with(&["as", "json"]) {
            return match count {
                0 => r#"{"row_count":0}"#.to_owned() + "\n",
                _ => serde_json::json!({"row_count": count, "rows": rows}).to_string() + "\n",
            };
        }
        if words.contains(&"count") || count == 0 {
            return format!("\n{count} total.\n");
        }
        let names: Vec<&str> =
            rows[0].as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
        let mut text = names.join(",") + "\n";
        for row in &rows {
            let values: Vec<&str> = names.iter().map(|n| row[n].as_str().unwrap_or_default()).collect();
            text.push_str(&(values.join(",") + "\n"));
        }
        format!("{text}\n{count} total.\n")
    }

    fn hupall(&self, args: &str) -> String {
        let (cause, rest) = first(args);
        let (name, value) = first(rest);
        let cause = if cause.is_empty() { "MANAGER_REQUEST" } else { cause };
        for channel in self.channels() {
            let named = name.is_empty() || lock(&channel.leg).var(name) == Some(value);
            if named {
                self.hang_up(&channel, cause, EndedBy::Command);
            }
        }
        format!("+OK hangup all channels with cause {cause}\n")
    }

    fn status(&self) -> String {
        let now = self.report.now() / 1000;
        let up = self.channels().len();
        let ever = self.report.snapshot().calls.len();
        format!(
            "UP 0 years, 0 days, {} hours, {} minutes, {} seconds, 0 milliseconds, 0 microseconds\n\
             FreeSWITCH (Version 1.10.12 stand-in 64bit) is ready\n{ever} session(s) since startup\n\
             {up} session(s) - peak {up}, last 5min {up} \n0 session(s) per Sec out of max 30, peak 1, last 5min 1 \n\
             1000 session(s) max\nmin idle cpu 0.00/100.00\n",
            now / 3600,
            now / 60 % 60,
            now % 60
        )
    }

    fn with_channel(&self, args: &str, then: impl FnOnce(&Channel)) -> String {
        match self.channel(first(args).0) {
            Some(channel) => {
                then(&channel);
                "+OK\n".to_owned()
            }
            None => NO_CHANNEL.to_owned(),
        }
    }
}

/// The first word and the rest.
fn first(args: &str) -> (&str, &str) {
    let args = args.trim();
    args.split_once(' ').map_or((args, ""), |(one, rest)| (one, rest.trim()))
}
