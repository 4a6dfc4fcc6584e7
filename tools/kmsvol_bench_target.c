/* Mounts to measure on: are they there, how they end. See kmsvol_bench_target.h. */
#include "kmsvol_bench_target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "kmsvol_bench_child.h"
#include "mountinfo.h"

#define MOUNT_MS 30000 /* until it is there */
#define PAUSE_MS 20
#define SAID_MAX 400

static int is_it(const struct mountinfo_entry *entry, void *arg)
{
	return strcmp(entry->mountpoint, arg) == 0 && strncmp(entry->fstype, "fuse", 4) == 0;
}

static bool is_mounted(const struct target *t)
{
	return mountinfo_each(is_it, (char *)(uintptr_t)t->mountpoint, NULL) == 1;
}

int target_check(const struct target *t, struct err *err)
{
	struct stat st;

	if (t->mountpoint[0] && !is_mounted(t))
		return err_set(err, ENOTCONN, "'%s' is not mounted", t->mountpoint);
	if (stat(t->file, &st) < 0)
		return err_set(err, errno, "'%s': %s", t->file, strerror(errno));
	return 0;
}

int target_wait(const struct bench *b, const struct target *t, const char *name, struct err *err)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	uint64_t begun = clock_monotonic_ms();
	char said[SAID_MAX];
	struct stat st;
	int status;

	while (!is_mounted(t) || stat(t->mountpoint, &st) < 0) {
		if (atomic_load(b->stop))
			return err_set(err, EINTR, "interrupted");
		for (size_t i = 0; i < TARGET_PIDS_MAX; i++)
			if (t->pids[i] && child_ended(t->pids[i], &status)) {
				child_last_line(b->work, name, said, sizeof(said));
				return err_set(err, EIO, "it ended: %s", said);
			}
		if (clock_monotonic_ms() - begun > MOUNT_MS)
			return err_set(err, ETIMEDOUT, "it is not mounted after %d s",
				       MOUNT_MS / 1000);
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

int target_start(const struct bench *b, struct target *t, const char *name,
		 const char *const argv[], struct err *err)
{
	for (size_t i = 0; i < TARGET_PIDS_MAX; i++)
		if (!t->pids[i])
			return child_start(b->work, name, argv, &t->pids[i], err);
	return err_set(err, E2BIG, "more than %d processes", TARGET_PIDS_MAX);
}

void target_end(struct target *t)
{
	const char *const argv[] = {"fusermount3", "-uz", t->mountpoint, NULL};
	static const atomic_bool never;

	for (size_t i = TARGET_PIDS_MAX; i-- > 0;) { /* the one started last shows the file */
		child_end(t->pids[i]);
		t->pids[i] = 0;
	}
	if (!t->mountpoint[0] || !is_mounted(t))
		return;
	if (umount2(t->mountpoint, MNT_DETACH) < 0) /* as root; else by the one that may */
		(void)child_run(t->dir, "fusermount3", argv, MOUNT_MS, &never, NULL);
}
