-- Rounds as they were decided: sealed, each with the seal of its writer's round before. Rows never change; the oldest
-- are dropped once they were kept long enough.

CREATE TABLE rounds (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    writer INTEGER NOT NULL REFERENCES writers (number),
    at_s REAL NOT NULL,
    before TEXT NOT NULL,
    seal TEXT NOT NULL UNIQUE CHECK (length(seal) = 64),
    record TEXT NOT NULL
) STRICT

CREATE INDEX rounds_at ON rounds (at_s)

CREATE TRIGGER rounds_stay BEFORE UPDATE ON rounds BEGIN SELECT RAISE (ABORT, 'a round stays as it was'); END
