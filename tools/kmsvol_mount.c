/*
 * kmsvol mount: options in, mount_run(). With --fs the volume's file goes to a private directory,
 * and a loop device and a file system are put on it, see kmsvol_mountfs.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "blockcrypt.h"
#include "bytes.h"
#include "err.h"
#include "kmsvol_cmd.h"
#include "kmsvol_fs.h"
#include "kmsvol_knobs.h"
#include "kmsvol_mountfs.h"
#include "kmsvol_place.h"
#include "kmsvol_taken.h"
#include "mount.h"
#include "mountinfo.h"
#include "profile.h"
#include "secret.h"
#include "snapshot.h"
#include "volume.h"

#define HOOK_TIMEOUT_MS 60000
#define WRITE_DOWN_MS	15000

static const char help[] =
	"Mount the volume VOL: DIR shows it as the file DIR/disk, and how it is "
	"doing as DIR/status.\n"
	"With --fs, DIR is the file system on the volume instead, made when the "
	"volume is blank; needs "
	"root.\n"
	"While it is mounted the KMS key is watched; --on-key-loss says what I/O "
	"does without it:\n"
	"  none       goes on: the key is not watched\n"
	"  read-only  reads are served, writes are refused\n"
	"  error      fails with EIO\n"
	"  hang       waits until the key is back\n"
	"A profile sets reaction and times; what is given beside it counts, and is not "
	"scaled:\n"
	"  ebs        none: the key is needed to attach; a mounted volume lives on\n"
	"  aurora     hang, 7m after a warning; back by itself after 30m, or by start\n"
	"  dynamodb   error, within 5m; back with the key\n"
	"  read-only  read-only, within 1m\n"
	"  strict     error, within 1s; no patience with KMS either\n"
	"TIME is a number with ms, s, m, h or d. After ';' stands the default.";

/* Both directories as absolute paths; the caller frees. */
static int check_places(const char *vol, const char *dir, char **ret_vol, char **ret_dir,
			struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *header = NULL;
	AUTO(freep) char *absolute_vol = NULL;
	AUTO(freep) char *absolute_dir = NULL;
	struct statfs fs;
	struct stat st;
	int r = volume_header_load(vol, &header, err);

	if (r < 0)
		return err_prefix(err, "volume '%s'", vol);
	absolute_vol = realpath(vol, NULL);
	absolute_dir = place_absolute(dir); /* also when a dead mount is on it */
	if (absolute_vol && absolute_dir && (r = taken_check(absolute_vol, absolute_dir, err)) < 0)
		return r;
	/* A dead mount still has its attributes in the kernel for a while; statfs() finds it out. */
	if (!absolute_vol || !absolute_dir || stat(absolute_dir, &st) < 0 ||
	    statfs(absolute_dir, &fs) < 0)
		return err_set(err, errno, "mount point '%s': %s", absolute_vol ? dir : vol,
			       strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "mount point '%s': not a directory", dir);
	if (mountinfo_is_within(absolute_vol, absolute_dir) ||
	    mountinfo_is_within(absolute_dir, absolute_vol))
		return err_set(err, EINVAL,
			       "mount point '%s': it and the volume's directory '%s' may not be "
			       "inside each other",
			       dir, vol);
	*ret_vol = absolute_vol;
	*ret_dir = absolute_dir;
	absolute_vol = absolute_dir = NULL;
	return 0;
}

static int run(const char *vol, const char *dir, const char *fs, struct mount_options *options)
{
	AUTO(freep) char *absolute_vol = NULL;
	AUTO(freep) char *absolute_dir = NULL;
	struct err err;

	if (check_places(vol, dir, &absolute_vol, &absolute_dir, &err) < 0)
		return cmd_fail(&err);
	options->volume_dir = absolute_vol;
	options->mountpoint = absolute_dir;
	options->read_only |= snapshot_is(absolute_vol);
	if (fs)
		return mountfs_run(options, fs);
	if (mount_run(options, &err) < 0)
		return cmd_fail(&err);
	return CMD_DONE;
}

int cmd_mount(int argc, char **argv)
{
	struct mount_options o = {.hook_timeout_ms = HOOK_TIMEOUT_MS,
				  .write_down_ms = WRITE_DOWN_MS};
	struct knobs knobs = KNOBS_NONE;
	int fs = -1, provider = BLOCKCRYPT_AUTO, transport = TRANSPORT_AUTO;
	const struct cmd_option options[] = {
		{"fs", "TYPE", CMD_CHOICE, &fs, "mount this file system on the volume", fs_types},
		KNOBS_OPTIONS(knobs),
		{"on-state-change", "COMMAND", CMD_TEXT, &o.hook,
		 "run this at each change of state, see the manual", NULL},
		{"hook-timeout", "TIME", CMD_DURATION, &o.hook_timeout_ms,
		 "kill that command after this; 60s", NULL},
		{"write-down", "TIME", CMD_DURATION, &o.write_down_ms,
		 "with --fs: time for what is not written when the key is lost; 15s", NULL},
		{"read-only", NULL, CMD_FLAG, &o.read_only, "refuse writes", NULL},
		{"allow-other", NULL, CMD_FLAG, &o.allow_other, "let other users in", NULL},
		{"transport", "HOW", CMD_CHOICE, &transport, "how requests come; auto",
		 transport_names},
		{"foreground", NULL, CMD_FLAG, &o.foreground, "stay until it is unmounted", NULL},
		CMD_PROVIDER_OPTION(provider),
		CMD_KMS_OPTIONS(o.kms),
	};
	const struct cmd cmd = {"mount", "VOL DIR", 2,
				help,	 options,   sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (knobs_apply(&knobs, &o, &err) < 0 || cmd_check_kms(&o.kms, &err) < 0) {
		(void)err_prefix(&err, "mount");
		return cmd_wrong(&err);
	}
	if (cmd_choose_provider(provider, &err) < 0)
		return cmd_fail(&err);
	o.transport = (enum transport_wish)transport;
	return run(argv[first], argv[first + 1], fs >= 0 ? fs_types[fs] : NULL, &o);
}
