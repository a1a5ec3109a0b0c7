"""From OTLP requests to durable entries: decoding, the single writer, and the servers in front of it."""
