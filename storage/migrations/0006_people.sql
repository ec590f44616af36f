-- Limits that fall back, warnings told once, words of whoever asks to come in, and orders that need another's yes.

-- Binds instead of the lasting limit until its moment has come: it is compared, never switched off.
CREATE TABLE temporary_limits (
  owner  INTEGER NOT NULL,
  name   TEXT NOT NULL,
  amount INTEGER NOT NULL CHECK (amount >= 0),
  until  INTEGER NOT NULL,
  PRIMARY KEY (owner, name)
) STRICT;

ALTER TABLE budget ADD COLUMN warned INTEGER NOT NULL DEFAULT 0      -- the highest level (percent) told in this window
  CHECK (warned IN (0, 80, 100));

ALTER TABLE access_requests ADD COLUMN words TEXT NOT NULL DEFAULT ''; -- the first thing they wrote
ALTER TABLE access_requests ADD COLUMN refused_at INTEGER;             -- an admin has said no

-- A command that costs more than one person may decide alone. Each price that is asked for is a round of its own.
CREATE TABLE approvals (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  command_key TEXT NOT NULL,                  -- the command that asked first
  round       INTEGER NOT NULL CHECK (round > 0),
  member_id   INTEGER NOT NULL REFERENCES members (user_id),
  chat_id     INTEGER NOT NULL,
  thread_id   INTEGER,
  platform    TEXT NOT NULL,
  countries   TEXT NOT NULL,
  max_price   INTEGER,
  note        TEXT NOT NULL,
  policy      TEXT NOT NULL,
  operator    TEXT NOT NULL,
  reactivates INTEGER REFERENCES orders (id),
  country     TEXT NOT NULL,                  -- the offer that asked for it
  product     TEXT NOT NULL,                  -- the only offers that were wanted, by name; empty: any
  price       INTEGER NOT NULL CHECK (price >= 0), -- the most that it may cost
  state       TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'declined', 'withdrawn', 'expired',
                                                            'placed', 'failed', 'dearer')),
  asked_at    INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  answered_by INTEGER,
  answer_key  TEXT,                           -- the update that answered: dealt with again, it goes on where it was
  closed_at   INTEGER,
  UNIQUE (command_key, round),
  CHECK (answered_by IS NULL OR answered_by <> member_id OR state = 'withdrawn')
) STRICT;
CREATE INDEX approvals_open ON approvals (expires_at) WHERE state IN ('open', 'approved');

ALTER TABLE orders ADD COLUMN approval_id INTEGER REFERENCES approvals (id);
CREATE UNIQUE INDEX orders_approval ON orders (approval_id) WHERE approval_id IS NOT NULL; -- one yes, one order
