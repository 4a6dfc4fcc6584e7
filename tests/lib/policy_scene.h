/*
 * A scene for decisions on policies: callers, policies and grants written as texts in a table, built
 * into a request. For the test programs that include it.
 */
#ifndef TESTS_LIB_POLICY_SCENE_H
#define TESTS_LIB_POLICY_SCENE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "policy_context.h"
#include "policy_decide.h"

#define ACCOUNT "111122223333"
#define OTHER	"123456789012"
#define KEY	"arn:aws:kms:us-east-1:111122223333:key/00112233-4455-6677-8899-aabbccddeeff"

/* Policies of the tables, by what they say; ' stands for ". */
#define ALLOW(who, what) "{'Effect':'Allow','Principal':" who ",'Action':'" what "','Resource':'*'}"
#define DENY(who, what)	 "{'Effect':'Deny','Principal':" who ",'Action':'" what "','Resource':'*'}"
#define ROOT_MAY	 ALLOW("{'AWS':'arn:aws:iam::111122223333:root'}", "kms:*")
#define USER		 "{'AWS':'arn:aws:iam::111122223333:user/test'}"
#define ROLE		 "{'AWS':'arn:aws:iam::111122223333:role/R'}"
#define TARGET		 "{'AWS':'arn:aws:sts::111122223333:assumed-role/R/target'}"
#define I_ALLOW(what)	 "{'Effect':'Allow','Action':'" what "','Resource':'*'}"
#define I_DENY(what)	 "{'Effect':'Deny','Action':'" what "','Resource':'*'}"

static const struct policy_caller callers[] = {
	{.kind = POLICY_CALLER_ROOT, .arn = "arn:aws:iam::111122223333:root", .account = ACCOUNT},
	{.kind = POLICY_CALLER_USER,
	 .arn = "arn:aws:iam::111122223333:user/test",
	 .account = ACCOUNT,
	 .id = "AIDATEST"},
	{.kind = POLICY_CALLER_SESSION,
	 .arn = "arn:aws:sts::111122223333:assumed-role/R/target",
	 .account = ACCOUNT,
	 .id = "AROAR:target",
	 .role_arn = "arn:aws:iam::111122223333:role/R"},
	{.kind = POLICY_CALLER_SESSION,
	 .arn = "arn:aws:sts::111122223333:assumed-role/R/sibling",
	 .account = ACCOUNT,
	 .id = "AROAR:sibling",
	 .role_arn = "arn:aws:iam::111122223333:role/R"},
	{.kind = POLICY_CALLER_USER,
	 .arn = "arn:aws:iam::123456789012:user/far",
	 .account = OTHER,
	 .id = "AIDAFAR"},
	{.kind = POLICY_CALLER_SESSION,
	 .arn = "arn:aws:sts::123456789012:assumed-role/F/target",
	 .account = OTHER,
	 .id = "AROAF:target",
	 .role_arn = "arn:aws:iam::123456789012:role/F"},
	{.kind = POLICY_CALLER_ROOT, .arn = "arn:aws:iam::123456789012:root", .account = OTHER},
	{.kind = POLICY_CALLER_SERVICE, .arn = "ec2.amazonaws.com", .account = "amazonaws.com"},
	/* made anew under the old name */
	{.kind = POLICY_CALLER_USER,
	 .arn = "arn:aws:iam::111122223333:user/test",
	 .account = ACCOUNT,
	 .id = "AIDANEW"},
	{.kind = POLICY_CALLER_SESSION,
	 .arn = "arn:aws:sts::111122223333:assumed-role/R/target",
	 .account = ACCOUNT,
	 .id = "AROANEW:target",
	 .role_arn = "arn:aws:iam::111122223333:role/R"},
	{.kind = POLICY_CALLER_FEDERATED,
	 .arn = "arn:aws:sts::111122223333:federated-user/f",
	 .account = ACCOUNT,
	 .id = "111122223333:f"},
};

enum who {
	ROOT_USER,
	TEST,
	SESSION,
	SIBLING,
	FAR,
	FAR_SESSION,
	FAR_ROOT,
	SERVICE,
	NEW_TEST,
	NEW_SESSION,
	FEDERATED
};

