-- Traces (`--otlp-endpoint`).

-- The W3C traceparent of the webhook that a delivery came of, so that its attempts are seen in the same trace, also after a
-- restart. NULL where no traces are exported.
ALTER TABLE delivery ADD COLUMN traceparent TEXT;
