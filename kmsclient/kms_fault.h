/*
 * What an answer of KMS, or the lack of one, means: sorted, put into a sentence, and with what to do
 * next. Pure. The public part, kms_fault(), is in kms.h.
 */
#ifndef KMSCLIENT_KMS_FAULT_H
#define KMSCLIENT_KMS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct kms_http_answer;

/* What was tried, for the sentence. */
struct kms_fault_call {
	const char *operation; /* "Decrypt" */
	const char *key_id;    /* NULL: the request named none */
	const char *endpoint;
	int64_t now; /* seconds since 1970, to speak of clocks */
};

/* What the caller may do about a failure. */
struct kms_fault_cure {
	bool retry;	   /* the same again may go well */
	bool was_timeout;  /* which costs more of the quota */
	bool renew_creds;  /* once, with other credentials */
	bool wrong_secret; /* KMS knows the access key, but not this signature */
};

/*
 * Sort an answer that is no success. Sets @err with all that AWS said and returns its negative
 * errno: -EKEYREJECTED, -ENOKEY, -ETIMEDOUT, -EACCES, -EINVAL as in kms.h.
 */
int kms_fault_answer(const struct kms_fault_call *call, const struct kms_http_answer *answer,
		     struct kms_fault_cure *ret_cure, struct err *err);

/* Sort a failed exchange: @r and @err are those of kms_http_do(). As above. */
int kms_fault_no_answer(const struct kms_fault_call *call, int r, struct kms_fault_cure *ret_cure,
			struct err *err);

/* A success that is none, since what came is not what KMS would say; @err has the reason. */
int kms_fault_nonsense(const struct kms_fault_call *call, const struct kms_http_answer *answer,
		       struct kms_fault_cure *ret_cure, struct err *err);

#endif
