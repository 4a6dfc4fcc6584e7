/* The services that one port speaks: KMS, CloudTrail (AWS JSON 1.1), IAM, STS (AWS Query, XML). */
#ifndef KMSD_SERVICE_H
#define KMSD_SERVICE_H

#include <stdbool.h>

struct operation;
struct sigv4_request;

struct service {
	const char *name;	   /* in credential scopes and actions */
	const char *event_source;  /* in audit records */
	const char *target_prefix; /* of X-Amz-Target; NULL: the Query protocol */
	const char *version;	   /* of the Query protocol */
	const char *xmlns;
	bool home; /* it is in us-east-1, whatever region a request is signed for */
	const struct operation *(*find)(const char *name);
};

/*
 * Whom a request is for: by its X-Amz-Target; without one, when the body is a form, by the service
 * that it is signed for; else KMS.
 */
const struct service *service_of(const struct sigv4_request *req);

/* The value of a header, whatever its name's case; NULL: none. */
const char *service_header(const struct sigv4_request *req, const char *name);

#endif
