-- The ledger of one station. Moves of clips, and only the moves, are made by dockd; the rules below hold for every hand.

PRAGMA application_id = 0x646f636b; -- "dock"

CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    station TEXT NOT NULL,
    instance TEXT NOT NULL, -- 32 hex digits, new with every new database
    created_utc TEXT NOT NULL
) STRICT;

-- One stay of a camera in a bay. What a camera calls itself is kept in ASCII, other characters escaped as in Python.
CREATE TABLE dockings (
    key INTEGER PRIMARY KEY,
    bay INTEGER NOT NULL,
    serial TEXT NOT NULL,
    volume TEXT NOT NULL,
    model TEXT NOT NULL,
    firmware TEXT NOT NULL,
    attached_utc TEXT NOT NULL,
    listed_utc TEXT,
    listing_sha256 TEXT CHECK (length(listing_sha256) = 64),
    files INTEGER CHECK (files >= 0),
    bytes INTEGER CHECK (bytes >= 0),
    ended_utc TEXT,
    early INTEGER CHECK (early IN (0, 1)), -- unknown where the service ended before the docking did
    left_files INTEGER CHECK (left_files >= 0),
    CHECK ((listed_utc IS NULL) = (listing_sha256 IS NULL)),
    CHECK ((listed_utc IS NULL) = (files IS NULL)),
    CHECK ((listed_utc IS NULL) = (bytes IS NULL))
) STRICT;

CREATE INDEX dockings_camera ON dockings (serial, volume);
CREATE INDEX dockings_open ON dockings (bay) WHERE ended_utc IS NULL;

-- One file on a camera: the unit of custody. The order of these columns is the order in which dockd reads them.
CREATE TABLE clips (
    key INTEGER PRIMARY KEY,
    found_in INTEGER NOT NULL REFERENCES dockings (key), -- its camera as it was then: what the store is told
    docking INTEGER NOT NULL REFERENCES dockings (key), -- where it was listed last
    path BLOB NOT NULL,
    length_bytes INTEGER NOT NULL CHECK (length_bytes >= 0),
    mtime_s INTEGER NOT NULL, -- in two parts: some filesystems hold times whose nanoseconds need 65 bits
    mtime_part_ns INTEGER NOT NULL CHECK (mtime_part_ns BETWEEN 0 AND 999999999),
    state TEXT NOT NULL CHECK (state = 'found' OR state = 'copied' OR state = 'uploaded' OR state = 'receipted'
        OR state = 'erasing' OR state = 'erased' OR state = 'held'),
    kind TEXT NOT NULL,
    recording_id TEXT NOT NULL CHECK (length(recording_id) = 32),
    tags TEXT NOT NULL, -- sorted, spaces between
    urgent INTEGER NOT NULL CHECK (urgent IN (0, 1)),
    verified_in INTEGER REFERENCES dockings (key),
    sha256 TEXT CHECK (length(sha256) = 64),
    clip_id TEXT CHECK (length(clip_id) = 64),
    url TEXT,
    assurance TEXT NOT NULL CHECK (assurance = 'none' OR assurance = 'accepted' OR assurance = 'readback'
        OR assurance = 'signed'),
    receipt TEXT, -- compact JWS
    meta_sha256 TEXT CHECK (length(meta_sha256) = 64), -- what the receipt covers of what the store was told
    spooled INTEGER NOT NULL CHECK (spooled IN (0, 1)),
    reason TEXT,
    detail TEXT NOT NULL,
    copied_seq INTEGER, -- the custody entry of its latest copy: the order of copying
    receipted_utc TEXT,
    superseded_in INTEGER REFERENCES dockings (key), -- the stay in which its file proved to be another one
    CHECK (state = 'found' OR state = 'held'
        OR (sha256 IS NOT NULL AND clip_id IS NOT NULL AND copied_seq IS NOT NULL)),
    CHECK (state <> 'uploaded' OR url IS NOT NULL),
    -- I1: beyond 'uploaded' is what has a signed receipt on this disk, and nothing else.
    CHECK ((receipted_utc IS NOT NULL) = (state = 'receipted' OR state = 'erasing' OR state = 'erased')),
    CHECK (receipted_utc IS NULL OR (receipt IS NOT NULL AND meta_sha256 IS NOT NULL AND assurance = 'signed'))
) STRICT;

-- One index for each question the service asks all day; partial, so that a million erased clips cost nothing. Every
-- move weighs each condition: the one that is seldom true stands first, and OR is quicker here than a list of IN.
CREATE INDEX clips_copy ON clips (docking, urgent DESC, mtime_s)
    WHERE state = 'found' AND superseded_in IS NOT docking;
CREATE INDEX clips_confirm ON clips (docking, urgent DESC, mtime_s)
    WHERE verified_in IS NOT docking AND superseded_in IS NOT docking
        AND (state = 'copied' OR state = 'uploaded' OR state = 'receipted');
CREATE INDEX clips_erase ON clips (docking, urgent DESC, mtime_s)
    WHERE state = 'receipted' AND superseded_in IS NOT docking;
CREATE INDEX clips_send ON clips (urgent DESC, (url IS NULL), copied_seq) WHERE state = 'copied';
CREATE INDEX clips_unsigned ON clips (urgent DESC, (url IS NULL), copied_seq)
    WHERE (state = 'copied' OR state = 'uploaded');
