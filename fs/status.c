/* The status of a mounted volume in words. One list of members; the text is made from the JSON. */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"
#include "health.h"
#include "jsontime.h"
#include "kms_json.h"
#include "secret.h"

#define STATUS_TEXT_MAX (64 * 1024)

static const char *fault_name(enum kms_fault fault)
{
	switch (fault) {
	case KMS_FAULT_REFUSED:
		return "refused";
	case KMS_FAULT_TRANSIENT:
		return "transient";
	case KMS_FAULT_WRONG_CALL:
		return "wrong-call";
	case KMS_FAULT_NONE:
		break;
	}
	return "none";
}

static int set_kms_error(struct kms_json *obj, const struct watch_status *w)
{
	struct kms_json *e;

	if (!w->kms_error.num)
		return kms_json_set_null(obj, "kms_error");
	e = kms_json_new_object();
	if (e && (kms_json_set_str(e, "code", w->kms_error.code) |
		  kms_json_set_str(e, "message",
				   *w->kms_error.aws_message ? w->kms_error.aws_message
							     : w->kms_error.msg) |
		  kms_json_set_str(e, "request_id", w->kms_error.request_id) |
		  kms_json_set_str(e, "fault", fault_name(w->kms_fault)))) {
		kms_json_free(e);
		e = NULL;
	}
	return kms_json_set(obj, "kms_error", e);
}

static int set_volume(struct kms_json *obj, const struct status *s)
{
	return kms_json_set_str(obj, "volume_id", s->volume_id) |
	       kms_json_set_str(obj, "volume_dir", s->volume_dir) |
	       kms_json_set_str(obj, "mountpoint", s->mountpoint) |
	       kms_json_set_i64(obj, "pid", s->pid) |
	       kms_json_set_u64(obj, "size_bytes", s->size_bytes) |
	       kms_json_set_u64(obj, "block_size", s->block_size) |
	       kms_json_set_str(obj, "cipher", s->cipher) |
	       kms_json_set_str(obj, "crypto_provider", s->provider) |
	       kms_json_set_str(obj, "crypto_provider_version", s->provider_version) |
	       kms_json_set_str(obj, "key_arn", s->key_arn) |
	       kms_json_set_bool(obj, "read_only", s->read_only);
}

static int set_config(struct kms_json *obj, const struct status *s)
{
	const struct keywatch_config *c = &s->config;

	return kms_json_set_str(obj, "profile", s->profile) |
	       kms_json_set_u64(obj, "time_scale", c->time_scale) |
	       kms_json_set_str(obj, "on_key_loss", keywatch_reaction_name(c->reaction)) |
	       kms_json_set_u64(obj, "check_interval_ms", c->check_interval_ms) |
	       kms_json_set_u64(obj, "grace_ms", c->grace_ms) |
	       kms_json_set_u64(obj, "kms_outage_grace_ms", c->kms_outage_grace_ms) |
	       kms_json_set_str(obj, "recover", c->recover_manually ? "manual" : "auto") |
	       kms_json_set_u64(obj, "recover_delay_ms", c->recover_delay_ms) |
	       kms_json_set_u64(obj, "terminal_after_ms", c->terminal_after_ms);
}

static int set_watch(struct kms_json *obj, const struct status *s)
{
	const struct watch_status *w = &s->watch;

	return jsontime_set(obj, "last_check", w->last_check_wall_ms) |
	       kms_json_set_str(obj, "last_check_result", w->last_check_result) |
	       jsontime_set(obj, "next_check", w->next_check_wall_ms) |
	       jsontime_set(obj, "terminal_at", w->terminal_wall_ms) | set_kms_error(obj, w) |
	       kms_json_set_u64(obj, "kms_calls", w->kms_calls);
}

static int set_io(struct kms_json *obj, const struct status *s)
{
	return kms_json_set_u64(obj, "waiting_requests", s->gate.waiting) |
	       kms_json_set_u64(obj, "waiting_bytes", s->gate.waiting_bytes) |
	       kms_json_set_u64(obj, "refused_over_limit", s->gate.over_limit) |
	       kms_json_set_u64(obj, "reads", s->io.reads) |
	       kms_json_set_u64(obj, "writes", s->io.writes) |
	       kms_json_set_u64(obj, "read_bytes", s->io.read_bytes) |
	       kms_json_set_u64(obj, "written_bytes", s->io.written_bytes) |
	       kms_json_set_u64(obj, "flushes", s->io.flushes) |
	       kms_json_set_u64(obj, "discards", s->io.discards) |
	       kms_json_set_u64(obj, "errors", s->io.errors);
}

/* How EC2 would describe the volume, and what is injected into it. */
static int set_health(struct kms_json *obj, const struct status *s)
{
	bool refused = s->watch.state == KEYWATCH_INACCESSIBLE ||
		       (s->config.reaction == KEYWATCH_ERROR && !s->watch.store_open);
	const struct health_facts facts = {
		.stalled_ms = s->gate.stalled_ms,
		.refused = refused,
		.degraded = s->faults.degraded || s->watch.state == KEYWATCH_READ_ONLY,
		.time_scale = s->config.time_scale,
	};
	const struct health h = health_at(&facts, clock_monotonic_ms());

	return kms_json_set_str(obj, "volume_status", h.volume_status) |
	       kms_json_set_str(obj, "io_enabled", h.io_enabled) |
	       kms_json_set_str(obj, "io_performance", h.io_performance) |
	       kms_json_set_u64(obj, "stalled_io_check", h.stalled_io_check) |
	       jsontime_set(obj, "io_paused_until", s->faults.pause_end_wall_ms) |
	       kms_json_set_str(obj, "injected", s->faults.text) |
	       kms_json_set_u64(obj, "injected_delays", s->faults.delays) |
	       kms_json_set_u64(obj, "injected_errors", s->faults.errors) |
	       kms_json_set_u64(obj, "delayed_requests", s->gate.delayed);
}

