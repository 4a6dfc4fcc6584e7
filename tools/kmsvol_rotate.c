/*
 * kmsvol rotate: have KMS wrap a volume's data key anew, or give the volume a new data key and write all of it
 * anew under that; mounted or not.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "err.h"
#include "keys.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_change.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "kmsvol_place.h"
#include "kmsvol_progress.h"
#include "mount.h"
#include "secret.h"
#include "store.h"
#include "volume.h"
#include "volume_change.h"
#include "volume_rotate.h"

#define LOOK_MS 100

static const char help[] =
	"Change the key of the volume VOL, which may be mounted and in use. VOL is its directory, "
	"or "
	"where it is\n"
	"mounted.\n"
	"  --rewrap        has KMS wrap the data key anew (ReEncrypt) under the newest material of "
	"its "
	"KMS key,\n"
	"                  as after 'aws kms rotate-key-on-demand'. The data stays as it is.\n"
	"  --new-data-key  gets a new data key under the same KMS key and writes all blocks anew "
	"under "
	"it, in the\n"
	"                  background. It can be interrupted: it goes on with the same command, or "
	"by "
	"itself\n"
	"                  while the volume is mounted. Snapshots keep the key of their time.";

struct rotate {
	struct kms_config kms;
	bool rewrap, new_data_key, json, mounted;
	struct progress progress;
	const atomic_bool *stop;
	bool said; /* that there is no room */
};

static int rewrap_here(const struct change_volume *v, void *arg, struct err *err)
{
	const struct rotate *rotate = arg;
	AUTO(kms_closep) struct kms *user = NULL; /* theirs acts as a service, where it can */
	int r = kms_open(&rotate->kms, &user, err);

	return r < 0 ? r : volume_wrap_anew(v->dir, v->header, user, v->kms, err);
}

/* How far it is. Says once that it waits for room. */
static void show_progress(struct rotate *rotate, uint64_t remaining, bool no_room)
{
	struct progress *p = &rotate->progress;

	if (remaining > p->total_bytes)
		p->total_bytes = remaining;
	if (no_room && !rotate->said) {
		(void)progress_end(p);
		fprintf(stderr, CMD_PROGRAM
			": rotate: waits for room: the filesystem below is nearly full, and "
			"snapshots keep what is written anew\n");
		rotate->said = true;
	}
	progress_show(p, p->total_bytes - remaining);
}

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_nsec = ms * 1000000L};

	(void)nanosleep(&pause, NULL); /* a signal may end it early */
}

/* --- not mounted: the store is opened here, and its cleaner does it --- */

static int await_store(struct rotate *rotate, struct store *store, struct err *err)
{
	struct store_stats st;

	for (;;) {
		store_stats(store, &st);
		if (st.previous_segments == 0)
			return 0;
		if (st.previous_bytes && st.previous_bytes == st.previous_stuck_bytes)
			return err_set(err, EBADMSG,
				       "%" PRIu64 " bytes of the log stay under the previous data "
				       "key: their segments have damaged blocks; see '%s check'",
				       st.previous_bytes, CMD_PROGRAM);
		if (st.writing_stopped)
			return err_set(err, EIO, "writing has stopped after an I/O error");
		if (st.previous_no_room)
			return err_set(err, ENOSPC,
				       "the filesystem below has no room to write more anew: make "
				       "some, and give the same command again");
		if (atomic_load(rotate->stop))
			return err_set(err, EINTR,
				       "interrupted; it goes on with the same command, or when it "
				       "is mounted");
		show_progress(rotate, st.previous_bytes, false);
		pause_ms(LOOK_MS);
	}
}

static int renew_here(const struct change_volume *v, struct rotate *rotate,
		      const struct secret *keys, struct err *err)
{
	struct store *store;
	struct err close_err;
	int closed, r = store_open(v->dir, &v->header->geometry, keys, false, &store, err);

	if (r < 0)
		return r;
	progress_begin(&rotate->progress, "rotate", 0);
	r = await_store(rotate, store, err);
	(void)progress_end(&rotate->progress);
	closed = store_close(store, &close_err);
	if (r == 0 && closed < 0) {
		*err = close_err;
		r = closed;
	}
	return r;
}

static int new_key_here(const struct change_volume *v, void *arg, struct err *err)
{
	struct rotate *rotate = arg;
	AUTO(secret_freep) struct secret *keys = NULL;
	AUTO(kms_closep) struct kms *user = NULL; /* theirs acts as a service, where it can */
	struct volume_new_data_key new = {0};
	int r = secret_from(secret_cbytes(v->data_keys), secret_len(v->data_keys), &keys, err);

	rotate->stop = v->stop;
	if (r == 0 && !v->header->geometry.previous_key) {
		r = kms_open(&rotate->kms, &user, err);
		if (r == 0)
			r = volume_rotate_ask(v->header, user, &new, err);
		if (r == 0)
			r = volume_rotate_begin(v->dir, v->header, &new, &keys, err);
		volume_new_data_key_free(&new);
	}
	if (r == 0)
		r = renew_here(v, rotate, keys, err);
	if (r == -EINTR) /* we end by the signal, so it is said here */
		fprintf(stderr, CMD_PROGRAM ": volume '%s': %s\n", v->dir, err->msg);
	return r < 0 ? r : volume_rotate_end(v->dir, v->header, &keys, err);
}

