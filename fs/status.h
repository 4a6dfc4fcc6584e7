/* What there is to know of a mounted volume, as JSON (kmsvol status) and as text (DIR/status). */
#ifndef FS_STATUS_H
#define FS_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "faults.h"
#include "gate.h"
#include "keywatch.h"
#include "kms.h"
#include "store.h"
#include "transport.h"

struct kms_json;

/* How the key watch and the store under it are: watch_status(). Wall times in ms since 1970; 0: none */
struct watch_status {
	enum keywatch_state state;
	uint64_t since_wall_ms;
	char reason[ERR_MSG_MAX]; /* of the state, or what it is busy with; "" when all is well */
	bool store_open;
	bool store_known; /* store holds what is, or what was when it was open last */
	struct store_stats store;
	uint64_t last_check_wall_ms;
	const char *last_check_result; /* "ok", "refused", "transient", "wrong-call"; "" for none */
	uint64_t next_check_wall_ms;
	uint64_t terminal_wall_ms; /* when the state becomes one for good; 0: it does not */
	uint64_t kms_calls;
	struct err kms_error; /* of the last call; num 0: it went well */
	enum kms_fault kms_fault;
};

/* Requests since the mount. */
struct io_counters {
	uint64_t reads, writes, read_bytes, written_bytes, flushes, discards, errors;
};

struct status {
	const char *volume_id, *volume_dir, *mountpoint, *key_arn, *cipher; /* borrowed */
	const char *provider, *provider_version; /* who computes it; borrowed */
	pid_t pid;
	uint64_t size_bytes;
	uint32_t block_size;
	bool read_only;
	const char *profile; /* its name; borrowed */
	struct keywatch_config config;
	struct watch_status watch;
	struct gate_stats gate;
	struct faults_status faults;
	struct io_counters io;
	struct transport_status transport;
};

/* One object, flat but for kms_error. The caller frees. NULL: out of memory. */
struct kms_json *status_json(const struct status *status);

/* Lines "name: value", the first "state: STATE". The caller frees. NULL: out of memory. */
char *status_text(const struct status *status);

#endif
