-- Accounting: what each docking came to, how far the store's list of receipts was compared, and what does not agree.

-- The account of a docking at the moment it ended, written with its end. Files that proved to be others' are not in it.
CREATE TABLE accounts (
    docking INTEGER PRIMARY KEY REFERENCES dockings (key),
    seen_files INTEGER NOT NULL, -- counted from the clips, where all the other counts are those of the tallies
    seen_bytes INTEGER NOT NULL,
    receipted_files INTEGER NOT NULL,
    receipted_bytes INTEGER NOT NULL,
    pending_files INTEGER NOT NULL,
    pending_bytes INTEGER NOT NULL,
    quarantined_files INTEGER NOT NULL,
    quarantined_bytes INTEGER NOT NULL,
    listed_files INTEGER, -- of the last listing; unknown where there was none, or the camera was docked again already
    declared_utc TEXT -- when the store had been told, or kept no accounts
) STRICT;

CREATE INDEX accounts_undeclared ON accounts (docking) WHERE declared_utc IS NULL;

CREATE TRIGGER dockings_account AFTER UPDATE OF ended_utc ON dockings
WHEN OLD.ended_utc IS NULL AND NEW.ended_utc IS NOT NULL BEGIN
    INSERT INTO accounts (docking, seen_files, seen_bytes, receipted_files, receipted_bytes, pending_files,
        pending_bytes, quarantined_files, quarantined_bytes, listed_files)
    SELECT NEW.key,
        (SELECT count(*) FROM clips WHERE docking = NEW.key)
            - coalesce(sum(files) FILTER (WHERE parted = 1), 0),
        coalesce(sum(bytes) FILTER (WHERE parted = 0), 0),
        coalesce(sum(files) FILTER (WHERE parted = 0 AND state IN ('receipted', 'erasing', 'erased')), 0),
        coalesce(sum(bytes) FILTER (WHERE parted = 0 AND state IN ('receipted', 'erasing', 'erased')), 0),
        coalesce(sum(files) FILTER (WHERE parted = 0 AND state IN ('found', 'copied', 'uploaded')), 0),
        coalesce(sum(bytes) FILTER (WHERE parted = 0 AND state IN ('found', 'copied', 'uploaded')), 0),
        coalesce(sum(files) FILTER (WHERE parted = 0 AND state = 'held'), 0),
        coalesce(sum(bytes) FILTER (WHERE parted = 0 AND state = 'held'), 0),
        iif(EXISTS (SELECT 1 FROM dockings WHERE serial = NEW.serial AND volume = NEW.volume AND key > NEW.key),
            NULL, NEW.files)
    FROM tallies WHERE docking = NEW.key;
END;

-- A clip that is copied again may prove to be of other bytes, and so another clip: what it was called until then.
CREATE TABLE former (
    clip_id TEXT NOT NULL CHECK (length(clip_id) = 64),
    clip INTEGER NOT NULL REFERENCES clips (key),
    PRIMARY KEY (clip_id, clip)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER clips_former AFTER UPDATE OF clip_id ON clips
WHEN OLD.clip_id IS NOT NULL AND NEW.clip_id IS NOT OLD.clip_id BEGIN
    INSERT OR IGNORE INTO former (clip_id, clip) VALUES (OLD.clip_id, OLD.key);
END;

-- Receipts that only the store knows of, from before a recovery that the custody log declares.
CREATE TABLE prior (
    clip_id TEXT NOT NULL CHECK (length(clip_id) = 64),
    receipt_sha256 TEXT NOT NULL CHECK (length(receipt_sha256) = 64),
    PRIMARY KEY (clip_id, receipt_sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounting (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    cursor INTEGER NOT NULL, -- the store's sequence of the last receipt of its list that was compared
    listed_files INTEGER NOT NULL, -- receipts of the list up to there
    listed_bytes INTEGER NOT NULL,
    rebuilding INTEGER NOT NULL CHECK (rebuilding IN (0, 1)), -- a recovery was declared, the list is still to be read
    round INTEGER NOT NULL, -- the last whole comparison that was begun
    whole_utc TEXT, -- when the last daily one was closed: it decides only when to look again
    store TEXT, -- the name that the store compared whole last bears in its receipts
    elsewhere TEXT NOT NULL DEFAULT '{}', -- JSON: how many receipts are of which other store
    told INTEGER NOT NULL DEFAULT 0, -- differences in the custody entry that told of them last
    -- The last account that was closed, for people.
    closed_utc TEXT,
    occasion TEXT,
    docking INTEGER REFERENCES dockings (key),
    compared INTEGER CHECK (compared IN (0, 1)), -- with the store; unknown until there is an account
    seen_files INTEGER,
    seen_bytes INTEGER,
    receipted_files INTEGER,
    receipted_bytes INTEGER,
    pending_files INTEGER,
    pending_bytes INTEGER,
    quarantined_files INTEGER,
    quarantined_bytes INTEGER
) STRICT;

INSERT INTO accounting (one, cursor, listed_files, listed_bytes, rebuilding, round) VALUES (1, 0, 0, 0, 0, 0);

-- What does not agree: one row for one cause. It goes when a whole comparison, begun after it was found last, has not
-- found it again; what was said at the closing of an account goes when a later day is closed and does not say it.
CREATE TABLE differences (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    clip_id TEXT NOT NULL, -- empty where it is no one clip's
    cause TEXT NOT NULL, -- names it where there is no clip id, empty else
    detail TEXT NOT NULL, -- as it was found last
    since_utc TEXT NOT NULL,
    last_utc TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1, -- found so often
    round INTEGER NOT NULL,
    closing INTEGER NOT NULL CHECK (closing IN (0, 1)), -- said at the closing of an account
    told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)), -- is in a custody entry
    acknowledged TEXT NOT NULL DEFAULT '' -- who has looked at it, and what they found
) STRICT;

CREATE UNIQUE INDEX differences_what ON differences (kind, clip_id, cause);
CREATE INDEX differences_round ON differences (round);
CREATE INDEX differences_unseen ON differences (key) WHERE acknowledged = '';

-- A declared recovery begins a new chain: the store's list is read from its beginning, and what is older is taken over.
-- A fact is a text, in which a quote is escaped: these words, with a null, stand in a body as its cause and nowhere else.
CREATE TRIGGER custody_recovered AFTER INSERT ON custody
WHEN NEW.clip IS NULL AND instr(NEW.body, CAST('"cause":"ledger-recovered","clip":null' AS BLOB)) > 0 BEGIN
    UPDATE accounting SET cursor = 0, listed_files = 0, listed_bytes = 0, rebuilding = 1, whole_utc = NULL;
    DELETE FROM differences;
END;
