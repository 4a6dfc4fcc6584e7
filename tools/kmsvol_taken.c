/* What earlier mounts left. See kmsvol_taken.h. */
#include "kmsvol_taken.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kmsvol_cmd.h"
#include "secret.h"

#define WORDS_MAX 8192

/* Where the user sees it. */
static const char *seen_at(const struct place *place)
{
	return place->mountpoint ? place->mountpoint : place->fuse_dir;
}

static bool fs_is_mounted(const struct place *place)
{
	return place->loop && *place->loop && place_has(place->mountpoint, place->loop);
}

/* A daemon holds the lock from before its mount is there until everything is written. */
static bool is_locked(const char *volume_dir)
{
	AUTO(freep) char *path = NULL;
	bool locked;
	int fd;

	if (asprintf(&path, "%s/lock", volume_dir) < 0) {
		path = NULL;
		return true;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_SH | LOCK_NB) < 0;
	(void)close(fd); /* only read; this unlocks it too */
	return locked;
}

/* It does not answer: has it ended, or does it start or end just now? */
static bool has_died(const struct place *place)
{
	struct statfs fs;

	if (place->fuse_mounted)
		return statfs(place->fuse_dir, &fs) < 0 && errno == ENOTCONN;
	return !is_locked(place->volume_dir);
}

enum taken taken_by(const struct place *place)
{
	int r;

	if (!place->fuse_dir)
		return TAKEN_NOT;
	r = cmd_ask(place->volume_dir, "status", NULL, NULL);
	if (r == -ENOTCONN)
		return has_died(place) ? TAKEN_DEAD : TAKEN_LIVE;
	if (place->fuse_mounted && place->fs_was_mounted && !fs_is_mounted(place))
		return TAKEN_FS_GONE;
	return TAKEN_LIVE;
}

void taken_words(const struct place *place, enum taken taken, char *ret_text, size_t room)
{
	*ret_text = '\0';
	if (taken == TAKEN_DEAD)
		(void)snprintf(ret_text, room,
			       "its daemon has died and left the mount at '%s'; "
			       "'%s unmount %s' takes it away",
			       seen_at(place), CMD_PROGRAM, seen_at(place));
	else if (taken == TAKEN_FS_GONE)
		(void)snprintf(ret_text, room,
			       "its file system was unmounted from '%s'; '%s unmount %s' ends it",
			       seen_at(place), CMD_PROGRAM, place->volume_dir);
}

static int check_volume(const char *volume_dir, struct err *err)
{
	char words[WORDS_MAX];
	struct place place;
	int r = place_find(volume_dir, &place, err);

	if (r < 0)
		return r;
	taken_words(&place, taken_by(&place), words, sizeof(words));
	if (*words)
		r = err_set(err, EBUSY, "volume '%s': %s", volume_dir, words);
	place_free(&place);
	return r;
}

int taken_check(const char *volume_dir, const char *dir, struct err *err)
{
	char words[WORDS_MAX];
	struct place place;
	int r = check_volume(volume_dir, err);

	if (r == 0)
		r = place_find(dir, &place, err);
	if (r < 0)
		return r;
	if (place.fuse_dir && strcmp(place.volume_dir, dir) != 0 &&
	    strcmp(place.volume_dir, volume_dir) != 0) {
		taken_words(&place, taken_by(&place), words, sizeof(words));
		r = err_set(err, EBUSY, "mount point '%s': volume '%s' is mounted there%s%s", dir,
			    place.volume_dir, *words ? ": " : "", words);
	}
	place_free(&place);
	return r;
}
