/*
 * Faults that were asked for: rules that say which requests fail, and how. Pure but for the lock; time
 * is a parameter.
 */
#ifndef KMSD_INJECT_H
#define KMSD_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "ids.h"

struct err;
struct inject;

#define INJECT_RULES_MAX     64
#define INJECT_OPERATION_MAX 64
#define INJECT_MESSAGE_MAX   256

enum inject_kind {
	INJECT_THROTTLE, /* ThrottlingException */
	INJECT_LATENCY,	 /* done, and answered delay_ms later */
	INJECT_ERROR,	 /* an exception */
	INJECT_DROP,	 /* not done; the connection is closed without an answer */
	INJECT_TRUNCATE, /* done; the connection is closed in the middle of the answer */
	INJECT_KIND_COUNT
};

const char *inject_kind_name(enum inject_kind kind); /* "throttle", ... */
enum inject_kind inject_kind(const char *name);	     /* INJECT_KIND_COUNT: there is none */

struct inject_rule {
	unsigned id;			      /* given by inject_add(), never twice */
	char operation[INJECT_OPERATION_MAX]; /* "": any */
	char key_id[IDS_UUID_LEN + 1];	      /* "": any, also none */
	enum inject_kind kind;
	enum fault fault;		  /* of INJECT_ERROR */
	char message[INJECT_MESSAGE_MAX]; /* "": none */
	double percent;			  /* of the requests that fit */
	int64_t count;			  /* so many more; 0: without end */
	int64_t until_ms;		  /* monotonic; 0: without end */
	int64_t delay_ms;
	uint64_t hits; /* requests that it met */
};

/* What becomes of a request. All zero: nothing. */
struct inject_effect {
	int64_t delay_ms; /* of all rules that met it, together */
	bool cut;
	bool fails; /* with kind, and fault and message */
	enum inject_kind kind;
	enum fault fault;
	char message[INJECT_MESSAGE_MAX];
};

/* @seed: of the dice for percentages. */
int inject_new(uint64_t seed, struct inject **ret_inject, struct err *err);
void inject_free(struct inject *inject);

/* -ENOSPC: there are INJECT_RULES_MAX already. */
int inject_add(struct inject *inject, const struct inject_rule *rule, int64_t now_ms,
	       unsigned *ret_id, struct err *err);

/* Take away that rule; 0: all. -ENOENT. */
int inject_remove(struct inject *inject, unsigned id, struct err *err);

/*
 * Add to @effect what the rules for @operation do: those that name no key when @key_id is NULL, else
 * those that name this one. Of several that fail it, the oldest does. A NULL @inject has no rules. Any thread.
 */
void inject_meet(struct inject *inject, const char *operation, const char *key_id, int64_t now_ms,
		 struct inject_effect *effect);

/* The rules in force, oldest first, into @ret_rules (INJECT_RULES_MAX). Returns how many. */
size_t inject_list(struct inject *inject, int64_t now_ms, struct inject_rule *ret_rules);

#endif
