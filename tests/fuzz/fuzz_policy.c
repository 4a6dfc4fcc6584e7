/*
 * Policy documents: one of any kind is read, asked, and freed. The first byte chooses the kind; the rest is the
 * document.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "kms_json.h"
#include "policy_context.h"
#include "policy_decide.h"
#include "policy_trace.h"

#define KEY "arn:aws:kms:us-east-1:111122223333:key/00112233-4455-6677-8899-aabbccddeeff"

static int resolve(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err)
{
	(void)arg;
	(void)err;
	strcpy(ret_id, strstr(arn, "user/") ? "AIDATEST" : "AROAR:s");
	return 0;
}

static void ask(enum policy_kind kind, const struct policy *policy)
{
	static const struct policy_pair pair = {"AppName", "x"};
	const struct policy_named named = {"p", policy};
	struct policy_caller caller = {.kind = POLICY_CALLER_USER,
				       .arn = "arn:aws:iam::111122223333:user/test",
				       .account = "111122223333",
				       .id = "AIDATEST"};
	struct policy_key_side side = {.account = "111122223333", .policy = named};
	struct policy_request request = {.caller = &caller,
					 .action = "kms:Decrypt",
					 .resource = KEY,
					 .pairs = &pair,
					 .pair_count = 1};
	struct policy_context context = {0};
	struct policy_trace trace = {0};
	struct policy_decision decision;
	char text[2048];

	if (kind == POLICY_KEY)
		request.key = &side;
	else
		caller.identity = (struct policy_set){&named, 1};
	request.context = &context;
	if (policy_context_add(&context, "aws:username", "test") == 0 &&
	    policy_context_add(&context, "kms:ViaService", "ec2.us-east-1.amazonaws.com") == 0 &&
	    policy_context_add(&context, "aws:SourceIp", "127.0.0.1") == 0 &&
	    policy_context_add_under(&context, "kms:EncryptionContext:", "AppName", "x") == 0 &&
	    policy_context_add_time(&context, 1790402631000) == 0) {
		decision = policy_decide(&request, &trace);
		policy_decision_text(&request, &decision, text, sizeof(text));
		kms_json_free(policy_trace_json(&trace, &decision, request.context));
	}
	policy_trace_free(&trace);
	policy_context_free(&context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_resolver resolver = {resolve, NULL};
	struct policy *policy = NULL;
	enum policy_kind kind;
	struct err err = {0};

	if (size < 1)
		return 0;
	kind = data[0] % (POLICY_CONTROL + 1);
	if (policy_parse(kind, (const char *)data + 1, size - 1, &resolver, &policy, &err) < 0) {
		if (err.msg[0] == '\0' || policy)
			abort();
		return 0;
	}
	ask(kind, policy);
	policy_free(policy);
	return 0;
}
