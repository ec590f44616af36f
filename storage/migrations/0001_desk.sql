-- Times are unix milliseconds, money is whole IDR. Every "at most once" is a unique key.

CREATE TABLE inbox (
  update_id   INTEGER PRIMARY KEY,
  user_id     INTEGER NOT NULL,               -- 0: nobody in particular; updates of one user run in order
  chat_id     INTEGER,
  message_id  INTEGER,                        -- of a command: a message acts once, whatever its update id
  callback_id TEXT,                           -- of a button: a press acts once
  body        TEXT NOT NULL,                  -- the raw update; emptied once it is dealt with
  state       TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'poison')),
  received_at INTEGER NOT NULL,
  finished_at INTEGER,
  error       TEXT
) STRICT;
CREATE UNIQUE INDEX inbox_message ON inbox (chat_id, message_id) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX inbox_callback ON inbox (callback_id) WHERE callback_id IS NOT NULL;
CREATE INDEX inbox_pending ON inbox (user_id, update_id) WHERE state = 'pending';
CREATE INDEX inbox_finished ON inbox (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE members (
  user_id   INTEGER PRIMARY KEY CHECK (user_id > 0),  -- 0 is the team
  name      TEXT NOT NULL,
  role      TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'admin')),
  owner     INTEGER NOT NULL DEFAULT 0 CHECK (owner IN (0, 1)),
  active    INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
  added_by  INTEGER NOT NULL,
  added_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE chats (
  chat_id  INTEGER PRIMARY KEY,
  title    TEXT NOT NULL,
  added_by INTEGER NOT NULL,
  added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE access_requests (
  user_id        INTEGER PRIMARY KEY,
  name           TEXT NOT NULL,
  last_notice_at INTEGER NOT NULL,
  asked_at       INTEGER
) STRICT;

-- A limit set from the chat; what is not here comes from the configuration. Owner 0 is the team.
CREATE TABLE limits (
  owner  INTEGER NOT NULL,
  name   TEXT NOT NULL,
  amount INTEGER NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (owner, name)
) STRICT;

CREATE TABLE orders (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  command_key     TEXT NOT NULL UNIQUE,       -- the command that asked for it: one command, one order
  member_id       INTEGER NOT NULL REFERENCES members (user_id),
  chat_id         INTEGER NOT NULL,
  thread_id       INTEGER,
  platform        TEXT NOT NULL,
  countries       TEXT NOT NULL,              -- as asked for, in order, one a line
  max_price       INTEGER,
  note            TEXT NOT NULL DEFAULT '',
  state           TEXT NOT NULL CHECK (state IN ('reserved', 'sent', 'unknown', 'refused', 'waiting', 'received',
                                                 'completed', 'canceled', 'expired', 'charged')),
  day             TEXT NOT NULL,
  month           TEXT NOT NULL,
  attempt         INTEGER NOT NULL,           -- which offer of the list is being tried, from 1
  country         TEXT NOT NULL,
  product         TEXT NOT NULL,              -- the offer's name, for people
  price           INTEGER NOT NULL CHECK (price >= 0),
  request_key     TEXT NOT NULL UNIQUE,       -- names this attempt to SMSCode where the contract allows it
  request_body    TEXT NOT NULL,              -- exactly what is or was sent
  held            INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
  charged         INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
  refunded        INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= charged),
  refund_assumed  INTEGER NOT NULL DEFAULT 0 CHECK (refund_assumed IN (0, 1)),
  balance_before  INTEGER,                    -- the account just before the request left, as evidence
  remote_id       TEXT UNIQUE,
  phone_number    TEXT,
  remote_status   TEXT,                       -- SMSCode's own word, seen last
  expires_at      INTEGER,
  card_message_id INTEGER,
  error           TEXT,                       -- why it was refused, as a code
  needs_admin     INTEGER NOT NULL DEFAULT 0 CHECK (needs_admin IN (0, 1)),
  created_at      INTEGER NOT NULL,
  sent_at         INTEGER,
  placed_at       INTEGER,
  ended_at        INTEGER,
  CHECK (state IN ('reserved', 'sent', 'unknown') OR held = 0),
  CHECK (state NOT IN ('waiting', 'received') OR remote_id IS NOT NULL)
) STRICT;
CREATE INDEX orders_open ON orders (state, member_id)
  WHERE state IN ('reserved', 'sent', 'unknown', 'waiting', 'received');
