/*
 * Condition elements: every operator, what a missing key means, sets, variables. Expectations are
 * those of "IAM User Guide, Condition operators", "Conditions with multiple context keys or values"
 * and "Variables and tags".
 */
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
#include "kms_json.h"
#include "policy_condition.h"
#include "policy_context.h"

/* In the tables ' stands for the quote of JSON, and ^ for '. */
static void quote(const char *text, char *ret, size_t size)
{
	size_t len = strlen(text);

	assert_true(len < size);
	for (size_t i = 0; i <= len; i++)
		ret[i] = text[i] == '\'' ? '"' : text[i] == '^' ? '\'' : text[i];
}

/* "key=value|key=value"; a key without = is there without values. Splits @text in place. */
static void fill(struct policy_context *context, char *text)
{
	char *save = NULL;

	for (char *at = strtok_r(text, "|", &save); at; at = strtok_r(NULL, "|", &save)) {
		char *value = strchr(at, '=');

		if (value)
			*value++ = '\0';
		assert_int_equal(policy_context_add(context, at, value), 0);
	}
}

static int compile(const char *block, bool variables, struct kms_json **ret_doc,
		   struct policy_condition *ret, struct err *err)
{
	char text[2048];

	quote(block, text, sizeof(text));
	assert_int_equal(kms_json_parse_any(text, strlen(text), ret_doc, err), 0);
	return policy_condition_compile(*ret_doc, variables, ret, err);
}

static bool holds(const char *block, const char *keys, bool variables)
{
	struct policy_condition condition = {0};
	struct policy_context context = {0};
	struct kms_json *doc = NULL;
	struct err err = {0};
	char text[1024];
	bool r;

	assert_true(strlen(keys) < sizeof(text));
	strcpy(text, keys);
	if (compile(block, variables, &doc, &condition, &err) < 0)
		fail_msg("%s: %s", block, err.msg);
	fill(&context, text);
	r = policy_condition_failing(&condition, &context) == NULL;
	policy_condition_free(&condition);
	policy_context_free(&context);
	kms_json_free(doc);
	return r;
}

struct row {
	const char *block, *keys;
	bool want;
};

#define ROWS(rows) (rows), sizeof(rows) / sizeof((rows)[0])

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (holds(rows[i].block, rows[i].keys, true) != rows[i].want)
			fail_msg("%s for '%s': not %s", rows[i].block, rows[i].keys,
				 rows[i].want ? "true" : "false");
}

