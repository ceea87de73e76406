//! Every bound of Cabildo, in one place. The unit is in the name; the comment says what happens at the bound.

// What people write. A value past its bound is refused at the border: 422 with the field's name.

/// Longest id of a room, poll, list or voter, in bytes of UTF-8.
pub const ID_BYTES_MAX: usize = 128;
/// Longest name or title (of a room, poll option, task, person), in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// Longest question of a poll or topic of a room, in characters.
pub const QUESTION_CHARS_MAX: usize = 500;
/// Longest chat message, in characters.
pub const MESSAGE_CHARS_MAX: usize = 8_000;
/// Longest value of a ballot's free field, in characters.
pub const FIELD_VALUE_CHARS_MAX: usize = 200;
/// Most free fields on one ballot.
pub const BALLOT_FIELDS_MAX: usize = 16;
/// Fewest options of a poll that lists them.
pub const POLL_OPTIONS_MIN: usize = 2;
/// Most options of a poll that lists them.
pub const POLL_OPTIONS_MAX: usize = 200;
/// Most distinct options that the ballots of an open poll may bring; a ballot for one more is spoilt.
pub const POLL_OPEN_OPTIONS_MAX: i64 = 10_000;
/// Most tasks that a list holds at one time; one more is 409.
pub const LIST_TASKS_MAX: usize = 1_000;
/// Tasks taken off a list that can be brought back, the last ones; those before them are forgotten. As many as a list holds, so
/// that a list that was emptied can be filled again.
pub const LIST_REMOVED_MAX: usize = LIST_TASKS_MAX;
/// Most members of a list; one more is 409.
pub const LIST_MEMBERS_MAX: usize = 200;
/// Longest description of a task, in characters.
pub const TASK_DESCRIPTION_CHARS_MAX: usize = 4_000;
/// Most labels of one task.
pub const TASK_LABELS_MAX: usize = 20;
/// Longest label, in characters.
pub const LABEL_CHARS_MAX: usize = 50;
/// Furthest place of a task on its list, to either side: the largest whole number that every JSON reader keeps.
pub const TASK_ORDER_MAX: i64 = (1 << 53) - 1;
/// How far behind the last task a new one is put, in places: so often can one be put between two without moving others.
pub const TASK_ORDER_STEP: i64 = 1_024;

// What goes over the wire.

/// Largest body of an HTTP request, in bytes; a larger one is 413.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest `data` of one event, in bytes; far under the 1 MiB that a NATS server takes by default.
pub const EVENT_DATA_BYTES_MAX: usize = 256 * 1024;
/// How long a client may take to send its request head, in milliseconds; then the connection is closed.
pub const HEADER_READ_MS: u64 = 10_000;
/// How long a client may take to send its request body, in milliseconds; then 408.
pub const BODY_READ_MS: u64 = 15_000;
/// Largest request head, in bytes; a larger one is 431.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Most open connections of one gateway; further ones wait in the listen queue.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Most concurrent streams of one HTTP/2 connection.
pub const H2_STREAMS_MAX: u32 = 256;
/// Most live listeners (server-sent events, gRPC) of one gateway; one more is 503.
pub const LISTENERS_MAX: usize = 2_000;
/// How long a client may take nothing of what is being sent to it, in milliseconds; then its connection is cut. A live
/// listener that was cut off resumes by position.
pub const WRITE_STALL_MS: u64 = 30_000;
/// Silence on a live stream after which a comment is sent, in milliseconds, so that proxies keep it open.
pub const LIVE_COMMENT_MS: u64 = 15_000;
/// Time between two pings of an HTTP/2 connection, in milliseconds; a ping unanswered for as long closes it.
pub const H2_PING_MS: u64 = 20_000;
/// Most messages of one gRPC client stream that are under way to the journal; the next one is read when one has its answer.
pub const GRPC_IN_FLIGHT_MAX: usize = 256;
/// How long a gRPC client stream may be silent, in milliseconds; then it ends with what it did so far.
pub const GRPC_SILENCE_MS: u64 = 60_000;
/// Refused messages that the summary of a gRPC client stream tells one by one, the first ones; all of them are counted.
pub const GRPC_REFUSALS_MAX: usize = 16;
/// Events that wait for a slow reader of a gRPC stream; with so many, the journal is not read on for it, and after
/// [`WRITE_STALL_MS`] the stream ends.
pub const GRPC_EVENTS_QUEUE_MAX: usize = 64;
/// Longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 200;

