-- A campaign's retry table as JSON; null: the default with its max_attempts.
alter table campaigns add column retries text;
