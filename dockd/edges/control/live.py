"""A running station as JSON documents.

Owns names and units on that wire, like `documents`; apart from it because a station at rest has no bays to show.
"""

from dockd.app.view import BayView, StationView
from dockd.domain.advice import ADVICE
from dockd.domain.bay import Work
from dockd.domain.lamps import PATTERNS
from dockd.edges.control.accounts import account_document
from dockd.edges.control.documents import strays_document, tally_document
from dockd.edges.control.shape import Document


def bay_document(bay: BayView, *, name: str) -> Document:
    """Show one bay, with the officer's two answers in words; `name` is what people call it, if they do."""
    pattern = PATTERNS[bay.lamp]
    return {
        "bay": bay.number,
        "name": name,
        "phase": bay.phase,
        "lamp": bay.lamp.value,
        "colour": pattern.colour.value,
        "rhythm": pattern.rhythm,
        "take": pattern.take,
        "safe": pattern.safe,
        "camera": bay.camera.serial if bay.camera else None,
        "volume": bay.camera.volume if bay.camera else None,
        "docking": bay.docking,
        "work": _work(bay.work),
        "charge_pct": bay.charge_pct,
        "charge_inferred": bay.inferred,
        "minutes": bay.minutes,
        "reason": bay.reason.value if bay.reason else None,
        "detail": bay.detail,
        "kept_files": bay.kept_files,
        "officer": ADVICE[bay.reason].officer if bay.reason else "",
    }


def status_document(view: StationView) -> Document:
    """Show the station on one screen."""
    uplink = view.uplink
    return {
        "station": view.station,
        "bays": len(view.bays),
        "docked": sum(bay.camera is not None for bay in view.bays),
        "faults": [bay.number for bay in view.bays if bay.reason is not None],
        "kept": {str(bay.number): bay.kept_files for bay in view.bays if bay.kept_files},
        "spool_full": view.spool_full,
        "supply_weak": view.weak,
        "strays": strays_document(view.strays),
        "backlog": tally_document(view.backlog),
        "account": account_document(view.account),
        "store": {
            "reason": uplink.reason.value if uplink.reason else None,
            "detail": uplink.detail,
            "failures": uplink.failures,
            "failing_s": round(uplink.failing_s, 1),
            "sending": len(uplink.sending),
            "verifying": uplink.verifying_files,
            "overdue": uplink.overdue_files,
        },
    }


def _work(work: Work) -> Document:
    return {
        "files": work.files,
        "bytes": work.bytes_,
        "left_files": work.left_files,
        "left_bytes": work.left_bytes,
        "unreceipted_files": work.unreceipted_files,
        "receipted_files": work.receipted_files,
        "erased_files": work.erased_files,
        "held_files": work.held_files,
    }
