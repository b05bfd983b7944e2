"""tus 1.0.0 without IO: what to send next, and what an answer means. Knows no clips."""
