/*
 * kmsvol pause-io and kmsvol inject: faults in a mounted volume's I/O, as experiments of AWS FIS inject
 * them into EBS. The daemon does it; here are the options.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_place.h"
#include "secret.h"

#define UNSET UINT64_MAX

static const char pause_help[] =
	"Let all I/O of the mounted volume VOL wait, as the FIS action aws:ebs:pause-volume-io "
	"does. It ends by\n"
	"itself; what waits is then served in its order. Prints the id of the experiment. TIME is "
	"a number with\n"
	"ms, s, m or h, or as ISO 8601 has it (PT1M), 12h at most; --time-scale of the mount "
	"divides it.";

static const char inject_help[] =
	"Make the I/O of the mounted volume VOL slow or wrong: one kind of fault a call, several "
	"calls add up.\n"
	"Without --read, --write and --flush it is for reads and writes. A request that fails was "
	"not executed.\n"
	"Prints the id of the experiment. TIME is a number with ms, s, m or h, or as ISO 8601 has "
	"it; --time-scale\n"
	"of the mount divides the duration (12h at most), not the latency (1ms to 60s).";

/* What the options say. */
struct wish {
	uint64_t duration_ms, latency_ms, iops, bytes_per_s, seed; /* UNSET: not given */
	const char *error, *percent, *stop;			   /* NULL: not given */
	bool reads, writes, flushes, list, clear, as_json;
};

/* "50", "0.5", "12.5%": thousandths. */
static int parse_percent(const char *text, uint64_t *ret_permille, struct err *err)
{
	char *end;
	unsigned long whole = strtoul(text, &end, 10), part = 0;
	bool good = *text >= '0' && *text <= '9' && whole <= 100;

	if (good && end[0] == '.' && end[1] >= '0' && end[1] <= '9') {
		part = (unsigned long)(end[1] - '0');
		end += 2;
	}
	if (*end == '%')
		end++;
	*ret_permille = whole * 10 + part;
	if (!good || *end || *ret_permille < 1 || *ret_permille > 1000)
		return err_set(err, EINVAL, "--percent: '%s' is not in 0.1 to 100", text);
	return 0;
}

/* The one kind of fault that the options describe; NULL: none, or more than one. */
static const char *kind_of(const struct wish *w, struct err *err)
{
	bool latency = w->latency_ms != UNSET, error = w->error;
	bool throttle = w->iops != UNSET || w->bytes_per_s != UNSET;

	if (latency + error + throttle != 1) {
		(void)err_set(err, EINVAL,
			      "one of --latency, --error, and --iops with --throughput is needed, "
			      "and only one");
		return NULL;
	}
	if (throttle && w->percent) {
		(void)err_set(err, EINVAL, "--percent: a limit is for all requests");
		return NULL;
	}
	return latency ? "latency" : error ? "error" : "throttle";
}

static int set_given(struct kms_json *request, const char *name, uint64_t value)
{
	return value == UNSET ? 0 : kms_json_set_u64(request, name, value);
}