// Reading.

/// Rows on a page when the client does not say.
pub const PAGE_ROWS_DEFAULT: usize = 50;
/// Most rows on a page; more asked for is 422.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// How long a read waits for a view to reach `Cabildo-Min-Position`, in milliseconds; then it answers with `Cabildo-Stale: true`.
pub const FRESH_WAIT_MS: u64 = 2_000;
/// Lists whose state a gateway keeps at hand for reads; the one unused for longest goes first, and is folded again when it is
/// asked for.
pub const LISTS_CACHED_MAX: usize = 256;
/// Changes of a list that a listener who was away gets one by one; after more it gets how the list is instead.
pub const LIST_RESUMED_EVENTS_MAX: usize = 10_000;
/// Lists looked at for one page of those that somebody may see; then the page ends, and its link goes on from there.
pub const LISTS_LOOKED_AT_MAX: usize = 10_000;
/// Shortest time between two states of a live tally, in milliseconds: at most five a second.
pub const LIVE_TALLY_MS: u64 = 200;
/// Shortest time between two beats of the pulse, in milliseconds: at most five a second.
pub const PULSE_MS: u64 = 200;
/// Longest time between two beats that listeners of the pulse get, in milliseconds, also while nothing changes.
pub const PULSE_LONGEST_MS: u64 = 5_000;
/// How long a beat waits for the sinks, and then for the journal, in milliseconds; then it shows what they said last.
pub const PULSE_LOOK_MS: u64 = 150;
/// How long a sink may take to say where a view stands before the pulse shows it as down, in milliseconds.
pub const PULSE_UNHEARD_MS: u64 = 1_000;
/// Shortest time between two counts of what is parked, in milliseconds.
pub const PULSE_PARKED_MS: u64 = 5_000;
/// Beats that wait for a slow listener of the pulse; then it misses the oldest.
pub const PULSE_QUEUE_MAX: usize = 32;
/// Most event types that the pulse counts apart; the rest are counted together.
pub const PULSE_KINDS_MAX: usize = 64;
/// Pages of events (of at most [`READ_PAGE_EVENTS`] each) that a live listener may lag behind before it is resumed from the
/// journal: so many are kept in memory while one listener, or one view, stands still.
pub const LIVE_QUEUE_PAGES_MAX: usize = 256;
/// Aggregates whose state a gateway keeps at hand; the one unused for longest goes first.
pub const STATES_CACHED_MAX: usize = 10_000;
/// Memory for the tallies of the past that a gateway keeps at hand, in bytes; the poll unused for longest goes first, and is
/// folded again when it is asked for. A million ballots take some 100 MB.
pub const HISTORIES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Polls whose past is folded at once in one gateway; further ones wait.
pub const HISTORY_FOLDS_MAX: usize = 2;
/// Events of a poll between two tables that are kept of its past: a tally of any moment folds so many at most, until there are
/// [`HISTORY_MARKS_MAX`] tables.
pub const HISTORY_SPACING_EVENTS: usize = 16_384;
/// Most tables kept of one poll's past; past it every other one goes, and the distance doubles.
pub const HISTORY_MARKS_MAX: usize = 256;
/// Options shown of a poll right before and after one of its events; the others are left out.
pub const STATE_OPTIONS_MAX: usize = 50;
/// Most buckets of a histogram of events; more asked for is 422: take a larger step.
pub const HITS_BUCKETS_MAX: i64 = 10_080;
/// Most event types that one request may filter by; more is 422.
pub const KINDS_MAX: usize = 32;
/// Longest text to search for, in characters; a longer one is 422.
pub const SEARCH_CHARS_MAX: usize = 200;
/// Longest id that the gateway makes of a name, in characters; the rest of the name is left out.
pub const SLUG_CHARS_MAX: usize = 60;
/// Longest query of the search box, in characters; a longer one is 422.
pub const QUERY_CHARS_MAX: usize = 2_000;
/// Most values that one query asks for; more is 422.
pub const QUERY_VALUES_MAX: usize = 64;
/// Most buckets that a histogram has when the step is chosen for the client.
pub const HITS_BUCKETS_AUTO: i64 = 120;
/// Values that a histogram shows apart; the rest is added up as `other`.
pub const HITS_VALUES_MAX: usize = 12;
/// Most values of one facet; more asked for is 422.
pub const FACET_VALUES_MAX: usize = 1_000;
/// Most events that a gateway keeps in its index of the record, the newest ones, at some 70 bytes each and every name and word once; older
/// ones are searched in the view, and histograms and facets say how far back they go.
pub const INDEX_EVENTS_MAX: usize = 4_194_304;
/// Most names (of aggregates, actors, types) and words in that index; past it the older half of the events leaves it.
pub const INDEX_NAMES_MAX: usize = 4_194_304;
/// Events that the index takes in at a time, so many positions of the journal.
pub const INDEX_CHUNK_EVENTS: u64 = 65_536;
/// How long a histogram waits for the index to be made, in milliseconds; then it answers for as far back as the index goes.
pub const INDEX_WAIT_MS: u64 = 1_500;
/// How long an index is kept that nobody asks, in milliseconds.
pub const INDEX_IDLE_MS: u64 = 900_000;
/// Most events of a correlation or a causation that a search takes from the view, the newest ones; the answer says how far back
/// they go.
pub const MATCHES_MAX: usize = 100_000;
/// Most events shown on either side of one; more asked for is 422.
pub const CONTEXT_EVENTS_MAX: usize = 100;
/// Most events in a graph of causes and effects; the answer says that it was cut short.
pub const GRAPH_EVENTS_MAX: usize = 200;
/// Longest filter expression, in characters; a longer one is 422.
pub const FILTER_CHARS_MAX: usize = 1_000;
/// Deepest nesting of brackets and operators in a filter expression; a deeper one is 422.
pub const FILTER_DEPTH_MAX: u16 = 24;
/// Most events that a filter expression is asked of for one page; then the answer says how far it got.
pub const FILTER_EVENTS_MAX: usize = 50_000;
/// How long a filter expression is asked of events for one page, in milliseconds; then the answer says how far it got.
pub const FILTER_MS: u64 = 2_000;
/// Most filter expressions that are asked at once in one process; the others wait for their turn, event by event of the journal.
pub const FILTERS_AT_ONCE_MAX: usize = 2;
/// Events read at once from the journal for a page.
pub const EVENTS_READ_AT_ONCE: usize = 32;
/// Most words of one event that it is found by in the index of the record; further ones do not find it there.
pub const DOCUMENT_WORDS_MAX: usize = 4_000;
/// Most events a second that a live tail may be bound to; more asked for is 422.
pub const TAIL_RATE_MAX: u32 = 10_000;
/// How long a list of events waits for the index in memory to be complete, in milliseconds; then the view is searched for what
/// the index lacks.
pub const INDEX_LIST_WAIT_MS: u64 = 200;
/// Longest run of a search in the record, in milliseconds; then it answers with what it found and how far it got.
pub const SEARCH_MS: u64 = 5_000;

