/* Who a grant names. See grant.h. */
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "forward.h"
#include "grant.h"

static bool is_account_id(const char *text)
{
	return ids_account_valid(text);
}

/* Characters of a name or path of IAM; @slash: a path may stand before the name. */
static bool is_name(const char *text, bool slash)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-";
	const char *last = text;

	for (const char *p = text; *p; p++) {
		if (*p == '/' && slash)
			last = p + 1;
		else if (!strchr(letters, *p))
			return false;
	}
	return *last != '\0';
}

/* "assumed-role/ROLE/SESSION" behind the account. */
static bool is_session(const char *text)
{
	const char *slash = strchr(text, '/');

	return slash && slash > text && is_name(text, true) && is_name(slash + 1, false);
}

static bool is_principal_arn(const char *text)
{
	char service[4], account[IDS_ACCOUNT_LEN + 1];
	int end = -1;

	if (sscanf(text, "arn:aws:%3[a-z]::%12[0-9]:%n", service, account, &end) != 2 || end < 0 ||
	    !is_account_id(account))
		return false;
	if (forward_is_instance(text))
		return true;
	text += end;
	if (strcmp(service, "iam") == 0)
		return strcmp(text, "root") == 0 ||
		       (strncmp(text, "user/", 5) == 0 && is_name(text + 5, true)) ||
		       (strncmp(text, "role/", 5) == 0 && is_name(text + 5, true));
	if (strcmp(service, "sts") == 0)
		return (strncmp(text, "assumed-role/", 13) == 0 && is_session(text + 13)) ||
		       (strncmp(text, "federated-user/", 15) == 0 && is_name(text + 15, false));
	return false;
}

static bool is_service(const char *text)
{
	static const char suffix[] = ".amazonaws.com";
	size_t n = strlen(text), s = sizeof(suffix) - 1;

	return n > s && strcmp(text + n - s, suffix) == 0 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

int grant_check_principal(const char *text, bool service_ok, struct err *err)
{
	if (is_principal_arn(text) || (service_ok && is_service(text)))
		return 0;
	return fault_set(err, FAULT_INVALID_ARN, "ARN is not valid: %s", text);
}

bool grant_is_unique_id(const char *text)
{
	size_t n = strcspn(text, ":");

	return (strncmp(text, "AIDA", 4) == 0 || strncmp(text, "AROA", 4) == 0) && n >= 16 &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == n;
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

bool grant_means(const char *principal, const char *id, const struct grant_caller *caller)
{
	char root[64];

	if (id[0])
		return same(id, caller->id) || same(id, caller->role_id);
	if (same(principal, caller->arn) || same(principal, caller->role_arn))
		return true;
	/* An account as grantee means its root user and whom its own policies let. */
	(void)snprintf(root, sizeof(root), "arn:aws:iam::%.12s:root", caller->account);
	return caller->is_root && strcmp(principal, root) == 0;
}
