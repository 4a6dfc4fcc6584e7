/* outage.json. See outage.h. */
#include "outage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "jsontime.h"
#include "keywatch.h"
#include "kms_json.h"
#include "secret.h"
#include "textfile.h"

#define OUTAGE_FILE	"outage.json"
#define OUTAGE_FORMAT	"kmsvol-outage"
#define OUTAGE_SIZE_MAX 4096

static int parse(const char *text, struct outage *ret_outage, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	const char *format;
	int r = kms_json_parse(text, strlen(text), &obj, err);

	if (r == 0)
		r = kms_json_str(obj, "format", &format, err);
	if (r == 0 && strcmp(format, OUTAGE_FORMAT) != 0)
		r = err_set(err, EUCLEAN, "member 'format' is not '%s'", OUTAGE_FORMAT);
	if (r == 0)
		r = jsontime_get(obj, "since", &ret_outage->since_wall_ms, err);
	if (r == 0)
		r = jsontime_get(obj, "terminal_at", &ret_outage->terminal_wall_ms, err);
	return r;
}

int outage_load(int dir_fd, struct outage *ret_outage, struct err *err)
{
	AUTO(freep) char *text = NULL;
	struct outage o = {0};
	int r = textfile_read(dir_fd, OUTAGE_FILE, OUTAGE_SIZE_MAX, &text);

	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "%s: %s", OUTAGE_FILE, strerror(-r));
	if (r == 0 && parse(text, &o, err) < 0) {
		err->num = EUCLEAN;
		(void)err_prefix(err, OUTAGE_FILE);
		return -EUCLEAN;
	}
	*ret_outage = o;
	return 0;
}

int outage_save(int dir_fd, const struct outage *outage)
{
	AUTO(kms_json_freep) struct kms_json *obj = kms_json_new_object();
	AUTO(freep) char *text = NULL;

	if (!obj || kms_json_set_str(obj, "format", OUTAGE_FORMAT) < 0 ||
	    jsontime_set(obj, "since", outage->since_wall_ms) < 0 ||
	    jsontime_set(obj, "terminal_at", outage->terminal_wall_ms) < 0 ||
	    !(text = kms_json_text_pretty(obj)))
		return -ENOMEM;
	return textfile_replace(dir_fd, OUTAGE_FILE, text, 0600);
}

int outage_clear(int dir_fd)
{
	if (unlinkat(dir_fd, OUTAGE_FILE, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return fsync(dir_fd) < 0 ? -errno : 0;
}

bool outage_is_terminal(const struct outage *outage, uint64_t wall_ms)
{
	return outage->since_wall_ms && outage->terminal_wall_ms &&
	       wall_ms >= outage->terminal_wall_ms;
}

int outage_refuse(const struct outage *outage, struct err *err)
{
	char since[CLOCK_ISO_LEN], end[CLOCK_ISO_LEN];

	clock_iso(outage->since_wall_ms, since);
	clock_iso(outage->terminal_wall_ms, end);
	return err_set(err, EKEYREJECTED,
		       "state %s: it was without its KMS key from %s until after %s, and is given "
		       "up; its data comes back by 'kmsvol snapshot create' and 'kmsvol restore'",
		       keywatch_state_name(KEYWATCH_INACCESSIBLE), since, end);
}
