/* Decisions: callers and policies against AWS's answer and its exact sentence. */
#include "policy_scene.h"

static void key_policy_and_iam_in_the_account_of_the_key(void **state)
{
	static const struct row rows[] = {
		{"root, default policy", ROOT_USER, .key = ROOT_MAY, .part = POLICY_PART_KEY},
		{"root needs the statement too", ROOT_USER, .key = ALLOW(USER, "kms:*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"root by *", ROOT_USER, .key = ALLOW("'*'", "kms:*"), .part = POLICY_PART_KEY},
		{"user, default policy, IAM silent", TEST, .action = "CreateGrant", .key = ROOT_MAY,
		 .want = ON_KEY NO_IDENTITY("CreateGrant"), .part = POLICY_PART_IDENTITY},
		{"user, default policy, IAM allows", TEST, .key = ROOT_MAY,
		 .identity = I_ALLOW("kms:Decrypt"), .part = POLICY_PART_IDENTITY},
		{"user, account by its bare number", TEST,
		 .key = ALLOW("{'AWS':'" ACCOUNT "'}", "kms:*"), .identity = I_ALLOW("kms:*"),
		 .part = POLICY_PART_IDENTITY},
		{"user, IAM allows another action", TEST, .key = ROOT_MAY,
		 .identity = I_ALLOW("kms:Encrypt"), .want = ON_KEY NO_IDENTITY("Decrypt"),
		 .part = POLICY_PART_IDENTITY},
		{"user, IAM allows, key policy names nobody of the account", TEST,
		 .key = ALLOW("{'AWS':'" OTHER "'}", "kms:*"), .identity = I_ALLOW("*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"user, IAM allows, account may only describe", TEST,
		 .key = ALLOW("{'AWS':'" ACCOUNT "'}", "kms:Describe*"), .identity = I_ALLOW("*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"user named by the key policy, IAM silent", TEST,
		 .key = ALLOW(USER, "kms:Decrypt"), .part = POLICY_PART_KEY},
		{"user named for another action", TEST, .key = ALLOW(USER, "kms:Encrypt"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"user named, then the account", TEST, .key = ALLOW(USER, "kms:*") "," ROOT_MAY,
		 .part = POLICY_PART_KEY},
		{"the account, then user named", TEST, .key = ROOT_MAY "," ALLOW(USER, "kms:*"),
		 .part = POLICY_PART_KEY},
		{"actions ignore case", TEST, .key = ALLOW(USER, "KMS:decr?pt"),
		 .part = POLICY_PART_KEY},
		{"another user", NEW_TEST, .key = ALLOW(USER, "kms:*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"'*' and {'AWS':'*'} are everyone", TEST, .key = ALLOW("{'AWS':'*'}", "kms:*"),
		 .part = POLICY_PART_KEY},
		{"statement without resource", TEST,
		 .key = "{'Effect':'Allow','Principal':'*','Action':'kms:*'}",
		 .identity = I_ALLOW("*"), .want = ON_KEY NO_RESOURCE("Decrypt"),
		 .part = POLICY_PART_KEY},
		{"a Deny without action denies nothing", TEST,
		 .key = ALLOW("'*'", "kms:*") ",{'Effect':'Deny','Principal':'*','Resource':'*'}",
		 .part = POLICY_PART_KEY},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void all_elements_of_a_statement_must_match(void **state)
{
	static const struct row rows[] = {
		{"resource of another key", TEST,
		 .key = "{'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':"
			"'arn:aws:kms:us-east-1:111122223333:key/ffffffff-*'}",
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"NotResource of another key", TEST,
		 .key = "{'Effect':'Allow','Principal':'*','Action':'kms:*','NotResource':"
			"'arn:aws:kms:us-east-1:111122223333:key/ffffffff-*'}",
		 .part = POLICY_PART_KEY},
		{"NotAction leaves out", TEST,
		 .key = "{'Effect':'Allow','Principal':'*','NotAction':['kms:De*','kms:En*'],"
			"'Resource':'*'}",
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"NotAction lets in", TEST, .action = "GetKeyPolicy",
		 .key = "{'Effect':'Allow','Principal':'*','NotAction':['kms:De*','kms:En*'],"
			"'Resource':'*'}",
		 .part = POLICY_PART_KEY},
		{"IAM on this key by ARN", TEST, .key = ROOT_MAY,
		 .identity = "{'Effect':'Allow','Action':'kms:*','Resource':'arn:aws:kms:*:"
			     "111122223333:key/*'}",
		 .part = POLICY_PART_IDENTITY},
		{"IAM on aliases does not help", TEST, .key = ROOT_MAY,
		 .identity = "{'Effect':'Allow','Action':'kms:*','Resource':'arn:aws:kms:*:"
			     "111122223333:alias/*'}",
		 .want = ON_KEY NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
		{"the key policy's user is not the service's", SERVICE, .key = ALLOW(USER, "kms:*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"service", SERVICE, .key = ALLOW("{'Service':'ec2.amazonaws.com'}", "kms:*"),
		 .part = POLICY_PART_KEY},
		{"service is in no account", SERVICE, .key = ROOT_MAY,
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void an_explicit_deny_wins_wherever_it_stands(void **state)
{
	static const struct row rows[] = {
		{"key policy", TEST, .key = ALLOW(USER, "kms:*") "," DENY(USER, "kms:Decrypt"),
		 .want = ON_KEY DENIED_BY("resource-based policy"), .part = POLICY_PART_KEY},
		{"key policy, before the Allow", TEST,
		 .key = DENY("'*'", "kms:*") "," ALLOW(USER, "kms:*"),
		 .want = ON_KEY DENIED_BY("resource-based policy"), .part = POLICY_PART_KEY},
		{"key policy, by account", TEST,
		 .key = ALLOW(USER, "kms:*") "," DENY("{'AWS':'" ACCOUNT "'}", "kms:*"),
		 .want = ON_KEY DENIED_BY("resource-based policy"), .part = POLICY_PART_KEY},
		{"key policy, the root user too", ROOT_USER,
		 .key = ROOT_MAY "," DENY("{'AWS':'" ACCOUNT "'}", "kms:Decrypt"),
		 .want = ON_KEY DENIED_BY("resource-based policy"), .part = POLICY_PART_KEY},
		{"a Deny of the root user's ARN is not about another account", FAR,
		 .key = ALLOW("{'AWS':'" OTHER "'}", "kms:*") "," DENY("{'AWS':'" ACCOUNT "'}",
								       "kms:*"),
		 .identity = I_ALLOW("kms:*"), .part = POLICY_PART_IDENTITY},
		{"key policy beats a grant", TEST, .key = ROOT_MAY "," DENY("'*'", "kms:Decrypt"),
		 .grant = {.grantee = "arn:aws:iam::111122223333:user/test",
			   .operations = "Decrypt"},
		 .want = ON_KEY DENIED_BY("resource-based policy"), .part = POLICY_PART_KEY},
		{"IAM", TEST, .key = ALLOW(USER, "kms:*"), .identity = I_DENY("kms:Decrypt"),
		 .want = ON_KEY DENIED_BY_IDENTITY, .part = POLICY_PART_IDENTITY},
		{"IAM, without delegation", TEST, .key = ALLOW(USER, "kms:*"),
		 .identity = I_ALLOW("*") "," I_DENY("*"), .want = ON_KEY DENIED_BY_IDENTITY,
		 .part = POLICY_PART_IDENTITY},
		{"IAM beats a grant", TEST, .key = ROOT_MAY, .identity = I_DENY("kms:Decrypt"),
		 .grant = {.grantee = "arn:aws:iam::111122223333:user/test",
			   .operations = "Decrypt"},
		 .want = ON_KEY DENIED_BY_IDENTITY, .part = POLICY_PART_IDENTITY},
		{"session policy beats a grant", SESSION, .key = ROOT_MAY,
		 .session = I_ALLOW("*") "," I_DENY("kms:Decrypt"),
		 .grant = {.grantee = "arn:aws:sts::111122223333:assumed-role/R/target",
			   .operations = "Decrypt"},
		 .want = ON_KEY DENIED_BY("session policy"), .part = POLICY_PART_SESSION},
		{"boundary", TEST, .key = ALLOW(USER, "kms:*"),
		 .boundary = I_ALLOW("*") "," I_DENY("kms:*"),
		 .want = ON_KEY DENIED_BY("permissions boundary"), .part = POLICY_PART_BOUNDARY},
		{"service control policy", TEST, .key = ALLOW(USER, "kms:*"),
		 .control = I_ALLOW("*") "," I_DENY("kms:*"),
		 .want = ON_KEY DENIED_BY("service control policy"), .part = POLICY_PART_CONTROL},
		{"service control policy, the root user too", ROOT_USER, .key = ROOT_MAY,
		 .control = I_ALLOW("*") "," I_DENY("kms:*"),
		 .want = ON_KEY DENIED_BY("service control policy"), .part = POLICY_PART_CONTROL},
		{"a Deny whose condition is not met", TEST,
		 .key = ALLOW(USER, "kms:*") ",{'Effect':'Deny','Principal':'*','Action':'*',"
					     "'Resource':'*','Condition':{'Bool':{'aws:"
					     "SecureTransport':'false'}}}",
		 .context = "aws:SecureTransport=true", .part = POLICY_PART_KEY},
		{"a Deny whose condition is met", TEST,
		 .key = ALLOW(USER, "kms:*") ",{'Effect':'Deny','Principal':'*','Action':'*',"
					     "'Resource':'*','Condition':{'Bool':{'aws:"
					     "SecureTransport':'false'}}}",
		 .context = "aws:SecureTransport=false",
		 .want = ON_KEY DENIED_BY("resource-based policy"), .part = POLICY_PART_KEY},
		{"a Deny of another action", TEST,
		 .key = ALLOW(USER, "kms:*") "," DENY(USER, "kms:Encrypt"),
		 .part = POLICY_PART_KEY},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void roles_sessions_and_what_limits_them(void **state)
{
	static const struct row rows[] = {
		{"role ARN, target", SESSION, .key = ALLOW(ROLE, "kms:*"), .part = POLICY_PART_KEY},
		{"role ARN, sibling", SIBLING, .key = ALLOW(ROLE, "kms:*"),
		 .part = POLICY_PART_KEY},
		{"role ARN, role made anew", NEW_SESSION, .key = ALLOW(ROLE, "kms:*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"session ARN, target", SESSION, .key = ALLOW(TARGET, "kms:*"),
		 .part = POLICY_PART_KEY},
		{"session ARN, sibling", SIBLING, .key = ALLOW(TARGET, "kms:*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"session ARN, role made anew", NEW_SESSION, .key = ALLOW(TARGET, "kms:*"),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"role ARN is limited by a session policy", SESSION, .key = ALLOW(ROLE, "kms:*"),
		 .session = I_ALLOW("kms:Encrypt"), .want = ON_KEY NO_SESSION("Decrypt"),
		 .part = POLICY_PART_SESSION},
		{"role ARN, session policy allows", SESSION, .key = ALLOW(ROLE, "kms:*"),
		 .session = I_ALLOW("kms:Decrypt"), .part = POLICY_PART_KEY},
		{"role ARN is limited by a boundary", SESSION, .key = ALLOW(ROLE, "kms:*"),
		 .boundary = I_ALLOW("kms:Encrypt"), .want = ON_KEY NO_BOUNDARY("Decrypt"),
		 .part = POLICY_PART_BOUNDARY},
		{"session ARN is limited by neither", SESSION, .key = ALLOW(TARGET, "kms:*"),
		 .boundary = I_ALLOW("s3:*"), .session = I_ALLOW("s3:*"), .part = POLICY_PART_KEY},
		{"nor is *", SESSION, .key = ALLOW("'*'", "kms:*"), .boundary = I_ALLOW("s3:*"),
		 .session = I_ALLOW("s3:*"), .part = POLICY_PART_KEY},
		{"user ARN is not limited by a boundary", TEST, .key = ALLOW(USER, "kms:*"),
		 .boundary = I_ALLOW("s3:*"), .part = POLICY_PART_KEY},
		{"delegated, boundary does not allow", TEST, .key = ROOT_MAY,
		 .identity = I_ALLOW("kms:*"), .boundary = I_ALLOW("s3:*"),
		 .want = ON_KEY NO_BOUNDARY("Decrypt"), .part = POLICY_PART_BOUNDARY},
		{"delegated, boundary allows, IAM does not", TEST, .key = ROOT_MAY,
		 .boundary = I_ALLOW("kms:*"), .want = ON_KEY NO_IDENTITY("Decrypt"),
		 .part = POLICY_PART_IDENTITY},
		{"delegated, all three", SESSION, .key = ROOT_MAY, .identity = I_ALLOW("kms:*"),
		 .boundary = I_ALLOW("kms:*"), .session = I_ALLOW("kms:*"),
		 .part = POLICY_PART_IDENTITY},
		{"delegated, session policy does not allow", SESSION, .key = ROOT_MAY,
		 .identity = I_ALLOW("kms:*"), .session = I_ALLOW("s3:*"),
		 .want = ON_KEY NO_SESSION("Decrypt"), .part = POLICY_PART_SESSION},
		{"federated user, no session policy", FEDERATED, .key = ROOT_MAY,
		 .identity = I_ALLOW("kms:*"), .want = ON_KEY NO_SESSION("Decrypt"),
		 .part = POLICY_PART_SESSION},
		{"federated user, session policy allows", FEDERATED, .key = ROOT_MAY,
		 .identity = I_ALLOW("kms:*"), .session = I_ALLOW("kms:*"),
		 .part = POLICY_PART_IDENTITY},
		{"federated user by its ARN", FEDERATED,
		 .key = ALLOW("{'AWS':'arn:aws:sts::111122223333:federated-user/f'}", "kms:*"),
		 .part = POLICY_PART_KEY},
		{"service control policy does not allow", TEST, .key = ALLOW(USER, "kms:*"),
		 .control = I_ALLOW("s3:*"), .want = ON_KEY NO_CONTROL("Decrypt"),
		 .part = POLICY_PART_CONTROL},
		{"service control policy alone allows nothing", TEST, .key = ROOT_MAY,
		 .control = I_ALLOW("*"), .want = ON_KEY NO_IDENTITY("Decrypt"),
		 .part = POLICY_PART_IDENTITY},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void not_principal_spares_whom_it_names_at_every_level(void **state)
{
#define NOT(effect, who)                                                                           \
	"{'Effect':'" effect "','NotPrincipal':{'AWS':[" who "]},'Action':'*','Resource':'*'}"
#define A_ROOT	 "'arn:aws:iam::111122223333:root'"
#define A_TEST	 "'arn:aws:iam::111122223333:user/test'"
#define A_ROLE	 "'arn:aws:iam::111122223333:role/R'"
#define A_TARGET "'arn:aws:sts::111122223333:assumed-role/R/target'"
#define DENIED	 .want = ON_KEY DENIED_BY("resource-based policy"), .part = POLICY_PART_KEY
	static const struct row rows[] = {
		{"user and account", TEST,
		 .key = ALLOW("'*'", "*") "," NOT("Deny", A_ROOT "," A_TEST),
		 .part = POLICY_PART_KEY},
		{"user alone", TEST, .key = ALLOW("'*'", "*") "," NOT("Deny", A_TEST), DENIED},
		{"account alone", TEST, .key = ALLOW("'*'", "*") "," NOT("Deny", A_ROOT), DENIED},
		{"account alone, the root user", ROOT_USER,
		 .key = ALLOW("'*'", "*") "," NOT("Deny", A_ROOT), .part = POLICY_PART_KEY},
		{"another user", SESSION,
		 .key = ALLOW("'*'", "*") "," NOT("Deny", A_ROOT "," A_TEST), DENIED},
		{"session, role and account", SESSION,
		 .key = ALLOW("'*'", "*") "," NOT("Deny", A_ROOT "," A_ROLE "," A_TARGET),
		 .part = POLICY_PART_KEY},
		{"role and account", SESSION,
		 .key = ALLOW("'*'", "*") "," NOT("Deny", A_ROOT "," A_ROLE), DENIED},
		{"everyone", TEST, .key = ALLOW("'*'", "*") "," NOT("Deny", "'*'"),
		 .part = POLICY_PART_KEY},
		{"Allow to all but the user", TEST, .key = NOT("Allow", A_TEST),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"Allow to all but the account", TEST, .key = NOT("Allow", A_ROOT),
		 .want = ON_KEY NO_RESOURCE("Decrypt"), .part = POLICY_PART_KEY},
		{"Allow to all but the user, another", SESSION, .key = NOT("Allow", A_TEST),
		 .part = POLICY_PART_KEY},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void another_account_needs_both_sides(void **state)
{
	static const struct row rows[] = {
		{"key admits the account, IAM allows", FAR,
		 .key = ALLOW("{'AWS':'" OTHER "'}", "kms:*"), .identity = I_ALLOW("kms:Decrypt"),
		 .part = POLICY_PART_IDENTITY},
		{"key names the user, IAM allows", FAR,
		 .key = ALLOW("{'AWS':'arn:aws:iam::123456789012:user/far'}", "kms:*"),
		 .identity = I_ALLOW("kms:Decrypt"), .part = POLICY_PART_IDENTITY},
		{"key names the user, IAM silent", FAR, .action = "DescribeKey",
		 .key = ALLOW("{'AWS':'arn:aws:iam::123456789012:user/far'}", "kms:*"),
		 .want = "on this resource " NO_IDENTITY("DescribeKey"),
		 .part = POLICY_PART_IDENTITY},
		{"everyone is admitted, IAM silent", FAR, .key = ALLOW("'*'", "kms:*"),
		 .want = "on this resource " NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
		{"IAM allows, key silent", FAR, .key = ROOT_MAY, .identity = I_ALLOW("*"),
		 .want = HIDDEN, .part = POLICY_PART_KEY},
		{"key denies: not told apart from silence", FAR,
		 .key = ALLOW("'*'", "kms:*") "," DENY("{'AWS':'" OTHER "'}", "kms:*"),
		 .identity = I_ALLOW("*"), .want = HIDDEN, .part = POLICY_PART_KEY},
		{"own IAM denies", FAR, .key = ALLOW("'*'", "kms:*"), .identity = I_DENY("kms:*"),
		 .want = "on this resource " DENIED_BY_IDENTITY, .part = POLICY_PART_IDENTITY},
		{"session policy limits even its ARN", FAR_SESSION,
		 .key = ALLOW("{'AWS':'arn:aws:sts::123456789012:assumed-role/F/target'}", "kms:*"),
		 .identity = I_ALLOW("kms:*"), .session = I_ALLOW("s3:*"),
		 .want = "on this resource " NO_SESSION("Decrypt"), .part = POLICY_PART_SESSION},
		{"boundary limits", FAR, .key = ALLOW("{'AWS':'" OTHER "'}", "kms:*"),
		 .identity = I_ALLOW("kms:*"), .boundary = I_ALLOW("s3:*"),
		 .want = "on this resource " NO_BOUNDARY("Decrypt"), .part = POLICY_PART_BOUNDARY},
		{"root of the other account, admitted", FAR_ROOT,
		 .key = ALLOW("{'AWS':'" OTHER "'}", "kms:*"), .part = POLICY_PART_ROOT},
		{"root of the other account, not admitted", FAR_ROOT, .key = ROOT_MAY,
		 .want = HIDDEN, .part = POLICY_PART_KEY},
		{"grant of the key's account, IAM allows", FAR_SESSION, .key = ROOT_MAY,
		 .identity = I_ALLOW("kms:*"),
		 .grant = {.grantee = "arn:aws:sts::123456789012:assumed-role/F/target",
			   .operations = "Decrypt"},
		 .part = POLICY_PART_IDENTITY},
		{"grant of the key's account, IAM silent", FAR_SESSION, .action = "DescribeKey",
		 .key = ROOT_MAY,
		 .grant = {.grantee = "arn:aws:sts::123456789012:assumed-role/F/target",
			   .operations = "DescribeKey"},
		 .want = "on this resource " NO_IDENTITY("DescribeKey"),
		 .part = POLICY_PART_IDENTITY},
		{"grant that the caller's account issued", FAR_SESSION, .key = ROOT_MAY,
		 .grant = {.grantee = "arn:aws:sts::123456789012:assumed-role/F/target",
			   .operations = "Decrypt",
			   .issuer = OTHER},
		 .part = POLICY_PART_GRANT},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void only_iam_decides_where_there_is_no_key(void **state)
{
	static const struct row rows[] = {
		{"root user", ROOT_USER, .action = "CreateKey", .part = POLICY_PART_ROOT},
		{"IAM silent", TEST, .action = "CreateKey",
		 .want = "on resource: * " NO_IDENTITY("CreateKey"), .part = POLICY_PART_IDENTITY},
		{"IAM allows", TEST, .action = "ListKeys", .identity = I_ALLOW("kms:List*"),
		 .part = POLICY_PART_IDENTITY},
		{"IAM denies", TEST, .action = "ListAliases",
		 .identity = I_ALLOW("kms:*") "," I_DENY("kms:ListAliases"),
		 .want = "on resource: * " DENIED_BY_IDENTITY, .part = POLICY_PART_IDENTITY},
		{"boundary", TEST, .action = "GenerateRandom", .identity = I_ALLOW("kms:*"),
		 .boundary = I_ALLOW("s3:*"),
		 .want = "on resource: * " NO_BOUNDARY("GenerateRandom"),
		 .part = POLICY_PART_BOUNDARY},
		{"session policy", SESSION, .action = "CreateKey", .identity = I_ALLOW("kms:*"),
		 .session = I_ALLOW("kms:ListKeys"),
		 .want = "on resource: * " NO_SESSION("CreateKey"), .part = POLICY_PART_SESSION},
		{"service control policy", ROOT_USER, .action = "CreateKey",
		 .control = I_ALLOW("s3:*"), .want = "on resource: * " NO_CONTROL("CreateKey"),
		 .part = POLICY_PART_CONTROL},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void conditions_of_kms_decide(void **state)
{
#define FOR_AWS                                                                                    \
	"{'Effect':'Allow','Action':'kms:CreateGrant','Resource':'*','Condition':{'Bool':"         \
	"{'kms:GrantIsForAWSResource':true}}}"
#define AWS_EBS                                                                                    \
	"{'Effect':'Allow','Principal':{'AWS':'*'},'Action':['kms:Encrypt','kms:Decrypt',"         \
	"'kms:ReEncrypt*','kms:GenerateDataKey*','kms:CreateGrant','kms:DescribeKey'],'Resource'"  \
	":'*','Condition':{'StringEquals':{'kms:CallerAccount':'111122223333'}}},"                 \
	"{'Effect':'Allow','Principal':{'AWS':'arn:aws:iam::111122223333:root'},'Action':["        \
	"'kms:Describe*','kms:Get*','kms:List*','kms:RevokeGrant'],'Resource':'*'}"
	static const struct row rows[] = {
		{"grant for an AWS resource", TEST, .action = "CreateGrant", .key = ROOT_MAY,
		 .identity = FOR_AWS, .context = "kms:GrantIsForAWSResource=true",
		 .part = POLICY_PART_IDENTITY},
		{"grant made directly", TEST, .action = "CreateGrant", .key = ROOT_MAY,
		 .identity = FOR_AWS, .context = "kms:GrantIsForAWSResource=false",
		 .want = ON_KEY NO_IDENTITY("CreateGrant"), .part = POLICY_PART_IDENTITY},
		{"managed key, caller of the account", TEST, .key = AWS_EBS,
		 .context = "kms:CallerAccount=111122223333", .part = POLICY_PART_KEY},
		{"managed key, caller of another", TEST, .key = AWS_EBS,
		 .context = "kms:CallerAccount=123456789012", .want = ON_KEY NO_RESOURCE("Decrypt"),
		 .part = POLICY_PART_KEY},
		{"managed key cannot be changed", ROOT_USER, .action = "PutKeyPolicy",
		 .key = AWS_EBS, .context = "kms:CallerAccount=111122223333",
		 .want = ON_KEY NO_RESOURCE("PutKeyPolicy"), .part = POLICY_PART_KEY},
		{"resource with a variable", TEST, .key = ROOT_MAY,
		 .identity = "{'Effect':'Allow','Action':'kms:*','Resource':'arn:aws:kms:us-east-1:"
			     "111122223333:key/${aws:PrincipalTag/key}'}",
		 .context = "aws:PrincipalTag/key=00112233-4455-6677-8899-aabbccddeeff",
		 .part = POLICY_PART_IDENTITY},
		{"resource with a variable that has no value", TEST, .key = ROOT_MAY,
		 .identity = "{'Effect':'Allow','Action':'kms:*','Resource':'arn:aws:kms:us-east-1:"
			     "111122223333:key/${aws:PrincipalTag/key}'}",
		 .want = ON_KEY NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
		{"NotResource with a variable that has no value", TEST, .key = ROOT_MAY,
		 .identity = "{'Effect':'Allow','Action':'kms:*','NotResource':'arn:aws:kms:us-east"
			     "-1:111122223333:key/${aws:PrincipalTag/key}'}",
		 .want = ON_KEY NO_IDENTITY("Decrypt"), .part = POLICY_PART_IDENTITY},
	};

	(void)state;
	check_rows(ROWS(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_policy_and_iam_in_the_account_of_the_key),
		cmocka_unit_test(all_elements_of_a_statement_must_match),
		cmocka_unit_test(an_explicit_deny_wins_wherever_it_stands),
		cmocka_unit_test(roles_sessions_and_what_limits_them),
		cmocka_unit_test(not_principal_spares_whom_it_names_at_every_level),
		cmocka_unit_test(another_account_needs_both_sides),
		cmocka_unit_test(only_iam_decides_where_there_is_no_key),
		cmocka_unit_test(conditions_of_kms_decide),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
