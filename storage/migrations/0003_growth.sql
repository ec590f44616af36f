-- Indexes without which a desk gets slower with every order of its past.

CREATE INDEX orders_out_of_sight ON orders (sent_at) WHERE state = 'charged' OR needs_admin = 1;
CREATE INDEX outbox_message ON outbox (chat_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE state = 'sent';
CREATE INDEX outbox_kept ON outbox (order_id, revision) WHERE state <> 'sent';
CREATE INDEX audit_doings ON audit (actor_id, action, at) WHERE actor_id <> 0;  -- the desk's own lines are never counted
