/* CreateAlias, UpdateAlias, DeleteAlias, ListAliases. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "kms_json.h"
#include "managed.h"
#include "operations.h"
#include "secret.h"

#define ALIASES_PER_KEY 50
#define PREFIX		"alias/"

static int check_name(const char *name, struct err *err)
{
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return fault_set(err, FAULT_VALIDATION,
				 "Alias must start with the prefix \"alias/\". Please see "
				 "https://docs.aws.amazon.com/kms/latest/developerguide/"
				 "kms-alias.html");
	if (strchr(name, ':') || !name[strlen(PREFIX)])
		return fault_set(err, FAULT_VALIDATION,
				 "%s contains invalid characters for an alias", name);
	if (strncmp(name, MANAGED_PREFIX, strlen(MANAGED_PREFIX)) == 0)
		return fault_set(err, FAULT_NOT_AUTHORIZED, NULL);
	return 0;
}

static int not_found(struct call *call, const char *name, struct err *err)
{
	char arn[KEYREF_ARN_MAX];

	keyref_alias_arn(&call->place, name, arn);
	return fault_set(err, FAULT_NOT_FOUND, "Alias %s is not found.", arn);
}

/* Beside the key, the alias itself: nothing but the caller's own policies speaks of it. */
static int authorize_alias(struct call *call, const char *name, struct err *err)
{
	char arn[KEYREF_ARN_MAX], action[64];

	keyref_alias_arn(&call->place, name, arn);
	(void)snprintf(action, sizeof(action), "kms:%s", call->op->name); /* fits */
	return call_authorize_on(call, action, arn, err);
}

/* There are 50 aliases a key. Two at once may make a 51st: a quota, not an invariant. */
static int check_quota(struct call *call, struct err *err)
{
	int count = store_count_aliases(call->kmsd->store, &call->place, call->key->id, err);

	if (count < ALIASES_PER_KEY)
		return count < 0 ? count : 0;
	return fault_set(err, FAULT_LIMIT_EXCEEDED, "%s has %d aliases, the most it may have",
			 call->key->arn, count);
}

int op_create_alias(struct call *call, struct err *err)
{
	const struct store_alias alias = {call_text(call, "AliasName"), call->key->id, call->now_ms,
					  call->now_ms};
	char arn[KEYREF_ARN_MAX];
	int r = check_name(alias.name, err);

	r = r ? r : authorize_alias(call, alias.name, err);
	r = r ? r : check_quota(call, err);
	if (r < 0)
		return r;
	r = store_create_alias(call->kmsd->store, &call->place, &alias, err);
	keyring_relabeled(call->kmsd->ring, NULL);
	if (r != -EEXIST)
		return r;
	keyref_alias_arn(&call->place, alias.name, arn);
	return fault_set(err, FAULT_ALREADY_EXISTS, "An alias with the name %s already exists",
			 arn);
}

int op_update_alias(struct call *call, struct err *err)
{
	const char *name = call_text(call, "AliasName");
	int r = check_name(name, err);

	r = r ? r : authorize_alias(call, name, err);
	r = r ? r : check_quota(call, err);
	if (r < 0)
		return r;
	r = store_update_alias(call->kmsd->store, &call->place, name, call->key->id, call->now_ms,
			       err);
	keyring_relabeled(call->kmsd->ring, NULL);
	return r == -ENOKEY ? not_found(call, name, err) : r;
}

int op_delete_alias(struct call *call, struct err *err)
{
	const struct keyref_place *place = &call->place;
	const char *name = call_text(call, "AliasName");
	AUTO(cached_putp) struct key *key = NULL;
	char key_id[IDS_UUID_LEN + 1];
	int r = check_name(name, err);

	if (r < 0)
		return r;
	r = authorize_alias(call, name, err);
	r = r ? r : store_find_alias(call->kmsd->store, place, name, key_id, err);
	r = r ? r : call_find_key(call, key_id, call->op->name, &key, err);
	r = r ? r : call_authorize(call, "DeleteAlias", key, err);
	r = r ? r : store_delete_alias(call->kmsd->store, place, name, err);
	keyring_relabeled(call->kmsd->ring, NULL);
	return r == -ENOKEY ? not_found(call, name, err) : r;
}