/// Votes that the Band Contest's log answers with, the newest ones.
pub const BAND_VOTES_SHOWN: usize = 20;

// Writing.

/// Most events waiting for the journal in one process; one more is refused with 503 and `Retry-After`.
pub const APPEND_QUEUE_EVENTS_MAX: usize = 16_384;
/// Most events in one write to the journal (JetStream takes at most 1,000 in an atomic batch).
pub const APPEND_BATCH_EVENTS_MAX: usize = 1_000;
/// Most bytes of `data` in one write to the journal.
pub const APPEND_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most writes to the journal under way at once in one process.
pub const APPEND_WRITES_IN_FLIGHT_MAX: usize = 4;
/// Fewest free events that go to a JetStream with `sync_interval: always` as one atomic batch; fewer go one by one.
pub const APPEND_ATOMIC_EVENTS_MIN: usize = 16;
/// How long the appender tries again while the journal is down, in milliseconds; then the client gets 503.
pub const APPEND_RETRY_MS: u64 = 8_000;
/// How long one write to a broker may take before it counts as failed, in milliseconds.
pub const APPEND_WRITE_MS: u64 = 5_000;
/// Times a command is decided again after a conflict before it is 409.
pub const CONFLICT_TRIES_MAX: u32 = 5;
/// `Retry-After` of a full queue, in seconds.
pub const RETRY_AFTER_S: u64 = 1;
/// How long the broker remembers event ids, in seconds: the same id twice within it is one event.
pub const DUPLICATE_WINDOW_S: u64 = 120;

