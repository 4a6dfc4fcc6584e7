/* What others offer for the same purpose, and what there is without encryption, made ready for the same jobs. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "kmsvol_bench_child.h"
#include "kmsvol_bench_target.h"

#define SET_UP_MS 60000
#define TEXT_MAX  (PATH_MAX + 128)

/* Paths and arguments made of the target's directory. */
#define TEXT(name, ...)                                                                            \
	char name[TEXT_MAX];                                                                       \
	(void)snprintf(name, sizeof(name), __VA_ARGS__) /* fits: dir is shorter */

static int make_file(const char *path, const char *content, uint64_t size, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r = 0;
	size_t len = strlen(content);

	if (fd < 0 || write(fd, content, len) != (ssize_t)len ||
	    (size && ftruncate(fd, (off_t)size) < 0))
		r = err_set(err, errno, "'%s': %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd); /* it is a benchmark's */
	return r;
}

static int make_dir(const char *path, struct err *err)
{
	return mkdir(path, 0700) == 0 ? 0 : err_set(err, errno, "'%s': %s", path, strerror(errno));
}

/* Directories "data" and "mnt" of the target; the file is mnt/disk. */
static int make_dirs(struct target *t, struct err *err)
{
	TEXT(data, "%s/data", t->dir);
	TEXT(pass, "%s/pass", t->dir);
	int r = make_dir(data, err);

	(void)snprintf(t->mountpoint, sizeof(t->mountpoint), "%s/mnt", t->dir);
	(void)snprintf(t->file, sizeof(t->file), "%s/mnt/disk", t->dir);
	if (r == 0)
		r = make_dir(t->mountpoint, err);
	return r == 0 ? make_file(pass, "secret", 0, err) : r;
}

/* The mount is there: a file in it. */
static int make_disk(const struct bench *b, const struct target *t, const char *name,
		     struct err *err)
{
	int r = target_wait(b, t, name, err);

	return r == 0 ? make_file(t->file, "", b->options->size_bytes, err) : r;
}

static int set_up_file(const struct bench *b, struct target *t, struct err *err)
{
	(void)snprintf(t->file, sizeof(t->file), "%s/disk", t->dir);
	return make_file(t->file, "", b->options->size_bytes, err);
}

static int set_up_passthrough(const struct bench *b, struct target *t, struct err *err)
{
	TEXT(source, "source=%s/data", t->dir);
	const char *argv[] = {b->options->passthrough ? b->options->passthrough : "passthrough_ll",
			      "-f",
			      "-o",
			      source,
			      "-o",
			      "cache=never",
			      t->mountpoint,
			      NULL};
	int r = make_dirs(t, err);

	if (r == 0)
		r = target_start(b, t, "passthrough", argv, err);
	return r == 0 ? make_disk(b, t, "passthrough", err) : r;
}

static int set_up_gocryptfs(const struct bench *b, struct target *t, struct err *err)
{
	TEXT(data, "%s/data", t->dir);
	TEXT(pass, "%s/pass", t->dir);
	const char *init[] = {"gocryptfs", "-q",	"-nosyslog", "-init", "-scryptn",
			      "10",	   "-passfile", pass,	     data,    NULL};
	const char *mount[] = {"gocryptfs", "-q", "-nosyslog",	 "-fg", "-passfile",
			       pass,	    data, t->mountpoint, NULL};
	int r = make_dirs(t, err);

	if (r == 0)
		r = child_run(b->work, "gocryptfs", init, SET_UP_MS, b->stop, err);
	if (r == 0)
		r = target_start(b, t, "gocryptfs", mount, err);
	return r == 0 ? make_disk(b, t, "gocryptfs", err) : r;
}

static int set_up_securefs(const struct bench *b, struct target *t, struct err *err)
{
	TEXT(data, "%s/data", t->dir);
	TEXT(pass, "%s/pass", t->dir);
	const char *create[] = {"securefs", "create", "--keyfile", pass, "-r", "1", data, NULL};
	const char *mount[] = {"securefs", "mount", "--keyfile", pass, data, t->mountpoint, NULL};
	int r = make_dirs(t, err);

	if (r == 0)
		r = child_run(b->work, "securefs", create, SET_UP_MS, b->stop, err);
	if (r == 0)
		r = target_start(b, t, "securefs", mount, err);
	return r == 0 ? make_disk(b, t, "securefs", err) : r;
}

/* A LUKS image of the size. qemu-img measures how fast it hashes, and fails on a machine too busy for that. */
static int make_luks(const struct bench *b, const struct target *t, struct err *err)
{
	TEXT(secret, "secret,id=s,file=%s/pass", t->dir);
	TEXT(image, "%s/data/luks", t->dir);
	TEXT(size, "%" PRIu64, b->options->size_bytes);
	const char *argv[] = {"qemu-img", "create", "-q",
			      "-f",	  "luks",   "--object",
			      secret,	  "-o",	    "key-secret=s,iter-time=500",
			      image,	  size,	    NULL};
	int r = -EIO;

	for (int tries = 0; r == -EIO && tries < 5; tries++) {
		(void)unlink(image);
		r = child_run(b->work, "qemu-img", argv, SET_UP_MS, b->stop, err);
	}
	return r;
}

static int set_up_qemu(const struct bench *b, struct target *t, struct err *err)
{
	TEXT(secret, "secret,id=s,file=%s/pass", t->dir);
	TEXT(file, "driver=file,node-name=f,filename=%s/data/luks", t->dir);
	TEXT(fuse, "type=fuse,id=e,node-name=l,mountpoint=%s/mnt/disk,writable=on", t->dir);
	const char *argv[] = {"qemu-storage-daemon",
			      "--object",
			      secret,
			      "--blockdev",
			      file,
			      "--blockdev",
			      "driver=luks,node-name=l,file=f,key-secret=s",
			      "--export",
			      fuse,
			      NULL};
	int r = make_dirs(t, err);

	(void)snprintf(t->mountpoint, sizeof(t->mountpoint), "%s", t->file); /* it mounts a file */
	if (r == 0)
		r = make_luks(b, t, err);
	if (r == 0)
		r = make_file(t->mountpoint, "", 0, err);
	if (r == 0)
		r = target_start(b, t, "qemu", argv, err);
	return r == 0 ? target_wait(b, t, "qemu", err) : r;
}

static int set_up_nbdkit(const struct bench *b, struct target *t, struct err *err)
{
	TEXT(pass, "passphrase=+%s/pass", t->dir);
	TEXT(image, "%s/data/luks", t->dir);
	TEXT(socket, "%s/socket", t->dir);
	TEXT(uri, "nbd+unix:///?socket=%s/socket", t->dir);
	const char *server[] = {"nbdkit", "-f",	 "-U", socket, "--filter=luks",
				"file",	  image, pass, NULL};
	const char *mount[] = {"nbdfuse", t->file, uri, NULL};
	int r = make_dirs(t, err);

	if (r == 0)
		r = make_luks(b, t, err);
	if (r == 0)
		r = target_start(b, t, "nbdkit", server, err);
	for (int i = 0; r == 0 && i < 500 && access(socket, F_OK) < 0; i++)
		(void)usleep(10000);
	if (r == 0)
		r = target_start(b, t, "nbdfuse", mount, err);
	return r == 0 ? target_wait(b, t, "nbdfuse", err) : r;
}

const struct target_kind target_peers[] = {
	{BENCH_PLAIN_FILE, {NULL}, set_up_file},
	{BENCH_PASSTHROUGH, {"passthrough_ll", NULL}, set_up_passthrough},
	{"gocryptfs", {"gocryptfs", NULL}, set_up_gocryptfs},
	{"securefs", {"securefs", NULL}, set_up_securefs},
	{"qemu LUKS", {"qemu-storage-daemon", "qemu-img", NULL}, set_up_qemu},
	{"nbdkit LUKS", {"nbdkit", "nbdfuse", "qemu-img"}, set_up_nbdkit},
};
const size_t target_peer_count = sizeof(target_peers) / sizeof(*target_peers);
