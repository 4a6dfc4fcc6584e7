/*
 * Making a volume, unwrapping its data key, its lock. The order of making: KMS is asked first, so
 * that a refusal leaves nothing; volume.json comes last, so that a directory with a header is a
 * whole volume. See volume.h.
 */
#include "volume.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attachment.h"
#include "bytes.h"
#include "err.h"
#include "ids.h"
#include "keys.h"
#include "mountinfo.h"
#include "secret.h"
#include "volume_derive.h"
#include "volume_seal.h"

/* 0: there and empty, 1: not there. */
static int check_place(const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = true;

	if (!d && errno == ENOENT)
		return 1;
	if (!d && errno == ENOTDIR)
		return err_set(err, EEXIST, "it exists and is not a directory");
	if (!d)
		return err_set(err, errno, "cannot look into the directory: %s", strerror(errno));
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			empty = false;
	(void)closedir(d); /* only read */
	if (!empty)
		return err_set(err, EEXIST, "the directory exists and is not empty");
	return 0;
}

/* RDS binds its volumes to a database too; ours has the volume's digits. */
static int add_database(struct volume_header *h, struct err *err)
{
	char id[sizeof(h->geometry.volume_id)] = "db-";
	const char *digit = h->geometry.volume_id + strlen("vol-");
	size_t n = strlen(id);

	for (; *digit; digit++)
		id[n++] = (char)toupper((unsigned char)*digit);
	id[n] = '\0';
	return volume_header_add_pair(h, ATTACHMENT_RDS_PAIR, id, err);
}

/* The encryption context: the id of the volume, then the user's pairs. */
static int add_context(struct volume_header *h, const struct volume_create_options *o,
		       struct err *err)
{
	const struct kms_context *user = o->context;
	int r = volume_header_add_pair(h, VOLUME_ID_CONTEXT, h->geometry.volume_id, err);
	size_t bytes = strlen(VOLUME_ID_CONTEXT) + strlen(h->geometry.volume_id);

	if (r == 0 && o->rds)
		r = add_database(h, err);
	for (size_t i = 0; user && r == 0 && i < user->count; i++) {
		const struct kms_pair *p = &user->pairs[i];

		if (!*p->name || !*p->value)
			return err_set(err, EINVAL, "encryption context: '%s=%s' has an empty part",
				       p->name, p->value);
		for (size_t k = 0; k < h->pair_count; k++)
			if (strcmp(h->pairs[k].name, p->name) == 0)
				return err_set(err, EINVAL, "encryption context: '%s' is %s",
					       p->name,
					       k ? "given twice" : "set to the volume's id");
		bytes += strlen(p->name) + strlen(p->value);
		r = volume_header_add_pair(h, p->name, p->value, err);
	}
	if (r == -E2BIG || bytes > KMS_CONTEXT_MAX)
		return err_set(err, EINVAL,
			       "encryption context: more than %d pairs or %d bytes in all",
			       VOLUME_PAIRS_MAX, KMS_CONTEXT_MAX);
	return r;
}

/* A new header from the options, all but the members that KMS gives, and unsealed. */
static int new_header(const struct volume_create_options *o, struct volume_header **ret_header,
		      struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_set(err, ENOMEM, "out of memory");
	h->geometry.size_bytes = o->size_bytes;
	h->geometry.block_size = o->block_size ? o->block_size : STORE_BLOCK_SIZE_MIN;
	h->geometry.cipher = o->cipher;
	h->created = (int64_t)time(NULL);
	r = id_new("vol-", h->geometry.volume_id, err);
	if (r == 0)
		r = store_geometry_check(&h->geometry, err);
	if (r == 0)
		r = add_context(h, o, err);
	if (r < 0)
		return r;
	*ret_header = h;
	h = NULL;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	if (ftw->level > 0)
		(void)(flag == FTW_DP ? rmdir(path) : unlink(path)); /* what stays, stays */
	return 0;
}

