//! ESL on the wire: requests in, replies out, and the way FreeSWITCH splits arguments.

/// The longest command that is read; FreeSWITCH stops at the same size.
const MAX_COMMAND: usize = 10 * 1024 * 1024;

/// One command with the headers that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// The first value of that name, in any case.
pub(super) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A client that sends no end of a command.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a command longer than {MAX_COMMAND} bytes")]
pub(super) struct TooLong;

/// Takes the next whole request out of what was read so far; leaves a part of one where it is.
pub(super) fn take_request(buffer: &mut Vec<u8>) -> Result<Option<Request>, TooLong> {
    loop {
        let Some((head_end, skip)) = head(buffer) else {
            return if buffer.len() > MAX_COMMAND { Err(TooLong) } else { Ok(None) };
        };
        let text = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
        let mut lines = text.lines().map(str::trim_end);
        let line = lines.next().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
            .collect();
        let length = find(&headers, "content-length").and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        let end = head_end + skip;
        if length > MAX_COMMAND {
            return Err(TooLong);
        }
        if buffer.len() < end + length {
            return Ok(None);
        }
        let body = (length > 0).then(|| String::from_utf8_lossy(&buffer[end..end + length]).into_owned());
        buffer.drain(..end + length);
        if !line.trim().is_empty() {
            return Ok(Some(Request { line, headers, body }));
        }
    }
}

/// Where the header block ends, and how long its empty line is.
fn head(buffer: &[u8]) -> Option<(usize, usize)> {
    let plain = buffer.windows(2).position(|w| w == b"\n\n").map(|at| (at, 2));
    let crlf = buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| (at, 4));
    match (plain, crlf) {
        (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
        (found, None) | (None, found) => found,
    }
}

pub(super) const AUTH_REQUEST: &str = "Content-Type: auth/request\n\n";

/// The last words before the socket is closed.
pub(super) const DISCONNECT: &str = "Content-Type: text/disconnect-notice\nContent-Length: 67\n\n\
    Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n";

pub(super) fn command_reply(text: &str) -> String {
    format!("Content-Type: command/reply\nReply-Text: {text}\n\n")
}

pub(super) fn job_reply(job: &str) -> String {
    format!("Content-Type: command/reply\nReply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n\n")
}

pub(super) fn api_response(body: &str) -> String {
    format!("Content-Type: api/response\nContent-Length: {}\n\n{body}", body.len())
}

/// Splits like FreeSWITCH: at single separators, single quotes protect and vanish, a backslash takes the next
/// quote, backslash or separator as itself. The last of `limit` parts is the whole rest.
pub(super) fn split_args(text: &str, separator: char, limit: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        let full = parts.len() == limit;
        let Some(part) = parts.last_mut() else { break };
        match c {
            '\\' => match chars.peek() {
                Some(&next) if next == '\\' || next == '\'' || (next == separator && separator != ' ') => {
                    part.push(next);
                    chars.next();
                }
                Some(_) | None => part.push('\\'),
            },
            '\'' => quoted = !quoted,
            _ if c == separator && !quoted && !full => {
                if separator != ' ' || !part.is_empty() {
                    parts.push(String::new());
                }
            }
            _ => part.push(c),
        }
    }
    parts.retain(|part| separator != ' ' || !part.is_empty());
    parts
}
