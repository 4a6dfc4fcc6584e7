/* Key ids, ARNs and aliases taken apart. See keyref.h. */
#include "keyref.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "fault.h"

void keyref_key_arn(const struct keyref_place *place, const char *key_id,
		    char ret_arn[KEYREF_ARN_MAX])
{
	(void)snprintf(ret_arn, KEYREF_ARN_MAX, "arn:aws:kms:%s:%s:key/%s", place->region,
		       place->account, key_id); /* fits: all parts are bounded */
}

void keyref_alias_arn(const struct keyref_place *place, const char *alias,
		      char ret_arn[KEYREF_ARN_MAX])
{
	(void)snprintf(ret_arn, KEYREF_ARN_MAX, "arn:aws:kms:%s:%s:%s", place->region,
		       place->account, alias); /* fits: all parts are bounded */
}

/* A name without account: a UUID or "alias/...". */
static int take_name(const char *name, bool alias_ok, struct keyref *ret, struct err *err)
{
	uint8_t uuid[16];

	if (strncmp(name, "alias/", 6) == 0 && alias_ok) {
		if (strlen(name) > KEYREF_ALIAS_MAX)
			return fault_set(err, FAULT_NOT_FOUND, "Invalid keyId '%s'", name);
		ret->alias = true;
		(void)snprintf(ret->name, sizeof(ret->name), "%s", name); /* measured above */
		return 0;
	}
	if (ids_uuid_parse(name, uuid) < 0)
		return fault_set(err, FAULT_NOT_FOUND, "Invalid keyId '%s'", name);
	ret->alias = false;
	ids_uuid_format(uuid, ret->name);
	return 0;
}

int keyref_parse(const char *text, const struct keyref_place *place, bool alias_ok, bool arn_fault,
		 struct keyref *ret, struct err *err)
{
	enum fault malformed = arn_fault ? FAULT_INVALID_ARN : FAULT_NOT_FOUND;
	char region[KEYREF_REGION_MAX + 1], account[IDS_ACCOUNT_LEN + 1];
	int end = -1, r;

	if (strncmp(text, "arn:", 4) != 0) {
		r = take_name(text, alias_ok, ret, err);
		if (r == 0)
			(void)snprintf(ret->account, sizeof(ret->account), "%s", place->account);
		return r;
	}
	if (sscanf(text, "arn:aws:kms:%31[a-z0-9-]:%12[0-9]:%n", region, account, &end) != 2 ||
	    end < 0 || !ids_account_valid(account))
		return fault_set(err, malformed, "Invalid arn %s", text);
	text += end;
	if (strcmp(region, place->region) != 0)
		return fault_set(err, FAULT_NOT_FOUND, "Invalid arn %s", region);
	if (strncmp(text, "key/", 4) == 0)
		r = take_name(text + 4, false, ret, err);
	else if (strncmp(text, "alias/", 6) == 0 && alias_ok)
		r = take_name(text, true, ret, err);
	else
		return fault_set(err, malformed, "Invalid arn %s", text - end);
	if (r == 0)
		(void)snprintf(ret->account, sizeof(ret->account), "%s", account);
	return r;
}
