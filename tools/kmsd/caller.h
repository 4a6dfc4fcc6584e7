/*
 * Who signs: access keys and the signing keys made from them, kept in memory so that a request costs
 * neither a database query nor four HMACs.
 */
#ifndef KMSD_CALLER_H
#define KMSD_CALLER_H

#include "sigv4.h"
#include "store.h"

struct callers;
struct err;

/* A signing key: good for one access key, day, region and service. */
struct signer {
	struct cached cached;
	struct access_key *access; /* counted */
	struct secret *key;	   /* SIGV4_KEY_LEN bytes; owned */
};

int callers_new(struct store *store, struct callers **ret_callers, struct err *err);
void callers_free(struct callers *callers);

/* -ENOKEY: no such access key. The caller puts *@ret_signer back. */
int callers_signer(struct callers *callers, const char *access_key_id,
		   const struct sigv4_scope *scope, struct signer **ret_signer, struct err *err);

#endif
