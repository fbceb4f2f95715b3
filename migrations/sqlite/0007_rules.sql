-- The rules a campaign calls by, as JSON; null: none.
alter table campaigns add column policy text;
-- The zone of contacts of whom none is known; null: they are not called where hours hold.
alter table campaigns add column default_zone text;
-- Its share of what several campaigns have to share.
alter table campaigns add column weight integer not null default 1;
-- Numbers to show, a JSON array; null: the one of before, or the configuration's.
alter table campaigns add column caller_ids text;
alter table campaigns add column caller_id_daily_cap integer;
-- What to do with machines instead of what the scenario says, a JSON object.
alter table campaigns add column machine text;

-- The number that this contact is shown, always the same.
alter table contacts add column caller_id text;

alter table attempts add column caller_id text;
-- Through which gateway it went.
alter table attempts add column gateway text;
create index attempts_caller_id on attempts (caller_id, started_ms) where caller_id is not null;

-- What was switched on and off of a campaign's rules, by whom and why.
create table policy_log (
    id integer primary key autoincrement,
    campaign_id integer not null references campaigns (id) on delete cascade,
    at_ms integer not null,
    what text not null,
    reason text,
    who text not null
);

-- How a sidecar's gateways do, for whoever looks: written by it once a second where it changed.
create table gateways (
    instance text not null,
    name text not null,
    live integer not null,
    -- Null: no limit.
    max_concurrent integer,
    cps double precision,
    -- The part of the pace that congestion leaves it; 1: all.
    pace double precision not null,
    -- Why calls were refused by congestion lately; null: none were.
    cause text,
    changed_ms integer not null,
    primary key (instance, name)
);
