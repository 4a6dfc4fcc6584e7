/*
 * How a call tells kmsd that a service makes it: the headers, and the proof that whoever speaks for a
 * service knows the service credential (tools/kmsd/DESIGN.md, "Calls by services"). Shared by the
 * client, which makes proofs, and kmsd, which checks them. AWS knows none of this and never sees it.
 */
#ifndef KMSCLIENT_SERVICE_PROOF_H
#define KMSCLIENT_SERVICE_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "sigv4.h"

struct err;

/* The access key of the services; no key that is drawn by chance has a 0 in it. */
#define SERVICE_ACCESS_KEY "AKIAKMSDSERVICE00000"

/* What the proof's signing key is good for, in place of a service's name. */
#define SERVICE_PROOF_SCOPE "kmsd-forward"

/* Where kmsd says, to a signed GET, that it is one, and where the credential lies. */
#define SERVICE_PATH	"/kmsd/service"
#define SERVICE_PROFILE "kmsd-service" /* section of the file */
#define SERVICE_FILE	"service-credentials"

#define SERVICE_HEADER		"X-Kmsd-Service"  /* "ec2": who calls */
#define SERVICE_PROOF_HEADER	"X-Kmsd-Proof"	  /* DATE HEX: of a call for the one who signs */
#define SERVICE_ACCOUNT_HEADER	"X-Kmsd-Account"  /* of a call in the service's own name: whose */
#define SERVICE_INSTANCE_HEADER "X-Kmsd-Instance" /* "i-...": by the identity of that instance */

/* Of which call it is a proof. */
struct service_proof {
	const char *date; /* YYYYMMDDTHHMMSSZ */
	const char *access_key_id;
	const char *service;
	const char *target; /* X-Amz-Target */
	const void *body;
	size_t body_len;
};

/*
 * Lower-case hex of the proof under @key, the signing key of the service credential for the date's
 * day, the region and SERVICE_PROOF_SCOPE.
 */
int service_proof(const struct service_proof *proof, const uint8_t key[SIGV4_KEY_LEN],
		  char ret_hex[SIGV4_HEX_LEN + 1], struct err *err);

#endif
