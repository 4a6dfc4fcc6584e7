/* The request flow. See flow.h. */
#include "flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "audit.h"
#include "calendar.h"
#include "call.h"
#include "decisions.h"
#include "disturb.h"
#include "err.h"
#include "fault.h"
#include "forward.h"
#include "keyring.h"
#include "kms_json.h"
#include "op_iam.h"
#include "operations.h"
#include "query.h"
#include "secret.h"
#include "service.h"
#include "signature.h"
#include "usage.h"

#define TRIES 3 /* of an operation whose key changed under it */

#define JSON_TYPE "application/x-amz-json-1.1"
#define XML_TYPE  "text/xml"

/* A request taken apart. */
struct parts {
	struct kms_json *input;
	struct query *query; /* of the Query protocol */
	const char *action;  /* what it says that it wants; "" for nothing */
	size_t members;	     /* of all objects in the JSON text */
};

static void parts_free(struct parts *parts)
{
	kms_json_free(parts->input);
	query_free(parts->query);
}

static int parse_json(const struct flow_request *request, struct call *call, struct parts *parts,
		      struct err *err)
{
	const char *target = service_header(&request->http, "X-Amz-Target");
	const char *prefix = call->service->target_prefix;
	const char *body = request->http.body;
	size_t len = request->http.body_len;

	if (kms_json_scan(body, len, &parts->members, err) < 0 ||
	    body[strspn(body, " \t\r\n")] != '{')
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	if (target && strncmp(target, prefix, strlen(prefix)) == 0)
		call->op = call->service->find(target + strlen(prefix));
	return call->op ? 0 : fault_set(err, FAULT_UNKNOWN_OPERATION, NULL);
}

static int parse_form(const struct flow_request *request, struct call *call, struct parts *parts,
		      struct err *err)
{
	const char *version;
	int r = query_parse(request->http.body, request->http.body_len, &parts->query, err);

	if (r < 0)
		return r;
	parts->action = query_get(parts->query, "Action");
	parts->action = parts->action ? parts->action : "";
	version = query_get(parts->query, "Version");
	if (!version || strcmp(version, call->service->version) == 0)
		call->op = call->service->find(parts->action);
	if (!call->op)
		return fault_set(err, FAULT_UNKNOWN_OPERATION,
				 "Could not find operation %s for version %s", parts->action,
				 version ? version : "NO_VERSION_SPECIFIED");
	return 0;
}

/*
 * The input, for one who is known: only now does what was sent cost memory. Members given twice are
 * refused, since two readers may take different ones.
 */
static int build_input(const struct flow_request *request, const struct call *call,
		       struct parts *parts, struct err *err)
{
	int r;

	if (parts->query)
		return query_input(parts->query, call->op->members, &parts->input, err);
	r = kms_json_parse(request->http.body, request->http.body_len, &parts->input, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || kms_json_members(parts->input) != parts->members)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	return 0;
}

/*
 * Body and target: what AWS's front end looks at before it asks who is calling. It is anyone's, so it is looked
 * at only: one pass without memory for JSON, one copy for a form.
 */
static int parse(const struct flow_request *request, struct call *call, struct parts *parts,
		 struct err *err)
{
	const char *target = service_header(&request->http, "X-Amz-Target");
	const char *prefix = call->service->target_prefix;
	int r;

	parts->action = target ? target : "";
	if (target && prefix && strncmp(target, prefix, strlen(prefix)) == 0)
		parts->action = target + strlen(prefix);
	if (request->too_large)
		return fault_set(err, FAULT_TOO_LARGE,
				 "The request body is larger than 1048576 bytes.");
	if (strcmp(request->http.method, "POST") != 0) {
		r = fault_set(err, FAULT_UNKNOWN_OPERATION, NULL);
		err->http_status = 404;
		return r;
	}
	return prefix ? parse_json(request, call, parts, err)
		      : parse_form(request, call, parts, err);
}

/* The key of the row: found, authorized, in a fitting state. */
static int prepare_key(struct call *call, struct err *err)
{
	const char *member = call->op->key_member;
	int r;

	if (!member)
		return 0;
	r = call_find_key(call, call_text(call, member), call->op->name, &call->key, err);
	r = r ? r : call_authorize(call, call->op->name, call->key, err);
	return r ? r : call_check_state(call, call->op->use, call->key, err);
}

