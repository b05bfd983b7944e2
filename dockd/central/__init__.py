"""The reference store: a tus server that proves what it holds by signed receipts."""
