-- A file that was read into a campaign. Its contacts are there from the start and called once it is published.
create table imports (
    id integer primary key autoincrement,
    campaign_id integer not null references campaigns (id) on delete cascade,
    -- What the file is called; reports call it the list.
    list text not null,
    -- loading, published
    state text not null,
    -- The file's content and how it was read (SHA-256): the same again goes on where it was cut off.
    digest text not null,
    -- Rows read so far, whatever came of them.
    rows_read integer not null default 0,
    created_ms integer not null,
    -- When something was last added: a loading one that nobody adds to is swept.
    touched_ms integer not null,
    published_ms integer
);

create index imports_campaign on imports (campaign_id, state);

-- Contacts of one import that may be called at the same times: a claim looks only at cohorts that are open now.
create table cohorts (
    id integer primary key autoincrement,
    campaign_id integer not null references campaigns (id) on delete cascade,
    import_id integer not null references imports (id) on delete cascade,
    -- IANA names the number may lie in, sorted, parted by commas; empty: unknown.
    zones text not null,
    -- 1: they agreed beforehand to be called by an artificial voice.
    consent integer not null,
    unique (import_id, zones, consent)
);

create index cohorts_campaign on cohorts (campaign_id);

alter table contacts add column cohort_id integer references cohorts (id) on delete cascade;

insert into imports (campaign_id, list, state, digest, created_ms, touched_ms, published_ms)
    select id, 'contacts', 'published', '', created_ms, created_ms, created_ms from campaigns
    where exists (select 1 from contacts where contacts.campaign_id = campaigns.id);
insert into cohorts (campaign_id, import_id, zones, consent) select campaign_id, id, '', 0 from imports;
update contacts set cohort_id = (select c.id from cohorts c where c.campaign_id = contacts.campaign_id);

drop index contacts_due;
create index contacts_due on contacts (cohort_id, state, due_ms, id);
create index contacts_state on contacts (campaign_id, state, due_ms);
