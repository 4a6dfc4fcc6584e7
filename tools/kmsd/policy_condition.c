/* Condition elements: compiled once, tested for each request. See policy_condition.h. */
#include "policy_condition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "policy_condition_impl.h"
#include "policy_context.h"

static const struct policy_operator operators[] = {
	{"StringEquals", TYPE_STRING, ORDER_EQUAL, false},
	{"StringNotEquals", TYPE_STRING, ORDER_EQUAL, true},
	{"StringEqualsIgnoreCase", TYPE_STRING_IGNORE_CASE, ORDER_EQUAL, false},
	{"StringNotEqualsIgnoreCase", TYPE_STRING_IGNORE_CASE, ORDER_EQUAL, true},
	{"StringLike", TYPE_STRING_LIKE, ORDER_EQUAL, false},
	{"StringNotLike", TYPE_STRING_LIKE, ORDER_EQUAL, true},
	{"NumericEquals", TYPE_NUMBER, ORDER_EQUAL, false},
	{"NumericNotEquals", TYPE_NUMBER, ORDER_EQUAL, true},
	{"NumericLessThan", TYPE_NUMBER, ORDER_LESS, false},
	{"NumericLessThanEquals", TYPE_NUMBER, ORDER_LESS_EQUAL, false},
	{"NumericGreaterThan", TYPE_NUMBER, ORDER_GREATER, false},
	{"NumericGreaterThanEquals", TYPE_NUMBER, ORDER_GREATER_EQUAL, false},
	{"DateEquals", TYPE_TIME, ORDER_EQUAL, false},
	{"DateNotEquals", TYPE_TIME, ORDER_EQUAL, true},
	{"DateLessThan", TYPE_TIME, ORDER_LESS, false},
	{"DateLessThanEquals", TYPE_TIME, ORDER_LESS_EQUAL, false},
	{"DateGreaterThan", TYPE_TIME, ORDER_GREATER, false},
	{"DateGreaterThanEquals", TYPE_TIME, ORDER_GREATER_EQUAL, false},
	{"Bool", TYPE_BOOL, ORDER_EQUAL, false},
	{"BinaryEquals", TYPE_BINARY, ORDER_EQUAL, false},
	{"IpAddress", TYPE_ADDRESS, ORDER_EQUAL, false},
	{"NotIpAddress", TYPE_ADDRESS, ORDER_EQUAL, true},
	{"ArnEquals", TYPE_ARN, ORDER_EQUAL, false},
	{"ArnLike", TYPE_ARN, ORDER_EQUAL, false},
	{"ArnNotEquals", TYPE_ARN, ORDER_EQUAL, true},
	{"ArnNotLike", TYPE_ARN, ORDER_EQUAL, true},
	{"Null", TYPE_NULL, ORDER_EQUAL, false},
};

static void free_arn(struct arn_pattern *arn)
{
	for (unsigned i = 0; arn && i < arn->count; i++)
		policy_pattern_free(&arn->parts[i]);
	free(arn);
}

static void free_value(enum test_type type, struct test_value *value)
{
	if (type <= TYPE_STRING_LIKE || type == TYPE_BOOL)
		policy_pattern_free(&value->pattern);
	else if (type == TYPE_ARN)
		free_arn(value->arn);
	else if (type == TYPE_BINARY)
		free(value->binary.bytes);
	free(value->text);
}

void policy_condition_free(struct policy_condition *condition)
{
	for (size_t i = 0; i < condition->count; i++) {
		struct policy_test *test = &condition->tests[i];

		for (size_t j = 0; j < test->count; j++)
			free_value(test->op->type, &test->values[j]);
		free(test->values);
	}
	free(condition->tests);
	memset(condition, 0, sizeof(*condition));
}

/* The end of an ARN's part: the next colon that is not inside a variable. */
static const char *part_end(const char *at, bool variables)
{
	while (*at && *at != ':') {
		const char *close =
			variables && at[0] == '$' && at[1] == '{' ? strchr(at, '}') : NULL;

		at = close ? close + 1 : at + 1;
	}
	return at;
}

static int compile_arn(const char *text, unsigned flags, struct arn_pattern **ret)
{
	struct arn_pattern *arn = calloc(1, sizeof(*arn));
	const char *end;
	int r = arn ? 0 : -ENOMEM;

	for (const char *at = text; r == 0; at = end + 1) {
		bool last = arn->count == ARN_PARTS - 1;

		end = last ? at + strlen(at) : part_end(at, flags & POLICY_PATTERN_VARIABLES);
		r = policy_pattern_compile(at, (size_t)(end - at), flags, &arn->parts[arn->count]);
		if (r == 0)
			arn->count++;
		if (*end == '\0')
			break;
	}
	if (r < 0)
		free_arn(arn);
	else
		*ret = arn;
	return r;
}

static int compile_text(const char *text, enum test_type type, bool variables,
			struct test_value *ret)
{
	unsigned flags = variables ? POLICY_PATTERN_VARIABLES : 0;
	bool truth;
	int r;

	if (type == TYPE_STRING_LIKE || type == TYPE_ARN)
		flags |= POLICY_PATTERN_WILD;
	switch (type) {
	case TYPE_NUMBER:
		return policy_value_number(text, &ret->number) ? 0 : -EINVAL;
	case TYPE_TIME:
		return policy_value_time(text, &ret->time_ms) ? 0 : -EINVAL;
	case TYPE_NULL:
		return policy_value_bool(text, &ret->truth) ? 0 : -EINVAL;
	case TYPE_ADDRESS:
		return policy_value_cidr(text, &ret->range) ? 0 : -EINVAL;
	case TYPE_BINARY:
		return bytes_from_base64(text, strlen(text), &ret->binary.bytes, &ret->binary.len);
	case TYPE_ARN:
		return compile_arn(text, flags, &ret->arn);
	default:
		r = policy_pattern_compile(text, strlen(text), flags, &ret->pattern);
		if (r < 0 || type != TYPE_BOOL || ret->pattern.varies ||
		    policy_value_bool(text, &truth))
			return r;
		policy_pattern_free(&ret->pattern);
		return -EINVAL;
	}
}