/* Bytes that went to the log for each byte that users wrote, in steps of a hundredth. */
static double write_amplification(const struct store_stats *st)
{
	uint64_t all = st->appended_bytes + st->moved_bytes;

	return st->appended_bytes ? (double)(all * 100 / st->appended_bytes) / 100 : 1;
}

static int set_space(struct kms_json *obj, const struct store_stats *st)
{
	return kms_json_set_u64(obj, "mapped_bytes", st->mapped_bytes) |
	       kms_json_set_u64(obj, "log_bytes", st->log_bytes) |
	       kms_json_set_u64(obj, "live_bytes", st->live_bytes) |
	       kms_json_set_u64(obj, "dead_bytes", st->dead_bytes) |
	       kms_json_set_u64(obj, "pinned_bytes", st->pinned_bytes) |
	       kms_json_set_u64(obj, "segments", st->segments) |
	       kms_json_set_u64(obj, "damaged_segments", st->damaged_segments) |
	       kms_json_set_u64(obj, "previous_key_bytes", st->previous_bytes) |
	       kms_json_set_bool(obj, "cleaning", st->cleaning) |
	       kms_json_set_u64(obj, "cleaned_segments", st->cleaned_segments) |
	       kms_json_set_u64(obj, "appended_bytes", st->appended_bytes) |
	       kms_json_set_u64(obj, "moved_bytes", st->moved_bytes) |
	       kms_json_set_double(obj, "write_amplification", write_amplification(st));
}

static int set_store(struct kms_json *obj, const struct watch_status *w)
{
	return kms_json_set_bool(obj, "store_open", w->store_open) | set_space(obj, &w->store) |
	       kms_json_set_u64(obj, "checkpoint", w->store.checkpoint) |
	       kms_json_set_u64(obj, "store_flushes", w->store.flushes) |
	       kms_json_set_u64(obj, "replayed_records", w->store.replayed_records) |
	       kms_json_set_u64(obj, "replayed_bytes", w->store.replayed_bytes) |
	       kms_json_set_bool(obj, "writing_stopped", w->store.writing_stopped) |
	       kms_json_set_str(obj, "store_notice", w->store.notice);
}

static int set_transport(struct kms_json *obj, const struct transport_status *t)
{
	return kms_json_set_str(obj, "transport", t->io_uring ? "io_uring" : "/dev/fuse") |
	       kms_json_set_str(obj, "no_io_uring", t->why_not) |
	       kms_json_set_u64(obj, "request_threads", t->threads) |
	       kms_json_set_u64(obj, "request_buffer_bytes", t->buffer_bytes);
}

struct kms_json *status_json(const struct status *status)
{
	struct kms_json *obj = kms_json_new_object();

	if (!obj)
		return NULL;
	if (kms_json_set_str(obj, "state", keywatch_state_name(status->watch.state)) |
	    jsontime_set(obj, "state_since", status->watch.since_wall_ms) |
	    kms_json_set_str(obj, "reason", status->watch.reason) | set_volume(obj, status) |
	    set_config(obj, status) | set_watch(obj, status) | set_io(obj, status) |
	    set_health(obj, status) | set_store(obj, &status->watch) |
	    set_transport(obj, &status->transport) |
	    kms_json_set_str(obj, "version", KMSVOL_VERSION)) {
		kms_json_free(obj);
		return NULL;
	}
	return obj;
}

/* One line, whatever stands in the value. */
static int put_line(struct buf *out, const char *name, const char *value)
{
	size_t start = out->len;
	int r = buf_printf(out, "%s: %s", name, *value ? value : "-");

	for (size_t i = start; r >= 0 && i < out->len; i++)
		if (out->bytes[i] < ' ')
			out->bytes[i] = ' ';
	return r < 0 ? r : buf_append(out, "\n", 1);
}

struct text_maker {
	struct buf *out;
	const char *prefix;
};

static int put_member(const char *name, struct kms_json *value, void *arg)
{
	struct text_maker *maker = arg;
	char full[64], number[24];
	const char *text = "-";

	(void)snprintf(full, sizeof(full), "%s%s", maker->prefix, name); /* our own short names */
	switch (kms_json_type(value)) {
	case KMS_JSON_STRING:
		text = kms_json_string_value(value);
		break;
	case KMS_JSON_BOOL:
		text = kms_json_bool_value(value) ? "yes" : "no";
		break;
	case KMS_JSON_INT:
		(void)snprintf(number, sizeof(number), "%" PRId64, kms_json_int_value(value));
		text = number;
		break;
	case KMS_JSON_DOUBLE:
		(void)snprintf(number, sizeof(number), "%.2f", kms_json_double_value(value));
		text = number;
		break;
	case KMS_JSON_OBJECT: {
		struct text_maker inner = {.out = maker->out, .prefix = "kms_error_"};

		return kms_json_each(value, put_member, &inner);
	}
	default:
		break;
	}
	return put_line(maker->out, full, text);
}

char *status_text(const struct status *status)
{
	AUTO(kms_json_freep) struct kms_json *obj = status_json(status);
	struct buf out = {.max = STATUS_TEXT_MAX};
	struct text_maker maker = {.out = &out, .prefix = ""};

	if (!obj || kms_json_each(obj, put_member, &maker) < 0) {
		buf_free(&out);
		return NULL;
	}
	return (char *)out.bytes;
}
