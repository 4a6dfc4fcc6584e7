/*
 * Between creds.c and the places where credentials come from. A provider returns 1 with the empty
 * @ret filled; 0 when it is not set up here, having written to ask->looked where it looked and why
 * there was nothing; else a negative errno with a sentence, and then nobody is asked after it.
 */
#ifndef KMSCLIENT_CREDS_PROVIDER_H
#define KMSCLIENT_CREDS_PROVIDER_H

#include <stdbool.h>

#include "bytes.h"

struct aws_creds;
struct aws_profile;
struct err;
struct kms_http;
struct stop;

struct creds_ask {
	const struct aws_profile *profile;
	struct kms_http *http;
	const struct stop *stop;
	struct buf looked;	   /* "A (why), B (why)" */
	bool instance_worked;	   /* the instance had credentials before */
	unsigned process_limit_ms; /* for a credential process */
};

/* Add "@where (@why)" to ask->looked. */
void creds_looked(struct creds_ask *ask, const char *where, const char *why);

/* creds_process.c: run @command with a shell, once; never 0. */
int creds_from_process(struct creds_ask *ask, const char *command, struct aws_creds *ret,
		       struct err *err);

/* creds_endpoint.c: the container endpoint (ECS, EKS Pod Identity), the EC2 instance (IMDSv2). */
int creds_from_container(struct creds_ask *ask, struct aws_creds *ret, struct err *err);
int creds_from_instance(struct creds_ask *ask, struct aws_creds *ret, struct err *err);

#endif
