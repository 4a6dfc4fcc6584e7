/*
 * Who a policy or a grant names, and whether a caller is meant ("IAM User Guide, AWS JSON policy
 * elements: Principal"). Users and roles are bound by their unique id, so that one made anew under an
 * old name is another.
 */
#ifndef KMSD_POLICY_PRINCIPAL_H
#define KMSD_POLICY_PRINCIPAL_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct policy_caller;

#define POLICY_ACCOUNT_LEN 12
#define POLICY_ID_MAX	   128 /* "AROA..." and ":" and a session's name, with NUL */

/*
 * Asks whoever knows the users and roles. @arn is that of an account (arn:aws:iam::A:root), a user, a
 * role, or a role's session (arn:aws:sts::A:assumed-role/R/S, whose id is the role's, ":" and S).
 * 0 with the unique id; -ENOENT: there is none; another negative errno: trouble, with a sentence.
 */
struct policy_resolver {
	int (*resolve)(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err);
	void *arg;
};

enum policy_principal_form {
	POLICY_PRINCIPAL_ANYONE,  /* * */
	POLICY_PRINCIPAL_ACCOUNT, /* 111122223333, or its root's ARN */
	POLICY_PRINCIPAL_USER,
	POLICY_PRINCIPAL_ROLE,	  /* all its sessions */
	POLICY_PRINCIPAL_SESSION, /* one of them */
	POLICY_PRINCIPAL_FEDERATED_USER,
	POLICY_PRINCIPAL_SERVICE,   /* ec2.amazonaws.com */
	POLICY_PRINCIPAL_FEDERATED, /* an identity provider */
	POLICY_PRINCIPAL_CANONICAL, /* a canonical user id; matches no caller here */
};

struct policy_principal {
	enum policy_principal_form form;
	const char *text;		      /* as written; borrowed */
	char account[POLICY_ACCOUNT_LEN + 1]; /* "" where the form has none */
	char id[POLICY_ID_MAX];		      /* unique id; "": not resolved, the ARN counts */
};

/* How a principal reaches a caller, weakest first. */
enum policy_reach {
	POLICY_REACH_NONE,
	POLICY_REACH_ACCOUNT, /* its account is meant, whose own policies decide on */
	POLICY_REACH_ROLE,    /* the role of the session: session policies and boundary limit it */
	POLICY_REACH_DIRECT,
};

/*
 * Read @text of @type ("AWS", "Service", "Federated", "CanonicalUser"); @text must outlive the
 * principal. @resolver NULL: nobody is asked. -EINVAL: it is no principal of that type, or there is
 * none such; -ENOMEM and what the resolver gives.
 */
int policy_principal_read(const char *type, const char *text,
			  const struct policy_resolver *resolver, struct policy_principal *ret,
			  struct err *err);

/* As policy_principal_read(), for a grant's principal: an ARN, or a service's name. */
int policy_principal_read_grantee(const char *text, const struct policy_resolver *resolver,
				  struct policy_principal *ret, struct err *err);

enum policy_reach policy_principal_reach(const struct policy_principal *principal,
					 const struct policy_caller *caller);

/*
 * Whether NotPrincipal leaves the caller out. A caller is its account, its user or role, and its
 * session at once. @deny: a Deny spares only whom the list names at each of these levels, as the
 * guide warns ("NotPrincipal with Deny"); an Allow leaves out whoever is named at any.
 */
bool policy_principal_spared(const struct policy_principal *principals, size_t count,
			     const struct policy_caller *caller, bool deny);

#endif