CREATE INDEX clips_unread ON clips (urgent DESC, copied_seq) WHERE state = 'uploaded' AND assurance <> 'readback';
CREATE INDEX clips_reclaim ON clips (receipted_utc) WHERE spooled = 1 AND receipted_utc IS NOT NULL;
CREATE INDEX clips_found_path ON clips (path) WHERE state = 'found';
CREATE INDEX clips_clip_id ON clips (clip_id) WHERE clip_id IS NOT NULL;
CREATE INDEX clips_recording ON clips (docking, recording_id);

-- How many clips of a docking are in a state: kept by the triggers below, so that counting never reads the clips.
CREATE TABLE tallies (
    docking INTEGER NOT NULL REFERENCES dockings (key),
    parted INTEGER NOT NULL CHECK (parted IN (0, 1)), -- the file in this docking proved to be another one
    state TEXT NOT NULL,
    files INTEGER NOT NULL CHECK (files >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    unconfirmed_files INTEGER NOT NULL CHECK (unconfirmed_files >= 0), -- not read from the camera in this docking
    unconfirmed_bytes INTEGER NOT NULL CHECK (unconfirmed_bytes >= 0),
    PRIMARY KEY (docking, parted, state)
) STRICT, WITHOUT ROWID;

CREATE INDEX tallies_open ON tallies (state) WHERE files > 0 AND state <> 'erased';

CREATE TRIGGER clips_tally_insert AFTER INSERT ON clips BEGIN
    INSERT INTO tallies (docking, parted, state, files, bytes, unconfirmed_files, unconfirmed_bytes)
    VALUES (NEW.docking, NEW.superseded_in IS NEW.docking, NEW.state, 1, NEW.length_bytes,
        NEW.verified_in IS NOT NEW.docking, iif(NEW.verified_in IS NOT NEW.docking, NEW.length_bytes, 0))
    ON CONFLICT (docking, parted, state) DO UPDATE SET
        files = files + 1,
        bytes = bytes + excluded.bytes,
        unconfirmed_files = unconfirmed_files + excluded.unconfirmed_files,
        unconfirmed_bytes = unconfirmed_bytes + excluded.unconfirmed_bytes;
END;

CREATE TRIGGER clips_tally_update AFTER UPDATE OF docking, state, length_bytes, verified_in, superseded_in ON clips BEGIN
    UPDATE tallies SET
        files = files - 1,
        bytes = bytes - OLD.length_bytes,
        unconfirmed_files = unconfirmed_files - (OLD.verified_in IS NOT OLD.docking),
        unconfirmed_bytes = unconfirmed_bytes - iif(OLD.verified_in IS NOT OLD.docking, OLD.length_bytes, 0)
    WHERE docking = OLD.docking AND parted = (OLD.superseded_in IS OLD.docking) AND state = OLD.state;
    INSERT INTO tallies (docking, parted, state, files, bytes, unconfirmed_files, unconfirmed_bytes)
    VALUES (NEW.docking, NEW.superseded_in IS NEW.docking, NEW.state, 1, NEW.length_bytes,
        NEW.verified_in IS NOT NEW.docking, iif(NEW.verified_in IS NOT NEW.docking, NEW.length_bytes, 0))
    ON CONFLICT (docking, parted, state) DO UPDATE SET
        files = files + 1,
        bytes = bytes + excluded.bytes,
        unconfirmed_files = unconfirmed_files + excluded.unconfirmed_files,
        unconfirmed_bytes = unconfirmed_bytes + excluded.unconfirmed_bytes;
END;

CREATE TRIGGER clips_stay BEFORE DELETE ON clips BEGIN
    SELECT RAISE(ABORT, 'a clip is never deleted from the ledger');
END;

CREATE TRIGGER clips_identity BEFORE UPDATE OF key, found_in, path, kind, recording_id ON clips BEGIN
    SELECT RAISE(ABORT, 'what names a clip never changes');
END;

CREATE TRIGGER clips_receipt_once BEFORE UPDATE OF receipt ON clips
WHEN OLD.receipt IS NOT NULL AND NEW.receipt IS NOT OLD.receipt BEGIN
    SELECT RAISE(ABORT, 'a receipt is never replaced');
END;

CREATE TRIGGER dockings_stay BEFORE DELETE ON dockings BEGIN
    SELECT RAISE(ABORT, 'a docking is never deleted from the ledger');
END;

-- The custody log: a hash chain. `body` is the canonical JSON that is hashed; `clip` repeats its clip for the index.
CREATE TABLE custody (
    seq INTEGER PRIMARY KEY,
    prev TEXT NOT NULL CHECK (length(prev) = 64),
    hash TEXT NOT NULL CHECK (length(hash) = 64),
    body BLOB NOT NULL,
    clip INTEGER REFERENCES clips (key)
) STRICT;

CREATE INDEX custody_clip ON custody (clip) WHERE clip IS NOT NULL;

CREATE TRIGGER custody_append BEFORE INSERT ON custody
WHEN NEW.prev <> coalesce((SELECT hash FROM custody WHERE seq = NEW.seq - 1), printf('%064d', 0))
    OR NEW.seq <> coalesce((SELECT max(seq) FROM custody), 0) + 1 BEGIN
    SELECT RAISE(ABORT, 'a custody entry goes to the end of the chain');
END;

CREATE TRIGGER custody_fixed BEFORE UPDATE ON custody BEGIN
    SELECT RAISE(ABORT, 'a custody entry is never changed');
END;

CREATE TRIGGER custody_stay BEFORE DELETE ON custody BEGIN
    SELECT RAISE(ABORT, 'a custody entry is never deleted');
END;
