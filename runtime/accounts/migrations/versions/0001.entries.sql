-- From books of one table: what was held there stays held, by writer 0, which no process is.

INSERT INTO accounts (name, kind) SELECT DISTINCT bidder, 'bidder' FROM entries

INSERT INTO accounts (name, kind) SELECT DISTINCT 'agent:' || agent, 'agent' FROM entries WHERE true
    ON CONFLICT DO NOTHING

INSERT INTO holds
    SELECT request, 1, bidder, 'agent:' || agent, charge, max(charge, 0), 0, NULL, 0, 0, 0.0 FROM entries

INSERT INTO endings
    SELECT request, 1, state, IIF(state = 'settled', charge, NULL), IIF(state = 'settled', cost, NULL),
        IIF(state = 'settled', receipt, NULL), 0.0
    FROM entries WHERE state <> 'held'

DROP TABLE entries
