/*
 * The key watch: what a volume does as its KMS key comes and goes. A pure function over states,
 * events and time; it has no thread, no clock and calls nobody. See ../docs and DESIGN.md for the table.
 */
#ifndef FS_KEYWATCH_H
#define FS_KEYWATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Names as AWS has them: keywatch_state_name(). */
enum keywatch_state {
	KEYWATCH_AVAILABLE,
	KEYWATCH_WARNED,
	KEYWATCH_READ_ONLY,
	KEYWATCH_INACCESSIBLE_RECOVERABLE, /* inaccessible-encryption-credentials-recoverable */
	KEYWATCH_STARTING,
	KEYWATCH_INACCESSIBLE, /* inaccessible-encryption-credentials: for good */
};

/* What happens to I/O when the key is lost. */
enum keywatch_reaction {
	KEYWATCH_NONE,	       /* mounted volumes live on */
	KEYWATCH_READ_ONLY_IO, /* reads served, writes EROFS */
	KEYWATCH_ERROR,	       /* EIO */
	KEYWATCH_HANG,	       /* requests wait */
};

struct keywatch_config {
	enum keywatch_reaction reaction;
	uint64_t check_interval_ms;
	uint64_t grace_ms;	      /* in WARNED before the reaction */
	uint64_t kms_outage_grace_ms; /* transient failures for longer than this count as loss */
	bool recover_manually;
	uint64_t recover_delay_ms;  /* from the first good check to STARTING */
	uint64_t terminal_after_ms; /* in INACCESSIBLE_RECOVERABLE; 0: never */
};

#endif