CREATE INDEX orders_member ON orders (member_id, id);

-- One row a member (or the team, owner 0) and period; the counters say at once what the entries say in full.
CREATE TABLE budget (
  owner    INTEGER NOT NULL,
  period   TEXT NOT NULL,                     -- '2026-03-14' or '2026-03'
  cap      INTEGER NOT NULL CHECK (cap >= 0),
  reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  settled  INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
  PRIMARY KEY (owner, period)
) STRICT;

-- Double entry, append-only: money moves between what is free, held and spent of a member's window.
CREATE TABLE entry (
  id        INTEGER PRIMARY KEY,
  order_id  INTEGER NOT NULL REFERENCES orders (id),
  member_id INTEGER NOT NULL,
  day       TEXT NOT NULL,
  month     TEXT NOT NULL,
  debit     TEXT NOT NULL CHECK (debit IN ('free', 'held', 'spent')),
  credit    TEXT NOT NULL CHECK (credit IN ('free', 'held', 'spent')),
  amount    INTEGER NOT NULL CHECK (amount > 0),
  reason    TEXT NOT NULL,
  at        INTEGER NOT NULL,
  CHECK (debit <> credit)
) STRICT;
CREATE INDEX entry_order ON entry (order_id);
CREATE INDEX entry_window ON entry (member_id, day);
CREATE TRIGGER entry_is_final BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are final'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries are final'); END;

CREATE TABLE sms (
  order_id INTEGER NOT NULL REFERENCES orders (id),
  revision INTEGER NOT NULL CHECK (revision > 0),
  code     TEXT,                              -- null once purged
  text     TEXT,
  seen_at  INTEGER NOT NULL,
  purged   INTEGER NOT NULL DEFAULT 0 CHECK (purged IN (0, 1)),
  PRIMARY KEY (order_id, revision)
) STRICT;
CREATE INDEX sms_kept ON sms (seen_at) WHERE purged = 0;

CREATE TABLE outbox (
  id         INTEGER PRIMARY KEY,
  dedupe_key TEXT NOT NULL UNIQUE,
  chat_id    INTEGER NOT NULL,
  thread_id  INTEGER,
  kind       TEXT NOT NULL,
  urgency    INTEGER NOT NULL,
  order_id   INTEGER REFERENCES orders (id),
  revision   INTEGER,
  facts      TEXT NOT NULL,                   -- JSON, never a code
  state      TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent', 'dead')),
  repeated   INTEGER NOT NULL DEFAULT 0 CHECK (repeated IN (0, 1)),  -- it may have arrived before
  attempts   INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  sent_at    INTEGER,
  message_id INTEGER,
  error      TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (urgency, id) WHERE state = 'pending';
CREATE INDEX outbox_under_way ON outbox (id) WHERE state = 'sending';

CREATE TABLE buttons (
  nonce      TEXT PRIMARY KEY,
  action     TEXT NOT NULL,
  owner      INTEGER NOT NULL,                -- who may press it
  facts      TEXT NOT NULL,                   -- JSON: what it acts on; never a price
  expires_at INTEGER NOT NULL,
  used_by    TEXT                             -- the update that used it up
) STRICT;
CREATE INDEX buttons_expiry ON buttons (expires_at);

CREATE TABLE audit (
  id       INTEGER PRIMARY KEY,
  at       INTEGER NOT NULL,
  actor_id INTEGER NOT NULL,                  -- 0: the desk itself
  action   TEXT NOT NULL,
  subject  INTEGER,                           -- the member or chat it was done to
  order_id INTEGER,
  detail   TEXT NOT NULL DEFAULT '{}'         -- JSON, never a code or a token
) STRICT;
CREATE INDEX audit_order ON audit (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX audit_actor ON audit (actor_id, id);
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is final'); END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is final'); END;

CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
