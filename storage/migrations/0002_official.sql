-- What the official contract of SMSCode adds to an order.

ALTER TABLE orders ADD COLUMN policy TEXT NOT NULL DEFAULT 'cheapest' CHECK (policy IN ('cheapest', 'best_success'));
ALTER TABLE orders ADD COLUMN operator TEXT NOT NULL DEFAULT '';         -- the mobile network asked for
ALTER TABLE orders ADD COLUMN reactivates INTEGER REFERENCES orders (id); -- the order whose number this one rents again
ALTER TABLE orders ADD COLUMN allowed TEXT;                              -- JSON: what SMSCode lets us do with it
ALTER TABLE orders ADD COLUMN cancel_from INTEGER;                       -- cancel it by itself from that moment on
ALTER TABLE orders ADD COLUMN refund_open INTEGER NOT NULL DEFAULT 0     -- it expired; whether its money came back
  CHECK (refund_open IN (0, 1));                                         -- is not known yet
CREATE INDEX orders_refund_open ON orders (id) WHERE refund_open = 1;
