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
static const struct policy_pair capital[] = {{"A", "1"}, {"b", "2"}};
static const struct policy_pair ebs_1[] = {{"aws:ebs:i", "dvol-1"}};
static const struct policy_pair ebs_2[] = {{"aws:ebs:id", "vol-1"}};

static uint32_t ops(const char *a, const char *b)
{
	return grant_operation(a) | (b ? grant_operation(b) : 0);
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

static bool allows(const struct grant *g, const char *arn, const char *operation,
		   const struct policy_pair *pairs, size_t n)
{
	const struct grant_caller caller = who(arn);
	const struct grant_request request = {grant_operation(operation), pairs, n, NULL};

	return grant_allows(g, &caller, &request);
}

static void constraints_compare_pairs_exactly(void **state)
{
	struct grant none = make(USER, POLICY_CONSTRAINT_NONE, NULL, 0);
	struct grant equals = make(USER, POLICY_CONSTRAINT_EQUALS, ab, 2);
	struct grant subset = make(USER, POLICY_CONSTRAINT_SUBSET, ab, 2);
	struct grant ebs = make(USER, POLICY_CONSTRAINT_EQUALS, ebs_1, 1);

	(void)state;
	assert_true(allows(&none, USER, "Decrypt", NULL, 0));
	assert_true(allows(&none, USER, "Decrypt", abc, 3));
	assert_true(allows(&equals, USER, "Decrypt", ab, 2));
	assert_false(allows(&equals, USER, "Decrypt", abc, 3));
	assert_false(allows(&equals, USER, "Decrypt", ab, 1));
	assert_true(allows(&subset, USER, "Decrypt", ab, 2));
	assert_true(allows(&subset, USER, "Decrypt", abc, 3));
	assert_false(allows(&subset, USER, "Decrypt", ab, 1));
	assert_false(allows(&subset, USER, "Decrypt", NULL, 0));
	assert_false(allows(&subset, USER, "Decrypt", a_other, 2));
	assert_false(allows(&subset, USER, "Decrypt", capital, 2));
	assert_false(allows(&ebs, USER, "Decrypt", ebs_2, 1));
}

static void constraints_do_not_bind_describe_key(void **state)
{
	struct grant equals = make(USER, POLICY_CONSTRAINT_EQUALS, ab, 2);

	(void)state;
	assert_true(allows(&equals, USER, "DescribeKey", NULL, 0));
	assert_false(allows(&equals, USER, "Encrypt", ab, 2));
}

static void a_session_is_not_its_sibling(void **state)
{
	struct grant session = make(SESSION, POLICY_CONSTRAINT_NONE, NULL, 0);
	struct grant role = make(ROLE, POLICY_CONSTRAINT_NONE, NULL, 0);
	struct grant root = make(ROOT, POLICY_CONSTRAINT_NONE, NULL, 0);

	(void)state;
	assert_true(allows(&session, SESSION, "Decrypt", NULL, 0));
	assert_false(allows(&session, SIBLING, "Decrypt", NULL, 0));
	assert_true(allows(&role, SESSION, "Decrypt", NULL, 0));
	assert_true(allows(&role, SIBLING, "Decrypt", NULL, 0));
	assert_false(allows(&role, USER, "Decrypt", NULL, 0));
	assert_true(allows(&root, ROOT, "Decrypt", NULL, 0));
	assert_false(allows(&root, USER, "Decrypt", NULL, 0));
}

static void unique_ids_count_where_they_are_known(void **state)
{
	struct grant g = make(USER, POLICY_CONSTRAINT_NONE, NULL, 0);
	struct grant_caller caller = who(USER);
	const struct grant_request request = {grant_operation("Decrypt"), NULL, 0, NULL};

	(void)state;
	g.grantee_id = "AIDAOLD";
	caller.id = "AIDANEW";
	assert_false(grant_allows(&g, &caller, &request));
	caller.id = "AIDAOLD";
	assert_true(grant_allows(&g, &caller, &request));
	g.grantee_id = "AROAROLE";
	caller.id = "AROAROLE:x";
	assert_false(grant_allows(&g, &caller, &request));
	caller.role_id = "AROAROLE";
	assert_true(grant_allows(&g, &caller, &request));
}

static bool may_delegate(struct grant *parent, uint32_t operations, enum policy_constraint c,
			 const struct policy_pair *pairs, size_t n)
{
	const struct policy_permit child = {operations, c, pairs, n};
	const struct grant_request request = {grant_operation("CreateGrant"), NULL, 0, &child};
	const struct grant_caller caller = who(USER);

	return grant_allows(parent, &caller, &request);
}

static void a_grantee_passes_on_no_more_than_it_has(void **state)
{
	struct grant p = make(USER, POLICY_CONSTRAINT_NONE, NULL, 0);
	const uint32_t dec = grant_operation("Decrypt");

	(void)state;
	assert_false(may_delegate(&p, dec, POLICY_CONSTRAINT_NONE, NULL, 0));
	p.permit.operations = ops("Decrypt", "CreateGrant");
	assert_true(may_delegate(&p, dec, POLICY_CONSTRAINT_NONE, NULL, 0));
	assert_true(may_delegate(&p, dec, POLICY_CONSTRAINT_EQUALS, ab, 2));
	assert_false(may_delegate(&p, ops("Decrypt", "Encrypt"), POLICY_CONSTRAINT_NONE, NULL, 0));
	p.permit.constraint = POLICY_CONSTRAINT_SUBSET;
	p.permit.pairs = ab;
	p.permit.pair_count = 2;
	assert_false(may_delegate(&p, dec, POLICY_CONSTRAINT_NONE, NULL, 0));
	assert_true(may_delegate(&p, dec, POLICY_CONSTRAINT_SUBSET, abc, 3));
	assert_true(may_delegate(&p, dec, POLICY_CONSTRAINT_EQUALS, abc, 3));
	assert_false(may_delegate(&p, dec, POLICY_CONSTRAINT_SUBSET, ab, 1));
	p.permit.constraint = POLICY_CONSTRAINT_EQUALS;
	assert_true(may_delegate(&p, dec, POLICY_CONSTRAINT_EQUALS, ab, 2));
	assert_false(may_delegate(&p, dec, POLICY_CONSTRAINT_EQUALS, abc, 3));
	assert_false(may_delegate(&p, dec, POLICY_CONSTRAINT_SUBSET, ab, 2));
}

static void retiring_is_for_three(void **state)
{
	struct grant g = make(USER, POLICY_CONSTRAINT_EQUALS, ab, 2);
	struct grant_caller user = who(USER), root = who(ROOT), session = who(SESSION);

	(void)state;
	assert_true(grant_may_retire(&g, &root));
	assert_false(grant_may_retire(&g, &user));
	g.permit.operations |= grant_operation("RetireGrant");
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
		cmocka_unit_test(constraints_compare_pairs_exactly),
		cmocka_unit_test(constraints_do_not_bind_describe_key),
		cmocka_unit_test(a_session_is_not_its_sibling),
		cmocka_unit_test(unique_ids_count_where_they_are_known),
		cmocka_unit_test(a_grantee_passes_on_no_more_than_it_has),
		cmocka_unit_test(retiring_is_for_three),
		cmocka_unit_test(principals_are_arns_of_principals),
		cmocka_unit_test(slots_are_those_of_the_first_pair),
		cmocka_unit_test(copies_own_their_texts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
