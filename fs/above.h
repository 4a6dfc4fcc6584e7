/*
 * The daemon's end of the keeper: the process that looks after the file system above the volume (mount --fs)
 * while the key is lost. It is a process of its own because what it does can block on I/O that this daemon
 * serves: a thread of ours that sleeps there could not be killed, and /dev/fuse would stay open for ever. It is
 * started when it is first needed, holds no file of ours but a socket, and ends with us. Each call waits for
 * its answer until a deadline and no longer.
 */
#ifndef FS_ABOVE_H
#define FS_ABOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "above_plan.h"

struct above;
struct events;

/* How long each may take, but for losing access, whose time is the user's. */
#define ABOVE_CLOSED_MS	  4000
#define ABOVE_REGAINED_MS 60000 /* a mount may have to replay a journal */
#define ABOVE_RELEASE_MS  5000
#define ABOVE_END_MS	  20000

#define ABOVE_WORD_MAX 512 /* bytes of one message on the socket */

/* All borrowed and to outlive it. */
struct above_setup {
	/* The keeper: a program and its arguments, NULL-terminated. It gets the state that the file system
	 * is thought to be in as one more, and the socket as its standard input. */
	const char *const *argv;
	struct events *events;
};
#define ABOVE_ARGV_MAX 6

/* NULL: out of memory. */
struct above *above_new(const struct above_setup *setup);

/*
 * Tell the keeper what happens, and wait until it has done what follows from that, at most @timeout_ms. True:
 * done. False: not in time, or not everything; said, and in the diary. What is late is done later, in the order
 * in which it was told. With no keeper running, regained, release and closed are not told: nothing was done.
 * From any thread, one after the other. @above NULL: there is no file system above; true.
 */
bool above_tell(struct above *above, enum above_event event, uint64_t timeout_ms);

/* Where the file system is, or will be when the keeper is done. */
enum above_state above_state(struct above *above);

/* Let no above_tell() wait any more, but for ABOVE_END. */
void above_cancel(struct above *above);

/* The keeper is let go, and ends. NULL is allowed. */
void above_free(struct above *above);

#endif
