/*
 * outage.json: since when a volume has been unreachable for want of its key. It is why that state's clock
 * goes on while no daemon runs, and why a volume that was given up stays so.
 */
#ifndef FS_OUTAGE_H
#define FS_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/* Times in ms since 1970. */
struct outage {
	uint64_t since_wall_ms;	   /* 0: there is none */
	uint64_t terminal_wall_ms; /* from then on it is for good; 0: never */
};

/*
 * Read it from the volume's directory @dir_fd. No file is no outage. -EUCLEAN: the file makes no sense.
 * The sentence names the file, not the volume.
 */
int outage_load(int dir_fd, struct outage *ret_outage, struct err *err);

/* Keep it, durably. A negative errno. */
int outage_save(int dir_fd, const struct outage *outage);

/* The key is back: forget it. A negative errno. */
int outage_clear(int dir_fd);

/* Is it for good at @wall_ms? */
bool outage_is_terminal(const struct outage *outage, uint64_t wall_ms);

/* The sentence for a volume that was given up. Returns -EKEYREJECTED. */
int outage_refuse(const struct outage *outage, struct err *err);

#endif
