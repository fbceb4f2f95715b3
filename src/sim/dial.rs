//! What `originate` is asked, taken apart as FreeSWITCH does.

use super::wire::split_args;

/// `{a=1,b='x, y'}sofia/gateway/gw/33612345678 &park()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Originate {
    pub(super) variables: Vec<(String, String)>,
    pub(super) dial_string: String,
    /// `park`, `echo`, or an extension of the dialplan.
    pub(super) application: String,
}

/// Where a dial string leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A leg with this channel name to this number in this context.
    Leg { name: String, number: String, context: String, loopback: bool },
    /// Refused with this cause and no event.
    Nothing(String),
    /// Refused with this cause and a lone CHANNEL_DESTROY.
    BadProfile,
}

/// Why an `originate` cannot be read; the reply's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

impl Originate {
    pub(super) fn parse(args: &str) -> Result<Self, Unreadable> {
        const USAGE: Unreadable = Unreadable(
            "-USAGE: <call url> <exten>|&<application_name>(<app_args>) \
            [<dialplan>] [<context>] [<cid_name>] [<cid_num>] [<timeout_sec>]\n",
        );
        let broken = Unreadable("-ERR DESTINATION_OUT_OF_ORDER\n");
        let args = args.trim();
        let (inside, rest) = if args.starts_with('{') {
            let end = closing_brace(args).ok_or_else(|| broken.clone())?;
            (&args[1..end], &args[end + 1..])
        } else {
            ("", args)
        };
        // A space that no quotes protect ends the first argument, inside the braces as well.
        if !inside.is_empty() && has_bare_space(inside) {
            return Err(broken);
        }
        let (dial_string, application) = rest.trim().split_once(' ').ok_or(USAGE)?;
        let application = application.trim().trim_start_matches('&');
        let application = application.split(['(', ' ']).next().unwrap_or_default();
        Ok(Self {
            variables: variables(inside),
            dial_string: dial_string.to_owned(),
            application: application.to_owned(),
        })
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        super::wire::find(&self.variables, name)
    }

    pub(super) fn route(&self) -> Route {
        let dial = self.dial_string.as_str();
        let parts: Vec<&str> = dial.split('/').collect();
        let leg = |name: String, number: &str, context: &str, loopback| Route::Leg {
            name,
            number: number.to_owned(),
            context: context.to_owned(),
            loopback,
        };
        match parts[..] {
            ["error", cause] => Route::Nothing(cause.to_uppercase()),
            ["user", _] => Route::Nothing("SUBSCRIBER_ABSENT".to_owned()),
            ["loopback", number] => leg(format!("loopback/{number}-a"), number, "default", true),
            ["loopback", number, context, ..] => leg(format!("loopback/{number}-a"), number, context, true),
            ["sofia", "gateway", _, number] => {
                leg(format!("sofia/external/{number}"), number, "default", false)
            }
            ["sofia", "internal" | "external", address] => {
                let number = address.split('@').next().unwrap_or(address).trim_start_matches("sip:");
                leg(dial.to_owned(), number, "default", false)
            }
            ["sofia", ..] => Route::BadProfile,
            _ => Route::Nothing("CHAN_NOT_IMPLEMENTED".to_owned()),
        }
    }
}

/// The brace that ends the variables; braces in values are counted.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn has_bare_space(text: &str) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            ' ' if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// `a=1,b='x, y'`, or with a separator of one's own: `^^;a=1;b=x, y`.
fn variables(text: &str) -> Vec<(String, String)> {
    let own = text.strip_prefix("^^").and_then(|rest| {
        let separator = rest.chars().next()?;
        Some((separator, &rest[separator.len_utf8()..]))
    });
    let (separator, text) = own.unwrap_or((',', text));
    split_args(text, separator, usize::MAX)
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
        .collect()
}
