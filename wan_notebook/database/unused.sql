-- Tables of the schema that no code uses: two of the first edition; budgets of a team; batches
-- (one map over rows) with one task of one row each, and the job that answers it.

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

CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    notebook TEXT DEFAULT '' NOT NULL,
    cell_id TEXT DEFAULT '' NOT NULL,
    "user" TEXT DEFAULT '' NOT NULL,
    provider TEXT DEFAULT '' NOT NULL,
    created_at FLOAT NOT NULL,
    simulated INTEGER DEFAULT '0' NOT NULL,
    rows_hash TEXT DEFAULT '' NOT NULL,
    row_count INTEGER DEFAULT '0' NOT NULL,
    task_count INTEGER DEFAULT '0' NOT NULL,
    reserved_pictures INTEGER DEFAULT '0' NOT NULL,
    reserved_amount TEXT,
    reserved_currency TEXT DEFAULT '' NOT NULL,
    reserved_at FLOAT,
    written_at FLOAT,
    finished_at FLOAT,
    cancelled_at FLOAT,
    paused_reason TEXT DEFAULT '' NOT NULL,
    details TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE (id)
);
CREATE INDEX IF NOT EXISTS batches_name ON batches (name);
CREATE INDEX IF NOT EXISTS batches_cell ON batches (notebook, cell_id);

CREATE TABLE IF NOT EXISTS batch_rows (
    seq INTEGER NOT NULL,
    batch_seq INTEGER NOT NULL,
    position INTEGER DEFAULT '0' NOT NULL,
    part INTEGER DEFAULT '0' NOT NULL,
    occurrence INTEGER DEFAULT '0' NOT NULL,
    "current" INTEGER DEFAULT '1' NOT NULL,
    request_hash TEXT DEFAULT '' NOT NULL,
    "row" TEXT DEFAULT '{}' NOT NULL,
    job_seq INTEGER,
    PRIMARY KEY (seq),
    FOREIGN KEY (batch_seq) REFERENCES batches (seq),
    FOREIGN KEY (job_seq) REFERENCES jobs (seq)
);
CREATE INDEX IF NOT EXISTS batch_rows_position ON batch_rows (batch_seq, position, part);
CREATE INDEX IF NOT EXISTS batch_rows_request ON batch_rows (batch_seq, request_hash, occurrence);
CREATE INDEX IF NOT EXISTS batch_rows_job ON batch_rows (job_seq);