/* --- mounted: the daemon does it, and goes on without us --- */

static int await_daemon(const char *dir, struct rotate *rotate, struct err *err)
{
	while (!atomic_load(rotate->stop)) {
		AUTO(kms_json_freep) struct kms_json *reply = NULL;
		const char *state = "";
		uint64_t remaining = 0;
		bool no_room = false;
		int r = cmd_ask(dir, "rotate-status", &reply, err);

		if (r == 0)
			r = kms_json_str(reply, "state", &state, err);
		if (r == 0)
			r = kms_json_u64(reply, "remaining_bytes", &remaining, err);
		if (r == 0)
			r = kms_json_bool(reply, "no_room", &no_room, err);
		if (r < 0 || strcmp(state, "done") == 0)
			return r;
		if (strcmp(state, "idle") == 0)
			return err_set(err, ECANCELED, "volume '%s': the volume is being unmounted",
				       dir);
		if (strcmp(state, "renewing") == 0)
			show_progress(rotate, remaining, no_room);
		pause_ms(LOOK_MS);
	}
	return err_set(err, EINTR,
		       "volume '%s': interrupted; it goes on in the background, "
		       "'%s status' shows previous_key_bytes",
		       dir, CMD_PROGRAM);
}

static int new_key(const char *dir, struct rotate *rotate, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *reply = NULL;
	struct interrupt in;
	int sig, r = cmd_ask(dir, "rotate", &reply, err);

	rotate->mounted = r != -ENOTCONN;
	if (!rotate->mounted)
		return change_here(dir, &rotate->kms, new_key_here, rotate, err);
	if (r < 0)
		return r;
	interrupt_begin(&in, NULL);
	rotate->stop = &in.stop;
	progress_begin(&rotate->progress, "rotate", 0);
	r = await_daemon(dir, rotate, err);
	(void)progress_end(&rotate->progress);
	sig = interrupt_end(&in);
	if (r == -EINTR) {
		(void)cmd_fail(err);
		interrupt_die(sig);
	}
	return r;
}

static int show(const char *dir, const struct rotate *rotate)
{
	AUTO(volume_header_freep) struct volume_header *h = NULL;
	struct kms_json *obj = kms_json_new_object();
	struct err err;

	if (volume_header_load(dir, &h, &err) < 0) {
		kms_json_free(obj);
		return cmd_fail(&err);
	}
	if (!obj ||
	    (kms_json_set_str(obj, "volume_id", h->geometry.volume_id) |
	     kms_json_set_str(obj, "key_arn", h->key_arn) |
	     (rotate->rewrap
		      ? kms_json_set_str(obj, "rewrapped",
					 "the data key is wrapped under the KMS key's newest "
					 "material")
		      : kms_json_set_str(obj, "new_data_key",
					 "all blocks are under a new data key; snapshots keep the "
					 "one before"))) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, rotate->json);
}

static int run(const char *vol, struct rotate *rotate)
{
	AUTO(kms_json_freep) struct kms_json *request = kms_json_new_object();
	struct place place;
	struct err err;
	int code, r = place_find(vol, &place, &err);

	if (r < 0)
		return cmd_fail(&err);
	if (!request || kms_json_set_str(request, "op", "rewrap") < 0)
		r = err_set(&err, ENOMEM, "out of memory");
	else if (rotate->new_data_key)
		r = new_key(place.volume_dir, rotate, &err);
	else
		r = change_run(place.volume_dir, &rotate->kms, request, rewrap_here, rotate,
			       &rotate->mounted, &err);
	code = r < 0 ? cmd_fail(&err) : show(place.volume_dir, rotate);
	place_free(&place);
	return code;
}

int cmd_rotate(int argc, char **argv)
{
	struct rotate r = {0};
	const struct cmd_option options[] = {
		{"rewrap", NULL, CMD_FLAG, &r.rewrap, "wrap the same data key anew", NULL},
		{"new-data-key", NULL, CMD_FLAG, &r.new_data_key,
		 "write the volume anew under a new data key", NULL},
		CMD_KMS_OPTIONS(r.kms),
		{"json", NULL, CMD_FLAG, &r.json, "print JSON", NULL},
	};
	const struct cmd cmd = {"rotate", "VOL",   1,
				help,	  options, sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (r.rewrap == r.new_data_key) {
		(void)err_set(&err, EINVAL,
			      "rotate: one of --rewrap and --new-data-key is needed, and only one; "
			      "see '%s rotate "
			      "--help'",
			      CMD_PROGRAM);
		return cmd_wrong(&err);
	}
	if (cmd_check_kms(&r.kms, &err) < 0) {
		(void)err_prefix(&err, "rotate");
		return cmd_wrong(&err);
	}
	return run(argv[first], &r);
}
