/* Policy documents: what each kind takes and refuses, in which words; principals and their binding. */
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
#include "policy.h"
#include "policy_decide.h"

#define INVALID_PRINCIPALS "Policy contains a statement with one or more invalid principals."

/* In the tables ' stands for ". */
static char *quoted(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	for (char *at = copy; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	return copy;
}

/* One statement as a document of version 2012-10-17. */
static char *document(const char *statement)
{
	char *text = NULL, *copy;

	assert_true(asprintf(&text, "{'Version':'2012-10-17','Statement':%s}", statement) > 0);
	copy = quoted(text);
	free(text);
	return copy;
}

/* The world of these tests: some users and roles of two accounts. */
static int resolve(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err)
{
	static const char *const known[][2] = {
		{"arn:aws:iam::111122223333:root", "111122223333"},
		{"arn:aws:iam::123456789012:root", "123456789012"},
		{"arn:aws:iam::111122223333:user/test", "AIDATEST"},
		{"arn:aws:iam::111122223333:user/team/deep", "AIDADEEP"},
		{"arn:aws:iam::111122223333:role/R", "AROAR"},
		{"arn:aws:sts::111122223333:assumed-role/R/s", "AROAR:s"},
	};

	if (arg)
		return err_set(err, EIO, "the store is gone");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(arn, known[i][0]) == 0) {
			strcpy(ret_id, known[i][1]);
			return 0;
		}
	}
	return -ENOENT;
}

static const struct policy_resolver resolver = {resolve, NULL};

static int parse(enum policy_kind kind, const char *text, struct err *err)
{
	struct policy *policy = NULL;
	int r = policy_parse(kind, text, strlen(text), &resolver, &policy, err);

	assert_true((r == 0) == (policy != NULL));
	policy_free(policy);
	return r;
}

static void takes(enum policy_kind kind, const char *statement)
{
	char *text = document(statement);
	struct err err = {0};

	if (parse(kind, text, &err) < 0)
		fail_msg("%s: %s", text, err.aws_message);
	free(text);
}

static void refuses_text(enum policy_kind kind, const char *text, const char *want)
{
	struct err err = {0};

	if (parse(kind, text, &err) == 0)
		fail_msg("taken: %s", text);
	assert_string_equal(err.code, "MalformedPolicyDocumentException");
	if (strcmp(err.aws_message, want) != 0)
		fail_msg("%s: '%s' instead of '%s'", text, err.aws_message, want);
}

static void refuses(enum policy_kind kind, const char *statement, const char *want)
{
	char *text = document(statement);

	refuses_text(kind, text, want);
	free(text);
}

#define REST "'Effect':'Allow','Action':'kms:*','Resource':'*'"