// People.

/// Longest name that somebody has for themselves, in characters; a longer one is 422.
pub const ACCOUNT_NAME_CHARS_MAX: usize = 64;
/// Fewest characters of a password; a shorter one is 422.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Most characters of a password; a longer one is 422, before anything is computed of it.
pub const PASSWORD_CHARS_MAX: usize = 128;
/// Memory that one hash of a password takes, in KiB (OWASP's first choice for argon2id).
pub const PASSWORD_MEMORY_KIB: u32 = 19_456;
/// Passes over that memory.
pub const PASSWORD_PASSES: u32 = 2;
/// Passwords that are hashed at once in one process, each on a thread of its own; further ones wait.
pub const PASSWORD_HASHES_MAX: usize = 2;
/// How long a request waits for its password's turn to be hashed, in milliseconds; then 503.
pub const PASSWORD_WAIT_MS: u64 = 10_000;
/// How long an access token is good, in seconds: for so long a role that was taken away, or a session that was ended, may
/// still be used.
pub const ACCESS_TOKEN_S: u64 = 600;
/// Longest life of a token that a tool on the same machine makes, in seconds, and that of the link which `cabildo up` prints.
pub const TOOL_TOKEN_S: u64 = 43_200;
/// How far the clocks of two gateways may be apart, in seconds: a token is good for so long after its end.
pub const TOKEN_LEEWAY_S: u64 = 30;
/// Longest `Authorization` that is looked at, in bytes; a longer one is 401.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// How long a refresh token is good, in seconds; each use gives another one, good for as long.
pub const REFRESH_TOKEN_S: u64 = 30 * 86_400;
/// How long a key signs, in seconds; then another one does, and the old one is published until all its tokens have ended.
pub const KEY_SIGNS_S: u64 = 86_400;
/// How often a gateway looks for keys that others made, in seconds.
pub const KEYS_LOOK_S: u64 = 300;
/// Shortest time between two such looks, in milliseconds, when tokens come with keys that it does not know.
pub const KEYS_LOOK_AGAIN_MS: u64 = 1_000;
/// Tries to sign in under one name, or to register it, that are let through at once by one gateway.
pub const NAME_TRIES_BURST: u32 = 10;
/// After those, one try in so many milliseconds; the others are 429.
pub const NAME_TRY_MS: u64 = 6_000;
/// Tries to sign in or to register from one address that are let through at once by one gateway.
pub const ADDRESS_TRIES_BURST: u32 = 60;
/// After those, one try in so many milliseconds; the others are 429.
pub const ADDRESS_TRY_MS: u64 = 500;
/// How often names and addresses that have been quiet are forgotten, and sessions that have ended removed, in milliseconds.
pub const PEOPLE_SWEEP_MS: u64 = 60_000;
/// Most names of people that a gateway keeps at hand, to tell whether a guest goes by somebody's name; with more, the journal
/// is asked each time.
pub const NAMES_KNOWN_MAX: usize = 2_000_000;

// Projecting.

