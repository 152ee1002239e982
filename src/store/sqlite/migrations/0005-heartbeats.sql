-- Heartbeats: alerts that must keep arriving, and for how long nothing was heard of them.
CREATE TABLE heartbeat (
    name       TEXT NOT NULL PRIMARY KEY,
    terms      TEXT NOT NULL,     -- its matchers and `every`, with which the silence was measured
    since      INTEGER NOT NULL,  -- when the silence began
    silent     INTEGER NOT NULL CHECK (silent >= 0),  -- for how much of it the router listened, in microseconds
    heard_at   INTEGER,           -- the last beat
    heard_from TEXT,              -- and who sent it
    started_at INTEGER,           -- startsAt of the alert that was last told
    ended_at   INTEGER,           -- and its endsAt; NULL while it fires
    CHECK ((heard_at IS NULL) = (heard_from IS NULL)),
    CHECK (started_at IS NOT NULL OR ended_at IS NULL)
) STRICT, WITHOUT ROWID;
