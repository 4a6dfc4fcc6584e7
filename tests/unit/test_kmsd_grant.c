/* What a grant allows, to whom, and who may end it: the pure part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "grant.h"

#define USER	"arn:aws:iam::111122223333:user/test"
#define ROLE	"arn:aws:iam::111122223333:role/r"
#define SESSION "arn:aws:sts::111122223333:assumed-role/r/target"
#define SIBLING "arn:aws:sts::111122223333:assumed-role/r/sibling"
#define ROOT	"arn:aws:iam::111122223333:root"

static const struct policy_pair ab[] = {{"a", "1"}, {"b", "2"}};
static const struct policy_pair abc[] = {{"a", "1"}, {"b", "2"}, {"c", "3"}};
static const struct policy_pair a_other[] = {{"a", "2"}, {"b", "2"}};
static const struct policy_pair ebs_1[] = {{"aws:ebs:i", "dvol-1"}};
static const struct policy_pair ebs_2[] = {{"aws:ebs:id", "vol-1"}};

static uint32_t ops(const char *a, const char *b)
{
	return policy_grant_operation(a) | (b ? policy_grant_operation(b) : 0);
}

static struct grant make(const char *grantee, enum policy_constraint c,
			 const struct policy_pair *pairs, size_t n)
{
	return (struct grant){.issuer = "111122223333",
			      .name = "",
			      .grantee = grantee,
			      .retiring = "",
			      .grantee_id = "",
			      .retiring_id = "",
			      .permit = {ops("Decrypt", "DescribeKey"), c, pairs, n}};
}

static struct grant_caller who(const char *arn)
{
	return (struct grant_caller){.arn = arn,
				     .account = "111122223333",
				     .role_arn = strstr(arn, "assumed-role") ? ROLE : NULL,
				     .is_root = strcmp(arn, ROOT) == 0};
}

static void retiring_is_for_three(void **state)
{
	struct grant g = make(USER, POLICY_CONSTRAINT_EQUALS, ab, 2);
	struct grant_caller user = who(USER), root = who(ROOT), session = who(SESSION);

	(void)state;
	assert_true(grant_may_retire(&g, &root));
	assert_false(grant_may_retire(&g, &user));
	g.permit.operations |= policy_grant_operation("RetireGrant");
	assert_true(grant_may_retire(&g, &user));
	assert_false(grant_may_retire(&g, &session));
	g.retiring = SESSION;
	assert_true(grant_may_retire(&g, &session));
	strcpy(g.issuer, "123456789012");
	assert_false(grant_may_retire(&g, &root));
}

static void principals_are_arns_of_principals(void **state)
{
	static const char *const good[] = {
		USER,
		ROLE,
		SESSION,
		ROOT,
		"arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/R",
		"arn:aws:sts::111122223333:federated-user/bob",
	};
	static const char *const bad[] = {
		"",
		"*",
		"111122223333",
		"arn:aws:iam::1111:root",
		"arn:aws:iam::111122223333:group/g",
		"arn:aws:iam::111122223333:user/",
		"arn:aws:sts::111122223333:assumed-role/r",
		"arn:aws:sts::111122223333:assumed-role//s",
		"arn:aws:iam::111122223333:rootx",
		"arn:aws:s3:::bucket",
		"ec2.us-east-1.amazonaws.com",
	};
	struct err err = {0};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(grant_check_principal(good[i], false, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(grant_check_principal(bad[i], false, &err) < 0);
		assert_string_equal(err.code, "InvalidArnException");
		sprintf(text, "ARN is not valid: %s", bad[i]);
		assert_string_equal(err.aws_message, text);
	}
	assert_int_equal(grant_check_principal("ec2.us-east-1.amazonaws.com", true, &err), 0);
	assert_true(grant_check_principal(".amazonaws.com", true, &err) < 0);
}

/* What grants_each() relies on: a request that meets a constraint holds the pair it is filed under. */
static void slots_are_those_of_the_first_pair(void **state)
{
	struct policy_permit p = {0, POLICY_CONSTRAINT_NONE, NULL, 0};

	(void)state;
	assert_int_equal(grant_slot(&p), GRANT_SLOT_FREE);
	p = (struct policy_permit){0, POLICY_CONSTRAINT_SUBSET, ab, 2};
	assert_int_equal(grant_slot(&p), grant_slot_of_pair(&abc[0]));
	assert_int_not_equal(grant_slot(&p), grant_slot_of_pair(&a_other[0]));
	assert_int_not_equal(grant_slot_of_pair(&ebs_1[0]), grant_slot_of_pair(&ebs_2[0]));
	assert_int_equal(grant_slot(&p) & 1, 1);
}

static void copies_own_their_texts(void **state)
{
	char grantee[] = USER;
	struct grant from = make(grantee, POLICY_CONSTRAINT_SUBSET, abc, 3), *g;

	(void)state;
	g = grant_new(&from);
	assert_non_null(g);
	assert_true(grant_same(g, &from));
	grantee[0] = 'x';
	assert_string_equal(g->grantee, USER);
	assert_false(grant_same(g, &from));
	assert_string_equal(g->permit.pairs[2].name, "c");
	cached_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retiring_is_for_three),
		cmocka_unit_test(principals_are_arns_of_principals),
		cmocka_unit_test(slots_are_those_of_the_first_pair),
		cmocka_unit_test(copies_own_their_texts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
