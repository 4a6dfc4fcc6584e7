/*
 * Calls that services of AWS make: for a caller ("forward access sessions": the caller's permissions,
 * and the conditions that a service is between), or in their own name, by the grants that they were
 * given. AWS knows who its services are; here it is who knows the service credential, a secret in the
 * data directory. DESIGN.md, "Calls by services", says why that is no way around a policy.
 */
#ifndef KMSD_FORWARD_H
#define KMSD_FORWARD_H

#include <stdbool.h>

#include "ids.h"

struct call;
struct caller;
struct err;
struct flow_request;
struct kms_json;
struct rootkey;
struct secret;

#define FORWARD_NAME_MAX 80
#define FORWARD_ROLE	 "aws:ec2-infrastructure" /* its sessions are the identities of instances */

/* A service, and how records name it. */
struct forward_service {
	const char *name;     /* "ec2"; its principal is NAME.REGION.amazonaws.com */
	const char *front;    /* who calls for a user */
	const char *own_name; /* who calls in its own name */
	bool instances;	      /* it has identities of instances */
};

/* How a call is made; all zero: by the caller itself. */
struct forward {
	const struct forward_service *service; /* NULL: none */
	bool own;			       /* in the service's name */
	char principal[FORWARD_NAME_MAX];      /* "ec2.us-east-1.amazonaws.com" */
	char source[FORWARD_NAME_MAX];	       /* "ec2.amazonaws.com" */
	struct caller *actor;		       /* counted; in its own name: who that is */
};

/* The service credential: made of the root key, so it is the same at each start. */
int forward_secret(const struct rootkey *rootkey, struct secret **ret_secret, struct err *err);

/* Write it to SERVICE_FILE in the data directory @dir_fd (0600), for who may read that. */
int forward_write_credentials(int dir_fd, const struct rootkey *rootkey, struct err *err);

/*
 * After the signature is checked and call->caller is who signed: fill call->forward and, for a call
 * in a service's own name, make call->caller that. UnrecognizedClientException when it is no service
 * that calls, ValidationException when what it says makes no sense.
 */
int forward_take(struct call *call, const struct flow_request *request, struct err *err);
void forward_done(struct forward *forward);

/* Whether @request is a GET of SERVICE_PATH, from this machine. */
bool forward_asked(const struct flow_request *request);

/* Answer it, once it is known who signed: what a client needs that would speak for services. */
int forward_answer(const struct call *call, struct kms_json *ret, struct err *err);

/* Whether a CreateGrant of this call may name @principal though no caller of its own may. */
bool forward_may_name(const struct call *call, const char *principal);

/* What a service may not ask a grant for: one for anybody but itself. ValidationException. */
int forward_check_grant(const struct call *call, const char *grantee, const char *retiring,
			struct err *err);

/* Whether @text names the identity of an instance: arn:aws:sts::A:assumed-role/FORWARD_ROLE/i-... */
bool forward_is_instance(const char *text);

#endif
