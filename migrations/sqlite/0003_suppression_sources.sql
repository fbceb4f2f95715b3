-- Where an entry came from: cli, import, voice, dtmf, scenario; and the call in which it was asked for.
-- `list` is `global`, or `campaign:` and the campaign's name.
alter table suppressions add column source text not null default 'cli';
alter table suppressions add column call_id text;
