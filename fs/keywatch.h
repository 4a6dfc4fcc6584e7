/*
 * The key watch: what a volume does as its KMS key comes and goes. A pure function over states,
 * events and time; it has no thread, no clock and calls nobody. The table is in DESIGN.md.
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
	KEYWATCH_NONE,	       /* the key is asked for at mount only; mounted volumes live on */
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
	uint32_t time_scale;	    /* the waits between retries are divided by it; 0: as 1 */
};

#define KEYWATCH_NEVER UINT64_MAX

/*
 * Limits of the wait after a check that told nothing (a time-out, a throttle, ...), in real time. It is never
 * shorter than the check interval, and up to a quarter longer, at random: a KMS that fails is not asked
 * more often than one that works, and not by all volumes at once.
 */
#define KEYWATCH_RETRY_MIN_MS	1000
#define KEYWATCH_RETRY_MAX_MS	10000 /* or the check interval, when that is longer */
#define KEYWATCH_RETRY_FLOOR_MS 50    /* however much time is scaled */

/* All there is to know of one watched volume. Times are @now_ms of keywatch_step(). */
struct keywatch {
	enum keywatch_state state;
	uint64_t since_ms;	/* in this state */
	uint64_t lost_ms;	/* the volume became unreachable; what terminal_after counts from */
	uint64_t next_check_ms; /* KEYWATCH_NEVER: none is due */
	uint64_t unknown_ms;	/* the first of the transient failures in a row */
	uint32_t unknown_checks; /* how many; 0: the last check had an answer */
	bool good;		 /* unreachable, and the last check was good ... */
	uint64_t good_ms;	 /* ... since then */
	bool start_wanted;	 /* a manual start: the next good check starts, without a delay */
};

enum keywatch_event {
	KEYWATCH_CHECK_OK,	  /* KMS unwrapped the key */
	KEYWATCH_CHECK_REFUSED,	  /* KMS answered that it does not */
	KEYWATCH_CHECK_TRANSIENT, /* nothing is known of the key */
	KEYWATCH_TIMER,		  /* keywatch_deadline() has come, or just: time has passed */
	KEYWATCH_STORE_OPENED,
	KEYWATCH_STORE_FAILED, /* the unwrapping or opening that DO_OPEN or an errand wanted failed */
	KEYWATCH_MANUAL_START,
};
#define KEYWATCH_STATES 6
#define KEYWATCH_EVENTS 7

/* What the caller has to do, in the order of the bits. */
enum keywatch_action {
	KEYWATCH_DO_READ_ONLY = 1 << 0, /* refuse writes, make acknowledged ones durable */
	KEYWATCH_DO_LOSE = 1 << 1,   /* stop I/O, make writes durable, wipe the key and plaintext */
	KEYWATCH_DO_END = 1 << 2,    /* answer what waits with EIO, for good */
	KEYWATCH_DO_RESUME = 1 << 3, /* serve what waits, then everything */
	KEYWATCH_EMIT_WARNED = 1 << 4,	 /* RDS-EVENT-0418 */
	KEYWATCH_EMIT_LOST = 1 << 5,	 /* RDS-EVENT-0419 */
	KEYWATCH_EMIT_REGAINED = 1 << 6, /* RDS-EVENT-0420 */
	KEYWATCH_DO_OPEN = 1 << 7,	 /* unwrap and open; the outcome is the next event */
	KEYWATCH_DO_CHECK = 1 << 8,	 /* ask KMS; the answer is the next event */
};

/*
 * A volume that was just opened: available, the first check half an interval to one away, by @random: volumes
 * that are mounted together do not ask together.
 */
struct keywatch keywatch_begin(const struct keywatch_config *config, uint64_t now_ms,
			       uint32_t random);

/*
 * Let @event happen to @watch at @now_ms (monotonic). Returns the actions. @random: any 32 bits,
 * they spread retries. An event that means nothing in a state changes nothing.
 */
unsigned keywatch_step(const struct keywatch_config *config, struct keywatch *watch,
		       enum keywatch_event event, uint64_t now_ms, uint32_t random);

/* When KEYWATCH_TIMER is wanted next; KEYWATCH_NEVER. */
uint64_t keywatch_deadline(const struct keywatch_config *config, const struct keywatch *watch);

/* When KEYWATCH_INACCESSIBLE_RECOVERABLE ends for good; KEYWATCH_NEVER in other states, and when it never does. */
uint64_t keywatch_terminal(const struct keywatch_config *config, const struct keywatch *watch);

/* Can a manual start do something in this state? */
bool keywatch_can_start(const struct keywatch *watch);

const char *keywatch_state_name(enum keywatch_state state);
const char *keywatch_reaction_name(enum keywatch_reaction reaction); /* "none", "read-only", ... */

/* The reaction of that name; -ENOENT. */
int keywatch_reaction_by_name(const char *name, enum keywatch_reaction *ret_reaction);

#endif
