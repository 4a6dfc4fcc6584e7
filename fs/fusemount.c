/* The mount of a session in the tree: how it is asked for, whether it is there, its end. */
#include "fusemount.h"

#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "mountinfo.h"

extern char **environ;

/* What the mount table says of our mount. */
struct whereabouts {
	const struct fusemount *mount;
	bool mounted; /* somewhere in the tree */
	bool covered; /* another one lies on top of it at its place */
};

static int note_mount(const struct mountinfo_entry *e, void *arg)
{
	struct whereabouts *w = arg;
	bool ours = makedev(e->major, e->minor) == w->mount->dev;

	w->mounted |= ours;
	if (strcmp(e->mountpoint, w->mount->mountpoint) == 0)
		w->covered = !ours; /* the last one is the one on top */
	return 0;
}

static struct whereabouts find_mount(const struct fusemount *mount)
{
	struct whereabouts w = {.mount = mount};

	if (!mount->made)
		return w; /* what is at that place is not ours */
	if (mount->dev == 0 || mountinfo_each(note_mount, &w, NULL) < 0)
		return (struct whereabouts){.mounted = true}; /* not known: let the kernel say */
	return w;
}

/* umount without root: fusermount3 does it. */
static int fusermount(const char *mountpoint, bool lazy)
{
	char *argv[] = {(char *)(uintptr_t) "fusermount3",
			(char *)(uintptr_t)(lazy ? "-uqz" : "-uq"), (char *)(uintptr_t) "--",
			(char *)(uintptr_t)mountpoint, NULL};
	pid_t pid;
	int status;
	int num = posix_spawnp(&pid, "fusermount3", NULL, NULL, argv, environ);

	if (num)
		return -num;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int fusemount_end(const struct fusemount *mount, bool force, struct err *err)
{
	const char *dir = mount->mountpoint;
	struct whereabouts at = find_mount(mount);
	int r;

	if (!at.mounted)
		return 0;
	if (at.covered)
		return err_set(err, EBUSY, "cannot unmount '%s': something is mounted over it",
			       dir);
	if (geteuid() == 0)
		r = umount2(dir, UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0)) < 0 ? -errno : 0;
	else
		r = fusermount(dir, force);
	if (r < 0 && find_mount(mount).mounted)
		return err_set(err, -r, "cannot unmount '%s': %s", dir, strerror(-r));
	return 0;
}
