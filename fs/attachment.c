/* Attaching volumes as EBS and RDS do. See attachment.h. */
#include "attachment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "say.h"
#include "secret.h"
#include "sigv4.h"
#include "textfile.h"
#include "volume.h"

#define FILE_MAX	 4096
#define HURRY_MS	 2000 /* for the last call of a daemon that ends */
#define MACHINE_ID	 "/etc/machine-id"
#define INSTANCE_LEN	 19 /* "i-" and 17 hex digits */
#define PRINCIPAL_MAX	 160
#define RDS_CLUSTER_PAIR "aws:rds:dbc-id"

struct attachment {
	struct kms *kms;
	const struct volume_header *header;
	int dir_fd;		/* -1: of a new volume */
	bool served;		/* by a service; else all below is empty */
	bool rds;		/* its grant outlives attachments */
	struct kms_actor actor; /* the service; points into what follows */
	char principal[PRINCIPAL_MAX];
	char instance[INSTANCE_LEN + 1];
	char grant_id[KMS_GRANT_ID_MAX + 1]; /* to be retired; "": none */
	char token[KMS_GRANT_TOKEN_MAX + 1]; /* of the grant made last; "": none */
};

static bool has_pair(const struct volume_header *h, const char *name)
{
	for (size_t i = 0; i < h->pair_count; i++)
		if (strcmp(h->pairs[i].name, name) == 0)
			return true;
	return false;
}

bool attachment_is_rds(const struct volume_header *header)
{
	return has_pair(header, ATTACHMENT_RDS_PAIR) || has_pair(header, RDS_CLUSTER_PAIR);
}

/* This machine as an EC2 instance: the same one at each start, and no other machine's. */
static int instance_id(char ret[INSTANCE_LEN + 1], struct err *err)
{
	AUTO(freep) char *text = NULL;
	char host[256] = "", hex[SIGV4_HEX_LEN + 1];
	const char *name;
	int r = textfile_read(AT_FDCWD, MACHINE_ID, FILE_MAX, &text);

	(void)gethostname(host, sizeof(host) - 1); /* "" is a name too */
	name = r == 0 ? text : host;
	r = sigv4_sha256_hex(name, strlen(name), hex, err);
	if (r == 0)
		(void)snprintf(ret, INSTANCE_LEN + 1, "i-%.17s", hex);
	return r;
}

static int new_attachment(const struct volume_header *header, const char *key_id, struct kms *kms,
			  struct attachment **ret, struct err *err)
{
	struct attachment *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	a->kms = kms;
	a->header = header;
	a->dir_fd = -1;
	a->rds = attachment_is_rds(header);
	r = kms_can_serve(kms, key_id, err);
	a->served = r > 0;
	r = r < 0 ? r : instance_id(a->instance, err);
	if (r < 0) {
		free(a);
		return r;
	}
	a->actor.service = a->rds ? "rds" : "ec2";
	(void)snprintf(a->principal, sizeof(a->principal), "%s.%s.amazonaws.com", a->actor.service,
		       kms_region(kms)); /* a region is short */
	*ret = a;
	return 0;
}

/* Who asks from now on: the service for the user, or in its own name, by @instance or not. */
static void act(struct attachment *a, bool own, bool instance)
{
	a->actor.own = own;
	a->actor.instance = instance ? a->instance : NULL;
	a->actor.grant_token = a->token[0] ? a->token : NULL;
	kms_act_as(a->kms, &a->actor);
}

/* For the user: let @grantee decrypt what is bound to this volume. */
static int create_grant(struct attachment *a, const char *grantee, struct err *err)
{
	static const char *const decrypt[] = {"Decrypt", NULL};
	const char *name = a->rds ? ATTACHMENT_RDS_PAIR : VOLUME_ID_CONTEXT;
	struct kms_context context = {.pairs = a->header->pairs, .count = 1};
	struct kms_grant_request request = {.key_id = a->header->key_arn,
					    .grantee_principal = grantee,
					    .retiring_principal = a->principal,
					    .operations = decrypt,
					    .context_subset = &context};
	struct kms_grant *grant = calloc(1, sizeof(*grant));
	int r;

	for (size_t i = 0; i < a->header->pair_count; i++)
		if (strcmp(a->header->pairs[i].name, name) == 0)
			context.pairs = &a->header->pairs[i];
	if (!grant)
		return err_set(err, ENOMEM, "out of memory");
	act(a, false, false);
	r = kms_create_grant(a->kms, &request, grant, err);
	if (r == 0) {
		(void)snprintf(a->grant_id, sizeof(a->grant_id), "%s", grant->id); /* as long */
		(void)snprintf(a->token, sizeof(a->token), "%s", grant->token);	   /* as long */
	}
	free(grant);
	return r;
}

/* 0 also when it is not there any more. */
static int retire(struct attachment *a, const char *key_arn, const char *grant_id, struct err *err)
{
	int r;

	act(a, true, false);
	r = kms_retire_grant(a->kms, NULL, key_arn, grant_id, err);
	return r == -ENOKEY ? 0 : r;
}

/* --- what a killed daemon leaves --- */

static int note_grant(const struct attachment *a, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *obj = kms_json_new_object();
	AUTO(freep) char *text = NULL;
	int r;

	if (!obj || kms_json_set_str(obj, "service", a->actor.service) |
			    kms_json_set_str(obj, "key_arn", a->header->key_arn) |
			    kms_json_set_str(obj, "grant_id", a->grant_id))
		return err_set(err, ENOMEM, "out of memory");
	text = kms_json_text_pretty(obj);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	r = textfile_replace(a->dir_fd, ATTACHMENT_FILE, text, 0600);
	return r < 0 ? err_set(err, -r, ATTACHMENT_FILE ": %s", strerror(-r)) : 0;
}