/* Undo volume_lay_out(); the directory itself goes only if it was made. Errors have been told already. */
static void remove_made(const char *dir, bool made_dir)
{
	(void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (made_dir)
		(void)rmdir(dir);
}

/* The name of a new directory becomes durable with its parent. */
static int sync_parent(const char *dir, struct err *err)
{
	AUTO(freep) char *copy = strdup(dir);
	int fd, r = 0;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		r = err_set(err, errno, "cannot sync the directory above: %s", strerror(errno));
	if (fd >= 0)
		(void)close(fd); /* only read */
	return r;
}

/*
 * Whoever makes a volume holds a lock on its directory, so that of two at a time only one fills it, and
 * cleans it up when that fails.
 */
static int claim_directory(const char *dir, int *ret_fd, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat held, there;
	int r = 0;

	if (fd < 0)
		return err_set(err, errno, "cannot open the directory: %s", strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK
			    ? err_set(err, EBUSY, "another process is making a volume there")
			    : err_set(err, errno, "cannot lock the directory: %s", strerror(errno));
	else if (fstat(fd, &held) < 0 || stat(dir, &there) < 0)
		r = err_set(err, errno, "%s", strerror(errno));
	else if (held.st_dev != there.st_dev || held.st_ino != there.st_ino)
		r = err_set(err, EBUSY, "another process has replaced the directory");
	else
		r = check_place(dir, err); /* once more: KMS took its time */
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* Open the new store in @dir, have it filled, close it. */
static int fill_store(const char *dir, const struct volume_header *header,
		      const struct secret *data_key, const struct volume_filler *filler,
		      struct err *err)
{
	struct store *store;
	struct err close_err;
	int r = store_open(dir, &header->geometry, data_key, false, &store, err), closed;

	if (r < 0)
		return r;
	r = filler->fill(filler->arg, store, err);
	closed = store_close(store, &close_err);
	if (r == 0 && closed < 0 && err)
		*err = close_err;
	return r < 0 ? r : closed;
}

int volume_lay_out(const char *dir, struct volume_header *header, const struct secret *data_key,
		   const struct volume_filler *filler, struct err *err)
{
	bool made = mkdir(dir, 0700) == 0;
	int fd = -1, r;

	if (!made && errno != EEXIST)
		return err_set(err, errno, "cannot make the directory: %s", strerror(errno));
	r = claim_directory(dir, &fd, err);
	if (r < 0)
		return r; /* what is there is not ours */
	r = volume_seal_set(header, data_key, err);
	if (r == 0)
		r = store_create(dir, &header->geometry, data_key, err);
	if (r == 0 && filler)
		r = fill_store(dir, header, data_key, filler, err);
	if (r == 0)
		r = volume_header_save(header, dir, err);
	if (r == 0)
		r = sync_parent(dir, err);
	/* -EEXIST: somebody else is laying out a volume here, which is his to keep. */
	if (r < 0 && r != -EEXIST)
		remove_made(dir, made);
	close(fd);
	return r;
}

static int unwrap(const struct volume_header *header, const struct kms_blob *wrapped,
		  struct kms *kms, struct secret **ret_data_key, struct err *err)
{
	struct kms_context context = {.pairs = header->pairs, .count = header->pair_count};
	AUTO(secret_freep) struct secret *data_key = NULL;
	int r = kms_decrypt(kms, wrapped->bytes, wrapped->len, &context, header->key_arn, &data_key,
			    err);

	if (r < 0)
		return err_prefix(err, "cannot unwrap data key");
	if (secret_len(data_key) != STORE_DATA_KEY_LEN)
		return err_set(err, EUCLEAN, "the unwrapped data key has %zu bytes, not %d",
			       secret_len(data_key), STORE_DATA_KEY_LEN);
	*ret_data_key = data_key;
	data_key = NULL;
	return 0;
}

int volume_unwrap_unsealed(const struct volume_header *header, struct kms *kms,
			   struct secret **ret_data_keys, struct err *err)
{
	AUTO(secret_freep) struct secret *newest = NULL, *previous = NULL;
	int r = unwrap(header, &header->wrapped_key, kms, &newest, err);

	if (r == 0 && header->geometry.previous_key) {
		r = unwrap(header, &header->previous_key, kms, &previous, err);
		return r < 0 ? r : keys_join(newest, previous, ret_data_keys, err);
	}
	if (r < 0)
		return r;
	*ret_data_keys = newest;
	newest = NULL;
	return 0;
}

int volume_check_key(const struct volume_header *header, struct kms *kms, struct err *err)
{
	AUTO(secret_freep) struct secret *newest = NULL;
	int r = unwrap(header, &header->wrapped_key, kms, &newest, err);

	return r < 0 ? r : volume_seal_check(header, newest, err);
}

static int create(const char *dir, const struct volume_create_options *options, struct kms *kms,
		  struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *h = NULL;
	AUTO(secret_freep) struct secret *data_key = NULL;
	struct attachment *attachment = NULL;
	int r = check_place(dir, err);

	if (r < 0)
		return r;
	r = new_header(options, &h, err);
	if (r < 0)
		return r;
	r = attachment_new(h, options->key_id, kms, &attachment, err);
	if (r == 0)
		r = volume_ask_data_key(h, options->key_id, kms, attachment, &data_key, err);
	if (r == 0)
		r = volume_lay_out(dir, h, data_key, NULL, err);
	attachment_made(attachment, r);
	return r;
}

int volume_create(const char *dir, const struct volume_create_options *options, struct kms *kms,
		  struct err *err)
{
	if (create(dir, options, kms, err) < 0)
		return err_prefix(err, "volume '%s'", dir);
	return 0;
}

int volume_unwrap(const struct volume_header *header, struct kms *kms,
		  struct secret **ret_data_keys, struct err *err)
{
	AUTO(secret_freep) struct secret *data_keys = NULL;
	int r = volume_unwrap_unsealed(header, kms, &data_keys, err);

	if (r == 0)
		r = volume_seal_check(header, data_keys, err);
	if (r < 0)
		return r;
	*ret_data_keys = data_keys;
	data_keys = NULL;
	return 0;
}

struct holder {
	const char *source; /* the volume, as mounts name it */
	char *mountpoint;   /* owned; NULL: not found */
};

static int find_mount(const struct mountinfo_entry *entry, void *p)
{
	struct holder *holder = p;

	if (strcmp(entry->fstype, MOUNTINFO_FSTYPE) != 0 ||
	    strcmp(entry->source, holder->source) != 0)
		return 0;
	holder->mountpoint = strdup(entry->mountpoint);
	return 1;
}

/* Say who holds the lock of @dir, as far as it can be found out. */
static int busy(const char *dir, int fd, struct err *err)
{
	char text[32] = "";
	AUTO(freep) char *source = realpath(dir, NULL);
	struct holder holder = {.source = source};
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int r;

	text[n > 0 ? strspn(text, "0123456789") : 0] = '\0';
	if (source)
		(void)mountinfo_each(find_mount, &holder, NULL); /* only to say more */
	r = err_set(err, EBUSY, "in use by process %s%s%s%s", *text ? text : "(unknown)",
		    holder.mountpoint ? ", mounted at '" : "",
		    holder.mountpoint ? holder.mountpoint : "", holder.mountpoint ? "'" : "");
	free(holder.mountpoint);
	return r;
}

bool volume_is(const char *dir)
{
	AUTO(freep) char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/" VOLUME_HEADER_NAME, dir) < 0) {
		path = NULL;
		return true; /* loading it will tell */
	}
	return lstat(path, &st) == 0;
}

int volume_lock(const char *dir, int *ret_fd, struct err *err)
{
	AUTO(freep) char *path = NULL;
	char text[32];
	int fd, n;

	if (asprintf(&path, "%s/lock", dir) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EROFS) /* a volume on read-only media can be read */
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(err, errno, "lock: %s", strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? busy(dir, fd, err)
					     : err_set(err, errno, "lock: %s", strerror(errno));
		(void)close(fd); /* nothing was written */
		return r;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	/* For people only, so a full disk or read-only media does not stop us. */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		(void)!ftruncate(fd, 0); /* half an id would mislead more than none */
	*ret_fd = fd;
	return 0;
}
