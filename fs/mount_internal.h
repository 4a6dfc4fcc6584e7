/* A mounted volume's parts, shared by main.c and requests.c, and nobody else. */
#ifndef FS_MOUNT_INTERNAL_H
#define FS_MOUNT_INTERNAL_H

#include <stdbool.h>

#include "mount.h"
#include "outage.h"

struct above;
struct attachment;
struct change_job;
struct control;
struct events;
struct faults;
struct fusefs;
struct gate;
struct hook;
struct kms;
struct rotate_job;
struct snapshot_job;
struct volume_header;
struct watch;

/* One mounted volume. All zero but the fds (-1) is nothing yet: mounted_free() may come at any time. */
struct mounted {
	const struct mount_options *options;
	char *volume_dir, *mountpoint; /* absolute, without links */
	int dir_fd, lock_fd, signal_fd, stop_fd;
	struct outage outage; /* as it was at the mount */
	struct volume_header *header;
	struct kms *kms;
	struct attachment *attachment;
	struct gate *gate;
	struct events *events;
	struct hook *hook;
	struct above *above; /* NULL: no file system lies on it */
	struct watch *watch;
	struct faults *faults;
	uint64_t
		hold_limit_ms; /* how long the kernel lets a request wait; 0: as long as it likes */
	struct fusefs *fusefs;
	struct snapshot_job *snapshots;
	struct change_job *changes;
	struct rotate_job *rotation;
	struct control *control;
	bool read_only; /* asked for, or a snapshot */
};

#endif
