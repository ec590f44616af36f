-- What lets somebody follow a command, and count without reading every row.

ALTER TABLE outbox ADD COLUMN command TEXT;       -- the command that it answers, or that its order came from
CREATE INDEX orders_state ON orders (state);      -- how many orders are in which state
