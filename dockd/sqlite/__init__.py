"""SQLite as a station and a store write to it: closures in groups, one COMMIT for many, durable before the answer."""
