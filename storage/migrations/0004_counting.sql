-- How many orders are in which state, without reading every order.

CREATE INDEX orders_state ON orders (state);
