/* What policy_condition.c compiles and policy_test.c evaluates. For these two files only. */
#ifndef KMSD_POLICY_CONDITION_IMPL_H
#define KMSD_POLICY_CONDITION_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy_pattern.h"
#include "policy_value.h"

struct kms_json;

#define ARN_PARTS 6

enum test_type {
	TYPE_STRING,
	TYPE_STRING_IGNORE_CASE,
	TYPE_STRING_LIKE,
	TYPE_NUMBER,
	TYPE_TIME,
	TYPE_BOOL,
	TYPE_BINARY,
	TYPE_ADDRESS,
	TYPE_ARN,
	TYPE_NULL,
};

enum test_order {
	ORDER_EQUAL,
	ORDER_LESS,
	ORDER_LESS_EQUAL,
	ORDER_GREATER,
	ORDER_GREATER_EQUAL,
};

enum test_set {
	SET_NONE,
	SET_ALL, /* ForAllValues: */
	SET_ANY, /* ForAnyValue: */
};

struct policy_operator {
	const char *name;
	enum test_type type;
	enum test_order order;
	bool negated;
};

/* The six parts of an ARN, matched one by one; a lone "*" is kept as one part. */
struct arn_pattern {
	struct policy_pattern parts[ARN_PARTS];
	unsigned count;
};

struct binary {
	uint8_t *bytes; /* owned */
	size_t len;
};

/* One value that the policy gives, in the form its operator compares. */
struct test_value {
	char *text; /* owned: of a number or a boolean; NULL: the text is the document's */
	union {
		struct policy_pattern pattern; /* STRING..., BOOL */
		struct arn_pattern *arn;       /* owned */
		struct binary binary;
		struct policy_cidr range;
		double number;
		int64_t time_ms;
		bool truth; /* NULL */
	};
};

struct policy_test {
	const struct policy_operator *op;
	const char *name; /* as the document has it */
	const char *key;
	const struct kms_json *wanted; /* what the document gives for it; the document's */
	size_t key_len;
	uint32_t key_hash;
	enum test_set set;
	bool if_exists;
	struct test_value *values; /* owned */
	size_t count;
};

#endif
