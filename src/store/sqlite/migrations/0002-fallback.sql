-- Fallbacks: who is told of what a receiver does not get.

-- Of a delivery whose receiver has a fallback: not told yet, looked at with nothing to tell, told. NULL without one.
ALTER TABLE delivery ADD COLUMN fallback TEXT
    CHECK (fallback IN ('open', 'silent', 'sent')) CHECK (fallback IS NOT 'open' OR ended_at IS NULL);
-- When the first attempt that failed began; only of what is on its way.
ALTER TABLE delivery ADD COLUMN failing_since INTEGER CHECK (failing_since IS NULL OR state = 'ready');
-- Of a delivery to a fallback: whom it was meant for, the first of a chain, and why that one did not get it.
ALTER TABLE delivery ADD COLUMN fallback_for TEXT;
ALTER TABLE delivery ADD COLUMN fallback_why TEXT CHECK ((fallback_why IS NULL) = (fallback_for IS NULL));
-- What may fall back because its receiver is down, in the order of age; what fails by itself; what of that, and of what
-- waits behind it, may fall back yet.
CREATE INDEX delivery_falls_back ON delivery (receiver, since) WHERE fallback = 'open' AND state IN ('queued', 'ready');
CREATE INDEX delivery_failing ON delivery (receiver, failing_since) WHERE failing_since IS NOT NULL;
CREATE INDEX delivery_failing_open ON delivery (receiver, failing_since)
    WHERE failing_since IS NOT NULL AND fallback = 'open';
CREATE INDEX delivery_queued_open ON delivery (receiver, since) WHERE state = 'queued' AND fallback = 'open';

-- 0: the receiver stood in for another one, no route named it.
ALTER TABLE dedup ADD COLUMN own INTEGER NOT NULL DEFAULT 1 CHECK (own IN (0, 1));

-- That a fallback was told of a firing alert in a receiver's place: the last time.
CREATE TABLE stood_in (
    fingerprint INTEGER NOT NULL,
    meant_for   TEXT NOT NULL,
    told        TEXT NOT NULL,
    starts_at   INTEGER,           -- of the episode
    at          INTEGER NOT NULL,
    delivery    INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,  -- what told it
    PRIMARY KEY (fingerprint, meant_for, told)
) STRICT, WITHOUT ROWID;
CREATE INDEX stood_in_delivery ON stood_in (delivery);

-- The receivers of the last routes.yaml, and those before it that are gone.
CREATE TABLE receiver (
    name        TEXT NOT NULL PRIMARY KEY,
    keeps_state INTEGER NOT NULL CHECK (keeps_state IN (0, 1)),
    fallback    TEXT,
    gone_at     INTEGER            -- when routes.yaml did not have it any more
) STRICT, WITHOUT ROWID;