static int fill(struct kms_json *request, const struct wish *w, const char *kind, struct err *err)
{
	bool all = !w->reads && !w->writes && !w->flushes;
	uint64_t permille = 1000;

	if (w->percent && parse_percent(w->percent, &permille, err) < 0)
		return -EINVAL;
	if (kms_json_set_str(request, "op", "inject") | kms_json_set_str(request, "kind", kind) |
	    set_given(request, "duration_ms", w->duration_ms) |
	    set_given(request, "latency_us",
		      w->latency_ms == UNSET ? UNSET : w->latency_ms * 1000) |
	    set_given(request, "iops", w->iops) |
	    set_given(request, "bytes_per_s", w->bytes_per_s) |
	    set_given(request, "seed", w->seed) |
	    (w->error ? kms_json_set_str(request, "error", w->error) : 0) |
	    kms_json_set_u64(request, "permille", permille) |
	    kms_json_set_bool(request, "reads", all || w->reads) |
	    kms_json_set_bool(request, "writes", all || w->writes) |
	    kms_json_set_bool(request, "flushes", w->flushes))
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

/* Stop the experiment with this id, or those of this kind, or all. */
static int fill_stop(struct kms_json *request, const char *id, const char *kind, struct err *err)
{
	if (kms_json_set_str(request, "op", "stop-experiment") |
	    (id ? kms_json_set_str(request, "experiment", id) : 0) |
	    (kind ? kms_json_set_str(request, "kind", kind) : 0))
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

/* Send @request to the daemon of @path. */
static int ask(const char *path, const struct kms_json *request, struct kms_json **ret_reply,
	       struct err *err)
{
	struct place place;
	int r = place_find(path, &place, err);

	if (r < 0)
		return r;
	r = place_check_volume(&place, err);
	if (r == 0)
		r = cmd_request(place.volume_dir, request, ret_reply, err);
	place_free(&place);
	return r;
}

static int send(const char *path, const struct kms_json *request)
{
	AUTO(kms_json_freep) struct kms_json *reply = NULL;
	const char *id;
	struct err err;

	if (ask(path, request, &reply, &err) < 0)
		return cmd_fail(&err);
	if (!kms_json_has(reply, "experiment"))
		return CMD_DONE;
	if (kms_json_str(reply, "experiment", &id, &err) < 0)
		return cmd_fail(&err);
	printf("%s\n", id);
	return CMD_DONE;
}

/* A member for a line of the list; "-" for none. */
static const char *text_of(const struct kms_json *obj, const char *name)
{
	const struct kms_json *v = kms_json_get(obj, name);

	return kms_json_type(v) == KMS_JSON_STRING ? kms_json_string_value(v) : "-";
}

static int list(const char *path, bool as_json)
{
	AUTO(kms_json_freep) struct kms_json *request = kms_json_new_object();
	AUTO(kms_json_freep) struct kms_json *reply = NULL;
	struct kms_json *all, *one;
	struct err err;

	if (!request || kms_json_set_str(request, "op", "experiments") < 0) {
		(void)err_set(&err, ENOMEM, "out of memory");
		return cmd_fail(&err);
	}
	if (ask(path, request, &reply, &err) < 0 ||
	    kms_json_array(reply, "experiments", &all, &err) < 0)
		return cmd_fail(&err);
	if (as_json)
		return cmd_print(kms_json_copy(all), true);
	for (size_t i = 0; (one = kms_json_at(all, i)); i++) {
		uint64_t seen = 0, hit = 0;

		(void)kms_json_u64(one, "requests", &seen, &err); /* else it stays 0 */
		(void)kms_json_u64(one, "requests_hit", &hit, &err);
		printf("%s  %-25s  ends %-24s  %llu of %llu  %s\n", text_of(one, "experiment"),
		       text_of(one, "action"), text_of(one, "ends"), (unsigned long long)hit,
		       (unsigned long long)seen, text_of(one, "what"));
	}
	return CMD_DONE;
}

/* Send @request; or say what @r, of filling it, was. */
static int finish(const char *name, const char *path, struct kms_json *request, int r,
		  struct err *err)
{
	if (r == -ENOMEM)
		return cmd_fail(err);
	if (r < 0) {
		(void)err_prefix(err, "%s", name);
		return cmd_wrong(err);
	}
	return send(path, request);
}

int cmd_pause_io(int argc, char **argv)
{
	struct wish w = {UNSET, UNSET, UNSET, UNSET, UNSET, .list = false};
	bool stop = false;
	const struct cmd_option options[] = {
		{"duration", "TIME", CMD_DURATION, &w.duration_ms, "for so long; 0: stop", NULL},
		{"stop", NULL, CMD_FLAG, &stop, "end the pauses that are running", NULL},
	};
	const struct cmd cmd = {"pause-io", "VOL", 1, pause_help, options, 2};
	AUTO(kms_json_freep) struct kms_json *request = kms_json_new_object();
	struct err err;
	int r, first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (!request)
		r = err_set(&err, ENOMEM, "out of memory");
	else if (stop && w.duration_ms != UNSET)
		r = err_set(&err, EINVAL, "--stop and --duration do not go together");
	else if (stop || w.duration_ms == 0)
		r = fill_stop(request, NULL, "pause", &err);
	else if (w.duration_ms == UNSET)
		r = err_set(&err, EINVAL, "--duration is needed, or --stop");
	else
		r = fill(request, &w, "pause", &err);
	return finish(cmd.name, argv[first], request, r, &err);
}

static int fill_inject(struct kms_json *request, const struct wish *w, struct err *err)
{
	const char *kind;

	if (!request)
		return err_set(err, ENOMEM, "out of memory");
	if (w->list + w->clear + (w->stop != NULL) > 1)
		return err_set(err, EINVAL, "--list, --clear and --stop do not go together");
	if (w->clear || w->stop)
		return fill_stop(request, w->stop, NULL, err);
	kind = kind_of(w, err);
	return kind ? fill(request, w, kind, err) : -EINVAL;
}

int cmd_inject(int argc, char **argv)
{
	struct wish w = {UNSET, UNSET, UNSET, UNSET, UNSET, .list = false};
	const struct cmd_option options[] = {
		{"latency", "TIME", CMD_DURATION, &w.latency_ms, "requests wait before they run",
		 NULL},
		{"error", "NAME", CMD_TEXT, &w.error,
		 "requests fail with EIO, ENOSPC, EROFS or ETIMEDOUT", NULL},
		{"iops", "N", CMD_COUNT, &w.iops, "so many requests a second at most", NULL},
		{"throughput", "SIZE", CMD_SIZE, &w.bytes_per_s,
		 "so many bytes a second at most; may go with --iops", NULL},
		{"percent", "P", CMD_TEXT, &w.percent, "of requests that are hit; 100", NULL},
		{"read", NULL, CMD_FLAG, &w.reads, "reads are hit", NULL},
		{"write", NULL, CMD_FLAG, &w.writes, "writes and discards are hit", NULL},
		{"flush", NULL, CMD_FLAG, &w.flushes, "flushes (fsync) are hit", NULL},
		{"duration", "TIME", CMD_DURATION, &w.duration_ms,
		 "for so long; else until it is stopped", NULL},
		{"seed", "N", CMD_COUNT, &w.seed, "choose the same requests each time", NULL},
		{"list", NULL, CMD_FLAG, &w.list, "show what is injected", NULL},
		{"json", NULL, CMD_FLAG, &w.as_json, "with --list: as JSON", NULL},
		{"stop", "ID", CMD_TEXT, &w.stop, "end this experiment", NULL},
		{"clear", NULL, CMD_FLAG, &w.clear, "end all experiments, pauses too", NULL},
	};
	const struct cmd cmd = {"inject",    "VOL",   1,
				inject_help, options, sizeof(options) / sizeof(*options)};
	AUTO(kms_json_freep) struct kms_json *request = kms_json_new_object();
	struct err err;
	int r, first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (w.list && !w.clear && !w.stop)
		return list(argv[first], w.as_json);
	r = fill_inject(request, &w, &err);
	return finish(cmd.name, argv[first], request, r, &err);
}
