"""What the store's receipts say of a custody chain: each names an entry of it, or the chain is not the one it was.

Owns that comparison. A whole state folder put back to an earlier day agrees with itself; only somebody else's word,
which grew meanwhile, tells it from the truth.
"""

import sqlite3
from collections.abc import Iterable

from dockd.domain.canonical import sha256_hex
from dockd.domain.receipt import NO_LEAF, Receipt, ReceiptError, parse_receipt
from dockd.edges.ledger.findings import Findings
from dockd.edges.ledger.rows_check import Verifier

# Clips by index, present and former names apart: an OR of the two would walk the whole chain for every receipt. The row
# of a present name is held against the chain elsewhere; that of a former one is believed only where an entry says it.
HOLDS = """
SELECT EXISTS (
    SELECT 1 FROM clips c JOIN custody e ON e.clip = c.key
    WHERE c.clip_id = ?1 AND (?2 = ?3 OR e.hash = ?2)
    UNION ALL
    SELECT 1 FROM former f JOIN custody e ON e.clip = f.clip
    WHERE f.clip_id = ?1 AND (?2 = ?3 OR e.hash = ?2) AND json_extract(CAST(e.body AS TEXT), '$.clip_id') = ?1
)
"""


def check_anchors(
    connection: sqlite3.Connection, findings: Findings, compacts: Iterable[str], *, keys_verify: Verifier | None
) -> None:
    """Hold every receipt (compact JWS) that the store lists for this station against the chain.

    One whose custody entry is not in it is a fault, unless it is kept as known from before a recovery that the chain
    declares. One that names no entry says nothing of the chain, only of its clip.
    """
    for compact in compacts:
        findings.foreign += 1
        try:
            receipt = parse_receipt(compact) if keys_verify is None else keys_verify(compact)
        except ReceiptError as error:
            findings.fault(f"receipt {findings.foreign} of the store's list: {error}")
            continue
        claims = receipt.claims
        if claims.aud != findings.station:
            findings.fault(f"the store's receipt for clip {claims.clip_id} is for station {claims.aud}")
        elif not (_holds(connection, receipt) or (findings.continues and _is_prior(connection, receipt))):
            entry = "no custody entry" if claims.leaf == NO_LEAF else f"custody entry {claims.leaf}"
            findings.fault(
                f"the store's receipt for clip {claims.clip_id} names {entry}, and this chain holds nothing of it:"
                " the state folder was rolled back or forked"
            )


def _holds(connection: sqlite3.Connection, receipt: Receipt) -> bool:
    """Say whether an entry of the clip bears the receipt's leaf; without a leaf, whether the chain knows the clip."""
    leaf, clip_id = receipt.claims.leaf, receipt.claims.clip_id
    return bool(connection.execute(HOLDS, (clip_id, leaf, NO_LEAF)).fetchone()[0])


def _is_prior(connection: sqlite3.Connection, receipt: Receipt) -> bool:
    asked = "SELECT EXISTS (SELECT 1 FROM prior WHERE clip_id = ? AND receipt_sha256 = ?)"
    row = (receipt.claims.clip_id, sha256_hex(receipt.compact.encode("utf-8")))
    return bool(connection.execute(asked, row).fetchone()[0])
