/* kmsvol create: make a volume. Options in, volume_create(), the new id out. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "secret.h"
#include "units.h"
#include "volume.h"

static const char *const cipher_names[] = {"aes-256-gcm", "aes-256-xts", "chacha20-poly1305",
					   "none", NULL};

static const char *const services[] = {"ebs", "rds", NULL};

static const char help[] = "Make a new volume in the directory VOL, which must not exist or be "
			   "empty. KMS is asked for\n"
			   "a data key under the key KEY-ID; only its wrapped form is stored.\n"
			   "After ';' stands the default.";

struct create_args {
	uint64_t size, block_size;
	int cipher, service;
	const char *key_id;
	struct cmd_list context;
	struct kms_config kms;
	bool insecure; /* a volume without encryption is wanted */
	bool json;
};

static int split_pairs(const struct cmd_list *list, struct kms_pair *ret_pairs, struct err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *equals = strchr(list->texts[i], '=');

		if (!equals || equals == list->texts[i] || !equals[1])
			return err_set(err, EINVAL,
				       "create: --encryption-context: '%s' is not NAME=VALUE",
				       list->texts[i]);
		ret_pairs[i].name = strndup(list->texts[i], (size_t)(equals - list->texts[i]));
		ret_pairs[i].value = equals + 1;
		if (!ret_pairs[i].name)
			return err_set(err, ENOMEM, "out of memory");
		for (size_t k = 0; k < i; k++)
			if (strcmp(ret_pairs[k].name, ret_pairs[i].name) == 0)
				return err_set(err, EINVAL,
					       "create: --encryption-context: '%s': the name '%s' "
					       "is given twice",
					       list->texts[i], ret_pairs[i].name);
	}
	return 0;
}

/* What the arguments alone show to be wrong, before anyone is asked. */
static int check_geometry(const char *dir, const struct create_args *a,
			  enum blockcrypt_cipher cipher, struct err *err)
{
	struct store_geometry g = {.size_bytes = a->size,
				   .block_size = (uint32_t)a->block_size,
				   .cipher = cipher,
				   .volume_id = "vol-00000000000000000"};
	int r;

	if (a->block_size > STORE_BLOCK_SIZE_MAX)
		r = err_set(err, EINVAL, "block size '%" PRIu64 "' is not a power of two in %d..%d",
			    a->block_size, STORE_BLOCK_SIZE_MIN, STORE_BLOCK_SIZE_MAX);
	else
		r = store_geometry_check(&g, err);
	return r < 0 ? err_prefix(err, "volume '%s'", dir) : 0;
}

static int show(const char *dir, bool json)
{
	AUTO(volume_header_freep) struct volume_header *h = NULL;
	struct kms_json *obj = kms_json_new_object();
	char size[UNITS_TEXT_MAX];
	struct err err;

	if (volume_header_load(dir, &h, &err) < 0) {
		(void)err_prefix(&err, "volume '%s'", dir);
		kms_json_free(obj);
		return cmd_fail(&err);
	}
	units_format_size(h->geometry.size_bytes, size);
	if (!obj || (kms_json_set_str(obj, "volume_id", h->geometry.volume_id) |
		     (json ? kms_json_set_u64(obj, "size_bytes", h->geometry.size_bytes)
			   : kms_json_set_str(obj, "size", size)) |
		     kms_json_set_u64(obj, "block_size", h->geometry.block_size) |
		     kms_json_set_str(obj, "cipher", blockcrypt_name(h->geometry.cipher)) |
		     kms_json_set_str(obj, "key_arn", h->key_arn)) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, json);
}

static int create(const char *dir, const struct volume_create_options *options,
		  const struct kms_config *config, struct err *err)
{
	AUTO(kms_closep) struct kms *kms = NULL;
	struct interrupt in;
	int sig, r = kms_open(config, &kms, err);

	if (r < 0)
		return err_prefix(err, "volume '%s'", dir);
	interrupt_begin(&in, kms);
	r = volume_create(dir, options, kms, err);
	sig = interrupt_end(&in);
	kms_closep(&kms); /* wipes what it holds: we may not come back */
	if (r < 0)
		interrupt_die(sig);
	return r;
}

static int run(const char *dir, const struct create_args *a)
{
	struct kms_pair pairs[CMD_LIST_MAX] = {{0}};
	struct kms_context context = {.pairs = pairs, .count = a->context.count};
	struct volume_create_options options = {.size_bytes = a->size,
						.block_size = (uint32_t)a->block_size,
						.key_id = a->key_id,
						.context = &context,
						.rds = a->service == 1};
	struct err err;
	int code;

	if (split_pairs(&a->context, pairs, &err) < 0)
		code = cmd_wrong(&err);
	else if (blockcrypt_by_name(cipher_names[a->cipher], &options.cipher) < 0)
		code = CMD_FAILED; /* our own table: cannot happen */
	else if (check_geometry(dir, a, options.cipher, &err) < 0)
		code = cmd_wrong(&err);
	else if (create(dir, &options, &a->kms, &err) < 0)
		code = cmd_fail(&err);
	else
		code = show(dir, a->json);
	for (size_t i = 0; i < a->context.count; i++)
		free((char *)(uintptr_t)pairs[i].name);
	return code;
}

int cmd_create(int argc, char **argv)
{
	struct create_args a = {.block_size = STORE_BLOCK_SIZE_MIN};
	const char *size = NULL;
	const struct cmd_option options[] = {
		{"size", "SIZE", CMD_TEXT, &size,
		 "how large it is: 512M, 2G, 1T (G = GB = GiB = 2^30) (needed)", NULL},
		{"key-id", "KEY-ID", CMD_TEXT, &a.key_id,
		 "the KMS key: id, ARN, alias/NAME (needed)", NULL},
		{"cipher", "NAME", CMD_CHOICE, &a.cipher, "the cipher; aes-256-gcm", cipher_names},
		{"insecure-no-encryption", NULL, CMD_FLAG, &a.insecure,
		 "with --cipher none: for measuring only", NULL},
		{"block-size", "SIZE", CMD_SIZE, &a.block_size,
		 "unit of encryption, a power of two in 4096..65536; 4096", NULL},
		{"encryption-context", "NAME=VALUE", CMD_LIST, &a.context,
		 "bind the data key to this too; may be given often", NULL},
		{"as", "SERVICE", CMD_CHOICE, &a.service,
		 "as which service of AWS it calls a kmsd; ebs", services},
		CMD_KMS_OPTIONS(a.kms),
		{"json", NULL, CMD_FLAG, &a.json, "print JSON", NULL},
	};
	const struct cmd cmd = {"create", "VOL",   1,
				help,	  options, sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (!size || !a.key_id) {
		(void)err_set(&err, EINVAL, "create: --%s is needed; see '%s create --help'",
			      size ? "key-id" : "size", CMD_PROGRAM);
		return cmd_wrong(&err);
	}
	if (a.insecure != (strcmp(cipher_names[a.cipher], "none") == 0)) {
		(void)err_set(
			&err, EINVAL,
			"create: --cipher none, which encrypts nothing and is for measuring only, "
			"and --insecure-no-encryption want each other");
		return cmd_wrong(&err);
	}
	if (units_parse_size(size, &a.size, &err) < 0) {
		(void)err_prefix(&err, "create: --size");
		return cmd_wrong(&err);
	}
	if (cmd_check_kms(&a.kms, &err) < 0) {
		(void)err_prefix(&err, "create");
		return cmd_wrong(&err);
	}
	return run(argv[first], &a);
}
