-- retention

-- Dead letters in the order in which they go.
CREATE INDEX delivery_dead_history ON delivery (ended_at) WHERE state = 'dead';
-- So does what was told in another's place: sooner than the delivery that told it.
CREATE INDEX stood_in_at ON stood_in (at);
