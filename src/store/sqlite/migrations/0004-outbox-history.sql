-- What operators ask of the outbox afterwards, and what they do to it (`alertrouter outbox`).

-- Given up on purpose: kept as history, neither counted as a dead letter nor ever sent.
ALTER TABLE delivery ADD COLUMN discarded_at INTEGER CHECK (discarded_at IS NULL OR state = 'dead');
DROP INDEX delivery_dead;
CREATE INDEX delivery_dead ON delivery (receiver) WHERE state = 'dead' AND discarded_at IS NULL;
CREATE INDEX delivery_discarded ON delivery (receiver) WHERE discarded_at IS NOT NULL;

-- Of a delivered one, whose content is gone: the names of its alerts, each once, as a JSON array; and how many they were.
ALTER TABLE delivery ADD COLUMN names TEXT CHECK (names IS NULL OR state = 'delivered');
ALTER TABLE delivery ADD COLUMN alerts INTEGER CHECK ((alerts IS NULL) = (names IS NULL));

-- What was rare in the life of a delivery; its attempts are not.
CREATE TABLE event (
    id       INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    what     TEXT NOT NULL CHECK (what IN ('dead', 'retried', 'due_now', 'discarded', 'fell_back')),
    note     TEXT
) STRICT;
CREATE INDEX event_delivery ON event (delivery);

-- Triggers, so that nobody who ends a delivery can forget it. `$.alerts[*].alert.labels` is codec.rs's; a row that a flipped
-- bit has made unreadable must be settled all the same.
CREATE TRIGGER delivery_delivered AFTER UPDATE OF state ON delivery
WHEN new.state = 'delivered' AND json_valid(old.content)
BEGIN
    UPDATE delivery SET (names, alerts) = (
        SELECT json_group_array(DISTINCT coalesce(value ->> '$.alert.labels.alertname', '')), count(*)
        FROM json_each(old.content, '$.alerts')) WHERE id = new.id;
END;
CREATE TRIGGER delivery_died AFTER UPDATE OF state ON delivery
WHEN new.state = 'dead' AND old.state <> 'dead' AND new.discarded_at IS NULL
BEGIN
    INSERT INTO event (delivery, at, what, note) VALUES (new.id, new.ended_at, 'dead', new.error);
END;
