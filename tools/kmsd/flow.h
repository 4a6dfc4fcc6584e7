/*
 * The way of a request, from bytes to bytes: JSON, operation, signature, validation, key,
 * authorization, key state, the operation, audit record, reply. Each step lives in a file of its
 * own; this one calls them in AWS's order. Knows nothing of sockets or clocks.
 */
#ifndef KMSD_FLOW_H
#define KMSD_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "ids.h"
#include "sigv4.h"

struct kmsd;

struct flow_request {
	struct sigv4_request http;
	const char *address; /* where it came from */
	bool secure;	     /* by TLS */
	bool too_large;	     /* the body was not taken */
};

struct flow_reply {
	unsigned status;
	char request_id[IDS_UUID_LEN + 1];
	const char *content_type;
	char *body; /* malloc(), may hold secrets; NULL: none */
	size_t body_len;

	/* faults that were asked for (disturb.h) */
	int64_t delay_ms; /* send it so much later */
	bool drop;	  /* do not send it: close the connection */
	bool cut;	  /* send half of the body, then close */
};

/* Answer a request that came at @real_ms; always fills *@ret. Any thread. */
void flow_handle(struct kmsd *kmsd, const struct flow_request *request, int64_t real_ms,
		 struct flow_reply *ret);

/*
 * The answer to what did not get as far as being a request: @fault and @why in AWS's form, with
 * @status (0: that of the fault). Leaves no audit record.
 */
void flow_refuse(enum fault fault, unsigned status, const char *why, struct flow_reply *ret);

/* Wipe and free the body. */
void flow_reply_free(struct flow_reply *reply);

#endif
