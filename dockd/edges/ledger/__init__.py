"""The ledger: dockings, clips and the custody chain in one SQLite database, one writer, durable before it answers.

Imports nothing here: dockctl's offline check must start fast, without the event loop's parts.
"""
