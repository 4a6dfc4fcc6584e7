/* Rules and how requests meet them. See inject.h. */
#include "inject.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

struct inject {
	atomic_size_t count; /* changed under lock; read without, to see that there are none */
	pthread_mutex_t lock;
	struct inject_rule rules[INJECT_RULES_MAX]; /* guarded by lock, as what follows */
	unsigned last_id;
	uint64_t dice;
};

static const char *const kinds[] = {
	[INJECT_THROTTLE] = "throttle", [INJECT_LATENCY] = "latency",	[INJECT_ERROR] = "error",
	[INJECT_DROP] = "drop",		[INJECT_TRUNCATE] = "truncate",
};

const char *inject_kind_name(enum inject_kind kind)
{
	return kinds[kind];
}

enum inject_kind inject_kind(const char *name)
{
	unsigned k = 0;

	while (k < INJECT_KIND_COUNT && strcmp(kinds[k], name) != 0)
		k++;
	return (enum inject_kind)k;
}

int inject_new(uint64_t seed, struct inject **ret_inject, struct err *err)
{
	struct inject *in = calloc(1, sizeof(*in));

	if (!in)
		return err_set(err, ENOMEM, "faults");
	in->dice = seed | 1;			   /* zero would stay zero */
	(void)pthread_mutex_init(&in->lock, NULL); /* cannot fail with these attributes */
	*ret_inject = in;
	return 0;
}

void inject_free(struct inject *inject)
{
	if (!inject)
		return;
	(void)pthread_mutex_destroy(&inject->lock); /* nobody holds it */
	free(inject);
}

static void remove_at_locked(struct inject *in, size_t i)
{
	size_t count = atomic_load(&in->count);

	memmove(&in->rules[i], &in->rules[i + 1], (count - i - 1) * sizeof(in->rules[0]));
	atomic_store(&in->count, count - 1);
}

static void forget_old_locked(struct inject *in, int64_t now_ms)
{
	for (size_t i = atomic_load(&in->count); i-- > 0;)
		if (in->rules[i].until_ms && in->rules[i].until_ms <= now_ms)
			remove_at_locked(in, i);
}

int inject_add(struct inject *inject, const struct inject_rule *rule, int64_t now_ms,
	       unsigned *ret_id, struct err *err)
{
	size_t count;
	int r = 0;

	pthread_mutex_lock(&inject->lock);
	forget_old_locked(inject, now_ms);
	count = atomic_load(&inject->count);
	if (count == INJECT_RULES_MAX) {
		r = err_set(err, ENOSPC, "there are %d faults already; clear some",
			    INJECT_RULES_MAX);
	} else {
		inject->rules[count] = *rule;
		*ret_id = inject->rules[count].id = ++inject->last_id;
		atomic_store(&inject->count, count + 1);
	}
	pthread_mutex_unlock(&inject->lock);
	return r;
}

int inject_remove(struct inject *inject, unsigned id, struct err *err)
{
	bool found = id == 0;

	pthread_mutex_lock(&inject->lock);
	for (size_t i = atomic_load(&inject->count); i-- > 0;)
		if (id == 0 || inject->rules[i].id == id) {
			remove_at_locked(inject, i);
			found = true;
		}
	pthread_mutex_unlock(&inject->lock);
	return found ? 0 : err_set(err, ENOENT, "there is no fault %u", id);
}

/* xorshift64*; for tests that must be repeatable, not for secrets. 0 to below 100. */
static double throw_dice_locked(struct inject *in)
{
	in->dice ^= in->dice >> 12;
	in->dice ^= in->dice << 25;
	in->dice ^= in->dice >> 27;
	return (double)((in->dice * UINT64_C(2685821657736338717)) >> 11) * 100 / 0x1p53;
}

static bool fits(const struct inject_rule *rule, const char *operation, const char *key_id)
{
	if (rule->operation[0] && strcmp(rule->operation, operation) != 0)
		return false;
	return strcmp(rule->key_id, key_id ? key_id : "") == 0;
}

static void apply(const struct inject_rule *rule, struct inject_effect *effect)
{
	if (rule->kind == INJECT_LATENCY) {
		effect->delay_ms += rule->delay_ms;
	} else if (rule->kind == INJECT_TRUNCATE) {
		effect->cut = true;
	} else if (!effect->fails) {
		effect->fails = true;
		effect->kind = rule->kind;
		effect->fault = rule->fault;
		memcpy(effect->message, rule->message, sizeof(effect->message));
	}
}

void inject_meet(struct inject *inject, const char *operation, const char *key_id, int64_t now_ms,
		 struct inject_effect *effect)
{
	size_t i = 0;

	if (!inject || atomic_load_explicit(&inject->count, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&inject->lock);
	forget_old_locked(inject, now_ms);
	while (i < atomic_load(&inject->count)) {
		struct inject_rule *rule = &inject->rules[i++];

		if (!fits(rule, operation, key_id) || throw_dice_locked(inject) >= rule->percent)
			continue;
		rule->hits++;
		apply(rule, effect);
		if (rule->count && --rule->count == 0)
			remove_at_locked(inject, --i);
	}
	pthread_mutex_unlock(&inject->lock);
}

size_t inject_list(struct inject *inject, int64_t now_ms, struct inject_rule *ret_rules)
{
	size_t count;

	pthread_mutex_lock(&inject->lock);
	forget_old_locked(inject, now_ms);
	count = atomic_load(&inject->count);
	memcpy(ret_rules, inject->rules, count * sizeof(*ret_rules));
	pthread_mutex_unlock(&inject->lock);
	return count;
}
