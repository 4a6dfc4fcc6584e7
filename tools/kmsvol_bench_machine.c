/* A record of what figures were measured on, so that they can be cited and had again. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "blockcrypt_provider.h"
#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_bench.h"
#include "kmsvol_bench_child.h"
#include "mountinfo.h"
#include "secret.h"
#include "textfile.h"

#define FILE_MAX    (1024 * 1024)
#define VERSION_MAX 120

/* The value behind "NAME<tab or blank>: " in a file of /proc, cut at its line's end. */
static void proc_value(const char *path, const char *name, char *ret, size_t room)
{
	AUTO(freep) char *text = NULL;
	char *at;

	ret[0] = '\0';
	if (textfile_read(AT_FDCWD, path, FILE_MAX, &text) < 0)
		return;
	at = strstr(text, name);
	at = at ? strchr(at, ':') : NULL;
	if (!at)
		return;
	at += 1 + strspn(at + 1, " \t");
	at[strcspn(at, "\n")] = '\0';
	(void)snprintf(ret, room, "%s", at); /* may be cut */
}

struct lookup {
	const char *path;
	size_t best; /* length of the mount point found so far */
	char fstype[64];
};

static int deeper_one(const struct mountinfo_entry *entry, void *arg)
{
	struct lookup *l = arg;
	size_t len = strlen(entry->mountpoint);

	if (mountinfo_is_within(l->path, entry->mountpoint) && len >= l->best) {
		l->best = len;
		(void)snprintf(l->fstype, sizeof(l->fstype), "%s", entry->fstype);
	}
	return 0;
}

/* The first line that `PROGRAM --version` says; "" when there is none. */
static void program_version(const struct bench *b, const char *program, char ret[VERSION_MAX])
{
	const char *argv[] = {program, strcmp(program, "securefs") == 0 ? "version" : "--version",
			      NULL};
	AUTO(freep) char *text = NULL;
	char path[PATH_MAX];

	ret[0] = '\0';
	if (!child_find(program, path) ||
	    child_run(b->work, "version", argv, 5000, b->stop, NULL) < 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/version.out", b->work); /* fits */
	if (textfile_read(AT_FDCWD, path, FILE_MAX, &text) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	(void)snprintf(ret, VERSION_MAX, "%s", text); /* may be cut */
}

static int set_libraries(struct kms_json *obj)
{
	const struct blockcrypt_provider *intel = blockcrypt_ipsec_mb;

	return kms_json_set_str(obj, "kmsvol", KMSVOL_VERSION) |
	       kms_json_set_str(obj, "openssl", blockcrypt_openssl.version()) |
	       kms_json_set_str(obj, "libipsec_mb",
				intel && intel->check(NULL) == 0 ? intel->version() : "none") |
	       kms_json_set_str(obj, "crypto_provider",
				blockcrypt_provider_name(BLOCKCRYPT_AES_256_GCM));
}

static int set_programs(const struct bench *b, struct kms_json *obj)
{
	static const char *const programs[] = {"fio", "gocryptfs", "securefs",
					       "qemu-storage-daemon", "nbdkit"};
	char version[VERSION_MAX];
	int r = 0;

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		if (i > 0 && !b->options->layers[BENCH_PEERS])
			break;
		program_version(b, programs[i], version);
		if (version[0])
			r |= kms_json_set_str(obj, programs[i], version);
	}
	return r;
}

static int set_options(const struct bench *b, struct kms_json *obj)
{
	const struct bench_options *o = b->options;

	return kms_json_set_str(obj, "dir", o->dir) |
	       kms_json_set_u64(obj, "size_bytes", o->size_bytes) |
	       kms_json_set_u64(obj, "rounds", o->rounds) |
	       kms_json_set_u64(obj, "time_ms", o->time_ms);
}

struct kms_json *bench_machine(const struct bench *b)
{
	struct kms_json *obj = kms_json_new_object();
	struct lookup l = {.path = b->work};
	char cpu[128], memory[64], iso[CLOCK_ISO_LEN];
	struct utsname u;
	int r;

	if (!obj)
		return NULL;
	proc_value("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	proc_value("/proc/meminfo", "MemTotal", memory, sizeof(memory));
	(void)mountinfo_each(deeper_one, &l, NULL); /* not known: "" */
	(void)uname(&u);			    /* cannot fail so */
	clock_iso(clock_read_ms(CLOCK_REALTIME), iso);
	r = kms_json_set_str(obj, "time", iso) | kms_json_set_str(obj, "cpu", cpu) |
	    kms_json_set_i64(obj, "cpus", sysconf(_SC_NPROCESSORS_ONLN)) |
	    kms_json_set_str(obj, "memory", memory) | kms_json_set_str(obj, "kernel", u.release) |
	    kms_json_set_str(obj, "machine", u.machine) |
	    kms_json_set_str(obj, "backing_filesystem", l.fstype) | set_libraries(obj) |
	    set_programs(b, obj) | set_options(b, obj);
	if (b->transport[0])
		r |= kms_json_set_str(obj, "transport", b->transport);
	if (r == 0)
		return obj;
	kms_json_free(obj);
	return NULL;
}
