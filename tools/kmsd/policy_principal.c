/* Principals read and matched. See policy_principal.h. */
#include "policy_principal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "policy_decide.h"

#define NAME_CHARACTERS                                                                            \
	"abcdefghijklmnopqrstuvwxyz"                                                               \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                                               \
	"0123456789_+=,.@-"

/* The parts of arn:PARTITION:SERVICE::ACCOUNT:REST. */
struct arn {
	bool sts;
	char account[POLICY_ACCOUNT_LEN + 1];
	const char *rest;
};

static bool is_account(const char *text, size_t len)
{
	return len == POLICY_ACCOUNT_LEN && strspn(text, "0123456789") >= len;
}

static bool take(const char **at, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*at, prefix, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool read_arn(const char *text, struct arn *ret)
{
	const char *at = text;

	if (!take(&at, "arn:aws:") && !take(&at, "arn:aws-cn:") && !take(&at, "arn:aws-us-gov:"))
		return false;
	ret->sts = take(&at, "sts::");
	if (!ret->sts && !take(&at, "iam::"))
		return false;
	if (!is_account(at, strcspn(at, ":")) || at[POLICY_ACCOUNT_LEN] != ':')
		return false;
	memcpy(ret->account, at, POLICY_ACCOUNT_LEN);
	ret->account[POLICY_ACCOUNT_LEN] = '\0';
	ret->rest = at + POLICY_ACCOUNT_LEN + 1;
	return true;
}

/* @parts_min to @parts_max names with a slash between each two, none empty. */
static bool are_names(const char *at, int parts_min, int parts_max)
{
	int parts = 0;

	for (;; at++) {
		size_t len;

		if (parts == 0)
			(void)take(&at, "aws:"); /* roles of AWS itself: aws:ec2-infrastructure */
		len = strspn(at, NAME_CHARACTERS);
		if (len == 0)
			return false;
		parts++;
		at += len;
		if (*at != '/')
			break;
	}
	return *at == '\0' && parts >= parts_min && parts <= parts_max;
}

static int form_of_arn(const struct arn *arn, enum policy_principal_form *ret)
{
	const char *at = arn->rest;

	if (!arn->sts && strcmp(at, "root") == 0)
		*ret = POLICY_PRINCIPAL_ACCOUNT;
	else if (!arn->sts && take(&at, "user/") && are_names(at, 1, 512))
		*ret = POLICY_PRINCIPAL_USER;
	else if (!arn->sts && take(&at, "role/") && are_names(at, 1, 512))
		*ret = POLICY_PRINCIPAL_ROLE;
	else if (arn->sts && take(&at, "assumed-role/") && are_names(at, 2, 2))
		*ret = POLICY_PRINCIPAL_SESSION;
	else if (arn->sts && take(&at, "federated-user/") && are_names(at, 1, 1))
		*ret = POLICY_PRINCIPAL_FEDERATED_USER;
	else
		return -EINVAL;
	return 0;
}

static int resolve(const struct policy_resolver *resolver, struct policy_principal *principal,
		   struct err *err)
{
	char root[64];
	const char *arn = principal->text;
	int r;

	if (!resolver || principal->form == POLICY_PRINCIPAL_FEDERATED_USER)
		return 0;
	if (principal->form == POLICY_PRINCIPAL_ACCOUNT) {
		(void)snprintf(root, sizeof(root), "arn:aws:iam::%s:root", principal->account);
		arn = root;
	}
	r = resolver->resolve(resolver->arg, arn, principal->id, err);
	return r == -ENOENT ? err_set(err, EINVAL, "no principal '%.256s'", principal->text) : r;
}

static int read_aws(const char *text, const struct policy_resolver *resolver,
		    struct policy_principal *ret, struct err *err)
{
	struct policy_principal principal = {.text = text};
	struct arn arn;
	int r;

	if (strcmp(text, "*") == 0) {
		*ret = principal;
		return 0;
	}
	principal.form = POLICY_PRINCIPAL_ACCOUNT;
	if (is_account(text, strlen(text)))
		memcpy(principal.account, text, POLICY_ACCOUNT_LEN);
	else if (read_arn(text, &arn) && form_of_arn(&arn, &principal.form) == 0)
		memcpy(principal.account, arn.account, POLICY_ACCOUNT_LEN);
	else
		return err_set(err, EINVAL, "'%.256s' is no principal", text);
	r = resolve(resolver, &principal, err);
	if (r == 0)
		*ret = principal;
	return r;
}

/* A host's name with at least one dot. */
static bool is_service(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(text) &&
	       strchr(text, '.') && text[0] != '.' && text[strlen(text) - 1] != '.' &&
	       !strstr(text, "..");
}

int policy_principal_read(const char *type, const char *text,
			  const struct policy_resolver *resolver, struct policy_principal *ret,
			  struct err *err)
{
	struct policy_principal principal = {.text = text};
	struct err local = {0};

	err = err ? err : &local;
	if (strcmp(type, "AWS") == 0)
		return read_aws(text, resolver, ret, err);
	if (strcmp(type, "Service") == 0 && is_service(text))
		principal.form = POLICY_PRINCIPAL_SERVICE;
	else if (strcmp(type, "Federated") == 0 && text[0] && !strpbrk(text, "*? ,"))
		principal.form = POLICY_PRINCIPAL_FEDERATED;
	else if (strcmp(type, "CanonicalUser") == 0 && strlen(text) == 64 &&
		 strspn(text, "0123456789abcdef") == 64)
		principal.form = POLICY_PRINCIPAL_CANONICAL;
	else
		return err_set(err, EINVAL, "'%.256s' is no principal of type '%.32s'", text, type);
	*ret = principal;
	return 0;
}

int policy_principal_read_grantee(const char *text, const struct policy_resolver *resolver,
				  struct policy_principal *ret, struct err *err)
{
	if (strcmp(text, "*") == 0)
		return err_set(err, EINVAL, "'*' is no grantee");
	return policy_principal_read(is_service(text) ? "Service" : "AWS", text, resolver, ret,
				     err);
}

/* A user or role by unique id, else by ARN. A session's id is its role's id, ":" and its name. */
static bool same_entity(const struct policy_principal *principal,
			const struct policy_caller *caller)
{
	bool session = caller->kind == POLICY_CALLER_SESSION;

	if (principal->id[0] && caller->id) {
		size_t len = session ? strcspn(caller->id, ":") : strlen(caller->id);

		return strlen(principal->id) == len && memcmp(principal->id, caller->id, len) == 0;
	}
	return strcmp(principal->text, session ? caller->role_arn : caller->arn) == 0;
}

static bool same_session(const struct policy_principal *principal,
			 const struct policy_caller *caller)
{
	if (principal->id[0] && caller->id)
		return strcmp(principal->id, caller->id) == 0;
	return strcmp(principal->text, caller->arn) == 0;
}

enum policy_reach policy_principal_reach(const struct policy_principal *principal,
					 const struct policy_caller *caller)
{
	enum policy_caller_kind kind = caller->kind;

	switch (principal->form) {
	case POLICY_PRINCIPAL_ANYONE:
		return POLICY_REACH_DIRECT;
	case POLICY_PRINCIPAL_ACCOUNT:
		if (kind == POLICY_CALLER_SERVICE ||
		    strcmp(principal->account, caller->account) != 0)
			return POLICY_REACH_NONE;
		return kind == POLICY_CALLER_ROOT ? POLICY_REACH_DIRECT : POLICY_REACH_ACCOUNT;
	case POLICY_PRINCIPAL_USER:
		return kind == POLICY_CALLER_USER && same_entity(principal, caller)
			       ? POLICY_REACH_DIRECT
			       : POLICY_REACH_NONE;
	case POLICY_PRINCIPAL_ROLE:
		return kind == POLICY_CALLER_SESSION && same_entity(principal, caller)
			       ? POLICY_REACH_ROLE
			       : POLICY_REACH_NONE;
	case POLICY_PRINCIPAL_SESSION:
		return kind == POLICY_CALLER_SESSION && same_session(principal, caller)
			       ? POLICY_REACH_DIRECT
			       : POLICY_REACH_NONE;
	case POLICY_PRINCIPAL_FEDERATED_USER:
		return kind == POLICY_CALLER_FEDERATED && same_session(principal, caller)
			       ? POLICY_REACH_DIRECT
			       : POLICY_REACH_NONE;
	case POLICY_PRINCIPAL_SERVICE:
		return kind == POLICY_CALLER_SERVICE && strcmp(principal->text, caller->arn) == 0
			       ? POLICY_REACH_DIRECT
			       : POLICY_REACH_NONE;
	case POLICY_PRINCIPAL_FEDERATED:
	case POLICY_PRINCIPAL_CANONICAL:
		break;
	}
	return POLICY_REACH_NONE;
}

bool policy_principal_spared(const struct policy_principal *principals, size_t count,
			     const struct policy_caller *caller, bool deny)
{
	bool service = caller->kind == POLICY_CALLER_SERVICE,
	     root = caller->kind == POLICY_CALLER_ROOT;
	bool session = caller->kind == POLICY_CALLER_SESSION;
	bool account_named = false, role_named = false, itself_named = false;

	for (size_t i = 0; i < count; i++) {
		enum policy_reach reach = policy_principal_reach(&principals[i], caller);

		if (principals[i].form == POLICY_PRINCIPAL_ANYONE)
			return true;
		account_named |= principals[i].form == POLICY_PRINCIPAL_ACCOUNT &&
				 reach != POLICY_REACH_NONE;
		role_named |= reach == POLICY_REACH_ROLE;
		itself_named |= reach == POLICY_REACH_DIRECT;
	}
	if (!deny)
		return account_named || role_named || itself_named;
	if (service || root)
		return itself_named;
	return account_named && itself_named && (role_named || !session);
}
