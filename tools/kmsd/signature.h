/* Is the request signed by someone we know, for us, now? With AWS's own sentences when not. */
#ifndef KMSD_SIGNATURE_H
#define KMSD_SIGNATURE_H

#include <stdint.h>

struct access_key;
struct callers;
struct err;
struct sigv4_request;

#define SIGNATURE_SERVICE      "kms"
#define SIGNATURE_SKEW_SECONDS (5 * 60)

/*
 * Check the signature of @req against @region and the clock. On success the caller puts
 * *@ret_caller back. MissingAuthenticationToken-, IncompleteSignature-, InvalidSignature- or
 * UnrecognizedClientException.
 */
int signature_check(struct callers *callers, const struct sigv4_request *req, const char *region,
		    int64_t now_seconds, struct access_key **ret_caller, struct err *err);

#endif
