/*
 * The table of shapes: what values of a member may be, as the models of KMS, IAM, STS and CloudTrail have it.
 * For validate.c, which tells clients in AWS's words. Pure.
 */
#ifndef KMSD_SHAPES_H
#define KMSD_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "validate.h"

enum kind {
	STRING,
	BLOB,
	INTEGER,
	BOOLEAN,
	CONTEXT,
	STRINGS,
	OBJECTS,
	CONSTRAINTS,
	UNSUPPORTED,
	ANY
};

/* max 0: no limit. min and max of STRINGS are those of its elements, count its own maximum. */
struct shape_row {
	enum kind kind;
	bool sensitive; /* the value is not repeated in a message */
	int64_t min, max;
	size_t count;
	const char *pattern;	      /* as messages show it */
	const char *values;	      /* of an enumeration, as messages show them */
	const struct member *members; /* of each of OBJECTS; NULL: the operation checks them */
};

const struct shape_row *shape_row(enum shape shape);

/* How many characters @text (UTF-8) has, and whether they satisfy the shape's pattern. */
size_t shape_characters(enum shape shape, const char *text, bool *ret_matches);

/* Whether an enumeration's "A, B, C" has @text. */
bool shape_in_list(const char *list, const char *text);

#endif
