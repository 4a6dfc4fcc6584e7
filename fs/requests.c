/* Requests on the control socket of a mounted volume: a table of operations. See requests.h. */
#include "requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "above.h"
#include "blockcrypt.h"
#include "change_job.h"
#include "control.h"
#include "err.h"
#include "faults.h"
#include "fusefs.h"
#include "gate.h"
#include "kms_json.h"
#include "mount_internal.h"
#include "profile.h"
#include "rotate_job.h"
#include "snapshot_job.h"
#include "status.h"
#include "volume.h"
#include "watch.h"

static void fill_status(struct mounted *m, struct status *ret_status)
{
	const struct store_geometry *g = &m->header->geometry;

	*ret_status = (struct status){
		.volume_id = g->volume_id,
		.volume_dir = m->volume_dir,
		.mountpoint = m->mountpoint,
		.key_arn = m->header->key_arn,
		.cipher = blockcrypt_name(g->cipher),
		.provider = blockcrypt_provider_name(g->cipher),
		.provider_version = blockcrypt_provider_version(g->cipher),
		.pid = getpid(),
		.size_bytes = __atomic_load_n(&g->size_bytes, __ATOMIC_RELAXED), /* it may grow */
		.block_size = g->block_size,
		.read_only = m->read_only,
		.profile =
			m->options->profile ? m->options->profile : profile_names[PROFILE_DEFAULT],
		.config = m->options->watch,
	};
	watch_status(m->watch, &ret_status->watch);
	gate_stats(m->gate, &ret_status->gate);
	faults_status(m->faults, &ret_status->faults);
	fusefs_count(m->fusefs, &ret_status->io);
	fusefs_transport(m->fusefs, &ret_status->transport);
}

char *requests_status_text(void *mounted)
{
	struct status s;

	fill_status(mounted, &s);
	return status_text(&s);
}

static struct kms_json *tell_status(struct mounted *m)
{
	struct status s;

	fill_status(m, &s);
	return status_json(&s);
}

static struct kms_json *tell_snapshot(struct mounted *m, const struct kms_json *request,
				      struct err *err)
{
	struct kms_json *reply = snapshot_job_status(m->snapshots, request);

	if (!reply)
		(void)err_set(err, ENOMEM, "out of memory");
	return reply;
}

static struct kms_json *tell_change(struct mounted *m)
{
	return change_job_status(m->changes);
}

static struct kms_json *tell_rotation(struct mounted *m)
{
	return rotate_job_status(m->rotation);
}

static struct kms_json *tell_faults(struct mounted *m)
{
	return faults_list(m->faults);
}

static int do_start(struct mounted *m, const struct kms_json *request, struct err *err)
{
	(void)request;
	return watch_want_start(m->watch, err);
}

/* Nothing waits any more: a pause is over, and what waits for a key is refused. */
static int do_force(struct mounted *m, const struct kms_json *request, struct err *err)
{
	(void)request, (void)err;
	(void)faults_stop(m->faults, NULL, FAULT_PAUSE); /* none is fine */
	gate_end_hold(m->gate);
	/* What waits above the gate, too; said there when it does not end. */
	(void)above_tell(m->above, ABOVE_RELEASE, ABOVE_RELEASE_MS);
	if (above_state(m->above) == ABOVE_SHUT)
		fusefs_fence(m->fusefs);
	return 0;
}

/* The experiment of that id, those of that kind, or all. */
static int do_stop(struct mounted *m, const struct kms_json *request, struct err *err)
{
	const char *id = NULL, *name = NULL;
	enum fault_kind kind = FAULT_PAUSE;
	int r = 0;

	if (kms_json_has(request, "experiment"))
		r = kms_json_str(request, "experiment", &id, err);
	if (r == 0 && kms_json_has(request, "kind"))
		r = kms_json_str(request, "kind", &name, err);
	if (r == 0 && name && fault_kind_by_name(name, &kind) < 0)
		r = err_set(err, EINVAL, "'%s' is no kind of fault", name);
	if (r < 0)
		return r;
	if (faults_stop(m->faults, id, name ? (int)kind : FAULTS_ALL) == 0 && id)
		return err_set(err, ENOENT, "no experiment '%s' is running", id);
	return 0;
}

