/* kmsd's audit trail as it grows. See scenario_audit.h. */
#include "scenario_audit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"

#define LOOK_MS	    20
#define USER_AGENT  "aws-cli/"
#define KMS_SERVICE "kms.amazonaws.com"
#define CONTEXT_ID  "aws:ebs:id"

static volatile sig_atomic_t ended;

static void end(int sig)
{
	(void)sig;
	ended = 1;
}

static const char *text_of(const struct kms_json *obj, const char *name)
{
	const struct kms_json *v = obj ? kms_json_get(obj, name) : NULL;

	return v && kms_json_type(v) == KMS_JSON_STRING ? kms_json_string_value(v) : "";
}

static const struct kms_json *object_of(const struct kms_json *obj, const char *name)
{
	const struct kms_json *v = obj ? kms_json_get(obj, name) : NULL;

	return v && kms_json_type(v) == KMS_JSON_OBJECT ? v : NULL;
}

/* Whose data key it was about: of the call itself, or of the grant that it makes. */
static const char *volume_of(const struct kms_json *record)
{
	const struct kms_json *p = object_of(record, "requestParameters");
	const char *id = text_of(object_of(p, "encryptionContext"), CONTEXT_ID);

	if (*id)
		return id;
	return text_of(object_of(object_of(p, "constraints"), "encryptionContextSubset"),
		       CONTEXT_ID);
}

static int note(const char *line, size_t len, FILE *to)
{
	AUTO(kms_json_freep) struct kms_json *record = NULL, *obj = kms_json_new_object();
	AUTO(freep) char *text = NULL;
	struct err ignored;
	const char *by;

	if (kms_json_parse(line, len, &record, &ignored) < 0 ||
	    strcmp(text_of(record, "eventSource"), KMS_SERVICE) != 0)
		return 0;
	by = strncmp(text_of(record, "userAgent"), USER_AGENT, strlen(USER_AGENT)) == 0 ? "user"
											: "volume";
	if (!obj ||
	    (kms_json_set_u64(obj, "t", clock_wall_ms()) |
	     kms_json_set_str(obj, "op", text_of(record, "eventName")) |
	     kms_json_set_str(obj, "error", text_of(record, "errorCode")) |
	     kms_json_set_str(obj, "volume", volume_of(record)) | kms_json_set_str(obj, "by", by)) <
		    0 ||
	    !(text = kms_json_text(obj)))
		return -ENOMEM;
	return fprintf(to, "%s\n", text) < 0 || fflush(to) != 0 ? -errno : 0;
}

/* All whole lines that are there now. */
static int note_new(FILE *from, FILE *to)
{
	AUTO(freep) char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int r = 0;

	clearerr(from);
	while (r == 0 && (n = getline(&line, &room, from)) > 0) {
		if (line[n - 1] != '\n') /* being written: again when it is whole */
			return fseeko(from, -n, SEEK_CUR) < 0 ? -errno : 0;
		r = note(line, (size_t)n - 1, to);
	}
	return r;
}

static int watch(FILE *from, FILE *to)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	int r = fseeko(from, 0, SEEK_END) < 0 ? -errno : 0;

	while (r == 0 && !ended) {
		r = note_new(from, to);
		(void)nanosleep(&pause, NULL);
	}
	return r < 0 ? r : note_new(from, to);
}

int scenario_audit_run(const char *audit, const char *to, struct err *err)
{
	const struct sigaction act = {.sa_handler = end};
	FILE *in, *out;
	int r;

	(void)sigaction(SIGTERM, &act, NULL); /* cannot fail so */
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGHUP, &act, NULL);
	in = fopen(audit, "re");
	if (!in)
		return err_set(err, errno, "'%s': %s", audit, strerror(errno));
	out = fopen(to, "ae");
	if (!out) {
		r = err_set(err, errno, "'%s': %s", to, strerror(errno));
		(void)fclose(in); /* nothing was written */
		return r;
	}
	r = watch(in, out);
	if (fclose(out) != 0 && r == 0)
		r = -errno;
	(void)fclose(in); /* nothing was written */
	return r < 0 ? err_set(err, -r, "'%s' to '%s': %s", audit, to, strerror(-r)) : 0;
}