struct listing {
	struct call *call;
	struct kms_json *aliases;
	size_t limit, count;
	char last[KEYREF_ALIAS_MAX + 1];
	const char *after; /* what is listed stands behind it */
	size_t managed;	   /* how many of the managed keys' aliases were passed */
};

/* @alias->key_id NULL: of a managed key that was never needed, so that there is none yet. */
static int add_alias(struct listing *l, const struct store_alias *alias)
{
	char arn[KEYREF_ARN_MAX];
	struct kms_json *entry;
	int r;

	if (l->count++ >= l->limit)
		return 0; /* there is one more: that is all we want to know */
	keyref_alias_arn(&l->call->place, alias->name, arn);
	(void)snprintf(l->last, sizeof(l->last), "%s", alias->name); /* as validated */
	entry = kms_json_new_object();
	if (!entry)
		return -ENOMEM;
	r = kms_json_set_str(entry, "AliasName", alias->name) |
	    kms_json_set_str(entry, "AliasArn", arn);
	if (alias->key_id)
		r |= kms_json_set_str(entry, "TargetKeyId", alias->key_id) |
		     kms_json_set_double(entry, "CreationDate", (double)alias->created_ms / 1000) |
		     kms_json_set_double(entry, "LastUpdatedDate",
					 (double)alias->updated_ms / 1000);
	return r | kms_json_add(l->aliases, entry) ? -ENOMEM : 0;
}

/* Managed keys' aliases that stand before @name (NULL: all that are left) and have no key. */
static int list_managed(struct listing *l, const char *name)
{
	const char *alias;
	int r = 0, order;

	while (r == 0 && (alias = managed_alias(l->managed))) {
		order = name ? strcmp(alias, name) : -1;
		if (order > 0)
			break;
		l->managed++;
		if (order < 0 && strcmp(alias, l->after) > 0)
			r = add_alias(l, &(struct store_alias){.name = alias});
	}
	return r;
}

static int list_alias(const struct store_alias *alias, void *arg)
{
	struct listing *l = arg;
	int r = list_managed(l, alias->name);

	return r ? r : add_alias(l, alias);
}

static int list_one(const struct store_alias *alias, void *arg)
{
	return add_alias(arg, alias);
}

int op_list_aliases(struct call *call, struct err *err)
{
	const char *marker = call_text(call, "Marker"), *of = call_text(call, "KeyId");
	struct listing l = {.call = call,
			    .limit = (size_t)call_number(call, "Limit", 50),
			    .after = marker ? marker : ""};
	AUTO(cached_putp) struct key *key = NULL;
	int r = of ? call_find_key(call, of, call->op->name, &key, err) : 0;

	/* Of one key too, it is IAM's matter alone, as in AWS: the key's policy has no say. */
	r = r ? r : call_authorize(call, "ListAliases", NULL, err);
	if (r < 0)
		return r;
	if (marker && strncmp(marker, PREFIX, strlen(PREFIX)) != 0)
		return fault_set(err, FAULT_INVALID_MARKER, "Invalid marker");
	l.aliases = kms_json_new_array();
	r = l.aliases ? store_each_alias(call->kmsd->store, &call->place, key ? key->id : NULL,
					 l.after, l.limit + 1, key ? list_one : list_alias, &l, err)
		      : err_set(err, ENOMEM, "list of aliases");
	if (r >= 0 && !key && list_managed(&l, NULL) < 0)
		r = err_set(err, ENOMEM, "list of aliases");
	if (r < 0) {
		kms_json_free(l.aliases);
		return r;
	}
	r = kms_json_set(call->output, "Aliases", l.aliases) |
	    kms_json_set_bool(call->output, "Truncated", l.count > l.limit);
	if (l.count > l.limit)
		r |= kms_json_set_str(call->output, "NextMarker", l.last);
	return call_filled(r, err);
}