static void key_policies_take_the_forms_of_the_guide(void **state)
{
	static const char *const good[] = {
		"{" REST ",'Principal':'*'}",
		"[{" REST ",'Principal':{'AWS':'*'}}]",
		"{" REST ",'Principal':{'AWS':'111122223333'}}",
		"{" REST ",'Principal':{'AWS':'arn:aws:iam::111122223333:root'}}",
		"{" REST ",'Principal':{'AWS':['arn:aws:iam::111122223333:user/test',"
		"'arn:aws:iam::111122223333:user/team/deep','arn:aws:iam::111122223333:role/R']}}",
		"{" REST ",'Principal':{'AWS':'arn:aws:sts::111122223333:assumed-role/R/s'}}",
		"{" REST ",'Principal':{'AWS':'arn:aws:sts::111122223333:federated-user/f'}}",
		"{" REST ",'Principal':{'Service':['ec2.amazonaws.com','rds.amazonaws.com']}}",
		"{" REST ",'Principal':{'Federated':'cognito-identity.amazonaws.com'}}",
		"{" REST ",'Principal':{'AWS':'123456789012','Service':'ec2.amazonaws.com'}}",
		"{" REST ",'NotPrincipal':{'AWS':'111122223333'}}",
		"{'Sid':'with blanks, too','Effect':'Deny','NotAction':['kms:Describe*'],"
		"'NotResource':'arn:aws:kms:*:*:key/*','Principal':'*','Condition':{'Bool':"
		"{'aws:SecureTransport':'false'}}}",
		/* without action or resource: taken, never applies */
		"{'Effect':'Allow','Principal':'*','Resource':'*'}",
		"{'Effect':'Allow','Principal':'*','Action':'kms:*'}",
		"{'Effect':'Allow','Principal':'*','Action':[],'Resource':'*'}",
		/* a Sid twice: only IAM minds */
		"[{'Sid':'a'," REST ",'Principal':'*'},{'Sid':'a'," REST ",'Principal':'*'}]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		takes(POLICY_KEY, good[i]);
}

static void key_policies_with_invalid_principals_are_refused_in_aws_words(void **state)
{
	static const char *const bad[] = {
		"'x'",
		"''",
		"5",
		"{}",
		"[]",
		"{'AWS':[]}",
		"{'AWS':5}",
		"{'AWS':''}",
		"{'AWS':{'AWS':'*'}}",
		"{'AWS':'test'}",
		"{'AWS':'11112222333'}",   /* eleven digits */
		"{'AWS':'1111222233334'}", /* thirteen */
		"{'AWS':'AIDATEST'}",	   /* left over of a deleted user */
		"{'AWS':'AROAR'}",
		"{'AWS':'arn:aws:iam::111122223333:user/gone'}",
		"{'AWS':'arn:aws:iam::111122223333:user/Test'}", /* case counts */
		"{'AWS':'arn:aws:iam::111122223333:role/gone'}",
		("{'AWS':'arn:aws:iam::111122223333:role/aws-service-role/"
		 "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling'}"),
		"{'AWS':'arn:aws:sts::111122223333:assumed-role/gone/s'}",
		"{'AWS':'arn:aws:sts::111122223333:assumed-role/R'}",
		"{'AWS':'arn:aws:sts::111122223333:assumed-role/R/*'}",
		"{'AWS':'arn:aws:iam::111122223333:user/*'}",
		"{'AWS':'arn:aws:iam::111122223333:user/te?t'}",
		"{'AWS':'arn:aws:iam::*:root'}",
		"{'AWS':'arn:aws:iam::111122223333:group/g'}",
		"{'AWS':'arn:aws:iam::111122223333:user/'}",
		"{'AWS':'arn:aws:iam::111122223333:root/x'}",
		"{'AWS':'arn:aws:iam:us-east-1:111122223333:root'}",
		"{'AWS':'arn:aws:sts::111122223333:root'}",
		"{'AWS':'arn:aws:s3:::bucket'}",
		"{'AWS':'arn:aws:iam::111122223333:root,arn:aws:iam::123456789012:root'}",
		"{'AWS':['arn:aws:iam::111122223333:root','arn:aws:iam::111122223333:user/gone']}",
		"{'AWS':'arn:aws:iam::000000000000:root'}", /* no such account */
		"{'Service':'ec2'}",
		"{'Service':'*'}",
		"{'Service':'EC2.amazonaws.com'}",
		"{'User':'test'}",
		"{'aws':'111122223333'}",
	};
	char statement[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(statement, sizeof(statement), "{" REST ",'Principal':%s}", bad[i]);
		refuses(POLICY_KEY, statement, INVALID_PRINCIPALS);
		(void)snprintf(statement, sizeof(statement), "{" REST ",'NotPrincipal':%s}",
			       bad[i]);
		refuses(POLICY_KEY, statement, INVALID_PRINCIPALS);
	}
	refuses(POLICY_KEY, "{" REST "}", "Policy contains a statement with no principal");
}

static void key_policies_that_are_none_are_refused(void **state)
{
	static const char *const rows[][2] = {
		{"x", "Policy is not a JSON object"},
		{"[]", "Policy is not a JSON object"},
		{"{} {}", "Policy is not a JSON object"},
		{"{'Version':'2012-10-17',}", "Policy is not a JSON object"},
		{"{}", "Policy has no valid Version"},
		{"{'Statement':[]}", "Policy has no valid Version"},
		{"{'Version':'2012-10-18','Statement':[]}", "Policy has no valid Version"},
		{"{'Version':20121017,'Statement':[]}", "Policy has no valid Version"},
		{"{'Version':'2012-10-17'}", "Policy has no Statement"},
		{"{'Version':'2012-10-17','Statement':[]}", "Policy has no Statement"},
		{"{'Version':'2012-10-17','Id':5,'Statement':[]}",
		 "Policy has an Id that is not a text"},
		{"{'Version':'2012-10-17','Statements':[]}", "Policy has an unknown element"},
		{"{'Version':'2012-10-17','Version':'2012-10-17','Statement':[]}",
		 "Policy contains 'Version' twice"},
		{"{'Version':'2012-10-17','Id':'\\u0000','Statement':[]}", "Policy contains a NUL"},
		{"{'Version':'2012-10-17','Id':'\xe2\x82\xac','Statement':[]}",
		 "Policy contains a character outside of U+0020 to U+00FF"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = quoted(rows[i][0]);

		refuses_text(POLICY_KEY, text, rows[i][1]);
		free(text);
	}
}

static void statements_of_key_policies_are_checked(void **state)
{
#define P ",'Principal':'*'"
	static const char *const rows[][2] = {
		{"5", "Policy contains a statement that is not an object"},
		{"['x']", "Policy contains a statement that is not an object"},
		{"{'Action':'kms:*','Resource':'*'" P "}",
		 "Policy contains a statement with no effect"},
		{"{'Effect':'allow','Action':'kms:*','Resource':'*'" P "}",
		 "Policy contains a statement with an invalid effect"},
		{"{'Effect':true,'Action':'kms:*','Resource':'*'" P "}",
		 "Policy contains a statement with an invalid effect"},
		{"{" REST P ",'Conditions':{}}",
		 "Policy contains a statement with an unknown element"},
		{"{" REST P ",'Condition':null}",
		 "Policy contains a statement with an unknown element"},
		{"{" REST P ",'NotPrincipal':'*'}",
		 "Policy contains a statement with both Principal and NotPrincipal"},
		{"{" REST P ",'NotAction':'kms:*'}",
		 "Policy contains a statement with an element and its negation"},
		{"{" REST P ",'NotResource':'*'}",
		 "Policy contains a statement with an element and its negation"},
		{"{" REST P ",'Sid':5}", "Policy contains a statement with an invalid Sid"},
		{"{'Effect':'Allow','Action':5,'Resource':'*'" P "}",
		 "Policy contains a statement whose actions or resources are not texts"},
		{"{'Effect':'Allow','Action':['kms:*',5],'Resource':'*'" P "}",
		 "Policy contains a statement whose actions or resources are not texts"},
		{"{'Effect':'Allow','Action':'Decrypt','Resource':'*'" P "}",
		 "Policy contains a statement with one or more invalid actions"},
		{"{'Effect':'Allow','Action':'kms:De:crypt','Resource':'*'" P "}",
		 "Policy contains a statement with one or more invalid actions"},
		{"{'Effect':'Allow','Action':'kms:*','Resource':'key'" P "}",
		 "Policy contains a statement with one or more invalid resources"},
		{"{" REST P ",'Condition':{'StringEqual':{'a:k':'v'}}}",
		 "Policy contains a statement with an invalid condition: 'StringEqual' is no "
		 "condition operator"},
		{"{" REST P ",'Condition':{'Bool':{'a:k':'true'},'Bool':{'a:l':'true'}}}",
		 "Policy contains 'Bool' twice"},
		{"[{" REST P "},{" REST P ",'Effect':'Deny'}]", "Policy contains 'Effect' twice"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(POLICY_KEY, rows[i][0], rows[i][1]);
}

static void iams_kinds_are_refused_in_the_words_of_iam(void **state)
{
	static const char *const rows[][2] = {
		{"5", "Syntax errors in policy."},
		{"{'Effect':'allow','Action':'kms:*','Resource':'*'}", "Syntax errors in policy."},
		{"{" REST ",'Conditions':{}}", "Syntax errors in policy."},
		{"{" REST ",'Condition':{'StringEqual':{'a:k':'v'}}}", "Syntax errors in policy."},
		{"{" REST ",'Principal':'*'}", "Policy document should not specify a principal."},
		{"{" REST ",'NotPrincipal':'*'}",
		 "Policy document should not specify a principal."},
		{"{'Effect':'Allow','Resource':'*'}", "Policy statement must contain actions."},
		{"{'Effect':'Allow','Action':[],'Resource':'*'}",
		 "Policy statement must contain actions."},
		{"{'Effect':'Allow','Action':'kms:*'}", "Policy statement must contain resources."},
		{"{'Effect':'Allow','Action':'Decrypt','Resource':'*'}",
		 "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"{'Effect':'Allow','Action':'kms:a:b','Resource':'*'}",
		 "Actions/Condition can contain only one colon."},
		{"{'Effect':'Allow','Action':'k s:b','Resource':'*'}", "Vendor k s is not valid"},
		{"{'Effect':'Allow','Action':'kms:*','Resource':'key/x'}",
		 "Resource key/x must be in ARN format or \"*\"."},
		{"{'Effect':'Allow','Action':'kms:*','Resource':''}",
		 "Resource  must be in ARN format or \"*\"."},
		{"[{'Sid':'a'," REST "},{'Sid':'a'," REST "}]",
		 "Statement IDs (SID) in a single policy must be unique."},
	};
	static const enum policy_kind kinds[] = {POLICY_IDENTITY, POLICY_BOUNDARY, POLICY_SESSION};
	char *old = quoted("{'Version':'2008-10-17','Statement':{" REST "}}");
	char *none = quoted("{'Statement':{" REST "}}");

	(void)state;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			refuses(kinds[k], rows[i][0], rows[i][1]);
		refuses_text(kinds[k], old,
			     "Policy document must be version 2012-10-17 or "
			     "greater.");
		refuses_text(kinds[k], none,
			     "Policy document must be version 2012-10-17 or "
			     "greater.");
		refuses_text(kinds[k], "{", "Syntax errors in policy.");
		takes(kinds[k], "[{'Sid':''," REST "},{'Sid':''," REST "}]");
	}
	free(old);
	free(none);
}

static void trust_policies_name_principals_and_no_resource(void **state)
{
#define ASSUME "'Effect':'Allow','Action':'sts:AssumeRole'"
	char *old = quoted("{'Version':'2008-10-17','Statement':{" ASSUME
			   ",'Principal':{'Service':'ec2.amazonaws.com'}}}");
	struct err err = {0};

	(void)state;
	takes(POLICY_TRUST, "{" ASSUME ",'Principal':{'AWS':'111122223333'}}");
	takes(POLICY_TRUST, "{'Effect':'Allow','Action':['sts:AssumeRole','sts:TagSession'],"
			    "'Principal':{'AWS':'arn:aws:iam::111122223333:user/test'}}");
	assert_int_equal(parse(POLICY_TRUST, old, &err), 0);
	refuses(POLICY_TRUST, "{" ASSUME "}", "Missing required field Principal");
	refuses(POLICY_TRUST, "{" ASSUME ",'Principal':{'AWS':'111122223333'},'Resource':'*'}",
		"Has prohibited field Resource");
	refuses(POLICY_TRUST, "{'Effect':'Allow','Action':'kms:*','Principal':'*'}",
		"AssumeRole policy may only specify STS AssumeRole actions.");
	refuses(POLICY_TRUST,
		"{" ASSUME ",'Principal':{'AWS':'arn:aws:iam::111122223333:user/gone'}}",
		"Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:user/gone\"");
	free(old);
}

static void a_key_policy_may_have_32768_bytes(void **state)
{
	char *text = document("{" REST ",'Principal':'*'}"), *big = malloc(POLICY_KEY_LEN_MAX + 2);
	size_t len = strlen(text);
	struct err err = {0};

	(void)state;
	assert_non_null(big);
	memset(big, ' ', POLICY_KEY_LEN_MAX + 1);
	memcpy(big, text, len);
	big[POLICY_KEY_LEN_MAX] = '\0';
	assert_int_equal(parse(POLICY_KEY, big, &err), 0);
	big[POLICY_KEY_LEN_MAX] = ' ';
	big[POLICY_KEY_LEN_MAX + 1] = '\0';
	assert_true(parse(POLICY_KEY, big, &err) < 0);
	assert_string_equal(err.code, "LimitExceededException");
	assert_int_equal(parse(POLICY_TRUST, big, &err), -EKEYREJECTED); /* kms:*, not the size */
	assert_string_equal(err.code, "MalformedPolicyDocumentException");
	free(big);
	free(text);
}

static void principals_are_bound_to_unique_ids(void **state)
{
	static const char *const want[][2] = {
		{"arn:aws:iam::111122223333:user/test", "AIDATEST"},
		{"111122223333", "111122223333"},
		{"arn:aws:sts::111122223333:assumed-role/R/s", "AROAR:s"},
		{"ec2.amazonaws.com", ""},
	};
	char *text = document("[{" REST ",'Principal':{'AWS':['arn:aws:iam::111122223333:user/"
			      "test','111122223333']}},{" REST ",'Principal':{'AWS':'arn:aws:"
			      "sts::111122223333:assumed-role/R/s','Service':'ec2.amazonaws.com'}}"
			      "]");
	struct policy *policy = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_parse(POLICY_KEY, text, strlen(text), &resolver, &policy, &err), 0);
	assert_int_equal(policy_statement_count(policy), 2);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_string_equal(policy_principal_at(policy, i)->text, want[i][0]);
		assert_string_equal(policy_principal_at(policy, i)->id, want[i][1]);
	}
	assert_null(policy_principal_at(policy, 4));
	policy_free(policy);
	free(text);
}

static void trouble_of_the_resolver_is_not_an_invalid_principal(void **state)
{
	char *text = document("{" REST ",'Principal':{'AWS':'111122223333'}}");
	const struct policy_resolver broken = {resolve, text};
	struct policy *policy = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_parse(POLICY_KEY, text, strlen(text), &broken, &policy, &err),
			 -EIO);
	assert_string_equal(err.msg, "the store is gone");
	assert_string_equal(err.code, "");
	assert_null(policy);
	free(text);
}