/// Most events folded and written at once by one worker.
pub const APPLY_BATCH_EVENTS_MAX: usize = 4_096;
/// Events that wait in a worker's channel before its dispatcher waits too.
pub const WORKER_QUEUE_EVENTS_MAX: usize = 8_192;
/// Workers of one projection in one process when the operator does not say.
pub const WORKERS_DEFAULT: usize = 4;
/// Most workers of one projection in one process: no more than lanes.
pub const WORKERS_MAX: usize = 64;
/// First and longest wait between two tries of a sink or a journal that is down, in milliseconds.
pub const RETRY_FIRST_MS: u64 = 20;
/// Longest wait between two tries, in milliseconds: a sink that comes back is used within it.
pub const RETRY_LONGEST_MS: u64 = 1_000;
/// Most aggregates of one view with a parked event. With more, it is not the events that are wrong but the build: the
/// circuit breaker holds the view until some are dealt with.
pub const PARKED_AGGREGATES_MAX: usize = 100;
/// Most parked events kept of one view; past it the circuit breaker holds it as well.
pub const PARKED_EVENTS_MAX: usize = 100_000;
/// Most views of one projection at a time: the live one, those kept for a rollback, those being built.
pub const VIEWS_MAX: usize = 8;
/// Most events that one projection may be told to leave out.
pub const DISCARDED_EVENTS_MAX: usize = 10_000;
/// How long the mending of one aggregate waits for its lane to be quiet, in milliseconds; then it is refused.
pub const MEND_MS: u64 = 10_000;
/// Times that what was parked of an aggregate meanwhile is folded again before the mending gives up.
pub const MEND_ROUNDS_MAX: usize = 8;
/// How often a projection looks whether its view was set back, in milliseconds: an emptied view shows within it, also while
/// nothing comes.
pub const VIEW_CHECK_MS: u64 = 1_000;
/// Events that a lag report counts one by one; past it the answer is "at least".
pub const LAG_COUNT_EVENTS_MAX: u64 = 1_000_000;
/// Window of an ordered read from a broker, in bytes: so much may be under way to a reader that is busy; the broker then
/// waits for it.
pub const READ_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Window of an ordered read from a broker, in events; as for bytes.
pub const READ_WINDOW_EVENTS: usize = 16_384;
/// How long an ordered read from a broker waits for the next event before it looks whether there is one, in milliseconds.
pub const READ_IDLE_MS: u64 = 500;
/// How long an ordered read waits for an event that is there before it fails (and is resumed by its caller), in milliseconds.
pub const READ_STALLED_MS: u64 = 5_000;
/// How long a broker keeps the state of a read that stopped asking, in seconds.
pub const READ_ABANDONED_S: u64 = 30;
/// Events on a broker's live subject that wait for a follower; what comes beyond is dropped there and read from the journal.
pub const FOLLOW_QUEUE_EVENTS_MAX: usize = 32_768;
/// How often an idle follower compares with the journal's head, in milliseconds: a lost last message shows within it.
pub const FOLLOW_CHECK_MS: u64 = 1_000;
/// How often a quiet connection to a broker is tried, in seconds; two tries without an answer and it is made anew.
pub const BROKER_PING_S: u64 = 10;
/// Events on one page of a read.
pub const READ_PAGE_EVENTS: usize = 1_024;
/// How long one call to a sink may take before it counts as failed, in milliseconds.
pub const SINK_CALL_MS: u64 = 10_000;
/// How long one try to connect to a sink may take, in milliseconds.
pub const SINK_CONNECT_MS: u64 = 2_000;
/// Further tries to connect before whoever waits is told that the sink is down.
pub const SINK_CONNECT_RETRIES: usize = 4;
/// Longest prefix of a sink's keys, in bytes; a longer one is no address.
pub const PREFIX_BYTES_MAX: usize = 64;
/// Deepest body that is kept as a sub-document, in levels (MongoDB ends at 100); a deeper one is kept as text.
pub const BODY_DEPTH_MAX: usize = 64;
/// Most names in one object of a body that is kept as a sub-document; with more it is kept as text.
pub const BODY_KEYS_MAX: usize = 256;
/// Most documents written by one command; more take several.
pub const WRITE_DOCUMENTS_MAX: usize = 5_000;
/// Most bytes of documents written by one command (MongoDB ends at 16 MiB); more take several.
pub const WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Increments from this on are refused, so that a sum of them cannot run over.
pub const INCREMENT_MAX: u64 = 1_000_000_000_000_000_000;
/// How often the votes of the Band Contest are looked at for the hash that its panels read, in milliseconds.
pub const BANDS_SHOWN_MS: u64 = 200;
/// How often that hash is written though no vote has come, in milliseconds: one that was removed is back within it.
pub const BANDS_SHOWN_AGAIN_MS: u64 = 5_000;
/// How often a process that only reads an embedded journal looks for what another process wrote, in milliseconds.
pub const FOREIGN_POLL_MS: u64 = 50;
/// Keys that one look into Redis passes over when all rows of a lane are read.
pub const SCAN_KEYS: usize = 1_000;
/// Hashes that are read at once when all rows of a lane are read from Redis.
pub const SCAN_HASHES: usize = 64;
/// Calls to Redis for one page of rows; then the page is handed out as it is, maybe empty.
pub const SCAN_CALLS: usize = 64;
/// How often a process that writes an embedded journal looks for what another process appended, in milliseconds: its
/// followers see that within it.
pub const FOREIGN_APPEND_MS: u64 = 100;
/// Rows of an embedded view that one transaction removes: batches of live views come in between.
pub const DROP_ROWS: usize = 4_096;
/// Most events of one batch of a replay while other events come in: a view's file or server is held for no longer than that
/// takes.
pub const REPLAY_BATCH_EVENTS_MAX: usize = 256;
/// How often a replay looks at the journal and the live views, in milliseconds.
pub const REPLAY_LOOK_MS: u64 = 200;
/// How far the live views may be behind the journal, in milliseconds; past it a replay stands still until they are not.
pub const REPLAY_LIVE_LAG_MS: u64 = 500;
/// Longest pass of a replay after which its view counts as caught up, in milliseconds: what came in meanwhile is as little.
pub const REPLAY_CAUGHT_UP_MS: u64 = 250;
/// How long an embedded store waits for another process's lock on its files, in milliseconds.
pub const BUSY_MS: u32 = 5_000;
/// Size at which an embedded store's write-ahead log is folded into its file, in pages of 4 KiB.
pub const WAL_PAGES: u32 = 4_096;
/// Jobs that wait for an embedded writer before whoever brings one more waits too.
pub const WRITER_QUEUE_JOBS_MAX: usize = 256;

