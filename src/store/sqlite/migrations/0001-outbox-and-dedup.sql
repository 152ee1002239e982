-- Times are microseconds since 1970, UTC. Fingerprints are unsigned 64-bit numbers kept as signed ones.

-- A lane: deliveries of one lane go out strictly in order, one at a time.
CREATE TABLE lane (
    id         INTEGER PRIMARY KEY,
    receiver   TEXT NOT NULL,
    key        TEXT NOT NULL,
    receipt    TEXT,     -- what the lane's last delivery left behind
    receipt_at INTEGER,  -- when it did
    UNIQUE (receiver, key),
    CHECK ((receipt IS NULL) = (receipt_at IS NULL))
) STRICT;
CREATE INDEX lane_receipt ON lane (receipt_at) WHERE receipt_at IS NOT NULL;

-- The outbox, its history and its dead letters.
CREATE TABLE delivery (
    -- AUTOINCREMENT: an id is never used twice, not even after the newest rows have been pruned.
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    lane        INTEGER NOT NULL REFERENCES lane (id),
    receiver    TEXT NOT NULL,     -- its lane's; repeated, so that an index over what is due can begin with it
    state       TEXT NOT NULL CHECK (state IN ('held', 'queued', 'ready', 'delivered', 'dead')),
    received_at INTEGER NOT NULL,  -- when the webhook came
    since       INTEGER NOT NULL,  -- when it was accepted, or released from being held
    due_at      INTEGER NOT NULL,  -- not to be sent (or released) before
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    token       INTEGER NOT NULL DEFAULT 0,  -- of the last lease; grows with every lease and every end of one
    lease_until INTEGER,
    content     TEXT,              -- see codec.rs
    error       TEXT,              -- of the last attempt
    ended_at    INTEGER,
    fingerprint INTEGER,           -- of the one alert of a held delivery
    starts_at   INTEGER,           -- and its startsAt
    CHECK (lease_until IS NULL OR state = 'ready'),
    CHECK ((ended_at IS NOT NULL) = (state IN ('delivered', 'dead'))),
    CHECK ((content IS NULL) = (state = 'delivered')),
    CHECK (error IS NOT NULL OR state <> 'dead'),
    CHECK (fingerprint IS NOT NULL OR state <> 'held')
) STRICT;
-- At most one delivery of a lane can be on its way.
CREATE UNIQUE INDEX delivery_one_ready ON delivery (lane) WHERE state = 'ready';
-- At most one copy of an alert is held for a receiver.
CREATE UNIQUE INDEX delivery_one_held ON delivery (fingerprint, receiver) WHERE state = 'held';
-- What can be leased, what is leased, what comes next in its lane, what is held: each in its order.
CREATE INDEX delivery_due ON delivery (receiver, due_at) WHERE state = 'ready' AND lease_until IS NULL;
CREATE INDEX delivery_leased ON delivery (receiver, lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX delivery_queued ON delivery (receiver, lane) WHERE state = 'queued';
CREATE INDEX delivery_held ON delivery (receiver, due_at) WHERE state = 'held';
CREATE INDEX delivery_dead ON delivery (receiver) WHERE state = 'dead';
CREATE INDEX delivery_history ON delivery (ended_at) WHERE state = 'delivered';
CREATE INDEX delivery_lane ON delivery (lane);

-- What each receiver was last told of each alert.
CREATE TABLE dedup (
    fingerprint INTEGER NOT NULL,
    receiver    TEXT NOT NULL,
    starts_at   INTEGER,           -- NULL where the sender did not say
    ends_at     INTEGER,           -- NULL while it fires
    notified_at INTEGER NOT NULL,
    delivery    INTEGER REFERENCES delivery (id) ON DELETE SET NULL,  -- what told it
    PRIMARY KEY (fingerprint, receiver)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_delivery ON dedup (delivery) WHERE delivery IS NOT NULL;
CREATE INDEX dedup_firing ON dedup (notified_at) WHERE ends_at IS NULL;
CREATE INDEX dedup_resolved ON dedup (notified_at) WHERE ends_at IS NOT NULL;

-- Bodies and alerts that were refused, the newest 1000.
CREATE TABLE rejected (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    what    TEXT NOT NULL CHECK (what IN ('body', 'alert')),
    reason  TEXT NOT NULL,
    content BLOB NOT NULL CHECK (length(content) <= 65536)
) STRICT;
