-- How far the custody log was told to the world outside. The log itself is the outbox: an event is on disk in the very
-- transaction of what caused it, and costs no write of its own.

CREATE TABLE told (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL CHECK (seq >= 0) -- every event up to this custody entry was acknowledged, or given up
) STRICT;

-- What a station did before it had anybody to tell is no news.
INSERT INTO told (one, seq) SELECT 1, coalesce(max(seq), 0) FROM custody;
