/* The request flow. See flow.h. */
#include "flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "audit.h"
#include "call.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "operations.h"
#include "secret.h"
#include "signature.h"

#define TARGET_PREFIX "TrentService."
#define TRIES	      3 /* of an operation whose key changed under it */

static const char *header(const struct flow_request *request, const char *name)
{
	for (size_t i = 0; i < request->http.header_count; i++)
		if (strcasecmp(request->http.headers[i].name, name) == 0)
			return request->http.headers[i].value;
	return NULL;
}

static const char *event_name(const struct flow_request *request)
{
	const char *target = header(request, "X-Amz-Target");

	if (!target)
		return "";
	return strncmp(target, TARGET_PREFIX, strlen(TARGET_PREFIX)) == 0
		       ? target + strlen(TARGET_PREFIX)
		       : target;
}

/* Body and target: what AWS's front end looks at before it asks who is calling. */
static int parse(const struct flow_request *request, struct call *call, struct kms_json **ret_input,
		 struct err *err)
{
	const char *target = header(request, "X-Amz-Target");
	int r;

	if (request->too_large)
		return fault_set(err, FAULT_TOO_LARGE,
				 "The request body is larger than 1048576 bytes.");
	if (strcmp(request->http.method, "POST") != 0) {
		r = fault_set(err, FAULT_UNKNOWN_OPERATION, NULL);
		err->http_status = 404;
		return r;
	}
	r = kms_json_parse(request->http.body, request->http.body_len, ret_input, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	if (target && strncmp(target, TARGET_PREFIX, strlen(TARGET_PREFIX)) == 0)
		call->op = operations_find(target + strlen(TARGET_PREFIX));
	return call->op ? 0 : fault_set(err, FAULT_UNKNOWN_OPERATION, NULL);
}

/* The key of the row: found, authorized, in a fitting state. */
static int prepare_key(struct call *call, struct err *err)
{
	const char *member = call->op->key_member;
	int r;

	if (!member)
		return 0;
	r = call_find_key(call, call_text(call, member), &call->key, err);
	r = r ? r : call_authorize(call, call->op->name, call->key, err);
	return r ? r : keystate_check(call->op->use, call->key->state, call->key->arn, err);
}

/* Grants come later: until then no token is one of ours. */
static int check_tokens(const struct call *call, struct err *err)
{
	const struct kms_json *tokens = kms_json_get(call->input, "GrantTokens");

	return tokens && kms_json_count(tokens) > 0
		       ? fault_set(err, FAULT_INVALID_GRANT_TOKEN, NULL)
		       : 0;
}

static int run(struct call *call, struct err *err)
{
	int r;

	if (!call->op->run)
		return fault_set(err, FAULT_UNSUPPORTED_OPERATION, "kmsd does not support %s yet.",
				 call->op->name);
	r = validate_input(call->input, call->op->members, err);
	r = r ? r : check_tokens(call, err);
	for (int tries = 0; r == 0 && tries < TRIES; tries++) {
		r = prepare_key(call, err);
		r = r ? r : call->op->run(call, err);
		if (r != -EAGAIN) /* another request changed the key after we looked at it */
			return r;
		cached_putp(&call->key);
		r = 0;
	}
	return r ? r : err_set(err, EAGAIN, "%s: the key keeps changing", call->op->name);
}

static void report(const struct call *call, const struct flow_request *request,
		   const struct flow_reply *reply, const struct err *failure)
{
	const char *code = failure->code[0] ? failure->code : "KMSInternalException";
	struct audit_source source = {
		.event_name = call->op ? call->op->name : event_name(request),
		.request_id = reply->request_id,
		.address = request->address,
		.user_agent = header(request, "User-Agent"),
		.error_code = failure->num ? code : NULL,
		.error_message = failure->aws_message,
	};
	struct err err = {0};

	if (failure->num && !failure->code[0])
		(void)fprintf(stderr, "kmsd: %s: %s: %s\n", reply->request_id, source.event_name,
			      failure->msg); /* stderr is the last resort */
	if (audit_write(call->kmsd->audit, call, &source, &err) < 0)
		(void)fprintf(stderr, "kmsd: %s: %s\n", reply->request_id, err.msg); /* as above */
}

/* A reply cannot fail: out of memory, it has no body. */
static void fill_reply(const struct call *call, const struct err *failure, struct flow_reply *ret)
{
	struct buf body = {.max = 65536};

	ret->status = failure->num ? fault_status(failure) : 200;
	if (failure->num) {
		if (fault_body(failure, &body) == 0) {
			ret->body = (char *)body.bytes;
			ret->body_len = body.len;
			return;
		}
		buf_free(&body);
		ret->status = 500;
	} else if (kms_json_count(call->output) > 0) {
		ret->body = kms_json_text(call->output);
		ret->body_len = ret->body ? strlen(ret->body) : 0;
		if (!ret->body)
			ret->status = 500;
	}
}

void flow_handle(struct kmsd *kmsd, const struct flow_request *request, int64_t now_ms,
		 struct flow_reply *ret)
{
	struct call call = {.kmsd = kmsd, .now_ms = now_ms};
	AUTO(kms_json_freep) struct kms_json *input = NULL, *output = kms_json_new_object();
	AUTO(cached_putp) struct access_key *caller = NULL;
	struct err failure = {0}, ignored = {0};
	int r;

	*ret = (struct flow_reply){0};
	if (ids_uuid(ret->request_id, &ignored) < 0)
		(void)snprintf(ret->request_id, sizeof(ret->request_id), "-"); /* fits */
	r = parse(request, &call, &input, &failure);
	if (r == 0)
		r = signature_check(kmsd->callers, &request->http, kmsd->place.region,
				    now_ms / 1000, &caller, &failure);
	call.address = request->address;
	call.user_agent = header(request, "User-Agent");
	call.input = input;
	call.output = output;
	call.caller = caller;
	if (r == 0 && !output)
		r = err_set(&failure, ENOMEM, "reply");
	if (r == 0)
		r = run(&call, &failure);
	if (r == 0)
		err_clear(&failure); /* what a step tried and did without */
	fill_reply(&call, &failure, ret);
	report(&call, request, ret, &failure);
	kms_json_free(call.response_elements);
	cached_put(call.key);
}

void flow_reply_free(struct flow_reply *reply)
{
	if (reply->body)
		OPENSSL_cleanse(reply->body, reply->body_len);
	free(reply->body);
	reply->body = NULL;
}
