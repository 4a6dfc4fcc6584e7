/*
 * Speaking for EBS and RDS to a kmsd on this machine: what it told us, and the headers that calls need
 * (service_proof.h). AWS itself is never asked for this and never sees it.
 */
#ifndef KMSCLIENT_KMS_SERVICE_H
#define KMSCLIENT_KMS_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "aws_creds.h"
#include "kms.h"

struct err;
struct kms_json;

#define KMS_SERVICE_HEADERS_MAX 3
#define KMS_SERVICE_LINE_MAX	256

struct kms_service {
	char account[16];
	struct aws_creds creds; /* the service credential */
};

struct kms_service_headers {
	char lines[KMS_SERVICE_HEADERS_MAX][KMS_SERVICE_LINE_MAX];
	unsigned count;
};

/* What a proof is of, beside the actor. */
struct kms_service_call {
	const struct aws_creds *caller;
	const char *region;
	const char *target; /* X-Amz-Target */
	const char *body;
	int64_t now; /* seconds since 1970 */
};

/* Whether @endpoint is one of this machine: only there a kmsd is looked for. */
bool kms_service_is_here(const char *endpoint);

/*
 * From the answer of a kmsd and the file that it names. -ENOENT: it names none, or none that is ours
 * to read. The caller frees.
 */
int kms_service_read(const struct kms_json *answer, struct kms_service **ret_service,
		     struct err *err);
void kms_service_free(struct kms_service *service);

/* The headers of a call by @actor; none for KMS_ACTOR_CALLER. */
int kms_service_headers(const struct kms_service *service, const struct kms_actor *actor,
			const struct kms_service_call *call, struct kms_service_headers *ret,
			struct err *err);

#endif
