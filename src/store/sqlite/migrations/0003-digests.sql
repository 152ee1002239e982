-- Digests: one message in place of many that a rate limit held back together, and what goes before all others.

-- Holds an alert whose severity is critical, firing or resolved: such a delivery is never folded into a digest.
ALTER TABLE delivery ADD COLUMN critical INTEGER NOT NULL DEFAULT 0 CHECK (critical IN (0, 1));
-- Goes before all that is not: it is critical itself, or a critical one waits behind it in its lane, or behind one that it
-- carries.
ALTER TABLE delivery ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0 CHECK (urgent IN (0, 1)) CHECK (urgent >= critical);
-- Of a digest: how many deliveries it carries. It has a lane of its own, never falls back itself, and does not count as
-- waiting: what it carries does.
ALTER TABLE delivery ADD COLUMN carries INTEGER CHECK (carries >= 0)
    CHECK (carries IS NULL OR (critical = 0 AND fallback IS NULL AND state IN ('ready', 'delivered')));
-- Of a digest: when the service took it. From then on it is not sent any more, and what it carries is ended in pieces.
ALTER TABLE delivery ADD COLUMN told_at INTEGER
    CHECK (told_at IS NULL OR (carries IS NOT NULL AND lease_until IS NULL));
-- The digest that carries it, or that has told it. As long as it waits it stays in its lane and in its state, and cannot
-- be leased.
ALTER TABLE delivery ADD COLUMN digest INTEGER REFERENCES delivery (id) ON DELETE SET NULL
    CHECK (digest IS NULL OR (critical = 0 AND carries IS NULL AND lease_until IS NULL
        AND state IN ('queued', 'ready', 'delivered')));

-- What can be leased, the urgent first: without what a digest carries, and without digests.
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (receiver, urgent DESC, due_at)
    WHERE state = 'ready' AND lease_until IS NULL AND digest IS NULL AND carries IS NULL;
-- Digests that wait, or are under way, or whose deliveries are being ended. There are few.
CREATE INDEX delivery_digests ON delivery (receiver) WHERE carries IS NOT NULL AND ended_at IS NULL;
-- What a critical one that comes behind it makes urgent: without what is so already, or a long lane of critical ones would
-- be read for each of them.
CREATE INDEX delivery_queued_ordinary ON delivery (receiver, lane) WHERE state = 'queued' AND urgent = 0;
-- What a digest carries or has told; what of that may fall back yet.
CREATE INDEX delivery_carried ON delivery (digest, state) WHERE digest IS NOT NULL;
CREATE INDEX delivery_carried_open ON delivery (digest) WHERE digest IS NOT NULL AND fallback = 'open';

-- What waits already. The words are those of `Level::of`.
UPDATE delivery SET critical = 1, urgent = 1 WHERE state IN ('held', 'queued', 'ready') AND EXISTS (
    SELECT 1 FROM json_each(CASE WHEN json_valid(content) THEN content ELSE '{}' END, '$.alerts')
    WHERE lower(json_extract(value, '$.alert.labels.severity'))
        IN ('critical', 'crit', 'page', 'fatal', 'emergency', 'disaster', 'p1'));
UPDATE delivery SET urgent = 1 WHERE urgent = 0 AND state IN ('queued', 'ready') AND EXISTS (
    SELECT 1 FROM delivery AS behind
    WHERE behind.lane = delivery.lane AND behind.critical = 1 AND behind.state = 'queued'
        AND (delivery.state = 'ready' OR behind.id > delivery.id));
