-- What the profile of a camera read of a file when it was found: its recorded time, marks, counter and the like. A profile
-- may be changed later, and what a receipt covers may not: it is written once, with the row, and told in its first entry.

ALTER TABLE clips ADD COLUMN facts TEXT NOT NULL DEFAULT ''; -- canonical JSON; empty where there was no profile

CREATE TRIGGER clips_facts BEFORE UPDATE OF facts ON clips WHEN NEW.facts IS NOT OLD.facts BEGIN
    SELECT RAISE(ABORT, 'what was read of a file when it was found never changes');
END;
