/*
 * One API call on its way: what the steps of the request flow (flow.c) hand to an operation and take
 * back. An operation is a row of operations.c; its function gets a struct call whose signature and
 * input are checked, and whose key, if the row names its member, is found, authorized and in a state
 * that allows the operation.
 */
#ifndef KMSD_CALL_H
#define KMSD_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "authorize.h"
#include "bytes.h"
#include "caller.h"
#include "forward.h"
#include "inject.h"
#include "keyref.h"
#include "keystate.h"
#include "store.h"
#include "validate.h"

struct audit;
struct calendar;
struct decisions;
struct err;
struct events;
struct keyring;
struct lag;
struct kms_json;
struct service;
struct throttle;

/* The server: what every call may use. Fixed at start; its parts are safe from any thread. */
struct kmsd {
	struct keyref_place
		place; /* its first account, and the region it is in when none is named */
	struct store *store;
	struct keyring *ring;
	struct callers *callers;
	struct audit *audit;
	struct events *events;	     /* NULL: no index of the audit trail */
	struct calendar *calendar;   /* NULL: real time */
	struct decisions *decisions; /* NULL: chains of decisions are not kept */
	const char *service_file;    /* path of the service credential; NULL: nobody is told */
	struct lag *lag;	     /* NULL: changes count at once */
	struct throttle *throttle;   /* NULL: none */
	struct inject *inject;	     /* NULL: no faults */
};

struct call;

typedef int (*call_fn)(struct call *call, struct err *err);

/* A row of the table of operations. */
struct operation {
	const char *name;
	call_fn run;		      /* NULL: KMS has it, this server not yet */
	const struct member *members; /* of the input */
	const char *key_member;	      /* names the key; NULL: the operation finds its own */
	enum key_use use;	      /* row of the key-state table */
	bool alias_ok;		      /* key_member may be an alias */
	bool arn_fault;		      /* the operation has InvalidArnException */
	bool cross_account;	      /* it may be used with keys of other accounts */
	bool read_only;		      /* for the audit record */
	/* of IAM, STS, CloudTrail only */
	const char *target; /* "user", "role", "policy": what it works on, named by a member */
	bool own_check;	    /* it authorizes itself, or needs no permission */
	bool log_output;    /* read-only, but the record has its response */
};

#define CALL_RESOURCES_MAX 2

/* Whether the two keys of a ReEncrypt are one. */
enum call_keys { CALL_KEYS_UNKNOWN, CALL_KEYS_SAME, CALL_KEYS_DIFFER };

struct call {
	struct kmsd *kmsd;
	const struct service *service;
	const struct operation *op;
	const struct caller *caller;
	struct keyref_place place; /* the caller's account, the region that it signed for */
	struct forward forward;	   /* whether a service calls */
	const struct kms_json *input;
	struct kms_json *output; /* an object; left empty, the reply has no body */
	int64_t now_ms;
	const char *address, *user_agent; /* of the client; NULL: not known */
	bool secure;			  /* the request came by TLS */
	struct key *key;		  /* of op->key_member; counted */
	enum call_keys same_key;

	struct grant_tokens tokens;  /* that came along */
	struct inject_effect effect; /* of faults that were asked for */

	/* for the audit record */
	char event_id[IDS_UUID_LEN + 1];
	char region[KEYREF_REGION_MAX + 1]; /* what place.region points to */
	char resources[CALL_RESOURCES_MAX][IAM_ARN_MAX];
	const char *resource_types[CALL_RESOURCES_MAX]; /* NULL: a KMS key */
	unsigned resource_count;
	char material_hex[2 * CIPHERTEXT_MATERIAL_LEN + 1];
	struct kms_json *response_elements; /* NULL: as the row's kind has it */
	char grant_id[GRANT_ID_LEN + 1];    /* of the grant that ended; "": none did */
	struct kms_json
		*decisions; /* an array: the chain of each (policy_trace.h); NULL: none kept */
};

/* A member of the input that was validated; NULL or the default when it is absent. */
const char *call_text(const struct call *call, const char *name);
int64_t call_number(const struct call *call, const char *name, int64_t otherwise);
bool call_flag(const struct call *call, const char *name);

/*
 * Find the key that @text names, for @action ("ReEncryptFrom"); it is noted as a resource. The caller
 * puts it back. AccessDeniedException for other accounts' keys that are not there, or that the
 * operation cannot be used with.
 */
int call_find_key(struct call *call, const char *text, const char *action, struct key **ret_key,
		  struct err *err);

/* Ask whether the caller may do @action ("Decrypt") on @key (NULL: on no key), by policy or grant. */
int call_authorize(struct call *call, const char *action, const struct key *key, struct err *err);

/* Whether the state of @key that counts (lag.h) allows that use of it. */
int call_check_state(const struct call *call, enum key_use use, const struct key *key,
		     struct err *err);

/*
 * Grants (call_grant.c). The call's GrantTokens are ours: InvalidGrantTokenException if one is not;
 * the same for one token, taken apart.
 */
int call_check_tokens(struct call *call, struct err *err);
int call_open_token(struct call *call, const char *token, struct store_token *ret, struct err *err);

/* The caller as grants may mean it. Its texts are the call's. */
void call_grant_caller(const struct call *call, struct grant_caller *ret);

/* What the input's Operations and Constraints ask for. The caller frees *@ret_pairs. */
int call_new_permit(const struct call *call, struct policy_permit *ret_permit,
		    struct policy_pair **ret_pairs, struct err *err);

/* The encryption context that @action ("ReEncryptFrom") of the call is under; NULL: none. */
const struct kms_json *call_encryption_context(const struct call *call, const char *action);

/* DryRunOperationException if the call is a dry run: the last check before anything is done. */
int call_dry_run(const struct call *call, struct err *err);

/* Ask whether the caller may do @action ("iam:CreateUser") on @resource_arn. */
int call_authorize_on(struct call *call, const char *action, const char *resource_arn,
		      struct err *err);

/* Note for the audit record what the call works on; @type as in "AWS::IAM::User" (NULL: a key). */
void call_note(struct call *call, const char *type, const char *name);

/* What was or-ed of calls to kms_json_set_*(): 0, or -ENOMEM with a sentence. */
int call_filled(int r, struct err *err);

#endif
