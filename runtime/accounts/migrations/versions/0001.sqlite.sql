-- Statements are parted by empty lines. Journals (holds, endings, movements) only grow; accounts, open_holds and
-- key_days are what they add up to, kept by triggers, so that whoever writes finds the same rules.

CREATE TABLE writers (
    number INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    at_s REAL NOT NULL
) STRICT

INSERT INTO writers VALUES (0, '', 0, 0)

CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('bidder', 'agent', 'own')),
    balance INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    credit_limit INTEGER CHECK (credit_limit >= 0),
    preferences TEXT NOT NULL DEFAULT '{}',
    CONSTRAINT never_beyond_its_limit CHECK (credit_limit IS NULL OR balance + credit_limit >= held)
) STRICT, WITHOUT ROWID

INSERT INTO accounts (name, kind) VALUES (':auctioneer', 'own'), (':outside', 'own')

CREATE TABLE keys (
    name TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name),
    digest TEXT NOT NULL UNIQUE CHECK (length(digest) = 64),
    requests_minute INTEGER CHECK (requests_minute > 0),
    tokens_minute INTEGER CHECK (tokens_minute > 0),
    concurrency INTEGER CHECK (concurrency > 0),
    spend_day INTEGER CHECK (spend_day >= 0),
    made_s REAL NOT NULL,
    revoked_s REAL
) STRICT, WITHOUT ROWID

CREATE TABLE key_changes (
    number INTEGER NOT NULL
) STRICT

INSERT INTO key_changes VALUES (0)

CREATE TABLE key_days (
    key TEXT NOT NULL,
    day INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    PRIMARY KEY (key, day)
) STRICT, WITHOUT ROWID

CREATE TABLE holds (
    request TEXT NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    account TEXT NOT NULL REFERENCES accounts (name),
    agent TEXT NOT NULL REFERENCES accounts (name),
    charge INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    capped INTEGER NOT NULL CHECK (capped IN (0, 1)),
    key TEXT,
    day INTEGER NOT NULL,
    writer INTEGER NOT NULL REFERENCES writers (number),
    at_s REAL NOT NULL,
    PRIMARY KEY (request, attempt)
) STRICT, WITHOUT ROWID

CREATE TABLE open_holds (
    request TEXT PRIMARY KEY,
    attempt INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    FOREIGN KEY (request, attempt) REFERENCES holds (request, attempt)
) STRICT, WITHOUT ROWID

CREATE TABLE endings (
    request TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('settled', 'released')),
    charge INTEGER,
    cost INTEGER,
    receipt INTEGER,
    at_s REAL NOT NULL,
    PRIMARY KEY (request, attempt),
    FOREIGN KEY (request, attempt) REFERENCES holds (request, attempt),
    CHECK ((state = 'settled') = (charge IS NOT NULL AND cost IS NOT NULL AND receipt IS NOT NULL)),
    CHECK (state = 'settled' OR (charge IS NULL AND cost IS NULL AND receipt IS NULL))
) STRICT, WITHOUT ROWID

CREATE UNIQUE INDEX settled_once ON endings (request) WHERE state = 'settled'

CREATE TABLE movements (
    request TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'receipt', 'credit')),
    source TEXT NOT NULL REFERENCES accounts (name),
    target TEXT NOT NULL REFERENCES accounts (name),
    amount INTEGER NOT NULL CHECK (amount > 0),
    note TEXT,
    at_s REAL NOT NULL,
    PRIMARY KEY (request, attempt, kind),
    CHECK (source <> target)
) STRICT, WITHOUT ROWID

CREATE VIEW legs AS
    SELECT request, attempt, kind, source AS account, -amount AS amount, note, at_s FROM movements
    UNION ALL SELECT request, attempt, kind, target, amount, note, at_s FROM movements

CREATE TRIGGER keys_made AFTER INSERT ON keys BEGIN UPDATE key_changes SET number = number + 1; END

CREATE TRIGGER keys_changed AFTER UPDATE ON keys BEGIN UPDATE key_changes SET number = number + 1; END

