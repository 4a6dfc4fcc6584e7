/*
 * The mounted view of a volume: a directory with `disk`, the volume as one file of fixed size, and
 * `status`. Owns the FUSE session and its threads.
 *
 * `disk` behaves as a disk image whose size cannot change: what is cut off reads as zeros afterwards, and
 * the size stays. So O_TRUNC and ftruncate() work as for an image that is extended again, and dd, cp
 * --sparse and image tools work without flags. To make it longer is EFBIG.
 */
#ifndef FS_FUSEFS_H
#define FS_FUSEFS_H

#include <stdbool.h>
#include <stdint.h>

#include "transport.h"

struct err;
struct faults;
struct fusefs;
struct gate;
struct io_counters;
struct watch;

/* All borrowed and to outlive the fusefs. */
struct fusefs_setup {
	const char *volume_dir;
	const char *mountpoint; /* absolute */
	uint64_t size_bytes;
	uint32_t block_size;
	bool read_only;
	bool allow_other;
	enum transport_wish transport;
	struct gate *gate;
	struct watch *watch;
	struct faults *faults;
	char *(*status_text)(void *arg); /* what `status` shows; malloc()ed. NULL: out of memory */
	void *arg;
};

/* Mount; nothing is served yet. Calls of signal handlers for SIGUSR1 are this module's. */
int fusefs_mount(const struct fusefs_setup *setup, struct fusefs **ret_fusefs, struct err *err);

/*
 * Start the threads, and wait until the mount is seen to answer. On failure it is unmounted; -EIO
 * with a sentence.
 */
int fusefs_start(struct fusefs *fusefs, struct err *err);

/* Readable (poll(2)) when the session has ended: it was unmounted or aborted from outside. */
int fusefs_ended_fd(const struct fusefs *fusefs);

/*
 * Ask the kernel to unmount, as umount(8) would: -EBUSY while it is in use. With @force it vanishes from
 * the tree at once, and who still has it open gets ENOTCONN after fusefs_stop(). -EBUSY in both cases
 * when another mount lies over it. From any thread.
 */
int fusefs_unmount(struct fusefs *fusefs, bool force, struct err *err);

/* Unmount if it still is mounted, and end all threads: afterwards nothing is inside the gate. Nobody may
 * wait there (gate_end_hold()), and fusefs_forget() must not run (watch_end()). */
void fusefs_stop(struct fusefs *fusefs);
void fusefs_free(struct fusefs *fusefs); /* after fusefs_stop(); NULL is allowed */

/*
 * The key is lost and nothing is inside the gate: wipe the buffers of all threads, drop the pages that
 * private mappings of `disk` have left in the kernel. For watch_start().
 */
void fusefs_forget(void *fusefs);

/*
 * EIO from now on for what loop devices of mount --fs (which open `disk` with O_NOATIME) opened until now: see
 * fuseio_fence(). For when the file system on them was shut down; with the gate closed.
 */
void fusefs_fence(struct fusefs *fusefs);

/* `disk` has this size from now on, and the kernel is told. From any thread but FUSE's. */
void fusefs_resize(struct fusefs *fusefs, uint64_t size_bytes);

void fusefs_count(struct fusefs *fusefs, struct io_counters *ret_counters);

/* How requests come; after fusefs_start(). */
void fusefs_transport(struct fusefs *fusefs, struct transport_status *ret_status);

#endif