static int resolve(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err)
{
	static const char *const known[][2] = {
		{"arn:aws:iam::111122223333:root", "111122223333"},
		{"arn:aws:iam::123456789012:root", "123456789012"},
		{"arn:aws:iam::111122223333:user/test", "AIDATEST"},
		{"arn:aws:iam::123456789012:user/far", "AIDAFAR"},
		{"arn:aws:iam::111122223333:role/R", "AROAR"},
		{"arn:aws:sts::111122223333:assumed-role/R/target", "AROAR:target"},
		{"arn:aws:iam::123456789012:role/F", "AROAF"},
		{"arn:aws:sts::123456789012:assumed-role/F/target", "AROAF:target"},
	};

	(void)arg;
	(void)err;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(arn, known[i][0]) == 0) {
			strcpy(ret_id, known[i][1]);
			return 0;
		}
	}
	return -ENOENT;
}

static const struct policy_resolver resolver = {resolve, NULL};

/* @statements: one, or several with a comma between; NULL: no policy. */
static struct policy *policy_of(enum policy_kind kind, const char *statements)
{
	struct policy *policy = NULL;
	struct err err = {0};
	char *text = NULL;

	if (!statements)
		return NULL;
	assert_true(asprintf(&text, "{'Version':'2012-10-17','Statement':[%s]}", statements) > 0);
	for (char *at = text; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	if (policy_parse(kind, text, strlen(text), &resolver, &policy, &err) < 0)
		fail_msg("%s: %s %s", text, err.aws_message, err.msg);
	free(text);
	return policy;
}

/* A grant as a table writes it. */
struct grant_text {
	const char *grantee;	/* NULL: no grant */
	const char *operations; /* with blanks between */
	char constraint;	/* E, S, or 0 */
	const char *name, *value;
	const char *issuer; /* NULL: the key's account */
};

struct row {
	const char *what;
	enum who who;
	const char *action; /* NULL: Decrypt */
	const char *key, *identity, *boundary, *session, *control;
	struct grant_text grant;
	const char *context; /* one "key=value" */
	const char *want;    /* NULL: allowed; else the sentence after the action */
	enum policy_part part;
};

struct scene {
	struct policy *key, *identity, *boundary, *session, *control;
	struct policy_named named[4];
	struct policy_grant grant;
	struct policy_pair pair; /* of the constraint */
	struct policy_context context;
	char context_text[256];
	struct policy_caller caller;
	struct policy_key_side side;
	struct policy_request request;
	char action[64];
};

static struct policy_set set_of(struct policy_named *named, const char *name,
				const struct policy *policy)
{
	*named = (struct policy_named){name, policy};
	return (struct policy_set){named, policy ? 1 : 0};
}

static uint32_t operations_of(const char *names)
{
	char *copy = strdup(names), *save = NULL;
	uint32_t all = 0;

	assert_non_null(copy);
	for (char *at = strtok_r(copy, " ", &save); at; at = strtok_r(NULL, " ", &save)) {
		assert_int_not_equal(policy_grant_operation(at), 0);
		all |= policy_grant_operation(at);
	}
	free(copy);
	return all;
}

static void build_grant(struct scene *scene, const struct grant_text *text)
{
	struct err err = {0};

	scene->grant = (struct policy_grant){.id = "grant-1", .issuing_account = text->issuer};
	assert_int_equal(policy_principal_read_grantee(text->grantee, &resolver,
						       &scene->grant.grantee, &err),
			 0);
	scene->pair = (struct policy_pair){text->name, text->value};
	scene->grant.permit = (struct policy_permit){
		.operations = operations_of(text->operations),
		.constraint = text->constraint == 'E'	? POLICY_CONSTRAINT_EQUALS
			      : text->constraint == 'S' ? POLICY_CONSTRAINT_SUBSET
							: POLICY_CONSTRAINT_NONE,
		.pairs = &scene->pair,
		.pair_count = text->name ? 1 : 0,
	};
	scene->side.grants = &scene->grant;
	scene->side.grant_count = 1;
}

static void build(struct scene *scene, const struct row *row)
{
	char *value;

	memset(scene, 0, sizeof(*scene));
	scene->key = policy_of(POLICY_KEY, row->key);
	scene->identity = policy_of(POLICY_IDENTITY, row->identity);
	scene->boundary = policy_of(POLICY_BOUNDARY, row->boundary);
	scene->session = policy_of(POLICY_SESSION, row->session);
	scene->control = policy_of(POLICY_CONTROL, row->control);
	scene->caller = callers[row->who];
	scene->caller.identity = set_of(&scene->named[0], "identity-1", scene->identity);
	scene->caller.boundary = set_of(&scene->named[1], "boundary-1", scene->boundary);
	scene->caller.session = set_of(&scene->named[2], "session-1", scene->session);
	scene->caller.control = set_of(&scene->named[3], "control-1", scene->control);
	scene->side.account = ACCOUNT;
	scene->side.policy = (struct policy_named){"default", scene->key};
	if (row->grant.grantee)
		build_grant(scene, &row->grant);
	if (row->context) {
		(void)snprintf(scene->context_text, sizeof(scene->context_text), "%s",
			       row->context);
		value = strchr(scene->context_text, '=');
		*value++ = '\0';
		assert_int_equal(policy_context_add(&scene->context, scene->context_text, value),
				 0);
	}
	(void)snprintf(scene->action, sizeof(scene->action), "kms:%s",
		       row->action ? row->action : "Decrypt");
	scene->request = (struct policy_request){
		.caller = &scene->caller,
		.action = scene->action,
		.resource = scene->key ? KEY : "*",
		.key = scene->key ? &scene->side : NULL,
		.context = &scene->context,
	};
}

static void tear_down(struct scene *scene)
{
	policy_free(scene->key);
	policy_free(scene->identity);
	policy_free(scene->boundary);
	policy_free(scene->session);
	policy_free(scene->control);
	policy_context_free(&scene->context);
}

static inline void check_row(const struct row *row)
{
	struct policy_decision decision;
	char text[2048], want[2048];
	struct scene scene;

	build(&scene, row);
	decision = policy_decide(&scene.request, NULL);
	policy_decision_text(&scene.request, &decision, text, sizeof(text));
	if (!row->want && decision.result != POLICY_ALLOWED)
		fail_msg("%s: %s", row->what, text);
	if (row->want && decision.result == POLICY_ALLOWED)
		fail_msg("%s: allowed", row->what);
	if (row->want) {
		(void)snprintf(want, sizeof(want), "User: %s is not authorized to perform: %s %s",
			       scene.caller.arn, scene.action, row->want);
		if (strcmp(text, want) != 0)
			fail_msg("%s: '%s' instead of '%s'", row->what, text, want);
	}
	if (decision.part != row->part)
		fail_msg("%s: decided by part %d", row->what, decision.part);
	tear_down(&scene);
}

static inline void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_row(&rows[i]);
}

#define ROWS(rows) (rows), sizeof(rows) / sizeof((rows)[0])

/* The sentences of aws-behaviour, behind "not authorized to perform: kms:X ". */
#define ON_KEY		   "on resource: " KEY " "
#define NO_IDENTITY(op)	   "because no identity-based policy allows the kms:" op " action"
#define NO_RESOURCE(op)	   "because no resource-based policy allows the kms:" op " action"
#define NO_SESSION(op)	   "because no session policy allows the kms:" op " action"
#define NO_BOUNDARY(op)	   "because no permissions boundary allows the kms:" op " action"
#define NO_CONTROL(op)	   "because no service control policy allows the kms:" op " action"
#define DENIED_BY(part)	   "with an explicit deny in a " part
#define DENIED_BY_IDENTITY "with an explicit deny in an identity-based policy"
#define HIDDEN                                                                                     \
	"on this resource because the resource does not exist in this Region, no resource-based "  \
	"policies allow access, or a resource-based policy explicitly denies access"

#endif