/* For GetKeyLastUsage: a cryptographic operation that succeeded. */
static void note_use(const struct call *call, const char *request_id)
{
	struct store_use use = {.used_ms = call->now_ms};

	if (call->op->use != KEY_USE_CRYPTO)
		return;
	(void)snprintf(use.operation, sizeof(use.operation), "%s", call->op->name); /* fits */
	(void)snprintf(use.event_id, sizeof(use.event_id), "%s", call->event_id);   /* fits */
	(void)snprintf(use.request_id, sizeof(use.request_id), "%s", request_id);   /* fits */
	for (unsigned i = 0; i < call->resource_count; i++)
		if (sscanf(call->resources[i], "arn:aws:kms:%31[^:]:%12[^:]:key/%36s", use.region,
			   use.account, use.key_id) == 3)
			usage_note(keyring_usage(call->kmsd->ring), &use);
}

static int run_kms(struct call *call, struct err *err)
{
	int r = validate_input(call->input, call->op->members, err);

	r = r ? r : call_check_tokens(call, err);
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

static int run(struct call *call, struct err *err)
{
	int r;

	if (!call->op->run)
		return fault_set(err, FAULT_UNSUPPORTED_OPERATION, "kmsd does not support %s yet.",
				 call->op->name);
	if (strcmp(call->service->name, "kms") == 0)
		return run_kms(call, err);
	r = call->op->members ? validate_input(call->input, call->op->members, err) : 0;
	r = r || call->op->own_check ? r : iam_authorize(call, err);
	return r ? r : call->op->run(call, err);
}

static void report(struct call *call, const struct flow_request *request, const struct parts *parts,
		   const struct flow_reply *reply, const struct err *failure)
{
	const char *code = failure->code[0]		  ? failure->code
			   : call->service->target_prefix ? "KMSInternalException"
							  : "InternalFailure";
	struct audit_source source = {
		.event_name = call->op ? call->op->name : parts->action,
		.request_id = reply->request_id,
		.address = request->address,
		.user_agent = service_header(&request->http, "User-Agent"),
		.error_code = failure->num ? code : NULL,
		.error_message = failure->aws_message,
	};
	struct err err = {0};

	if (failure->num && !failure->code[0])
		(void)fprintf(stderr, "kmsd: %s: %s: %s\n", reply->request_id, source.event_name,
			      failure->msg); /* stderr is the last resort */
	if (audit_write(call->kmsd->audit, call, &source, &err) < 0)
		(void)fprintf(stderr, "kmsd: %s: %s\n", reply->request_id, err.msg); /* as above */
	if (call->caller && call->kmsd->decisions &&
	    decisions_write(call->kmsd->decisions, call, &source, &err) < 0)
		(void)fprintf(stderr, "kmsd: %s: %s\n", reply->request_id, err.msg); /* as above */
}

static void take_body(struct flow_reply *ret, struct buf *body, int r)
{
	if (r < 0) { /* out of memory */
		buf_free(body);
		ret->status = 500;
		return;
	}
	ret->body = (char *)body->bytes;
	ret->body_len = body->len;
}

static void fill_xml(const struct call *call, const struct err *failure, struct flow_reply *ret)
{
	struct buf body = {.max = 16 << 20};
	int r;

	ret->content_type = XML_TYPE;
	ret->status = 200;
	if (failure->num) {
		(void)fault_query_code(failure, &ret->status); /* query_error() asks it again */
		r = query_error(call->service, failure, ret->request_id, &body);
	} else {
		r = query_reply(call->service, call->op->name, call->output, ret->request_id,
				&body);
	}
	take_body(ret, &body, r);
}

/* A reply cannot fail: out of memory, it has no body. */
static void fill_reply(const struct call *call, const struct err *failure, struct flow_reply *ret)
{
	struct buf body = {.max = 65536};

	if (!call->service->target_prefix) {
		fill_xml(call, failure, ret);
		return;
	}
	ret->content_type = JSON_TYPE;
	ret->status = failure->num ? fault_status(failure) : 200;
	if (failure->num) {
		take_body(ret, &body, fault_body(failure, &body));
	} else if (kms_json_count(call->output) > 0) {
		ret->body = kms_json_text(call->output);
		ret->body_len = ret->body ? strlen(ret->body) : 0;
		if (!ret->body)
			ret->status = 500;
	}
}

/* Where a request to the service must be signed for. */
static int authenticate(const struct flow_request *request, struct call *call, int64_t real_ms,
			struct caller **ret_caller, struct err *err)
{
	const struct signature_place place = {call->service->name, call->place.region};
	const struct signature_time now = {real_ms, call->now_ms};
	struct signature_signer signer;
	int r = signature_check(call->kmsd->callers, &request->http, &place, &now, &signer, err);

	if (r < 0)
		return r;
	*ret_caller = signer.caller;
	memcpy(call->region, signer.region, sizeof(call->region));
	call->place = (struct keyref_place){signer.caller->account, call->region};
	return 0;
}

static void begin_reply(struct flow_reply *ret)
{
	*ret = (struct flow_reply){.content_type = JSON_TYPE};
	if (ids_uuid(ret->request_id, NULL) < 0)
		(void)snprintf(ret->request_id, sizeof(ret->request_id), "-"); /* fits */
}

void flow_refuse(enum fault fault, unsigned status, const char *why, struct flow_reply *ret)
{
	struct buf body = {.max = 65536};
	struct err failure = {0};

	begin_reply(ret);
	(void)fault_set(&failure, fault, "%s", why); /* it is the fault */
	ret->status = status ? status : fault_status(&failure);
	take_body(ret, &body, fault_body(&failure, &body));
}

/* What only kmsd has: not a call, so it is not in the audit trail. */
static void answer_service(struct call *call, const struct flow_request *request, int64_t real_ms,
			   struct flow_reply *ret)
{
	AUTO(kms_json_freep) struct kms_json *output = kms_json_new_object();
	AUTO(cached_putp) struct caller *caller = NULL;
	struct err failure = {0};
	int r = authenticate(request, call, real_ms, &caller, &failure);

	call->caller = caller;
	call->output = output;
	r = r ? r : forward_answer(call, output, &failure);
	if (r == 0)
		err_clear(&failure); /* what a step tried and did without */
	fill_reply(call, &failure, ret);
}

void flow_handle(struct kmsd *kmsd, const struct flow_request *request, int64_t real_ms,
		 struct flow_reply *ret)
{
	struct call call = {.kmsd = kmsd,
			    .now_ms = calendar_at(kmsd->calendar, real_ms),
			    .place = kmsd->place,
			    .service = service_of(&request->http)};
	AUTO(kms_json_freep) struct kms_json *output = kms_json_new_object();
	AUTO(cached_putp) struct caller *caller = NULL;
	AUTO(parts_free) struct parts parts = {0};
	struct err failure = {0}, ignored = {0};
	int r;

	begin_reply(ret);
	if (ids_uuid(call.event_id, &ignored) < 0)
		(void)snprintf(call.event_id, sizeof(call.event_id), "-"); /* fits */
	if (forward_asked(request)) {
		answer_service(&call, request, real_ms, ret);
		return;
	}
	r = parse(request, &call, &parts, &failure);
	if (r == 0)
		r = authenticate(request, &call, real_ms, &caller, &failure);
	if (r == 0)
		r = build_input(request, &call, &parts, &failure);
	call.address = request->address;
	call.secure = request->secure;
	call.user_agent = service_header(&request->http, "User-Agent");
	call.input = parts.input;
	call.output = output;
	call.caller = caller;
	call.decisions = kmsd->decisions ? kms_json_new_array() : NULL;
	r = r ? r : forward_take(&call, request, &failure);
	if (r == 0 && !output)
		r = err_set(&failure, ENOMEM, "reply");
	if (r == 0)
		r = disturb_call(&call, &failure);
	if (r == 0)
		r = run(&call, &failure);
	if (r == 0) {
		err_clear(&failure); /* what a step tried and did without */
		note_use(&call, ret->request_id);
	}
	fill_reply(&call, &failure, ret);
	disturb_reply(&call, ret);
	if (!ret->drop) /* what is not answered never came */
		report(&call, request, &parts, ret, &failure);
	kms_json_free(call.response_elements);
	forward_done(&call.forward);
	kms_json_free(call.decisions);
	cached_put(call.key);
}

void flow_reply_free(struct flow_reply *reply)
{
	if (reply->body)
		OPENSSL_cleanse(reply->body, reply->body_len);
	free(reply->body);
	reply->body = NULL;
}
