/* kmsvol unmount: take away what mount made, and end only when the data is safe. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_detach.h"
#include "kmsvol_place.h"
#include "secret.h"

static const char help[] = "Unmount a volume. DIR is where it is mounted, or the volume's "
			   "directory. With a file system on\n"
			   "it, that goes first. When this ends, the daemon is gone and everything "
			   "written is durable.";

static const char force_help[] =
	"end a pause, and with errors what waits for a lost key; not what is in use";

/* An unmount would wait for the key, as requests do. */
static bool would_wait(const struct kms_json *status)
{
	const char *state = "", *reaction = "";

	(void)kms_json_str(status, "state", &state, NULL); /* "" when absent */
	(void)kms_json_str(status, "on_key_loss", &reaction, NULL);
	return strcmp(reaction, "hang") == 0 &&
	       (strcmp(state, "inaccessible-encryption-credentials-recoverable") == 0 ||
		strcmp(state, "starting") == 0);
}

/* The volume's directory was moved or removed, or the disk it is on has failed. */
static bool out_of_reach(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -EIO || r == -ESTALE;
}

/*
 * Ask the daemon whether it can be unmounted now. *@ret_dead: there is no daemon. One whose directory is
 * out of reach cannot be asked, and ends when its mount does.
 */
static int check_daemon(const struct place *place, bool force, bool *ret_dead, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *reply = NULL;
	int r = cmd_ask(place->volume_dir, force ? "force" : "status", &reply, err);

	*ret_dead = r == -ENOTCONN;
	if (*ret_dead || out_of_reach(r))
		return 0;
	if (r < 0)
		return r;
	if (!force && kms_json_type(kms_json_get(reply, "io_paused_until")) == KMS_JSON_STRING)
		return err_set(err, EAGAIN,
			       "volume '%s': cannot unmount: its I/O is paused; end that with "
			       "'kmsvol pause-io --stop', or unmount with --force",
			       place->volume_dir);
	if (!force && would_wait(reply))
		return err_set(
			err, EAGAIN,
			"volume '%s': cannot unmount: its KMS key is lost and its I/O waits; "
			"make the key usable, or unmount with --force, which ends the "
			"waiting with I/O errors",
			place->volume_dir);
	return 0;
}

static int unmount(const char *path, bool force, struct err *err)
{
	struct place place;
	bool dead = true;
	int r = place_find(path, &place, err);

	if (r < 0)
		return r;
	if (r == 0 && chdir("/") < 0) /* we may stand in what is to be unmounted */
		r = err_set(err, errno, "'/': %s", strerror(errno));
	if (r == 0 && !place.fuse_dir)
		r = err_set(err, EINVAL, "'%s': nothing of kmsvol is mounted there", path);
	if (r == 0 && place.fuse_mounted)
		r = check_daemon(&place, force, &dead, err);
	if (r == 0)
		r = detach_all(&place, dead, err);
	place_free(&place);
	return r;
}

int cmd_unmount(int argc, char **argv)
{
	bool force = false;
	const struct cmd_option options[] = {
		{"force", NULL, CMD_FLAG, &force, force_help, NULL},
	};
	const struct cmd cmd = {"unmount", "DIR", 1, help, options, 1};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (unmount(argv[first], force, &err) < 0)
		return cmd_fail(&err);
	return CMD_DONE;
}
