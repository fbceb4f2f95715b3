-- Where in its file a contact stands: a row that stands there twice is told apart from one that was read before.
alter table contacts add column line bigint;

-- One file at a time is read into a campaign.
create unique index imports_loading on imports (campaign_id) where state = 'loading';

-- Deleting a contact looks for its attempts.
create index if not exists attempts_contact on attempts (contact_id);
