/*
 * The AWS KMS client: one object, the operations this project needs, errors that can be acted upon.
 */
#ifndef KMSCLIENT_KMS_H
#define KMSCLIENT_KMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct kms;
struct secret;

/* AWS KMS API Reference, shapes of the request members. */
#define KMS_KEY_ID_MAX	    2048 /* characters */
#define KMS_BLOB_MAX	    6144 /* bytes of a CiphertextBlob */
#define KMS_CONTEXT_MAX	    8192 /* bytes of all names and values */
#define KMS_GRANT_TOKEN_MAX 8192
#define KMS_GRANT_ID_MAX    128
#define KMS_MATERIAL_ID_MAX 64
#define KMS_DATA_KEY_MAX    1024 /* bytes */

/* What a failed call means for the one who made it. */
enum kms_fault {
	KMS_FAULT_NONE,	   /* no error */
	KMS_FAULT_REFUSED, /* KMS answered, and the key cannot be used: disabled, pending deletion,
				denied, not found, ... Trying again soon does not help. */
	KMS_FAULT_TRANSIENT, /* throttled, 5xx, time-out, network, TLS: nothing is known of the key */
	KMS_FAULT_WRONG_CALL /* our request or set-up is at fault: validation, signature, clock,
				credentials that cannot be had */
};

/* Where to ask and for how long. All zero: everything from the environment and the AWS files. */
struct kms_config {
	const char *region;   /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile */
	const char *endpoint; /* NULL: AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL, the profile, else
				 https://kms.REGION.amazonaws.com */
	const char *profile;  /* NULL: AWS_PROFILE, else "default" */
	unsigned timeout_ms;  /* one try; 0: 10,000 */
	unsigned tries;	      /* 0: AWS_MAX_ATTEMPTS, else 3 */
	bool plain;	      /* speak for no service, see kms_can_serve() */
	unsigned backoff_ms;  /* longest wait before the second try; 0: 1,000 */
};

struct kms_pair {
	const char *name;
	const char *value;
};

/* An encryption context; order does not matter. NULL or count 0: none. */
struct kms_context {
	const struct kms_pair *pairs;
	size_t count;
};

/* Bytes that KMS returned; bytes is owned, kms_blob_free() empties it. */
struct kms_blob {
	uint8_t *bytes;
	size_t len;
};

void kms_blob_free(struct kms_blob *blob);

/* What DescribeKey says of a key (AWS KMS API Reference, KeyMetadata). */
struct kms_key_metadata {
	char arn[KMS_KEY_ID_MAX + 1];
	char key_id[KMS_KEY_ID_MAX + 1];
	char state[32]; /* "Enabled", "Disabled", "PendingDeletion", ... */
	char usage[32]; /* "ENCRYPT_DECRYPT", ... */
	char spec[32];	/* "SYMMETRIC_DEFAULT", ... */
	char manager[32];
	bool enabled;
	double deletion_date; /* seconds since 1970; 0: none */
};

/* CreateGrant's request. NULL members are left out. */
struct kms_grant_request {
	const char *key_id;
	const char *grantee_principal;
	const char *retiring_principal;
	const char *const *operations; /* NULL-terminated: "Decrypt", ... */
	const struct kms_context *context_subset;
	const struct kms_context *context_equals;
	const char *name;
};

struct kms_grant {
	char id[KMS_GRANT_ID_MAX + 1];
	char token[KMS_GRANT_TOKEN_MAX + 1];
};

/*
 * A client. No network yet; credentials are looked for at the first call. @config (NULL: all
 * defaults) is copied. Without a region from anywhere the client takes that of the first call's key
 * ARN; a call without one is then -EINVAL (the sentence says where a region was looked for).
 * -EINVAL: region, endpoint or number of tries make no sense, or there is no such profile.
 * Open it in the process that uses it: its secrets are empty in a forked child.
 */
int kms_open(const struct kms_config *config, struct kms **ret_kms, struct err *err);
void kms_close(struct kms *kms);
void kms_closep(struct kms **kms);

