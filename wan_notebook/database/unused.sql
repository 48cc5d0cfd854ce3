-- Tables of the schema that no code uses: two of the first edition, and budgets of a team.

CREATE TABLE IF NOT EXISTS deletions (file TEXT NOT NULL, PRIMARY KEY (file));
CREATE TABLE IF NOT EXISTS cost_kinds (
    source TEXT NOT NULL,
    currency TEXT NOT NULL,
    odd INTEGER NOT NULL,
    PRIMARY KEY (source, currency, odd)
);

CREATE TABLE IF NOT EXISTS caps (
    period TEXT NOT NULL,
    "user" TEXT DEFAULT '' NOT NULL,
    notebook TEXT DEFAULT '' NOT NULL,
    currency TEXT DEFAULT '' NOT NULL,
    amount TEXT NOT NULL,
    set_by TEXT DEFAULT '' NOT NULL,
    set_at FLOAT NOT NULL,
    PRIMARY KEY (period, "user", notebook, currency)
);
