-- What somebody has chosen among the offers by its button, for the next order like this one.

ALTER TABLE orders ADD COLUMN chosen TEXT NOT NULL DEFAULT '';  -- a product's name, or the network in `operator`; empty: any
