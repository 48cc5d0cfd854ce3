BEGIN TRANSACTION;
CREATE TABLE cost_kinds (
	source TEXT NOT NULL, 
	currency TEXT NOT NULL, 
	odd INTEGER NOT NULL, 
	PRIMARY KEY (source, currency, odd)
)
 WITHOUT ROWID;
INSERT INTO "cost_kinds" VALUES('reported','USD',0);
CREATE TABLE deletions (
	file TEXT NOT NULL, 
	PRIMARY KEY (file)
);
CREATE TABLE events (
	job_seq INTEGER NOT NULL, 
	nr INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	kind TEXT DEFAULT '' NOT NULL, 
	state TEXT DEFAULT '' NOT NULL, 
	detail TEXT DEFAULT '{}' NOT NULL, 
	PRIMARY KEY (job_seq, nr), 
	FOREIGN KEY(job_seq) REFERENCES jobs (seq)
)
 WITHOUT ROWID;
INSERT INTO "events" VALUES(1,0,1795608000.0,'state','intent','{}');
INSERT INTO "events" VALUES(1,1,1795608000.0,'state','sending','{}');
INSERT INTO "events" VALUES(1,2,1795608000.0,'state','accepted','{}');
INSERT INTO "events" VALUES(1,3,1795608000.0,'state','running','{}');
INSERT INTO "events" VALUES(1,4,1795608000.0,'state','succeeded','{}');
INSERT INTO "events" VALUES(1,5,1795608000.0,'state','saved','{}');
INSERT INTO "events" VALUES(2,0,1795608060.0,'state','intent','{}');
CREATE TABLE inputs (
	job_seq INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT DEFAULT '' NOT NULL, 
	identity TEXT DEFAULT '' NOT NULL, 
	sha256 TEXT DEFAULT '' NOT NULL, 
	file TEXT DEFAULT '' NOT NULL, 
	width_px INTEGER DEFAULT '0' NOT NULL, 
	height_px INTEGER DEFAULT '0' NOT NULL, 
	mime TEXT DEFAULT '' NOT NULL, 
	source_job TEXT DEFAULT '' NOT NULL, 
	source_index INTEGER, 
	PRIMARY KEY (job_seq, position), 
	FOREIGN KEY(job_seq) REFERENCES jobs (seq)
)
 WITHOUT ROWID;
