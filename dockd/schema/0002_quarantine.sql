-- Quarantine: cameras that broke, clips that somebody has looked at, and what could be read of files that no longer
-- read whole.

-- Why nothing more is done with the camera in this stay: the first cause stands.
ALTER TABLE dockings ADD COLUMN reason TEXT;
ALTER TABLE dockings ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE dockings ADD COLUMN acknowledged TEXT NOT NULL DEFAULT ''; -- who has looked at it, and what they say

-- Of a salvaged copy: the ranges that could not be read, 'offset+length', spaces between. Zeros stand there.
ALTER TABLE clips ADD COLUMN gaps TEXT NOT NULL DEFAULT '';
ALTER TABLE clips ADD COLUMN acknowledged TEXT NOT NULL DEFAULT ''; -- of a held clip: who has looked at it, and why

CREATE INDEX dockings_broken ON dockings (serial, volume) WHERE reason IS NOT NULL;
CREATE INDEX clips_held ON clips (key) WHERE state = 'held';

CREATE TRIGGER clips_gaps BEFORE UPDATE OF gaps ON clips WHEN NEW.gaps IS NOT OLD.gaps BEGIN
    SELECT RAISE(ABORT, 'what could not be read of a salvaged file never changes');
END;

-- I1, I4: a salvaged copy is less than the file on the camera, so it never permits anything there.
CREATE TRIGGER clips_salvaged BEFORE UPDATE OF state ON clips
WHEN OLD.gaps <> '' AND (NEW.state = 'erasing' OR NEW.state = 'erased') BEGIN
    SELECT RAISE(ABORT, 'nothing is erased from a camera on the word of a salvaged copy');
END;
