/* From a path to a volume and its mounts. See kmsvol_place.h. */
#include "kmsvol_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "mountinfo.h"
#include "secret.h"

#define RECORD_MAX 16384 /* bytes */

void place_free(struct place *place)
{
	free(place->volume_dir);
	free(place->fuse_dir);
	free(place->mountpoint);
	free(place->loop);
	free(place->record);
	*place = (struct place){0};
}

char *place_absolute(const char *path)
{
	char *whole = realpath(path, NULL), *parent, *copy1, *copy2, *result = NULL;

	if (whole || errno == ENOENT || errno == ENOTDIR)
		return whole;
	copy1 = strdup(path);
	copy2 = strdup(path);
	parent = copy1 ? realpath(dirname(copy1), NULL) : NULL;
	if (parent && copy2 &&
	    asprintf(&result, "%s/%s", strcmp(parent, "/") ? parent : "", basename(copy2)) < 0)
		result = NULL;
	free(parent);
	free(copy1);
	free(copy2);
	return result;
}

struct top {
	const char *dir;
	char *type, *source;
	bool found;
};

static int note_top(const struct mountinfo_entry *e, void *p)
{
	struct top *top = p;

	if (strcmp(e->mountpoint, top->dir) != 0)
		return 0;
	free(top->type);
	free(top->source);
	top->type = strdup(e->fstype);
	top->source = strdup(e->source);
	top->found = true;
	return 0; /* a later one lies on top of this */
}

bool place_mounted(const char *dir, char **ret_type, char **ret_source)
{
	struct top top = {.dir = dir};

	if (mountinfo_each(note_top, &top, NULL) < 0) {
		free(top.type);
		free(top.source);
		return false;
	}
	if (ret_type)
		*ret_type = top.type;
	else
		free(top.type);
	if (ret_source)
		*ret_source = top.source;
	else
		free(top.source);
	return top.found;
}

static int note_source(const struct mountinfo_entry *e, void *p)
{
	const char *const *wanted = p;

	return strcmp(e->mountpoint, wanted[0]) == 0 && strcmp(e->source, wanted[1]) == 0;
}

bool place_has(const char *dir, const char *source)
{
	const char *wanted[] = {dir, source};

	return mountinfo_each(note_source, wanted, NULL) > 0;
}

/* One record into @ret; false when it is not one of ours or cannot be read. */
static bool record_load(const char *name, struct place *ret)
{
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	const char *volume_dir, *fuse_dir, *mountpoint, *loop;
	char text[RECORD_MAX];
	FILE *f;
	size_t n;

	if (asprintf(&ret->record, "%s/%s", PLACE_RUN_DIR, name) < 0) {
		ret->record = NULL;
		return false;
	}
	f = fopen(ret->record, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	if (kms_json_parse(text, n, &obj, NULL) < 0 ||
	    kms_json_str(obj, "volume_dir", &volume_dir, NULL) < 0 ||
	    kms_json_str(obj, "fuse_dir", &fuse_dir, NULL) < 0 ||
	    kms_json_str(obj, "mountpoint", &mountpoint, NULL) < 0 ||
	    kms_json_str(obj, "loop", &loop, NULL) < 0)
		return false;
	(void)kms_json_bool(obj, "fs_was_mounted", &ret->fs_was_mounted, NULL); /* else false */
	ret->volume_dir = strdup(volume_dir);
	ret->fuse_dir = strdup(fuse_dir);
	ret->mountpoint = strdup(mountpoint);
	ret->loop = strdup(loop);
	return ret->volume_dir && ret->fuse_dir && ret->mountpoint && ret->loop;
}

/* Look for @path in the records. */
static bool find_record(const char *path, struct place *ret)
{
	DIR *d = opendir(PLACE_RUN_DIR);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		struct place p = {0};

		if (n < 6 || strcmp(e->d_name + n - 5, ".json") != 0)
			continue;
		found = record_load(e->d_name, &p) &&
			(strcmp(p.mountpoint, path) == 0 || strcmp(p.volume_dir, path) == 0 ||
			 strcmp(p.fuse_dir, path) == 0);
		if (found)
			*ret = p;
		else
			place_free(&p);
	}
	if (d)
		closedir(d);
	return found;
}