static void the_ineffective_statement_is_found(void **state)
{
	char *text = document("[{" REST ",'Principal':'*'},{'Effect':'Allow','Principal':'*',"
			      "'Action':'kms:*'}]");
	char *whole = document("{" REST ",'Principal':'*'}");
	struct policy *policy = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_parse(POLICY_KEY, text, strlen(text), NULL, &policy, &err), 0);
	assert_int_equal(policy_ineffective_statement(policy), 1);
	policy_freep(&policy);
	assert_int_equal(policy_parse(POLICY_KEY, whole, strlen(whole), NULL, &policy, &err), 0);
	assert_int_equal(policy_ineffective_statement(policy), -1);
	policy_free(policy);
	free(text);
	free(whole);
}

static void grantees_are_arns_or_services(void **state)
{
	static const struct {
		const char *text;
		enum policy_principal_form form;
	} good[] = {
		{"arn:aws:iam::111122223333:user/test", POLICY_PRINCIPAL_USER},
		{"arn:aws:iam::111122223333:root", POLICY_PRINCIPAL_ACCOUNT},
		{"ec2.us-east-1.amazonaws.com", POLICY_PRINCIPAL_SERVICE},
		{"arn:aws:sts::111122223333:assumed-role/aws:ec2-infrastructure/i-07b7",
		 POLICY_PRINCIPAL_SESSION},
	};
	static const char *const bad[] = {"*",
					  "test",
					  "",
					  "arn:aws:iam::111122223333:user/a:b",
					  "arn:aws:sts::111122223333:assumed-role/R/aws:x",
					  "arn:aws:sts::111122223333:assumed-role/R",
					  "arn:aws:sts::111122223333:assumed-role/R/s/t"};
	struct policy_principal principal;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(
			policy_principal_read_grantee(good[i].text, NULL, &principal, &err), 0);
		assert_int_equal(principal.form, good[i].form);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(policy_principal_read_grantee(bad[i], NULL, &principal, &err),
				 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_policies_take_the_forms_of_the_guide),
		cmocka_unit_test(key_policies_with_invalid_principals_are_refused_in_aws_words),
		cmocka_unit_test(key_policies_that_are_none_are_refused),
		cmocka_unit_test(statements_of_key_policies_are_checked),
		cmocka_unit_test(iams_kinds_are_refused_in_the_words_of_iam),
		cmocka_unit_test(trust_policies_name_principals_and_no_resource),
		cmocka_unit_test(a_key_policy_may_have_32768_bytes),
		cmocka_unit_test(principals_are_bound_to_unique_ids),
		cmocka_unit_test(trouble_of_the_resolver_is_not_an_invalid_principal),
		cmocka_unit_test(the_ineffective_statement_is_found),
		cmocka_unit_test(grantees_are_arns_or_services),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
