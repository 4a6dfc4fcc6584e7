/*
 * Under the operations: the client object and the one path that every call takes, from a JSON
 * request to a JSON answer.
 */
#ifndef KMSCLIENT_KMS_CALL_H
#define KMSCLIENT_KMS_CALL_H

#include "kms.h"

struct kms_json;

/* A row of the table of operations. */
struct kms_operation {
	const char *name;
	bool no_answer; /* success has an empty body */
};

/* The grant token of whom the client acts as; NULL: none. */
const char *kms_grant_token(struct kms *kms);

/*
 * Sign, send, retry, sort. @key_id (NULL: none) is for the sentence, and gives the region when
 * nothing else does. *@ret_answer is the caller's; not touched for an operation without an answer.
 */
int kms_call(struct kms *kms, const struct kms_operation *operation, const struct kms_json *request,
	     const char *key_id, struct kms_json **ret_answer, struct err *err);

#endif