CREATE TRIGGER keys_preferred AFTER UPDATE OF preferences ON accounts BEGIN
    UPDATE key_changes SET number = number + 1;
END

CREATE TRIGGER holds_open AFTER INSERT ON holds BEGIN
    INSERT INTO open_holds VALUES (NEW.request, NEW.attempt, NEW.writer);
    UPDATE accounts SET held = held + NEW.amount WHERE name = NEW.account;
END

CREATE TRIGGER holds_of_a_day AFTER INSERT ON holds WHEN NEW.key IS NOT NULL BEGIN
    INSERT INTO key_days VALUES (NEW.key, NEW.day, NEW.amount)
        ON CONFLICT (key, day) DO UPDATE SET spent = spent + excluded.spent;
END

CREATE TRIGGER holds_once BEFORE INSERT ON holds
WHEN EXISTS (SELECT 1 FROM endings WHERE request = NEW.request AND state = 'settled') BEGIN
    SELECT RAISE (ABORT, 'charged before');
END

CREATE TRIGGER endings_held BEFORE INSERT ON endings
WHEN NOT EXISTS (SELECT 1 FROM open_holds WHERE request = NEW.request AND attempt = NEW.attempt) BEGIN
    SELECT RAISE (ABORT, 'not held');
END

CREATE TRIGGER endings_close AFTER INSERT ON endings BEGIN
    DELETE FROM open_holds WHERE request = NEW.request;
    UPDATE accounts
        SET held = held - (SELECT amount FROM holds WHERE request = NEW.request AND attempt = NEW.attempt)
        WHERE name = (SELECT account FROM holds WHERE request = NEW.request AND attempt = NEW.attempt);
    INSERT INTO movements
        SELECT NEW.request, NEW.attempt, 'charge', IIF(NEW.charge > 0, account, ':auctioneer'),
            IIF(NEW.charge > 0, ':auctioneer', account), abs(NEW.charge), NULL, NEW.at_s
        FROM holds WHERE request = NEW.request AND attempt = NEW.attempt AND NEW.charge <> 0;
    INSERT INTO movements
        SELECT NEW.request, NEW.attempt, 'receipt', IIF(NEW.receipt > 0, ':auctioneer', agent),
            IIF(NEW.receipt > 0, agent, ':auctioneer'), abs(NEW.receipt), NULL, NEW.at_s
        FROM holds WHERE request = NEW.request AND attempt = NEW.attempt AND NEW.receipt <> 0;
END

CREATE TRIGGER endings_of_a_day AFTER INSERT ON endings
WHEN (SELECT key FROM holds WHERE request = NEW.request AND attempt = NEW.attempt) IS NOT NULL BEGIN
    UPDATE key_days SET spent = spent + COALESCE(NEW.charge, 0) - h.amount FROM holds h
        WHERE h.request = NEW.request AND h.attempt = NEW.attempt AND key_days.key = h.key AND key_days.day = h.day;
END

CREATE TRIGGER movements_book AFTER INSERT ON movements BEGIN
    UPDATE accounts SET balance = balance - NEW.amount WHERE name = NEW.source;
    UPDATE accounts SET balance = balance + NEW.amount WHERE name = NEW.target;
END

CREATE TRIGGER holds_stay BEFORE UPDATE ON holds BEGIN SELECT RAISE (ABORT, 'a journal only grows'); END

CREATE TRIGGER holds_remain BEFORE DELETE ON holds BEGIN SELECT RAISE (ABORT, 'a journal only grows'); END

CREATE TRIGGER endings_stay BEFORE UPDATE ON endings BEGIN SELECT RAISE (ABORT, 'a journal only grows'); END

CREATE TRIGGER endings_remain BEFORE DELETE ON endings BEGIN SELECT RAISE (ABORT, 'a journal only grows'); END

CREATE TRIGGER movements_stay BEFORE UPDATE ON movements BEGIN SELECT RAISE (ABORT, 'a journal only grows'); END

CREATE TRIGGER movements_remain BEFORE DELETE ON movements BEGIN SELECT RAISE (ABORT, 'a journal only grows'); END
