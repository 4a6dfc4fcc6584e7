/* kmsvol rotate: have KMS wrap a volume's data key anew, mounted or not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_change.h"
#include "kmsvol_cmd.h"
#include "kmsvol_place.h"
#include "secret.h"
#include "volume.h"
#include "volume_change.h"

static const char help[] = "Have KMS wrap the data key of the volume VOL anew (ReEncrypt) under "
			   "the newest material of "
			   "its KMS\n"
			   "key, as after a rotation of that (aws kms rotate-key-on-demand). The "
			   "data stays as it is, and "
			   "the\n"
			   "volume may be mounted. VOL is its directory, or where it is mounted.";

struct rotate {
	struct kms_config kms;
	bool rewrap, json, mounted;
};

static int rewrap_here(const char *dir, struct volume_header *header, struct kms *kms,
		       const struct secret *data_key, void *arg, struct err *err)
{
	const struct rotate *rotate = arg;
	AUTO(kms_closep) struct kms *user = NULL; /* @kms acts as a service, where it can */
	int r = kms_open(&rotate->kms, &user, err);

	(void)data_key;
	return r < 0 ? r : volume_wrap_anew(dir, header, user, kms, err);
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
	     kms_json_set_str(obj, "rewrapped",
			      "the data key is wrapped under the KMS key's newest material")) < 0)
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
	if (r == 0)
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
		{"rewrap", NULL, CMD_FLAG, &r.rewrap, "wrap the same data key anew (needed)", NULL},
		CMD_KMS_OPTIONS(r.kms),
		{"json", NULL, CMD_FLAG, &r.json, "print JSON", NULL},
	};
	const struct cmd cmd = {"rotate", "VOL",   1,
				help,	  options, sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (!r.rewrap) {
		(void)err_set(&err, EINVAL, "rotate: --rewrap is needed; see '%s rotate --help'",
			      CMD_PROGRAM);
		return cmd_wrong(&err);
	}
	if (cmd_check_kms(&r.kms, &err) < 0) {
		(void)err_prefix(&err, "rotate");
		return cmd_wrong(&err);
	}
	return run(argv[first], &r);
}
