-- Times are unix milliseconds; columns named *_media_ms count media time since the answer.
-- Enums are their snake_case words. Only integer, double precision and text, so that one SQL text serves
-- every database.

create table campaigns (
    id integer primary key autoincrement,
    name text not null unique,
    state text not null,
    scenario text not null,
    language text,
    caller_id text,
    max_concurrent integer not null,
    cps double precision not null,
    max_attempts integer not null,
    created_ms integer not null,
    started_ms integer,
    ended_ms integer,
    -- Why `serve` paused it by itself.
    note text
);

create table contacts (
    id integer primary key autoincrement,
    campaign_id integer not null references campaigns (id) on delete cascade,
    number text not null,
    -- A JSON object of strings.
    variables text not null,
    -- waiting, claimed, done, suppressed, forgotten
    state text not null,
    -- Not called before this.
    due_ms integer not null,
    attempts integer not null default 0,
    -- The latest attempt.
    last_call text,
    created_ms integer not null,
    unique (campaign_id, number)
);

create index contacts_due on contacts (campaign_id, state, due_ms, id);
create index contacts_number on contacts (number);

-- One row a call, inserted before the switch is asked to dial. `id` is the channel's uuid.
create table attempts (
    id text primary key,
    campaign_id integer references campaigns (id) on delete cascade,
    contact_id integer references contacts (id) on delete cascade,
    -- The sidecar that owns the call.
    instance text not null,
    -- campaign, call, adopted
    origin text not null,
    number text,
    dial_string text,
    scenario text not null,
    started_ms integer not null,
    -- Null while the call lives, or until it is settled after a crash.
    ended_ms integer,
    answered_ms integer,
    disposition text,
    verdict text,
    verdict_cause text,
    hangup_cause text,
    outcome text,
    verdict_media_ms integer,
    after_speech_ms integer,
    barge_in_ms integer
);

create index attempts_open on attempts (instance) where ended_ms is null;
create index attempts_started on attempts (started_ms);
create index attempts_campaign on attempts (campaign_id, disposition);
create index attempts_ended on attempts (ended_ms);
create index attempts_number on attempts (number);

-- No foreign key: an event that overtakes its attempt's row is kept all the same.
create table events (
    call_id text not null,
    seq integer not null,
    at_ms integer not null,
    media_ms integer,
    -- The event as JSON.
    body text not null,
    primary key (call_id, seq)
);

-- What other processes ask of `serve`.
create table wishes (
    id integer primary key autoincrement,
    kind text not null,
    body text not null,
    placed_ms integer not null,
    taken_ms integer,
    taken_by text,
    call_id text,
    error text
);

create index wishes_open on wishes (placed_ms) where taken_ms is null;

create table heartbeats (
    instance text primary key,
    pid integer not null,
    started_ms integer not null,
    beat_ms integer not null
);

create table suppressions (
    -- `global`, or the name of a list.
    list text not null,
    number text not null,
    reason text not null,
    created_ms integer not null,
    primary key (list, number)
);

create index suppressions_number on suppressions (number);
