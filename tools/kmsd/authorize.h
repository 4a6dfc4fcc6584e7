/*
 * May this caller do that? The one place that decides. In this version it knows the default key
 * policy only: the root user of the account that owns a key may do everything, nobody else
 * anything. Stored policies are not evaluated yet.
 */
#ifndef KMSD_AUTHORIZE_H
#define KMSD_AUTHORIZE_H

struct err;

struct authorize_request {
	const char *principal_arn;
	const char *principal_account;
	const char *action;	  /* without "kms:" */
	const char *resource_arn; /* "*" for what concerns no key */
	const char *resource_account;
};

/* 0: allowed. AccessDeniedException with AWS's sentence and reason. */
int authorize(const struct authorize_request *request, struct err *err);

#endif