/*
 * As whom KMS is asked. A kmsd on this machine lets who may read its service credential speak for EBS
 * and RDS (tools/kmsd/DESIGN.md, "Calls by services"); AWS is asked by the caller itself only. All
 * zero: the caller. Texts are borrowed until the next kms_act_as() or kms_close().
 */
struct kms_actor {
	const char *service;	 /* "ec2", "rds"; NULL: no service, the caller itself */
	bool own;		 /* in the service's own name; else for the caller */
	const char *instance;	 /* own only: by the identity of this instance; NULL: the service */
	const char *grant_token; /* own only: goes along with Decrypt, so that a new grant counts at
				    once; NULL: none */
};

/*
 * Whether kms_act_as() may name services: 1 or 0; found out once, by a request to an endpoint of this
 * machine; other endpoints are not asked. @key_id as for an operation. Errors as of an operation.
 */
int kms_can_serve(struct kms *kms, const char *key_id, struct err *err);

/* The caller's account, as kms_can_serve() learned it; "" before. */
const char *kms_account(const struct kms *kms);

/* Calls from now on are made so; @actor NULL: by the caller. Not while another thread calls. */
void kms_act_as(struct kms *kms, const struct kms_actor *actor);

/* From now on each call is one try of at most @timeout_ms: it is not worth waiting for. 0: as before. */
void kms_hurry(struct kms *kms, unsigned timeout_ms);

/* The endpoint URL and region in use, "" while not known; the client's, until kms_close(). */
const char *kms_endpoint(const struct kms *kms);
const char *kms_region(const struct kms *kms);

/* Drop connections and buffers, wiping what they held. The next call makes new ones. */
void kms_forget(struct kms *kms);

/* Make a call of another thread, or one to come, end early with a transient fault; and undo that. */
void kms_cancel(struct kms *kms);
void kms_uncancel(struct kms *kms);

/*
 * The operations. Each is one AWS KMS API call with the SDKs' standard retries. Any thread; calls on
 * one client run one after the other. On failure: -EKEYREJECTED refused, -ENOKEY no such key (also
 * refused), -ETIMEDOUT transient, -EACCES no credentials or ones that KMS does not know (any more),
 * -EINVAL wrong call, -ENOMEM; @err keeps AWS's exception name, text, HTTP status and request id, and
 * kms_fault() sorts it. @err may be NULL. Outputs are untouched on failure.
 */

/* @key_id may be NULL (the blob names its key). The caller owns *@ret_plaintext. */
int kms_decrypt(struct kms *kms, const uint8_t *blob, size_t blob_len,
		const struct kms_context *context, const char *key_id,
		struct secret **ret_plaintext, struct err *err);

/* @bytes: 1 to KMS_DATA_KEY_MAX. @ret_key_arn has room for KMS_KEY_ID_MAX + 1, or is NULL. */
int kms_generate_data_key_without_plaintext(struct kms *kms, const char *key_id, unsigned bytes,
					    const struct kms_context *context,
					    struct kms_blob *ret_blob, char *ret_key_arn,
					    struct err *err);

int kms_describe_key(struct kms *kms, const char *key_id, struct kms_key_metadata *ret_metadata,
		     struct err *err);

int kms_create_grant(struct kms *kms, const struct kms_grant_request *request,
		     struct kms_grant *ret_grant, struct err *err);

/* By token, or by key ARN and grant id with @token NULL. */
int kms_retire_grant(struct kms *kms, const char *token, const char *key_arn, const char *grant_id,
		     struct err *err);

struct kms_re_encrypt_request {
	const uint8_t *blob;
	size_t blob_len;
	const char *source_key_id; /* NULL: as the blob says */
	const char *destination_key_id;
	const struct kms_context *source_context;
	const struct kms_context *destination_context;
};

int kms_re_encrypt(struct kms *kms, const struct kms_re_encrypt_request *request,
		   struct kms_blob *ret_blob, char *ret_key_arn, struct err *err);

/*
 * What the error of a call above means, by its number: EKEYREJECTED and ENOKEY are refusals, EINVAL
 * and EACCES wrong calls, 0 is none, and any other (out of memory, say) says nothing of the key and
 * so is transient.
 */
enum kms_fault kms_fault(const struct err *err);

#endif
