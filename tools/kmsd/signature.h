/* Is the request signed by someone we know, for us, now? With AWS's own sentences when not. */
#ifndef KMSD_SIGNATURE_H
#define KMSD_SIGNATURE_H

#include <stdint.h>

#include "keyref.h"

struct caller;
struct callers;
struct err;
struct sigv4_request;

#define SIGNATURE_SKEW_SECONDS (5 * 60)

/* What the credential scope must name. */
struct signature_place {
	const char *service;
	const char *region; /* or any that AWS has */
};

struct signature_signer {
	struct caller *caller;		    /* counted */
	char region[KEYREF_REGION_MAX + 1]; /* that it signed for */
};

/* What time it is: for the age of a signature, and for the life of temporary credentials. */
struct signature_time {
	int64_t real_ms, server_ms;
};

/*
 * Check the signature of @req against @place and the clocks. On success the caller puts
 * @ret->caller back. MissingAuthenticationToken-, IncompleteSignature-, InvalidSignature-,
 * UnrecognizedClient- or ExpiredTokenException.
 */
int signature_check(struct callers *callers, const struct sigv4_request *req,
		    const struct signature_place *place, const struct signature_time *now,
		    struct signature_signer *ret, struct err *err);

#endif
