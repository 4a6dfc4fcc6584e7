/*
 * The credentials of a client: found in the order of the AWS SDKs, kept, and renewed before they
 * end. One thread at a time.
 */
#ifndef KMSCLIENT_CREDS_H
#define KMSCLIENT_CREDS_H

#include <stdint.h>

struct aws_creds;
struct creds;
struct err;
struct kms_http;
struct stop;

#define CREDS_RENEW_BEFORE_S 300 /* the end */
#define CREDS_RENEW_PAUSE_S  60	 /* between attempts while the old ones still hold */

/*
 * @profile (copied; NULL: as the environment says) that is not NULL goes before the environment's
 * keys, as `aws --profile` does. @http and @stop are borrowed. Nothing is looked for yet. -ENOMEM.
 */
int creds_open(const char *profile, struct kms_http *http, const struct stop *stop,
	       struct creds **ret_creds, struct err *err);
void creds_close(struct creds *creds);

/*
 * Credentials that are good at @now (seconds since 1970); they stay the creds' and are valid until
 * the next call on it. -EACCES: there are none (the sentence names every place looked at) or they
 * make no sense; -ETIMEDOUT: where they should be does not answer; -ECANCELED; -EINVAL; -ENOMEM.
 */
int creds_get(struct creds *creds, int64_t now, const struct aws_creds **ret, struct err *err);

/* Look anew at once, since AWS does not take them. 1: they are others now, 0: the same; as above. */
int creds_renew(struct creds *creds, int64_t now, struct err *err);

#endif
