"""The child process that touches a card: it lists, copies, salvages, reads again and unlinks.

A program of its own: it has the standard library, `dockd/structure`, two open folders, and the device or image that
the card lies in, if that is given. A card that hangs takes this process with it, not the daemon. It ends when its stdin
does: at once, or within a tick of its work.

One JSON object a line each way, one command at a time; paths are base64, below the card's folder:

    {"do": "list"}          -> {"structure": {...}, "behind": [length, ...]}, {"files": [[path, length, mtime_ns], ...]}
                                                                 ... done
    {"do": "copy", path, length, mtime_ns, part, prefix}      -> done: clip_id, sha256, length
    {"do": "salvage", path, length, mtime_ns, part, prefix, most_s}
                                                              -> done: clip_id, sha256, length, gaps [[offset, length]]
    {"do": "reread", path, length}                            -> done: sha256, length, mtime_ns, uncached
    {"do": "unlink", path, length, mtime_ns or null, sha256}  -> done

At work it says {"at": bytes} for the card, {"on": "disk"} for the spool. A command ends with {"done": {...}} or with
{"error": code, "say": words}: gone, listing, structure, duplicate-name, missing, unreadable, growing, disk, disk-full,
hash, refused, usb. The structure is told where there is a device to check, and only of a sound one.
"""
