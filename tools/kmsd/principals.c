/* Whom policies may name. See principals.h. */
#include "principals.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "err.h"
#include "forward.h"
#include "secret.h"

#define ACCOUNT_AT (sizeof("arn:aws:iam::") - 1)

/* "assumed-role/ROLE/SESSION": the role must be there; a session need not. */
static int resolve_session(const struct kmsd *kmsd, const char *account, const char *names,
			   char ret_id[POLICY_ID_MAX], struct err *err)
{
	AUTO(cached_putp) struct iam_principal *role = NULL;
	char name[IAM_NAME_MAX + 1];
	const char *slash = strchr(names, '/');
	int r;

	if (!slash || (size_t)(slash - names) >= sizeof(name) ||
	    strlen(slash) > CALLER_SESSION_MAX + 1)
		return -ENOENT;
	memcpy(name, names, (size_t)(slash - names));
	name[slash - names] = '\0';
	r = store_iam_find(kmsd->store, account, IAM_ROLE, name, &role, err);
	if (r == 0 && strcmp(role->name, name) != 0)
		return -ENOENT;
	if (r == 0)
		(void)snprintf(ret_id, POLICY_ID_MAX, "%s:%s", role->id, slash + 1); /* measured */
	return r;
}

static int resolve(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err)
{
	static const char session[] = "assumed-role/";
	const struct kmsd *kmsd = arg;
	char account[IDS_ACCOUNT_LEN + 1];
	const char *rest;

	if (strlen(arn) <= ACCOUNT_AT + IDS_ACCOUNT_LEN)
		return -ENOENT;
	memcpy(account, arn + ACCOUNT_AT, IDS_ACCOUNT_LEN);
	account[IDS_ACCOUNT_LEN] = '\0';
	rest = arn + ACCOUNT_AT + IDS_ACCOUNT_LEN + 1;
	if (forward_is_instance(arn)) { /* any: it has no credentials that leave the service */
		(void)snprintf(ret_id, POLICY_ID_MAX, "%s:" FORWARD_ROLE ":%s", account,
			       strrchr(rest, '/') + 1); /* fits */
		return 0;
	}
	if (strcmp(rest, "root") == 0) {
		(void)snprintf(ret_id, POLICY_ID_MAX, "%s", account); /* fits */
		return 0;
	}
	if (strncmp(rest, session, strlen(session)) == 0)
		return resolve_session(kmsd, account, rest + strlen(session), ret_id, err);
	return store_iam_id_of_arn(kmsd->store, arn, ret_id, err);
}

static int resolve_or_believe(void *arg, const char *arn, char ret_id[POLICY_ID_MAX],
			      struct err *err)
{
	const struct kmsd *kmsd = arg;
	char account[IDS_ACCOUNT_LEN + 1];
	int r;

	if (strlen(arn) <= ACCOUNT_AT + IDS_ACCOUNT_LEN)
		return -ENOENT;
	(void)snprintf(account, sizeof(account), "%s", arn + ACCOUNT_AT); /* cut: what is behind */
	r = store_has_account(kmsd->store, account, err);
	if (r == 0)
		ret_id[0] = '\0';
	return r > 0 ? resolve(arg, arn, ret_id, err) : r;
}

struct policy_resolver principals_of(const struct kmsd *kmsd)
{
	return (struct policy_resolver){resolve, (void *)(uintptr_t)kmsd}; /* only read */
}

struct policy_resolver principals_or_foreign(const struct kmsd *kmsd)
{
	return (struct policy_resolver){resolve_or_believe,
					(void *)(uintptr_t)kmsd}; /* only read */
}
