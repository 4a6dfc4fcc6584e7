/* Grants in decisions: whom they reach, constraints, delegation, who retires them. */
#include "policy_scene.h"

static void grants_allow_and_only_allow(void **state)
{
#define G_USER	 "arn:aws:iam::111122223333:user/test"
#define G_ROLE	 "arn:aws:iam::111122223333:role/R"
#define G_TARGET "arn:aws:sts::111122223333:assumed-role/R/target"
	static const struct row rows[] = {
		{"user, no IAM at all", TEST, .key = ROOT_MAY,
		 .grant = {.grantee = G_USER, .operations = "Decrypt Encrypt"},
		 .part = POLICY_PART_GRANT},
		{"without delegation too", TEST, .key = ALLOW(ROLE, "kms:*"),
		 .grant = {.grantee = G_USER, .operations = "Decrypt"}, .part = POLICY_PART_GRANT},
		{"another operation", TEST, .key = ROOT_MAY,
		 .grant = {.grantee = G_USER, .operations = "Encrypt"},
		 .want = ON_KEY NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
		{"an operation that no grant can give", TEST, .action = "PutKeyPolicy",
		 .key = ROOT_MAY, .grant = {.grantee = G_USER, .operations = "Decrypt"},
		 .want = ON_KEY NO_IDENTITY("PutKeyPolicy"), .part = POLICY_PART_IDENTITY},
		{"user made anew", NEW_TEST, .key = ROOT_MAY,
		 .grant = {.grantee = G_USER, .operations = "Decrypt"},
		 .want = ON_KEY NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
		{"user is not limited by a boundary", TEST, .key = ROOT_MAY,
		 .boundary = I_ALLOW("s3:*"), .grant = {.grantee = G_USER, .operations = "Decrypt"},
		 .part = POLICY_PART_GRANT},
		{"role, any session", SIBLING, .key = ROOT_MAY,
		 .grant = {.grantee = G_ROLE, .operations = "Decrypt"}, .part = POLICY_PART_GRANT},
		{"role, limited by session policy", SESSION, .key = ROOT_MAY,
		 .session = I_ALLOW("s3:*"), .grant = {.grantee = G_ROLE, .operations = "Decrypt"},
		 .want = ON_KEY NO_SESSION("Decrypt"), .part = POLICY_PART_SESSION},
		{"role, limited by boundary", SESSION, .key = ROOT_MAY, .boundary = I_ALLOW("s3:*"),
		 .grant = {.grantee = G_ROLE, .operations = "Decrypt"},
		 .want = ON_KEY NO_BOUNDARY("Decrypt"), .part = POLICY_PART_BOUNDARY},
		{"session, limited by neither", SESSION, .key = ROOT_MAY,
		 .boundary = I_ALLOW("s3:*"), .session = I_ALLOW("s3:*"),
		 .grant = {.grantee = G_TARGET, .operations = "Decrypt"},
		 .part = POLICY_PART_GRANT},
		{"sibling session", SIBLING, .key = ROOT_MAY,
		 .grant = {.grantee = G_TARGET, .operations = "Decrypt"},
		 .want = ON_KEY NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
		{"role made anew", NEW_SESSION, .key = ROOT_MAY,
		 .grant = {.grantee = G_ROLE, .operations = "Decrypt"},
		 .want = ON_KEY NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
		{"service", SERVICE, .key = ROOT_MAY,
		 .grant = {.grantee = "ec2.amazonaws.com", .operations = "Decrypt"},
		 .part = POLICY_PART_GRANT},
		{"ReEncryptFrom is not ReEncryptTo", TEST, .action = "ReEncryptTo", .key = ROOT_MAY,
		 .grant = {.grantee = G_USER, .operations = "ReEncryptFrom"},
		 .want = ON_KEY NO_IDENTITY("ReEncryptTo"), .part = POLICY_PART_IDENTITY},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void constraints_compare_the_encryption_context_exactly(void **state)
{
	static const struct policy_pair exact[] = {{"aws:ebs:id", "vol-1"}};
	static const struct policy_pair more[] = {{"a", "b"}, {"aws:ebs:id", "vol-1"}};
	static const struct policy_pair other[] = {{"aws:ebs:id", "vol-2"}};
	static const struct policy_pair upper[] = {{"AWS:EBS:ID", "vol-1"}};
	static const struct {
		char constraint;
		const char *action;
		const struct policy_pair *pairs;
		size_t count;
		bool want;
	} rows[] = {
		{'E', "Decrypt", exact, 1, true},    {'E', "Decrypt", more, 2, false},
		{'E', "Decrypt", other, 1, false},   {'E', "Decrypt", NULL, 0, false},
		{'E', "Decrypt", upper, 1, false},   {'S', "Decrypt", exact, 1, true},
		{'S', "Decrypt", more, 2, true},     {'S', "Decrypt", other, 1, false},
		{'S', "Decrypt", NULL, 0, false},    {0, "Decrypt", NULL, 0, true},
		{0, "Decrypt", more, 2, true},	     {'E', "DescribeKey", NULL, 0, true},
		{'E', "RetireGrant", NULL, 0, true}, {'S', "DescribeKey", NULL, 0, true},
		{'E', "Encrypt", exact, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row row = {
			.who = TEST,
			.action = rows[i].action,
			.key = ROOT_MAY,
			.grant = {.grantee = "arn:aws:iam::111122223333:user/test",
				  .operations = "Decrypt DescribeKey RetireGrant",
				  .constraint = rows[i].constraint,
				  .name = "aws:ebs:id",
				  .value = "vol-1"},
		};
		struct scene scene;

		build(&scene, &row);
		scene.request.pairs = rows[i].pairs;
		scene.request.pair_count = rows[i].count;
		assert_int_equal(policy_decide(&scene.request, NULL).result == POLICY_ALLOWED,
				 rows[i].want);
		tear_down(&scene);
	}
}

static void a_grantee_may_pass_on_no_more_than_one_grant_gives(void **state)
{
	static const struct policy_pair same[] = {{"aws:ebs:id", "vol-1"}};
	static const struct policy_pair more[] = {{"a", "b"}, {"aws:ebs:id", "vol-1"}};
	static const struct policy_pair other[] = {{"a", "b"}};
	static const struct {
		char parent;
		const char *operations; /* of the new grant */
		char child;
		const struct policy_pair *pairs;
		size_t count;
		bool want;
	} rows[] = {
		{0, "Decrypt", 0, NULL, 0, true},
		{0, "Decrypt CreateGrant", 0, NULL, 0, true},
		{0, "Decrypt Encrypt", 0, NULL, 0, false},
		{0, "Decrypt", 'E', same, 1, true},
		{'S', "Decrypt", 0, NULL, 0, false},
		{'S', "Decrypt", 'S', same, 1, true},
		{'S', "Decrypt", 'S', more, 2, true},
		{'S', "Decrypt", 'S', other, 1, false},
		{'S', "Decrypt", 'E', more, 2, true},
		{'E', "Decrypt", 'E', same, 1, true},
		{'E', "Decrypt", 'E', more, 2, false},
		{'E', "Decrypt", 'S', same, 1, false},
		{'E', "Decrypt", 0, NULL, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row row = {
			.who = TEST,
			.action = "CreateGrant",
			.key = ROOT_MAY,
			.grant = {.grantee = "arn:aws:iam::111122223333:user/test",
				  .operations = "Decrypt CreateGrant",
				  .constraint = rows[i].parent,
				  .name = "aws:ebs:id",
				  .value = "vol-1"},
		};
		const struct policy_permit child = {
			.operations = operations_of(rows[i].operations),
			.constraint = rows[i].child == 'E'   ? POLICY_CONSTRAINT_EQUALS
				      : rows[i].child == 'S' ? POLICY_CONSTRAINT_SUBSET
							     : POLICY_CONSTRAINT_NONE,
			.pairs = rows[i].pairs,
			.pair_count = rows[i].count,
		};
		struct scene scene;

		build(&scene, &row);
		scene.request.new_grant = &child;
		if ((policy_decide(&scene.request, NULL).result == POLICY_ALLOWED) != rows[i].want)
			fail_msg("row %zu", i);
		scene.request.new_grant = NULL; /* what is asked for must be known */
		assert_int_equal(policy_decide(&scene.request, NULL).result, POLICY_NOT_ALLOWED);
		tear_down(&scene);
	}
}

static void two_grants_do_not_combine(void **state)
{
	const struct row row = {
		.who = TEST,
		.action = "CreateGrant",
		.key = ROOT_MAY,
		.grant = {.grantee = "arn:aws:iam::111122223333:user/test",
			  .operations = "Decrypt CreateGrant"},
	};
	const struct policy_permit child = {.operations = operations_of("Decrypt Encrypt")};
	struct policy_grant two[2];
	struct scene scene;

	(void)state;
	build(&scene, &row);
	two[0] = two[1] = scene.grant;
	two[1].permit.operations = operations_of("Encrypt CreateGrant");
	scene.side.grants = two;
	scene.side.grant_count = 2;
	scene.request.new_grant = &child;
	assert_int_equal(policy_decide(&scene.request, NULL).result, POLICY_NOT_ALLOWED);
	two[1].permit.operations |= two[0].permit.operations;
	assert_int_equal(policy_decide(&scene.request, NULL).result, POLICY_ALLOWED);
	tear_down(&scene);
}

static void of_two_grants_that_of_the_callers_account_counts(void **state)
{
	const struct row row = {
		.who = FAR_SESSION,
		.key = ROOT_MAY,
		.grant = {.grantee = "arn:aws:sts::123456789012:assumed-role/F/target",
			  .operations = "Decrypt"},
	};
	struct policy_grant two[2];
	struct scene scene;

	(void)state;
	build(&scene, &row);
	two[0] = two[1] = scene.grant;
	scene.side.grants = two;
	scene.side.grant_count = 2;
	assert_int_equal(policy_decide(&scene.request, NULL).result, POLICY_NOT_ALLOWED);
	for (int i = 0; i < 2; i++) {
		two[i].issuing_account = OTHER;
		assert_int_equal(policy_decide(&scene.request, NULL).result, POLICY_ALLOWED);
		two[i].issuing_account = NULL;
	}
	tear_down(&scene);
}

static void there_are_seventeen_grant_operations(void **state)
{
	static const char names[] =
		"Decrypt Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom "
		"ReEncryptTo Sign Verify GetPublicKey CreateGrant RetireGrant DescribeKey "
		"GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateMac VerifyMac "
		"DeriveSharedSecret";

	(void)state;
	assert_int_equal(operations_of(names), (1u << 17) - 1);
	assert_int_equal(policy_grant_operation("decrypt"), 0);
	assert_int_equal(policy_grant_operation("PutKeyPolicy"), 0);
	assert_int_equal(policy_grant_operation(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grants_allow_and_only_allow),
		cmocka_unit_test(constraints_compare_the_encryption_context_exactly),
		cmocka_unit_test(a_grantee_may_pass_on_no_more_than_one_grant_gives),
		cmocka_unit_test(two_grants_do_not_combine),
		cmocka_unit_test(of_two_grants_that_of_the_callers_account_counts),
		cmocka_unit_test(there_are_seventeen_grant_operations),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