static struct kms_json *begin_fault(struct mounted *m, const struct kms_json *request,
				    struct err *err)
{
	return faults_begin(m->faults, request, err);
}

static int do_unmount(struct mounted *m, const struct kms_json *request, struct err *err)
{
	bool force = false;
	int r;

	if (kms_json_has(request, "force") && kms_json_bool(request, "force", &force, err) < 0)
		return -err->num;
	if (force)
		(void)do_force(m, request, err); /* cannot fail */
	r = fusefs_unmount(m->fusefs, force, err);
	if (r == 0 && force)
		(void)eventfd_write(m->stop_fd, 1); /* cannot fail below its maximum */
	return r;
}

static int do_snapshot(struct mounted *m, const struct kms_json *request, struct err *err)
{
	return snapshot_job_start(m->snapshots, request, err);
}

static int do_change(struct mounted *m, const struct kms_json *request, struct err *err)
{
	return change_job_start(m->changes, request, err);
}

static int do_rotate(struct mounted *m, const struct kms_json *request, struct err *err)
{
	(void)request;
	return rotate_job_start(m->rotation, err);
}

/* One of the three: what is told is the reply (NULL: out of memory); what is done is answered with "ok"; what is
 * begun, or asked with more words, has its own reply, or says why not. */
static const struct {
	const char *op;
	struct kms_json *(*tell)(struct mounted *m);
	int (*act)(struct mounted *m, const struct kms_json *request, struct err *err);
	struct kms_json *(*begin)(struct mounted *m, const struct kms_json *request,
				  struct err *err);
} rows[] = {
	{"status", tell_status, NULL, NULL},
	{"start", NULL, do_start, NULL},
	{"force", NULL, do_force, NULL},
	{"unmount", NULL, do_unmount, NULL},
	{"snapshot", NULL, do_snapshot, NULL},
	{"snapshot-status", NULL, NULL, tell_snapshot},
	{"resize", NULL, do_change, NULL},
	{"rewrap", NULL, do_change, NULL},
	{"change-status", tell_change, NULL, NULL},
	{"rotate", NULL, do_rotate, NULL},
	{"rotate-status", tell_rotation, NULL, NULL},
	{"inject", NULL, NULL, begin_fault},
	{"stop-experiment", NULL, do_stop, NULL},
	{"experiments", tell_faults, NULL, NULL},
};
#define ROWS (sizeof(rows) / sizeof(*rows))

/* "status, start, force", cut to @room. */
static void list_names(char *ret_names, size_t room)
{
	size_t at = 0;

	*ret_names = '\0';
	for (size_t i = 0; i < ROWS && at < room; i++)
		at += (size_t)snprintf(ret_names + at, room - at, "%s%s", i ? ", " : "",
				       rows[i].op);
}

static struct kms_json *done(void)
{
	struct kms_json *reply = kms_json_new_object();

	if (reply && kms_json_set_bool(reply, "ok", true) < 0)
		kms_json_freep(&reply);
	return reply;
}

/* "command" is another name for "op". */
struct kms_json *requests_handle(const struct kms_json *request, void *mounted)
{
	struct mounted *m = mounted;
	const char *op = "";
	struct kms_json *reply;
	struct err err = {0};
	char names[512];

	if (kms_json_str(request, kms_json_has(request, "command") ? "command" : "op", &op, &err) <
	    0)
		return control_error(&err);
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(op, rows[i].op) != 0)
			continue;
		if (rows[i].tell)
			return rows[i].tell(m);
		if (rows[i].act)
			return rows[i].act(m, request, &err) < 0 ? control_error(&err) : done();
		reply = rows[i].begin(m, request, &err);
		return reply ? reply : control_error(&err);
	}
	list_names(names, sizeof(names));
	(void)err_set(&err, EINVAL, "no operation '%s'; there are %s", op, names);
	return control_error(&err);
}