INSERT INTO "inputs" VALUES(1,0,'photo','bytes:sha256:1','1111111111111111111111111111111111111111111111111111111111111111','inputs/abc.png',640,480,'image/png','',NULL);
CREATE TABLE job_search (
	job_seq INTEGER NOT NULL, 
	haystack TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (job_seq), 
	FOREIGN KEY(job_seq) REFERENCES jobs (seq)
);
INSERT INTO "job_search" VALUES(1,'a fox in snow   狐
dogs
b48299b8ab
5
study');
INSERT INTO "job_search" VALUES(2,'an open job
dogs
e8ddf6e35a
5');
CREATE TABLE job_tags (
	job_seq INTEGER NOT NULL, 
	tag TEXT NOT NULL, 
	PRIMARY KEY (job_seq, tag), 
	FOREIGN KEY(job_seq) REFERENCES jobs (seq)
)
 WITHOUT ROWID;
INSERT INTO "job_tags" VALUES(1,'study');
CREATE TABLE job_texts (
	job_seq INTEGER NOT NULL, 
	prompt TEXT DEFAULT '' NOT NULL, 
	negative_prompt TEXT DEFAULT '' NOT NULL, 
	base_url TEXT DEFAULT '' NOT NULL, 
	parameters TEXT DEFAULT '{}' NOT NULL, 
	request TEXT DEFAULT '{}' NOT NULL, 
	versions TEXT DEFAULT '{}' NOT NULL, 
	usage TEXT DEFAULT '{}' NOT NULL, 
	metadata TEXT DEFAULT '{}' NOT NULL, 
	items TEXT DEFAULT '[]' NOT NULL, 
	notes TEXT DEFAULT '[]' NOT NULL, 
	pending_inputs TEXT DEFAULT '[]' NOT NULL, 
	error_message TEXT DEFAULT '' NOT NULL, 
	service_submit_text TEXT DEFAULT '' NOT NULL, 
	service_end_text TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (job_seq), 
	FOREIGN KEY(job_seq) REFERENCES jobs (seq)
);
INSERT INTO "job_texts" VALUES(1,'wan-escaped:a fox in snow \x00 \u72d0','dogs','https://example.test','{"n": 2, "seed": 5}','{"prompt": "a fox in snow"}','{}','{}','{}','[]','[]','[]','','','');
INSERT INTO "job_texts" VALUES(2,'an open job','dogs','https://example.test','{"n": 2, "seed": 5}','{"prompt": "a fox in snow"}','{}','{}','{}','[]','[]','[]','','','');
CREATE TABLE jobs (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	simulated INTEGER DEFAULT '0' NOT NULL, 
	created_at FLOAT NOT NULL, 
	trashed_at FLOAT, 
	imported_at FLOAT, 
	cost_amount TEXT, 
	cost_currency TEXT DEFAULT '' NOT NULL, 
	cost_source TEXT DEFAULT '' NOT NULL, 
	cost_nano INTEGER, 
	n INTEGER DEFAULT '0' NOT NULL, 
	picture_count INTEGER DEFAULT '0' NOT NULL, 
	seed INTEGER, 
	duration_s FLOAT, 
	starred INTEGER DEFAULT '0' NOT NULL, 
	rejected INTEGER DEFAULT '0' NOT NULL, 
	notebook TEXT DEFAULT '' NOT NULL, 
	user TEXT DEFAULT '' NOT NULL, 
	provider TEXT DEFAULT '' NOT NULL, 
	model TEXT DEFAULT '' NOT NULL, 
	mode TEXT DEFAULT '' NOT NULL, 
	size_tier TEXT DEFAULT '' NOT NULL, 
	batch_id TEXT DEFAULT '' NOT NULL, 
	part INTEGER DEFAULT '0' NOT NULL, 
	fp_asked TEXT DEFAULT '' NOT NULL, 
	fp_sent TEXT DEFAULT '' NOT NULL, 
	task_id TEXT DEFAULT '' NOT NULL, 
	request_id TEXT DEFAULT '' NOT NULL, 
	envelope TEXT DEFAULT '' NOT NULL, 
	name TEXT DEFAULT '' NOT NULL, 
	tags TEXT DEFAULT '[]' NOT NULL, 
	cell_id TEXT DEFAULT '' NOT NULL, 
	key_fingerprint TEXT DEFAULT '' NOT NULL, 
	reserved_amount TEXT, 
	reserved_currency TEXT DEFAULT '' NOT NULL, 
	cost_note TEXT DEFAULT '' NOT NULL, 
	error_code TEXT DEFAULT '' NOT NULL, 
	sending_at FLOAT, 
	accepted_at FLOAT, 
	first_running_at FLOAT, 
	finished_at FLOAT, 
	saved_at FLOAT, 
	expires_at FLOAT, 
	owner_host TEXT DEFAULT '' NOT NULL, 
	owner_pid INTEGER, 
	owner_started FLOAT, 
	owner_token TEXT DEFAULT '' NOT NULL, 
	lease_until FLOAT, 
	purged_at FLOAT, 
	missing INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'b48299b8ab','saved',0,1795608000.0,NULL,NULL,'0.061','USD','reported',61000000,2,2,5,NULL,0,0,'','','gateway','wan26_image','edit','1K','b48299b8ab',0,'wan1:sha256:asked','wan1:sha256:sent','','','','','["study"]','','','0.06','USD','','',1795608000.0,1795608000.0,1795608000.0,1795608000.0,1795608000.0,NULL,'',NULL,NULL,'',NULL,NULL,0);
INSERT INTO "jobs" VALUES(2,'e8ddf6e35a','intent',0,1795608060.0,NULL,NULL,NULL,'','',NULL,2,0,5,NULL,0,0,'','','gateway','wan26_image','edit','1K','e8ddf6e35a',0,'wan1:sha256:asked','wan1:sha256:sent','','','','','[]','','','0.06','USD','','',NULL,NULL,NULL,NULL,NULL,NULL,'',NULL,NULL,'',NULL,NULL,0);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE pictures (
	job_seq INTEGER NOT NULL, 
	idx INTEGER NOT NULL, 
	kind TEXT DEFAULT '' NOT NULL, 
	url TEXT DEFAULT '' NOT NULL, 
	remote_id TEXT DEFAULT '' NOT NULL, 
	sha256 TEXT DEFAULT '' NOT NULL, 
	file TEXT DEFAULT '' NOT NULL, 
	file_sha256 TEXT DEFAULT '' NOT NULL, 
	width_px INTEGER, 
	height_px INTEGER, 
	size_bytes INTEGER, 
	mime TEXT DEFAULT '' NOT NULL, 
	note TEXT DEFAULT '' NOT NULL, 
	corrupt_file TEXT DEFAULT '' NOT NULL, 
	saved_at FLOAT, 
	starred INTEGER DEFAULT '0' NOT NULL, 
	rejected INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (job_seq, idx), 
	FOREIGN KEY(job_seq) REFERENCES jobs (seq)
)
 WITHOUT ROWID;
INSERT INTO "pictures" VALUES(1,0,'image','','','2222222222222222222222222222222222222222222222222222222222222222','2026-11-25/a-0.png','3333333333333333333333333333333333333333333333333333333333333333',NULL,NULL,NULL,'image/png','','',1795608000.0,0,0);
INSERT INTO "pictures" VALUES(1,1,'image','','','2222222222222222222222222222222222222222222222222222222222222222','2026-11-25/a-1.png','3333333333333333333333333333333333333333333333333333333333333333',NULL,NULL,NULL,'image/png','','',1795608000.0,0,0);
CREATE INDEX jobs_asked ON jobs (fp_asked);
CREATE INDEX jobs_batch ON jobs (batch_id);
CREATE INDEX jobs_created ON jobs (created_at, trashed_at, state, simulated, imported_at, picture_count, n, cost_source, cost_currency, cost_nano, cost_amount);
CREATE INDEX jobs_durations ON jobs (provider, model, mode, size_tier, n, finished_at) WHERE duration_s IS NOT NULL;
CREATE INDEX jobs_notebook ON jobs (notebook, created_at);
CREATE INDEX jobs_open ON jobs (state) WHERE state IN ('accepted', 'in_doubt', 'intent', 'running', 'sending', 'succeeded');
CREATE INDEX jobs_prices ON jobs (provider, model, created_at) WHERE cost_source = 'reported';
CREATE INDEX jobs_sent ON jobs (fp_sent);
CREATE INDEX jobs_starred ON jobs (seq) WHERE starred = 1;
CREATE INDEX job_tags_tag ON job_tags (tag);
CREATE INDEX pictures_starred ON pictures (job_seq) WHERE starred = 1;
COMMIT;
PRAGMA user_version=1;