static void string_operators_compare_as_the_guide_says(void **state)
{
	static const struct row rows[] = {
		{"{'StringEquals':{'a:k':'v'}}", "a:k=v", true},
		{"{'StringEquals':{'a:k':'v'}}", "a:k=V", false},
		{"{'StringEquals':{'a:k':'v'}}", "a:k=vv", false},
		{"{'StringEquals':{'a:k':['u','v']}}", "a:k=v", true},
		{"{'StringEquals':{'a:k':['u','w']}}", "a:k=v", false},
		{"{'StringEquals':{'a:k':'v*'}}", "a:k=vw", false}, /* no wildcard here */
		{"{'StringEquals':{'a:k':'v*'}}", "a:k=v*", true},
		{"{'StringEquals':{'a:k':5}}", "a:k=5", true}, /* quotes are optional */
		{"{'StringEquals':{'a:k':true}}", "a:k=true", true},
		{"{'StringEquals':{'a:k':''}}", "a:k=", true},
		{"{'StringEquals':{'a:k':[]}}", "a:k=v", false},
		{"{'StringNotEquals':{'a:k':'v'}}", "a:k=v", false},
		{"{'StringNotEquals':{'a:k':'v'}}", "a:k=V", true},
		{"{'StringNotEquals':{'a:k':['u','v']}}", "a:k=v", false}, /* NOR */
		{"{'StringNotEquals':{'a:k':['u','w']}}", "a:k=v", true},
		{"{'StringNotEquals':{'a:k':[]}}", "a:k=v", true},
		{"{'StringEqualsIgnoreCase':{'a:k':'VaL'}}", "a:k=vAl", true},
		{"{'StringEqualsIgnoreCase':{'a:k':'val'}}", "a:k=valu", false},
		{"{'StringNotEqualsIgnoreCase':{'a:k':'VaL'}}", "a:k=vAl", false},
		{"{'StringNotEqualsIgnoreCase':{'a:k':'VaL'}}", "a:k=x", true},
		{"{'StringLike':{'a:k':'v*'}}", "a:k=vw", true},
		{"{'StringLike':{'a:k':'V*'}}", "a:k=vw", false},
		{"{'StringLike':{'a:k':'v?'}}", "a:k=v", false},
		{"{'StringLike':{'a:k':'*'}}", "a:k=", true},
		{"{'StringLike':{'a:k':['x*','*w']}}", "a:k=vw", true},
		{"{'StringNotLike':{'a:k':'v*'}}", "a:k=vw", false},
		{"{'StringNotLike':{'a:k':['x*','y*']}}", "a:k=vw", true},
		{"{'StringNotLike':{'a:k':['x*','v*']}}", "a:k=vw", false},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void numbers_and_times_compare_by_value(void **state)
{
	static const struct row rows[] = {
		{"{'NumericEquals':{'a:k':'10'}}", "a:k=10.0", true},
		{"{'NumericEquals':{'a:k':10}}", "a:k=11", false},
		{"{'NumericEquals':{'a:k':10}}", "a:k=ten", false},
		{"{'NumericNotEquals':{'a:k':10}}", "a:k=10", false},
		{"{'NumericNotEquals':{'a:k':10}}", "a:k=9", true},
		{"{'NumericNotEquals':{'a:k':[10,9]}}", "a:k=9", false},
		{"{'NumericLessThan':{'a:k':10}}", "a:k=9.5", true},
		{"{'NumericLessThan':{'a:k':10}}", "a:k=10", false},
		{"{'NumericLessThan':{'a:k':'10'}}", "a:k=9", true}, /* as text 9 is greater */
		{"{'NumericLessThanEquals':{'a:k':10}}", "a:k=10", true},
		{"{'NumericLessThanEquals':{'a:k':10}}", "a:k=10.1", false},
		{"{'NumericGreaterThan':{'a:k':7}}", "a:k=30", true},
		{"{'NumericGreaterThan':{'a:k':7}}", "a:k=7", false},
		{"{'NumericGreaterThan':{'a:k':-1}}", "a:k=-2", false},
		{"{'NumericGreaterThanEquals':{'a:k':7}}", "a:k=7", true},
		{"{'NumericGreaterThanEquals':{'a:k':7}}", "a:k=6", false},
		{"{'DateEquals':{'a:k':'2026-09-26T06:03:51Z'}}", "a:k=1790402631", true},
		{"{'DateEquals':{'a:k':'2026-09-26T08:03:51+02:00'}}", "a:k=2026-09-26T06:03:51Z",
		 true},
		{"{'DateEquals':{'a:k':'2026-09-26T06:03:51Z'}}", "a:k=2026-09-26T06:03:52Z",
		 false},
		{"{'DateNotEquals':{'a:k':'2026-09-26T06:03:51Z'}}", "a:k=1790402631", false},
		{"{'DateNotEquals':{'a:k':'2026-09-26'}}", "a:k=2026-09-27", true},
		{"{'DateLessThan':{'a:k':'2026-09-26'}}", "a:k=2026-09-25T23:59:59Z", true},
		{"{'DateLessThan':{'a:k':'2026-09-26'}}", "a:k=2026-09-26T00:00:00Z", false},
		{"{'DateLessThanEquals':{'a:k':'2026-09-26'}}", "a:k=2026-09-26T00:00:00Z", true},
		{"{'DateGreaterThan':{'a:k':'2026'}}", "a:k=2026-01-01T00:00:01Z", true},
		{"{'DateGreaterThan':{'a:k':'2026-02'}}", "a:k=2026-01-31T00:00:01Z", false},
		{"{'DateGreaterThanEquals':{'a:k':'2026'}}", "a:k=2026-01-01", true},
		{"{'DateGreaterThanEquals':{'a:k':1790402631}}", "a:k=2026-09-26T06:03:50Z", false},
		{"{'DateGreaterThan':{'a:k':'2026'}}", "a:k=yesterday", false},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void addresses_truths_and_bytes_compare(void **state)
{
	static const struct row rows[] = {
		{"{'IpAddress':{'aws:SourceIp':'203.0.113.0/24'}}", "aws:SourceIp=203.0.113.255",
		 true},
		{"{'IpAddress':{'aws:SourceIp':'203.0.113.0/24'}}", "aws:SourceIp=203.0.114.0",
		 false},
		{"{'IpAddress':{'aws:SourceIp':'203.0.113.9'}}", "aws:SourceIp=203.0.113.9", true},
		{"{'IpAddress':{'aws:SourceIp':'203.0.113.9'}}", "aws:SourceIp=203.0.113.8", false},
		{"{'IpAddress':{'aws:SourceIp':'203.0.112.0/23'}}", "aws:SourceIp=203.0.113.1",
		 true},
		{"{'IpAddress':{'aws:SourceIp':'203.0.112.0/23'}}", "aws:SourceIp=203.0.114.1",
		 false},
		{"{'IpAddress':{'aws:SourceIp':'203.0.113.128/25'}}", "aws:SourceIp=203.0.113.127",
		 false},
		{"{'IpAddress':{'aws:SourceIp':'203.0.113.128/25'}}", "aws:SourceIp=203.0.113.128",
		 true},
		{"{'IpAddress':{'aws:SourceIp':'2001:db8:8000::/33'}}",
		 "aws:SourceIp=2001:db8:7fff::1", false},
		{"{'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}}", "aws:SourceIp=8.8.8.8", true},
		{"{'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}}", "aws:SourceIp=::1", false},
		{"{'IpAddress':{'aws:SourceIp':['10.0.0.0/8','2001:DB8:1234:5678::/64']}}",
		 "aws:SourceIp=2001:db8:1234:5678:9::1", true},
		{"{'IpAddress':{'aws:SourceIp':'2001:DB8:1234:5678::/64'}}",
		 "aws:SourceIp=2001:db8:1234:5679::1", false},
		{"{'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "aws:SourceIp=ec2.amazonaws.com",
		 false},
		{"{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}}", "aws:SourceIp=10.1.2.3", false},
		{"{'NotIpAddress':{'aws:SourceIp':['10.0.0.0/8','127.0.0.1']}}",
		 "aws:SourceIp=192.0.2.1", true},
		{"{'NotIpAddress':{'aws:SourceIp':['10.0.0.0/8','127.0.0.1']}}",
		 "aws:SourceIp=127.0.0.1", false},
		{"{'Bool':{'kms:GrantIsForAWSResource':true}}", "kms:GrantIsForAWSResource=true",
		 true},
		{"{'Bool':{'kms:GrantIsForAWSResource':'True'}}", "kms:GrantIsForAWSResource=true",
		 true},
		{"{'Bool':{'kms:GrantIsForAWSResource':'true'}}", "kms:GrantIsForAWSResource=false",
		 false},
		{"{'Bool':{'aws:SecureTransport':'false'}}", "aws:SecureTransport=false", true},
		{"{'Bool':{'aws:SecureTransport':'${a:k}'}}", "aws:SecureTransport=false|a:k=false",
		 true},
		{"{'BinaryEquals':{'a:k':'QmluYXJ5VmFsdWU='}}", "a:k=QmluYXJ5VmFsdWU=", true},
		{"{'BinaryEquals':{'a:k':'QmluYXJ5VmFsdWU='}}", "a:k=QmluYXJ5VmFsdWY=", false},
		{"{'BinaryEquals':{'a:k':'QmluYXJ5VmFsdWU='}}", "a:k=%", false},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void arns_compare_part_by_part(void **state)
{
	static const struct row rows[] = {
		{"{'ArnLike':{'a:k':'arn:aws:iam::111122223333:user/*'}}",
		 "a:k=arn:aws:iam::111122223333:user/x/test", true},
		{"{'ArnEquals':{'a:k':'arn:aws:iam::*:user/te?t'}}",
		 "a:k=arn:aws:iam::111122223333:user/test", true},
		{"{'ArnEquals':{'a:k':'arn:aws:iam::111122223333:user/test'}}",
		 "a:k=arn:aws:iam::111122223333:user/Test", false},
		/* the guide's example: StringLike reaches over colons, ArnLike does not */
		{"{'StringLike':{'a:k':'arn:aws:someservice:*:111122223333:finance/*'}}",
		 "a:k=arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/"
		 "document.txt",
		 true},
		{"{'ArnLike':{'a:k':'arn:aws:someservice:*:111122223333:finance/*'}}",
		 "a:k=arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/"
		 "document.txt",
		 false},
		{"{'ArnLike':{'a:k':'arn:aws:s:r:111122223333:*'}}",
		 "a:k=arn:aws:s:r:111122223333:a:b",
		 true}, /* colons in the last part are its own */
		{"{'ArnLike':{'a:k':'*'}}", "a:k=arn:aws:iam::111122223333:root", true},
		{"{'ArnLike':{'a:k':'*'}}", "a:k=ec2.amazonaws.com", false},
		{"{'ArnLike':{'a:k':'arn:aws:iam:*'}}", "a:k=arn:aws:iam::111122223333:root",
		 false}, /* not six parts */
		{"{'ArnNotEquals':{'a:k':'arn:aws:iam::*:user/test'}}",
		 "a:k=arn:aws:iam::111122223333:user/test", false},
		{"{'ArnNotLike':{'a:k':'arn:aws:iam::*:user/test'}}",
		 "a:k=arn:aws:iam::111122223333:user/tess", true},
		{"{'ArnNotLike':{'a:k':['arn:aws:iam::*:user/a','arn:aws:iam::*:user/b']}}",
		 "a:k=arn:aws:iam::111122223333:user/b", false},
		{"{'ArnLike':{'a:k':'arn:aws:iam::111122223333:user/${aws:username}'}}",
		 "a:k=arn:aws:iam::111122223333:user/test|aws:username=test", true},
		{"{'ArnLike':{'a:k':'arn:aws:iam::111122223333:user/${aws:username}'}}",
		 "a:k=arn:aws:iam::111122223333:user/test|aws:username=*", false},
		{"{'ArnLike':{'a:k':'arn:aws:iam::${aws:PrincipalAccount}:user/*'}}",
		 "a:k=arn:aws:iam::111122223333:user/test|aws:PrincipalAccount=111122223333", true},
		{"{'ArnLike':{'a:k':'arn:aws:iam::${aws:PrincipalAccount}:user/*'}}",
		 "a:k=arn:aws:iam::111122223333:user/test|aws:PrincipalAccount=123456789012",
		 false},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void a_missing_key_means_what_its_operator_says(void **state)
{
	static const struct row rows[] = {
		{"{'StringEquals':{'a:k':'v'}}", "", false},
		{"{'StringNotEquals':{'a:k':'v'}}", "", true},
		{"{'StringNotEqualsIgnoreCase':{'a:k':'v'}}", "", true},
		{"{'StringLike':{'a:k':'*'}}", "", false},
		{"{'StringNotLike':{'a:k':'*'}}", "", true},
		{"{'NumericLessThan':{'a:k':1}}", "", false},
		{"{'NumericNotEquals':{'a:k':1}}", "", true},
		{"{'DateLessThan':{'a:k':'2026'}}", "", false},
		{"{'DateNotEquals':{'a:k':'2026'}}", "", true},
		{"{'Bool':{'a:k':'false'}}", "", false},
		{"{'BinaryEquals':{'a:k':'QQ=='}}", "", false},
		{"{'IpAddress':{'a:k':'0.0.0.0/0'}}", "", false},
		{"{'NotIpAddress':{'a:k':'0.0.0.0/0'}}", "", true},
		{"{'ArnLike':{'a:k':'*'}}", "", false},
		{"{'ArnNotLike':{'a:k':'*'}}", "", true},
		{"{'StringEquals':{'a:k':'v'}}", "a:k", false}, /* there, without values */
		{"{'StringEqualsIfExists':{'a:k':'v'}}", "", true},
		{"{'StringEqualsIfExists':{'a:k':'v'}}", "a:k=w", false},
		{"{'StringEqualsIfExists':{'a:k':'v'}}", "a:k=v", true},
		{"{'StringNotEqualsIfExists':{'a:k':'v'}}", "", true},
		{"{'StringNotEqualsIfExists':{'a:k':'v'}}", "a:k=v", false},
		{"{'NumericLessThanIfExists':{'a:k':1}}", "", true},
		{"{'NumericLessThanIfExists':{'a:k':1}}", "a:k=1", false},
		{"{'BoolIfExists':{'a:k':'true'}}", "", true},
		{"{'BoolIfExists':{'a:k':'true'}}", "a:k=false", false},
		{"{'IpAddressIfExists':{'a:k':'10.0.0.0/8'}}", "a:k=11.0.0.1", false},
		{"{'ArnLikeIfExists':{'a:k':'arn:aws:iam::*:root'}}", "", true},
		{"{'Null':{'a:k':'true'}}", "", true},
		{"{'Null':{'a:k':'true'}}", "a:k=v", false},
		{"{'Null':{'a:k':'false'}}", "", false},
		{"{'Null':{'a:k':false}}", "a:k=v", true},
		{"{'Null':{'a:k':'true'}}", "a:k", true},
		{"{'Null':{'a:k':['true','false']}}", "", true},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void sets_quantify_over_the_values_of_the_request(void **state)
{
	static const struct row rows[] = {
		{"{'ForAllValues:StringEquals':{'a:k':['x','y','z']}}", "a:k=x|a:k=y", true},
		{"{'ForAllValues:StringEquals':{'a:k':['x','y']}}", "a:k=x|a:k=q", false},
		{"{'ForAnyValue:StringEquals':{'a:k':['x','y']}}", "a:k=q|a:k=y", true},
		{"{'ForAnyValue:StringEquals':{'a:k':['x','y']}}", "a:k=q|a:k=r", false},
		{"{'ForAllValues:StringEquals':{'a:k':'x'}}", "",
		 true}, /* what makes it dangerous */
		{"{'ForAllValues:StringEquals':{'a:k':'x'}}", "a:k", true},
		{"{'ForAllValues:StringEquals':{'a:k':'x'}}", "a:k=", true},
		{"{'ForAnyValue:StringEquals':{'a:k':'x'}}", "", false},
		{"{'ForAnyValue:StringEquals':{'a:k':'x'}}", "a:k", false},
		{"{'ForAnyValue:StringLike':{'a:k':'*'}}", "a:k=", false},
		{"{'ForAllValues:StringNotEquals':{'a:k':['x','y']}}", "", true},
		{"{'ForAllValues:StringNotEquals':{'a:k':['x','y']}}", "a:k=q|a:k=r", true},
		{"{'ForAllValues:StringNotEquals':{'a:k':['x','y']}}", "a:k=q|a:k=x", false},
		{"{'ForAnyValue:StringNotEquals':{'a:k':['x','y']}}", "", false},
		{"{'ForAnyValue:StringNotEquals':{'a:k':['x','y']}}", "a:k=x|a:k=q", true},
		{"{'ForAnyValue:StringNotEquals':{'a:k':['x','y']}}", "a:k=x|a:k=y", false},
		{"{'ForAnyValue:StringLikeIfExists':{'a:k':'x*'}}", "", false},
		{"{'ForAllValues:StringLikeIfExists':{'a:k':'x*'}}", "", true},
		{"{'ForAllValues:StringLikeIfExists':{'a:k':'x*'}}", "a:k=xa|a:k=b", false},
		{"{'ForAllValues:NumericLessThan':{'a:k':10}}", "a:k=3|a:k=9", true},
		{"{'ForAllValues:NumericLessThan':{'a:k':10}}", "a:k=3|a:k=10", false},
		{"{'ForAllValues:StringEquals':{'a:k':[]}}", "", true},
		{"{'ForAllValues:StringEquals':{'a:k':[]}}", "a:k=v", false},
		{"{'ForAnyValue:Null':{'a:k':'false'}}", "a:k=v", true},
		{"{'ForAllValues:StringEquals':{'kms:GrantOperations':['Decrypt','Encrypt']}}",
		 "kms:GrantOperations=Decrypt|kms:GrantOperations=CreateGrant", false},
		/* several values and no set operator: one equal value is equal */
		{"{'StringEquals':{'a:k':'x'}}", "a:k=q|a:k=x", true},
		{"{'StringNotEquals':{'a:k':'x'}}", "a:k=q|a:k=x", false},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void operators_and_keys_are_joined_by_and(void **state)
{
	static const struct row rows[] = {
		{"{}", "", true},
		{"{'StringEquals':{}}", "", true},
		{"{'StringEquals':{'a:k':'v','a:l':'w'}}", "a:k=v|a:l=w", true},
		{"{'StringEquals':{'a:k':'v','a:l':'w'}}", "a:k=v|a:l=x", false},
		{"{'StringEquals':{'a:k':'v'},'Bool':{'a:b':'true'}}", "a:k=v|a:b=true", true},
		{"{'StringEquals':{'a:k':'v'},'Bool':{'a:b':'true'}}", "a:k=v|a:b=false", false},
		{"{'StringEquals':{'a:k':'v'},'Bool':{'a:b':'true'}}", "a:k=u|a:b=true", false},
		/* names of keys, that of the pair included, are not case-sensitive; values are */
		{"{'StringEquals':{'KMS:EncryptionContext:APPNAME':'v'}}",
		 "kms:EncryptionContext:AppName=v", true},
		{"{'StringEquals':{'kms:EncryptionContext:AppName':'V'}}",
		 "kms:EncryptionContext:AppName=v", false},
		{"{'StringEquals':{'kms:EncryptionContext:AppName':'v'}}",
		 "kms:EncryptionContext:App=v", false},
	};

	(void)state;
	check_rows(ROWS(rows));
}

static void variables_bring_in_literal_text(void **state)
{
	static const struct row rows[] = {
		{"{'StringEquals':{'a:k':'home/${aws:username}/'}}",
		 "a:k=home/test/|aws:username=test", true},
		{"{'StringEquals':{'a:k':'${aws:PrincipalTag/team}'}}",
		 "a:k=blue|aws:PrincipalTag/TEAM=blue", true},
		{"{'StringEquals':{'a:k':'${aws:PrincipalTag/team}'}}",
		 "a:k=blue|aws:PrincipalTag/team=red", false},
		{"{'StringLike':{'a:k':'${aws:username}*'}}", "a:k=*x|aws:username=*", true},
		{"{'StringLike':{'a:k':'${aws:username}x'}}", "a:k=yx|aws:username=*", false},
		{"{'StringLike':{'a:k':'a${*}b'}}", "a:k=a*b", true},
		{"{'StringLike':{'a:k':'a${*}b'}}", "a:k=axb", false},
		{"{'StringLike':{'a:k':'a${?}b'}}", "a:k=a?b", true},
		{"{'StringLike':{'a:k':'a${?}b'}}", "a:k=axb", false},
		{"{'StringEquals':{'a:k':'${$}{x}'}}", "a:k=${x}", true},
		{"{'StringEquals':{'a:k':'${aws:userid, ^anonymous^}'}}", "a:k=anonymous", true},
		{"{'StringEquals':{'a:k':'${aws:userid, ^anonymous^}'}}",
		 "a:k=AIDA|aws:userid=AIDA", true},
		{"{'StringEquals':{'a:k':'${aws:userid, ^^}'}}", "a:k=", true},
		/* no value: the statement cannot apply, under a negated operator too */
		{"{'StringEquals':{'a:k':'${aws:userid}'}}", "a:k=${aws:userid}", false},
		{"{'StringNotEquals':{'a:k':'${aws:userid}'}}", "a:k=v", false},
		{"{'ForAnyValue:StringNotEquals':{'a:k':'${aws:userid}'}}", "a:k=v", false},
		{"{'ForAllValues:StringEquals':{'a:k':'${aws:userid}'}}", "a:k=v", false},
		{"{'StringEquals':{'a:k':['${aws:userid}','v']}}", "a:k=v", true},
		{"{'StringEquals':{'a:k':'${a:m}'}}", "a:k=v|a:m=v|a:m=w", false}, /* several */
		/* what is no variable is text */
		{"{'StringEquals':{'a:k':'${open'}}", "a:k=${open", true},
		{"{'StringEquals':{'a:k':'$5'}}", "a:k=$5", true},
		{"{'StringEquals':{'a:k':'${}'}}", "a:k=${}", true},
	};

	(void)state;
	check_rows(ROWS(rows));
	/* version 2008-10-17 does not know them */
	assert_true(
		holds("{'StringEquals':{'a:k':'${aws:username}'}}", "a:k=${aws:username}", false));
	assert_false(holds("{'StringEquals':{'a:k':'${aws:username}'}}",
			   "a:k=test|aws:username=test", false));
}

static void what_is_no_condition_is_refused(void **state)
{
	static const struct {
		const char *block, *want;
	} rows[] = {
		{"[]", "Condition is not an object"},
		{"{'StringEqual':{'a:k':'v'}}", "'StringEqual' is no condition operator"},
		{"{'stringequals':{'a:k':'v'}}", "'stringequals' is no condition operator"},
		{"{'NullIfExists':{'a:k':'true'}}", "'NullIfExists' is no condition operator"},
		{"{'ForSomeValues:StringEquals':{}}",
		 "'ForSomeValues:StringEquals' is no condition operator"},
		{"{'IfExists':{'a:k':'v'}}", "'IfExists' is no condition operator"},
		{"{'StringEquals':'v'}", "'StringEquals' is not an object"},
		{"{'StringEquals':null}", "'StringEquals' is not an object"},
		{"{'StringEquals':{'k':'v'}}", "'k' is no condition key"},
		{"{'StringEquals':{'a:k':{}}}", "value of 'a:k' is object"},
		{"{'StringEquals':{'a:k':[['v']]}}", "value of 'a:k' is array"},
		{"{'StringEquals':{'a:k':null}}", "value of 'a:k' is null"},
		{"{'NumericEquals':{'a:k':'1x'}}", "'1x' is no value for NumericEquals"},
		{"{'NumericEquals':{'a:k':'0x10'}}", "'0x10' is no value for NumericEquals"},
		{"{'NumericEquals':{'a:k':''}}", "'' is no value for NumericEquals"},
		{"{'DateLessThan':{'a:k':'2026-13-01'}}", "'2026-13-01' is no value for "
							  "DateLessThan"},
		{"{'DateLessThan':{'a:k':'2026-02-29'}}", "'2026-02-29' is no value for "
							  "DateLessThan"},
		{"{'DateLessThan':{'a:k':'2026-01-01T00:00'}}",
		 "'2026-01-01T00:00' is no value for DateLessThan"}, /* no zone */
		{"{'Bool':{'a:k':'yes'}}", "'yes' is no value for Bool"},
		{"{'Null':{'a:k':'${a:b}'}}", "'${a:b}' is no value for Null"},
		{"{'BinaryEquals':{'a:k':'Q'}}", "'Q' is no value for BinaryEquals"},
		{"{'IpAddress':{'a:k':'10.0.0.0/33'}}", "'10.0.0.0/33' is no value for IpAddress"},
		{"{'IpAddress':{'a:k':'10.0.0'}}", "'10.0.0' is no value for IpAddress"},
		{"{'IpAddress':{'a:k':'::/129'}}", "'::/129' is no value for IpAddress"},
		{"{'IpAddress':{'a:k':'10.0.0.0/'}}", "'10.0.0.0/' is no value for IpAddress"},
		{"{'NotIpAddress':{'a:k':['10.0.0.1','*']}}", "'*' is no value for NotIpAddress"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_condition condition = {0};
		struct kms_json *doc = NULL;
		struct err err = {0};

		assert_int_equal(compile(rows[i].block, true, &doc, &condition, &err), -EINVAL);
		assert_string_equal(err.msg, rows[i].want);
		kms_json_free(doc);
	}
}

static void the_failing_test_is_named(void **state)
{
	struct policy_condition condition = {0};
	struct policy_context context = {0};
	const struct policy_test *failing;
	struct kms_json *doc = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(compile("{'StringEquals':{'a:k':'v'},'ForAnyValue:StringLikeIfExists':"
				 "{'kms:ViaService':'ec2.*'}}",
				 true, &doc, &condition, &err),
			 0);
	assert_int_equal(policy_context_add(&context, "a:k", "v"), 0);
	failing = policy_condition_failing(&condition, &context);
	assert_non_null(failing);
	assert_string_equal(policy_test_operator(failing), "ForAnyValue:StringLikeIfExists");
	assert_string_equal(policy_test_key(failing), "kms:ViaService");
	policy_condition_free(&condition);
	policy_context_free(&context);
	kms_json_free(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(string_operators_compare_as_the_guide_says),
		cmocka_unit_test(numbers_and_times_compare_by_value),
		cmocka_unit_test(addresses_truths_and_bytes_compare),
		cmocka_unit_test(arns_compare_part_by_part),
		cmocka_unit_test(a_missing_key_means_what_its_operator_says),
		cmocka_unit_test(sets_quantify_over_the_values_of_the_request),
		cmocka_unit_test(operators_and_keys_are_joined_by_and),
		cmocka_unit_test(variables_bring_in_literal_text),
		cmocka_unit_test(what_is_no_condition_is_refused),
		cmocka_unit_test(the_failing_test_is_named),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
