-- What an answered call was for whoever answered it: person, abandoned, silent, machine, nobody. Null: not answered, or
-- from before this was kept.
alter table attempts add column answer text;
-- Why it was abandoned or silent: late, hung_up, given_up, lost.
alter table attempts add column abandoned text;
-- Who ended an answered call: callee, us, transferred, unknown.
alter table attempts add column ended_by text;
-- From the end of the person's greeting to the first thing they heard of us.
alter table attempts add column greeting_to_audio_ms integer;
create index attempts_ledger on attempts (campaign_id, answer, ended_ms);

-- The part of its pace that a campaign close to a limit is left, and why.
alter table campaigns add column throttle double precision not null default 1;
alter table campaigns add column throttle_note text;