static int compile_value(struct policy_test *test, const struct kms_json *value, bool variables,
			 struct err *err)
{
	struct test_value compiled = {0};
	enum kms_json_type type = kms_json_type(value);
	const char *text;
	int r;

	if (type == KMS_JSON_NULL || type == KMS_JSON_ARRAY || type == KMS_JSON_OBJECT)
		return err_set(err, EINVAL, "value of '%s' is %s", test->key,
			       kms_json_type_name(type));
	if (type != KMS_JSON_STRING) {
		compiled.text = kms_json_text(value);
		if (!compiled.text)
			return err_set(err, ENOMEM, "condition");
	} else if (strlen(kms_json_string_value(value)) != kms_json_string_len(value)) {
		return err_set(err, EINVAL, "value of '%s' holds a NUL", test->key);
	}
	text = compiled.text ? compiled.text : kms_json_string_value(value);
	r = compile_text(text, test->op->type, variables, &compiled);
	if (r < 0) {
		r = r == -ENOMEM ? err_set(err, ENOMEM, "condition")
				 : err_set(err, EINVAL, "'%.128s' is no value for %s", text,
					   test->op->name);
		free(compiled.text);
		return r;
	}
	test->values[test->count++] = compiled;
	return 0;
}

static int compile_values(struct policy_test *test, const struct kms_json *values, bool variables,
			  struct err *err)
{
	bool list = kms_json_type(values) == KMS_JSON_ARRAY;
	size_t count = list ? kms_json_count(values) : 1;
	int r = 0;

	test->values = calloc(count ? count : 1, sizeof(*test->values));
	if (!test->values)
		return err_set(err, ENOMEM, "condition");
	for (size_t i = 0; i < count && r == 0; i++)
		r = compile_value(test, list ? kms_json_at(values, i) : values, variables, err);
	return r;
}

static const struct policy_operator *find_operator(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strlen(operators[i].name) == len && memcmp(operators[i].name, name, len) == 0)
			return &operators[i];
	return NULL;
}

/* "ForAnyValue:StringLikeIfExists" into its parts. */
static int read_operator(const char *name, struct policy_test *ret, struct err *err)
{
	static const char all[] = "ForAllValues:", any[] = "ForAnyValue:", exists[] = "IfExists";
	const char *base = name;
	size_t len;

	ret->name = name;
	if (strncmp(name, all, sizeof(all) - 1) == 0)
		ret->set = SET_ALL;
	else if (strncmp(name, any, sizeof(any) - 1) == 0)
		ret->set = SET_ANY;
	if (ret->set != SET_NONE)
		base = strchr(name, ':') + 1;
	len = strlen(base);
	if (len > sizeof(exists) - 1 && strcmp(base + len - (sizeof(exists) - 1), exists) == 0) {
		ret->if_exists = true;
		len -= sizeof(exists) - 1;
	}
	ret->op = find_operator(base, len);
	if (!ret->op || (ret->if_exists && ret->op->type == TYPE_NULL))
		return err_set(err, EINVAL, "'%.128s' is no condition operator", name);
	return 0;
}

struct compiling {
	struct policy_condition *condition;
	size_t cap;
	const char *operator_name;
	bool variables;
	struct err *err;
};

static int compile_test(const char *key, struct kms_json *values, void *arg)
{
	struct compiling *c = arg;
	struct policy_test *test;
	int r;

	if (c->condition->count == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 4;
		struct policy_test *more =
			reallocarray(c->condition->tests, cap, sizeof(*c->condition->tests));

		if (!more)
			return err_set(c->err, ENOMEM, "condition");
		c->condition->tests = more;
		c->cap = cap;
	}
	test = &c->condition->tests[c->condition->count];
	*test = (struct policy_test){.key = key, .wanted = values, .key_len = strlen(key)};
	test->key_hash = policy_context_hash(key, test->key_len);
	r = read_operator(c->operator_name, test, c->err);
	if (r < 0)
		return r;
	c->condition->count++; /* what it holds so far is freed with the condition */
	if (!strchr(key, ':'))
		return err_set(c->err, EINVAL, "'%.128s' is no condition key", key);
	return compile_values(test, values, c->variables, c->err);
}

static int compile_operator(const char *name, struct kms_json *keys, void *arg)
{
	struct compiling *c = arg;
	struct policy_test probe = {0};
	int r = read_operator(name, &probe, c->err);

	if (r < 0)
		return r;
	if (!keys || kms_json_type(keys) != KMS_JSON_OBJECT)
		return err_set(c->err, EINVAL, "'%.128s' is not an object", name);
	c->operator_name = name;
	return kms_json_each(keys, compile_test, c);
}

int policy_condition_compile(const struct kms_json *block, bool variables,
			     struct policy_condition *ret, struct err *err)
{
	struct policy_condition condition = {0};
	struct compiling c = {.condition = &condition, .variables = variables, .err = err};
	int r;

	if (kms_json_type(block) != KMS_JSON_OBJECT)
		return err_set(err, EINVAL, "Condition is not an object");
	r = kms_json_each(block, compile_operator, &c);
	if (r < 0) {
		policy_condition_free(&condition);
		return r;
	}
	*ret = condition;
	return 0;
}
