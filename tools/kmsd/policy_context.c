/* The request context: keys and their values. See policy_context.h. */
#include "policy_context.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ENTRIES_MIN 48

#define HASH_START 2166136261u /* FNV-1a, 32 bits */

static uint32_t hash_more(uint32_t hash, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		hash = (hash ^ c) * 16777619u;
	}
	return hash;
}

uint32_t policy_context_hash(const char *name, size_t len)
{
	return hash_more(HASH_START, name, len);
}

void policy_context_free(struct policy_context *context)
{
	free(context->entries);
	memset(context, 0, sizeof(*context));
}

static int grow(struct policy_context *context)
{
	size_t cap = context->cap ? 2 * context->cap : ENTRIES_MIN;
	struct policy_context_entry *more = reallocarray(context->entries, cap, sizeof(*more));

	if (!more)
		return -ENOMEM;
	context->entries = more;
	context->cap = cap;
	return 0;
}

int policy_context_add_under(struct policy_context *context, const char *prefix, const char *name,
			     const char *value)
{
	uint32_t hash = policy_context_hash(prefix, strlen(prefix));

	if (context->count == context->cap && grow(context) < 0)
		return -ENOMEM;
	context->entries[context->count++] = (struct policy_context_entry){
		.prefix = prefix,
		.name = name,
		.value = value,
		.hash = hash_more(hash, name, strlen(name)),
	};
	return 0;
}

int policy_context_add(struct policy_context *context, const char *key, const char *value)
{
	return policy_context_add_under(context, "", key, value);
}

int policy_context_add_time(struct policy_context *context, int64_t now_ms)
{
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm tm;
	int r;

	if (!gmtime_r(&seconds, &tm))
		return -EINVAL;
	(void)strftime(context->time_text, sizeof(context->time_text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	(void)snprintf(context->epoch_text, sizeof(context->epoch_text), "%" PRId64,
		       now_ms / 1000); /* fits */
	r = policy_context_add(context, "aws:CurrentTime", context->time_text);
	return r ? r : policy_context_add(context, "aws:EpochTime", context->epoch_text);
}

static bool entry_is(const struct policy_context_entry *entry, const char *name, size_t len)
{
	size_t prefix_len = strlen(entry->prefix);

	return prefix_len <= len && strncasecmp(entry->prefix, name, prefix_len) == 0 &&
	       strlen(entry->name) == len - prefix_len &&
	       strncasecmp(entry->name, name + prefix_len, len - prefix_len) == 0;
}

bool policy_context_next(const struct policy_context *context, const char *name, size_t len,
			 uint32_t hash, size_t *at, const char **ret_value)
{
	for (; context && *at < context->count; (*at)++) {
		const struct policy_context_entry *entry = &context->entries[*at];

		if (entry->hash == hash && entry->value && entry_is(entry, name, len)) {
			*ret_value = entry->value;
			(*at)++;
			return true;
		}
	}
	return false;
}
