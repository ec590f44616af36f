-- What the audit and the reports look things up by, the stock watch, and codes that are taken out of chats again.

CREATE INDEX orders_day ON orders (day, id);
CREATE INDEX orders_number ON orders (phone_number) WHERE phone_number IS NOT NULL;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor_at ON audit (actor_id, at);
CREATE INDEX audit_subject_at ON audit (subject, at) WHERE subject IS NOT NULL;
DROP INDEX audit_actor;

CREATE TABLE stock_watches (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: a button may name one that is long gone
  member_id  INTEGER NOT NULL REFERENCES members (user_id),
  chat_id    INTEGER NOT NULL,
  thread_id  INTEGER,
  platform   TEXT NOT NULL,
  country    TEXT NOT NULL,
  below      INTEGER CHECK (below > 0),         -- the dearest offer worth telling (IDR); null: any
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  told_at    INTEGER,                           -- it has been told and waits for its button only
  UNIQUE (member_id, platform, country)
) STRICT;
CREATE INDEX stock_watches_expiry ON stock_watches (expires_at);

ALTER TABLE outbox ADD COLUMN erased_at INTEGER; -- when its code was taken out of the chat again
CREATE INDEX outbox_in_chat ON outbox (sent_at) WHERE kind = 'code' AND state = 'sent' AND erased_at IS NULL;
