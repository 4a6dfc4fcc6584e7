/* The process around a mounted volume: into the background, and made safe for keys and for I/O. */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include <signal.h>

struct err;

/* Serves; calls @ready with @ready_arg once it does. Returns at the end. */
typedef int daemon_run(void *arg, void (*ready)(void *ready_arg), void *ready_arg, struct err *err);

/* Call @run here. */
int daemon_foreground(daemon_run *run, void *arg, struct err *err);

/*
 * Call @run in a process of its own: a new session, working directory /, no foreign file descriptors. Returns
 * in the calling process when it is ready (0) or has failed (what it said). Before any thread is made.
 * -EINTR: SIGINT, SIGTERM or SIGHUP came first, and the process has ended with all that it made.
 */
int daemon_background(daemon_run *run, void *arg, struct err *err);

/*
 * No core files and no debugger of the same user, memory locked where that is allowed, and marked as a
 * process that writes back memory (prctl(PR_SET_IO_FLUSHER)), so that it does not wait for itself below
 * a loop device. As many open files as a large volume has segments. What is not allowed is left out;
 * in sanitizer builds all but the open files.
 */
void daemon_harden(void);

/* The signals that ask to end and that are not ignored (nohup, a shell's background). */
void daemon_ending_signals(sigset_t *ret_set);

/* One open file a segment, thousands in a large volume: take all that the hard limit gives. */
void daemon_raise_limits(void);

#endif