/// Rows on one page when views are compared: so many are in memory at a time.
pub const COMPARE_PAGE_ROWS: usize = 2_048;
/// How long two views may take to stand at the same watermark when rows of them differ, in milliseconds; then the comparison
/// fails.
pub const COMPARE_SETTLE_MS: u64 = 30_000;
/// Events that a check takes in before it folds them.
pub const VERIFY_PENDING_EVENTS_MAX: usize = 16_384;
/// Lanes of each view that one turn of the background check compares: sixteen turns see all of them.
pub const VERIFY_LANES: usize = 4;
/// Events read and rows compared a second by the background check when the operator does not say.
pub const VERIFY_RATE_DEFAULT: u64 = 20_000;
/// Differing rows that a tool prints when nobody says how many; all of them are counted.
pub const VERIFY_ROWS_SHOWN: usize = 100;

// Stopping.

/// How long a gateway waits for requests under way after SIGTERM, in milliseconds.
pub const DRAIN_MS: u64 = 10_000;

// Tools.

/// How long a tool waits for a server to answer at the start, in milliseconds; then it ends with exit code 5.
pub const TOOL_CONNECT_MS: u64 = 5_000;
/// How often a replay says how far it has got where there is no terminal, in milliseconds.
pub const REPLAY_TOLD_EVERY_MS: u64 = 5_000;
/// Tries of the same call to the journal or a sink before a tool ends with the failure.
pub const TOOL_TRIES_MAX: u32 = 10;
/// How long a role waits between two tries of a server that is down when it starts, in milliseconds; it never gives up.
pub const ROLE_CONNECT_RETRY_MS: u64 = 3_000;
/// Most open connections to a consumer's metrics; further ones wait in the listen queue.
pub const OPERATION_CONNECTIONS_MAX: usize = 64;
/// How long `/readyz` waits for the journal and the sinks, in milliseconds; then the role is not ready.
pub const READY_CHECK_MS: u64 = 2_000;
/// How often a role asks the journal and the sinks whether they answer, in milliseconds, for its metrics.
pub const PROBE_MS: u64 = 5_000;
/// Most spans that wait to be exported; one more is dropped, and counted.
pub const TRACE_QUEUE_SPANS_MAX: usize = 8_192;
/// Most spans in one export.
pub const TRACE_BATCH_SPANS_MAX: usize = 512;
/// How long an export gathers spans once there is one, in milliseconds.
pub const TRACE_GATHER_MS: u64 = 500;
/// How long one export may take, in milliseconds; then its spans are lost, and counted.
pub const TRACE_EXPORT_MS: u64 = 5_000;
/// How long a process that ends waits for its last spans to be exported, in milliseconds.
pub const TRACE_FLUSH_MS: u64 = 3_000;
/// Most traces that the span of a batch links to, beside the one it belongs to.
pub const TRACE_LINKS_MAX: usize = 32;
/// Free space of a disk under which `cabildo doctor` warns, in bytes.
pub const DISK_FREE_BYTES_WARN: u64 = 1024 * 1024 * 1024;
/// Longest line of an import, in bytes; a longer one stops it. Above the largest event with its attributes.
pub const IMPORT_LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of an export that are packed at once; an export that is interrupted and gone on with repeats no more than that.
pub const EXPORT_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Events looked through for one with a certain id, or for effects, where the journal keeps no ids; the answer says how far.
pub const FIND_EVENTS_MAX: u64 = 200_000;
/// Most events in a tree of causes and effects; the answer says when there may be more.
pub const TREE_EVENTS_MAX: usize = 1_000;

