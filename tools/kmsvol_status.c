/* kmsvol status: what the daemon says of a mounted volume, or what the header says of another. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "jsontime.h"
#include "keywatch.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_live.h"
#include "kmsvol_place.h"
#include "kmsvol_status.h"
#include "kmsvol_taken.h"
#include "outage.h"
#include "secret.h"
#include "volume.h"

#define WORDS_MAX 8192

static const char help[] = "Say how a volume is doing. VOL is its directory, or a directory where "
			   "it is mounted. State\n"
			   "'unmounted' means that no daemon serves it, 'dead' that its daemon has "
			   "died but not its mount.";

/* The header's facts, under the names that a daemon uses. NULL: out of memory. */
static struct kms_json *header_json(const char *dir, const char *state,
				    const struct volume_header *h)
{
	struct kms_json *obj = kms_json_new_object();

	if (obj && (kms_json_set_str(obj, "state", state) |
		    kms_json_set_str(obj, "volume_id", h->geometry.volume_id) |
		    kms_json_set_str(obj, "volume_dir", dir) |
		    kms_json_set_u64(obj, "size_bytes", h->geometry.size_bytes) |
		    kms_json_set_u64(obj, "block_size", h->geometry.block_size) |
		    kms_json_set_str(obj, "cipher", blockcrypt_name(h->geometry.cipher)) |
		    kms_json_set_str(obj, "key_arn", h->key_arn)) < 0)
		kms_json_freep(&obj);
	return obj;
}

/*
 * An outage that the last daemon has seen, with the state that it makes: for good, or not. Of a volume that
 * nobody serves; what cannot be read is left out, a mount will tell.
 */
static int add_outage(struct kms_json *obj, const char *dir)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct outage outage = {0};
	struct err ignored;
	int r = 0;

	if (dir_fd < 0)
		return 0;
	if (outage_load(dir_fd, &outage, &ignored) == 0 && outage.since_wall_ms) {
		r = jsontime_set(obj, "inaccessible_since", outage.since_wall_ms) |
		    jsontime_set(obj, "terminal_at", outage.terminal_wall_ms);
		if (outage_is_terminal(&outage, clock_wall_ms()))
			r |= kms_json_set_str(obj, "state",
					      keywatch_state_name(KEYWATCH_INACCESSIBLE));
	}
	(void)close(dir_fd); /* nothing was written */
	return r;
}

/* What the mount table and a record of --fs know besides. */
static int add_place(struct kms_json *obj, const struct place *place, enum taken taken)
{
	char words[WORDS_MAX];

	taken_words(place, taken, words, sizeof(words));
	if (*words && kms_json_set_str(obj, "notice", words) < 0)
		return -ENOMEM;
	if (!place->mountpoint)
		return 0;
	return kms_json_set_str(obj, "filesystem_mountpoint", place->mountpoint) |
	       kms_json_set_str(obj, "loop_device", place->loop ? place->loop : "");
}

int status_get(const struct place *place, struct kms_json **ret_status, struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *header = NULL;
	struct kms_json *reply = NULL;
	enum taken taken;
	int r = place_check_volume(place, err);

	if (r < 0)
		return r;
	if (volume_header_load(place->volume_dir, &header, err) < 0)
		return err_prefix(err, "volume '%s'", place->volume_dir);
	r = cmd_ask(place->volume_dir, "status", &reply, err);
	if (r < 0 && r != -ENOTCONN)
		return r;
	taken = taken_by(place);
	if (r == -ENOTCONN) {
		reply = header_json(place->volume_dir, taken == TAKEN_DEAD ? "dead" : "unmounted",
				    header);
		if (reply && add_outage(reply, place->volume_dir) < 0)
			kms_json_freep(&reply);
	}
	if (reply && add_place(reply, place, taken) < 0)
		kms_json_freep(&reply);
	if (!reply)
		return err_set(err, ENOMEM, "out of memory");
	*ret_status = reply;
	return 0;
}

int cmd_status(int argc, char **argv)
{
	bool as_json = false, live = false;
	const struct cmd_option options[] = {
		{"watch", NULL, CMD_FLAG, &live, "a view that goes on until it is left", NULL},
		{"json", NULL, CMD_FLAG, &as_json, "print JSON; with --watch an object a line",
		 NULL},
	};
	const struct cmd cmd = {"status", "VOL", 1, help, options, 2};
	struct kms_json *status = NULL;
	struct place place;
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (place_find(argv[first], &place, &err) < 0)
		return cmd_fail(&err);
	if (live)
		code = live_run(&place, as_json);
	else if (status_get(&place, &status, &err) < 0)
		code = cmd_fail(&err);
	else
		code = cmd_print(status, as_json);
	place_free(&place);
	return code;
}