struct search {
	const char *path;
	struct place *place;
};

static int note_fuse(const struct mountinfo_entry *e, void *p)
{
	struct search *s = p;

	if (strcmp(e->fstype, MOUNTINFO_FSTYPE) != 0 ||
	    (strcmp(e->mountpoint, s->path) != 0 && strcmp(e->source, s->path) != 0))
		return 0;
	place_free(s->place);
	s->place->volume_dir = strdup(e->source);
	s->place->fuse_dir = strdup(e->mountpoint);
	s->place->fuse_mounted = true;
	return 0; /* a later one lies on top of this */
}

int place_find(const char *path, struct place *ret_place, struct err *err)
{
	AUTO(freep) char *absolute = place_absolute(path);
	struct place place = {0};
	struct search search = {.path = absolute, .place = &place};
	int r = 0;

	if (!absolute)
		return err_set(err, errno, "'%s': %s", path, strerror(errno));
	if (find_record(absolute, &place)) {
		place.fuse_mounted = place_has(place.fuse_dir, place.volume_dir);
	} else {
		r = mountinfo_each(note_fuse, &search, err);
		if (r == 0 && !place.volume_dir)
			place.volume_dir = strdup(absolute);
	}
	if (r == 0 && !place.volume_dir)
		r = err_set(err, ENOMEM, "'%s': out of memory", path);
	if (r < 0) {
		place_free(&place);
		return r;
	}
	*ret_place = place;
	return 0;
}

int place_record_save(const struct place *place, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *obj = kms_json_new_object();
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *temporary = NULL;
	FILE *f;
	int fd, r = 0;

	if (obj && (kms_json_set_str(obj, "volume_dir", place->volume_dir) |
		    kms_json_set_str(obj, "fuse_dir", place->fuse_dir) |
		    kms_json_set_str(obj, "mountpoint", place->mountpoint) |
		    kms_json_set_str(obj, "loop", place->loop ? place->loop : "") |
		    kms_json_set_bool(obj, "fs_was_mounted", place->fs_was_mounted)) == 0)
		text = kms_json_text(obj);
	if (!text || asprintf(&temporary, "%s.new", place->record) < 0) {
		temporary = NULL;
		return err_set(err, ENOMEM, "'%s': out of memory", place->record);
	}
	/* Root acts on it later: writable by root alone, whatever the umask. */
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		r = err_set(err, errno, "'%s': %s", temporary, strerror(errno));
		if (fd >= 0)
			(void)close(fd); /* nothing was written */
		return r;
	}
	if (fprintf(f, "%s\n", text) < 0)
		r = -EIO;
	if (fclose(f) != 0 || (r == 0 && rename(temporary, place->record) < 0))
		r = -errno;
	if (r < 0) {
		(void)unlink(temporary);
		return err_set(err, -r, "'%s': cannot write: %s", place->record, strerror(-r));
	}
	return 0;
}

void place_record_remove(const struct place *place)
{
	if (place->record)
		(void)unlink(place->record); /* it may have gone already */
}

void place_private_remove(const struct place *place)
{
	(void)rmdir(place->fuse_dir); /* it may have gone already */
	(void)rmdir(PLACE_RUN_DIR);   /* others may have theirs in it */
}

int place_check_volume(const struct place *place, struct err *err)
{
	AUTO(freep) char *path = NULL;

	if (place->fuse_dir)
		return 0;
	if (asprintf(&path, "%s/volume.json", place->volume_dir) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
		return 0; /* loading it will tell */
	return err_set(err, ENOENT, "'%s': no volume, and none is mounted there",
		       place->volume_dir);
}
