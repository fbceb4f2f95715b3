-- When an attempt was claimed, by the clock that every sidecar of this database shares: its campaign's pace is counted
-- by it.
alter table attempts add column claimed_ms integer;
create index attempts_pace on attempts (campaign_id, claimed_ms);

-- Process ids mean something on their own machine only.
alter table heartbeats add column host text not null default '';