static void forget_grant(const struct attachment *a)
{
	if (unlinkat(a->dir_fd, ATTACHMENT_FILE, 0) < 0 && errno != ENOENT)
		say_warning("%s: cannot be removed: %s", ATTACHMENT_FILE, strerror(errno));
}

/* The grant of an attachment that was not ended. What cannot be retired stays, and is told. */
static void retire_left(struct attachment *a)
{
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	AUTO(freep) char *text = NULL;
	const char *key_arn, *grant_id;
	struct err err = {0};
	int r = -ENOENT;

	if (a->dir_fd >= 0)
		r = textfile_read(a->dir_fd, ATTACHMENT_FILE, FILE_MAX, &text);
	if (r == -ENOENT)
		return;
	if (r == 0)
		r = kms_json_parse(text, strlen(text), &obj, &err);
	if (r == 0)
		r = kms_json_str(obj, "key_arn", &key_arn, &err);
	if (r == 0)
		r = kms_json_str(obj, "grant_id", &grant_id, &err);
	if (r == 0)
		r = retire(a, key_arn, grant_id, &err);
	if (r < 0)
		say_warning("the grant of the last attachment (%s) is not retired: %s",
			    ATTACHMENT_FILE, err.num ? err.msg : strerror(-r));
}

/* --- attach and detach --- */

int attachment_explain(const struct volume_header *header, struct kms *kms, int r, struct err *err)
{
	struct err ignored;

	if ((r != -EKEYREJECTED && r != -ENOKEY) ||
	    kms_can_serve(kms, header->key_arn, &ignored) <= 0)
		return r;
	if (attachment_is_rds(header))
		return err_prefix(err, "KMSKeyNotAccessibleFault: An error occurred accessing an "
				       "Amazon Web Services KMS key");
	return err_prefix(err, "Client.InternalError: Client error on launch: "
			       "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an "
			       "incorrect state");
}

static int attach_ebs(struct attachment *a, struct secret **ret_key, struct err *err)
{
	char identity[PRINCIPAL_MAX];
	int r;

	(void)snprintf(identity, sizeof(identity),
		       "arn:aws:sts::%s:assumed-role/aws:ec2-infrastructure/%s",
		       kms_account(a->kms), a->instance); /* fits */
	retire_left(a);
	r = create_grant(a, identity, err);
	if (r < 0)
		return err_prefix(err, "cannot unwrap data key");
	if (a->dir_fd >= 0 && note_grant(a, err) < 0)
		say_warning(
			"if this daemon is killed, grant %s will have to be revoked by hand: %s",
			a->grant_id, err->msg);
	act(a, true, true);
	return volume_unwrap(a->header, a->kms, ret_key, err);
}

/* The grant of a database's volume is made with it; when somebody revoked it, attaching makes another. */
static int attach_rds(struct attachment *a, struct secret **ret_key, struct err *err)
{
	int r;

	act(a, true, false);
	r = volume_unwrap(a->header, a->kms, ret_key, err);
	if (r != -EKEYREJECTED || strcmp(err->code, "AccessDeniedException") != 0)
		return r;
	r = create_grant(a, a->principal, err);
	if (r < 0)
		return err_prefix(err, "cannot unwrap data key");
	a->grant_id[0] = '\0'; /* it stays */
	act(a, true, false);
	return volume_unwrap(a->header, a->kms, ret_key, err);
}

int attachment_begin(const struct volume_header *header, int dir_fd, struct kms *kms,
		     struct attachment **ret_attachment, struct secret **ret_key, struct err *err)
{
	struct attachment *a;
	int r = new_attachment(header, header->key_arn, kms, &a, err);

	if (r < 0)
		return err_prefix(err, "cannot unwrap data key");
	a->dir_fd = dir_fd;
	if (!a->served)
		r = volume_unwrap(header, kms, ret_key, err);
	else if (a->rds)
		r = attach_rds(a, ret_key, err);
	else
		r = attach_ebs(a, ret_key, err);
	if (r < 0) {
		attachment_end(a);
		return r;
	}
	*ret_attachment = a;
	return 0;
}

void attachment_end(struct attachment *attachment)
{
	struct attachment *a = attachment;
	struct err err = {0};

	if (!a)
		return;
	if (a->grant_id[0]) {
		kms_uncancel(a->kms);
		kms_hurry(a->kms, HURRY_MS);
		if (retire(a, a->header->key_arn, a->grant_id, &err) == 0 && a->dir_fd >= 0)
			forget_grant(a);
		else if (err.num)
			say_warning("the grant of this attachment is not retired; the next mount "
				    "will do it: %s",
				    err.msg);
		kms_hurry(a->kms, 0);
	}
	kms_act_as(a->kms, NULL);
	free(a);
}

/* --- new volumes --- */

int attachment_new(const struct volume_header *header, const char *key_id, struct kms *kms,
		   struct attachment **ret_attachment, struct err *err)
{
	int r = new_attachment(header, key_id, kms, ret_attachment, err);

	if (r < 0)
		return err_prefix(err, "cannot get a data key");
	if ((*ret_attachment)->served)
		act(*ret_attachment, false, false);
	return 0;
}

int attachment_admit(struct attachment *attachment, struct err *err)
{
	struct attachment *a = attachment;
	int r;

	if (!a->served)
		return 0;
	r = create_grant(a, a->principal, err);
	if (r < 0)
		return err_prefix(err, "cannot get a data key");
	act(a, true, false);
	return 0;
}

void attachment_made(struct attachment *attachment, int result)
{
	if (attachment && attachment->rds && result == 0)
		attachment->grant_id[0] = '\0'; /* it stays with the volume */
	attachment_end(attachment);
}