// Grafana.

/// Most tries of one request to Grafana while it is starting, overloaded or not reached; then the tool ends with exit code 5.
pub const GRAFANA_TRIES_MAX: u32 = 4;
/// The wait after the first try, in milliseconds; each further one doubles it, up to [`RETRY_LONGEST_MS`].
pub const GRAFANA_RETRY_FIRST_MS: u64 = 250;
/// Most times that something in Grafana is read and compared again because somebody else changed it meanwhile; then it is an error.
pub const GRAFANA_CONFLICT_TRIES_MAX: u32 = 3;
/// Largest file of a token or a password, in bytes; a larger one is refused.
pub const GRAFANA_SECRET_BYTES_MAX: u64 = 4 * 1024;
/// Shortest time between two pushes to Grafana Live, in milliseconds: at most two a second.
pub const GRAFANA_PUSH_MS: u64 = 500;
/// Most options of a poll that are pushed to Grafana Live, those with the most votes.
pub const GRAFANA_PUSH_OPTIONS_MAX: usize = 50;
/// Silence on a live stream after which a tool that follows it connects anew, in milliseconds: three comments missed.
pub const FOLLOWED_SILENCE_MS: u64 = 3 * LIVE_COMMENT_MS;

// The load generator.

/// Most ballots in a file of votes; a larger file is refused.
pub const VOTE_ROWS_MAX: usize = 1_000_000;
/// Most concurrent clients of one load generator; more is a usage error.
pub const LOAD_USERS_MAX: u64 = 1_024;
/// How long a ballot is sent again while the other side cannot take it, in milliseconds; then it counts as failed.
pub const CAST_RETRY_MS: u64 = 60_000;
/// How long a client waits for the answer to one request, in milliseconds; then it drops the connection and tries again.
pub const CLIENT_REQUEST_MS: u64 = 15_000;
/// Largest answer that a client reads, in bytes; a larger one counts as a lost connection.
pub const CLIENT_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the final check waits for the tally to have every acknowledged ballot, in milliseconds; then it compares what is there.
pub const TALLY_SETTLE_MS: u64 = 60_000;
