-- What another system is to hear of, written in the transaction that made it so and delivered by whoever serves.
create table webhooks (
    id integer primary key autoincrement,
    -- Told to the receiver, the same in every try.
    event_id text not null unique,
    event text not null,
    -- The call it is about, so that it goes when the person is forgotten.
    call_id text,
    -- The JSON document as it is sent.
    body text not null,
    -- waiting, delivered, dead
    state text not null,
    tries integer not null default 0,
    -- Not tried before this. Whoever tries puts it off first: a sidecar that dies gives it back by that.
    due_ms integer not null,
    created_ms integer not null,
    delivered_ms integer,
    -- Who tried last.
    instance text,
    -- What came of the latest try.
    status integer,
    error text
);

create index webhooks_due on webhooks (due_ms, id) where state = 'waiting';
create index webhooks_state on webhooks (state, id);
create index webhooks_call on webhooks (call_id) where call_id is not null;
create index webhooks_created on webhooks (created_ms);
