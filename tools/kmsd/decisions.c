/* Chains of decisions kept. See decisions.h. */
#include "decisions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "call.h"
#include "err.h"
#include "kms_json.h"
#include "linefile.h"
#include "secret.h"
#include "service.h"

/* A chain has 1 to 4 KB, so of each kind about 30,000 requests at least are kept. */
#define FILE_MAX (64 << 20)
#define KEEP	 1

struct decisions {
	struct linefile *refused, *allowed; /* allowed NULL: those are not kept */
};

int decisions_open(int dir_fd, bool allowed, struct decisions **ret_decisions, struct err *err)
{
	const struct linefile_config of_refused = {DECISIONS_REFUSED, FILE_MAX, KEEP},
				     of_allowed = {DECISIONS_ALLOWED, FILE_MAX, KEEP};
	struct decisions *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_set(err, ENOMEM, "decisions");
	r = linefile_open(dir_fd, &of_refused, &d->refused, err);
	if (allowed)
		r = r ? r : linefile_open(dir_fd, &of_allowed, &d->allowed, err);
	if (r < 0) {
		decisions_close(d);
		return r;
	}
	*ret_decisions = d;
	return 0;
}

void decisions_close(struct decisions *decisions)
{
	if (!decisions)
		return;
	linefile_close(decisions->refused);
	linefile_close(decisions->allowed);
	free(decisions);
}

bool decisions_of_allowed(const struct decisions *decisions)
{
	return decisions->allowed;
}

static int put_caller(struct kms_json *rec, const struct caller *caller)
{
	struct kms_json *v = kms_json_new_object();

	if (!v)
		return -ENOMEM;
	return kms_json_set_str(v, "Arn", caller->arn) |
	       kms_json_set_str(v, "Account", caller->account) |
	       kms_json_set_str(v, "Id", caller->principal_id) |
	       kms_json_set_str(v, "Issuer", caller->issuer_arn) | kms_json_set(rec, "Caller", v);
}

static int put_error(struct kms_json *rec, const struct audit_source *source)
{
	struct kms_json *v = kms_json_new_object();

	if (!v)
		return -ENOMEM;
	return kms_json_set_str(v, "Code", source->error_code) |
	       kms_json_set_str(v, "Message", source->error_message ? source->error_message : "") |
	       kms_json_set(rec, "Error", v);
}

static int fill(struct kms_json *rec, struct call *call, const struct audit_source *source)
{
	char when[32];
	int r = audit_time(call->now_ms, when);

	r = r ? r
	      : kms_json_set_str(rec, "EventId", call->event_id) |
			    kms_json_set_str(rec, "Time", when) |
			    kms_json_set_str(rec, "Service", call->service->name) |
			    kms_json_set_str(rec, "Operation", source->event_name) |
			    put_caller(rec, call->caller);
	if (source->error_code)
		r |= put_error(rec, source);
	r |= kms_json_set(rec, "Decisions", call->decisions);
	call->decisions = NULL;
	return r;
}

int decisions_write(struct decisions *decisions, struct call *call,
		    const struct audit_source *source, struct err *err)
{
	struct linefile *file = source->error_code ? decisions->refused : decisions->allowed;
	AUTO(kms_json_freep) struct kms_json *rec = NULL;
	AUTO(freep) char *text = NULL;
	size_t len;

	if (!file)
		return 0;
	rec = kms_json_new_object();
	if (rec && fill(rec, call, source) == 0)
		text = kms_json_text(rec);
	if (!text)
		return err_set(err, ENOMEM, "chain of decisions");
	len = strlen(text);
	text[len++] = '\n'; /* in place of the NUL: it is a file's line from here on */
	return linefile_append(file, text, len, err);
}
