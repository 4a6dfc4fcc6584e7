/*
 * The matrix of policies: every caller × key policy × IAM × boundary × session policy × service control policy ×
 * grant, decided and compared with the rules of the AWS guides as they are written down here ("KMS Developer
 * Guide, Key access"; "IAM User Guide, Policy evaluation logic"). Where more than one sentence is true of a refusal,
 * the guides do not say which one AWS picks, and any of them passes.
 */
#include "policy_scene.h"

enum key_says {
	KEY_SILENT,
	KEY_ACCOUNT,
	KEY_NAMED,
	KEY_SESSION,
	KEY_EVERYONE,
	KEY_DENY,
	KEY_COUNT
};
enum says { NO_POLICY, ALLOWS, SILENT, DENIES, SAYS_COUNT };
enum grant_to { GRANT_NONE, GRANT_PRINCIPAL, GRANT_SESSION, GRANT_FOREIGN, GRANT_COUNT };

/* Who, and how policies and grants name them. */
static const struct person {
	enum who who;
	bool root, far;
	const char *account, *named, *session; /* as Principal; session NULL: it has none */
	const char *grantee, *grantee_session; /* NULL: no such grant */
} people[] = {
	{ROOT_USER, true, false, "{'AWS':'" ACCOUNT "'}",
	 "{'AWS':'arn:aws:iam::111122223333:root'}", NULL, "arn:aws:iam::111122223333:root", NULL},
	{TEST, false, false, "{'AWS':'" ACCOUNT "'}", USER, NULL,
	 "arn:aws:iam::111122223333:user/test", NULL},
	{SESSION, false, false, "{'AWS':'" ACCOUNT "'}", ROLE, TARGET,
	 "arn:aws:iam::111122223333:role/R", "arn:aws:sts::111122223333:assumed-role/R/target"},
	{FAR, false, true, "{'AWS':'" OTHER "'}", "{'AWS':'arn:aws:iam::123456789012:user/far'}",
	 NULL, "arn:aws:iam::123456789012:user/far", NULL},
	{FAR_SESSION, false, true, "{'AWS':'" OTHER "'}",
	 "{'AWS':'arn:aws:iam::123456789012:role/F'}",
	 "{'AWS':'arn:aws:sts::123456789012:assumed-role/F/target'}",
	 "arn:aws:iam::123456789012:role/F", "arn:aws:sts::123456789012:assumed-role/F/target"},
	{FAR_ROOT, true, true, "{'AWS':'" OTHER "'}", "{'AWS':'arn:aws:iam::123456789012:root'}",
	 NULL, "arn:aws:iam::123456789012:root", NULL},
};

struct combination {
	const struct person *person;
	enum key_says key;
	enum says identity, boundary, session, control;
	enum grant_to grant;
};

/* Parts that a sentence may name. */
#define RESOURCE 1u
#define IDENTITY 2u
#define BOUNDARY 4u
#define PASSED	 8u /* session policy */
#define CONTROL	 16u

struct expected {
	bool allowed;
	bool denied;	/* explicitly */
	bool hidden;	/* the text of another account, to whom the key does not show */
	unsigned parts; /* any of which the sentence may name */
};

static unsigned parts_that(const struct combination *c, enum says says)
{
	return (c->identity == says ? IDENTITY : 0) | (c->boundary == says ? BOUNDARY : 0) |
	       (c->session == says ? PASSED : 0) | (c->control == says ? CONTROL : 0);
}

/* What must allow and does not; a boundary, session policy or control policy that is not there limits nothing. */
static unsigned missing(const struct combination *c, unsigned needed)
{
	unsigned not_allowing = parts_that(c, SILENT);

	if (c->identity == NO_POLICY)
		not_allowing |= IDENTITY;
	return not_allowing & needed;
}

static bool is_session(const struct combination *c)
{
	return c->person->session != NULL;
}

/*
 * The rule of the guides, in the key's account. A user, a session and everyone are reached by name alone; a role is,
 * within what boundary and session policy allow its session; the account is, if IAM allows as well.
 */
static struct expected same_account(const struct combination *c)
{
	bool by_name = c->key == KEY_SESSION || c->key == KEY_EVERYONE || c->grant == GRANT_SESSION;
	bool by_role = false, by_account = c->key == KEY_ACCOUNT;
	unsigned lacks;

	if (c->key == KEY_NAMED || c->grant == GRANT_PRINCIPAL)
		*(is_session(c) ? &by_role : &by_name) = true;
	if (c->person->root && by_account)
		by_name = true;
	if (by_name)
		lacks = missing(c, CONTROL);
	else if (by_role)
		lacks = missing(c, CONTROL | BOUNDARY | PASSED);
	else if (by_account)
		lacks = missing(c, CONTROL | IDENTITY | BOUNDARY | PASSED);
	else
		lacks = RESOURCE | missing(c, CONTROL);
	/* A role that is held back by its limits may still get in as one of the account; the limits are the same. */
	if (lacks && by_role && by_account)
		lacks |= missing(c, IDENTITY);
	return (struct expected){.allowed = !lacks, .parts = lacks};
}

/* From another account both sides must allow, but for a grant that the caller's own account has issued. */
static struct expected other_account(const struct combination *c)
{
	bool key_side = (c->key != KEY_SILENT && c->key != KEY_DENY) || c->grant != GRANT_NONE;
	unsigned needed = c->person->root ? CONTROL : CONTROL | IDENTITY | BOUNDARY | PASSED;
	unsigned lacks;

	if (c->grant == GRANT_FOREIGN) /* the grantee is a user, or a role within its limits */
		needed = is_session(c) ? CONTROL | BOUNDARY | PASSED : CONTROL;
	lacks = missing(c, needed);
	if (!key_side)
		return (struct expected){.hidden = true, .parts = missing(c, CONTROL)};
	return (struct expected){.allowed = !lacks, .parts = lacks};
}

static struct expected expect(const struct combination *c)
{
	unsigned deny = parts_that(c, DENIES) | (c->key == KEY_DENY ? RESOURCE : 0);

	if (deny)
		return (struct expected){.denied = true,
					 .hidden = c->person->far && (deny & RESOURCE),
					 .parts = deny};
	return c->person->far ? other_account(c) : same_account(c);
}

static bool applies(const struct combination *c)
{
	if (c->person->root && (c->identity != NO_POLICY || c->boundary != NO_POLICY))
		return false; /* the root user has no policies */
	if (!is_session(c) && (c->session != NO_POLICY || c->key == KEY_SESSION))
		return false;
	if (c->identity == SILENT)
		return false; /* as if there were none */
	if (c->grant == GRANT_SESSION)
		return c->person->grantee_session != NULL;
	return c->grant != GRANT_FOREIGN || (c->person->far && !c->person->root);
}

static void describe(const struct combination *c, struct row *ret, char key[1024])
{
	static const char *const says[] = {NULL, I_ALLOW("kms:*"), I_ALLOW("s3:*"),
					   I_ALLOW("kms:*") "," I_DENY("kms:Decrypt")};
	const struct person *p = c->person;

	*ret = (struct row){.who = p->who,
			    .identity = says[c->identity],
			    .boundary = says[c->boundary],
			    .session = says[c->session],
			    .control = says[c->control],
			    .key = key};
	/* Silent: it speaks of another account's user, so that there is a statement at all. */
	(void)snprintf(key, 1024,
		       "{'Effect':'Allow','Principal':%s,'Action':'%s','Resource':'*'}%s",
		       c->key == KEY_ACCOUNT   ? p->account
		       : c->key == KEY_NAMED   ? p->named
		       : c->key == KEY_SESSION ? p->session
					       : "'*'",
		       c->key == KEY_SILENT ? "kms:GetKeyPolicy" : "kms:*",
		       c->key == KEY_DENY ? "," DENY("'*'", "kms:Decrypt") : "");
	if (c->grant != GRANT_NONE)
		ret->grant = (struct grant_text){
			.grantee = c->grant == GRANT_SESSION ? p->grantee_session : p->grantee,
			.operations = "Decrypt",
			.issuer = c->grant == GRANT_FOREIGN ? OTHER : NULL};
}

/* Whether the sentence is one of those that are true. */
static bool may_say(const struct combination *c, const struct expected *e, const char *arn,
		    const char *got)
{
	static const struct {
		unsigned part;
		const char *silent, *denies;
	} words[] = {
		{RESOURCE, NO_RESOURCE("Decrypt"), DENIED_BY("resource-based policy")},
		{IDENTITY, NO_IDENTITY("Decrypt"), DENIED_BY_IDENTITY},
		{BOUNDARY, NO_BOUNDARY("Decrypt"), DENIED_BY("permissions boundary")},
		{PASSED, NO_SESSION("Decrypt"), DENIED_BY("session policy")},
		{CONTROL, NO_CONTROL("Decrypt"), DENIED_BY("service control policy")},
	};
	char want[2048];

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(e->parts & words[i].part))
			continue;
		(void)snprintf(want, sizeof(want),
			       "User: %s is not authorized to perform: kms:Decrypt %s%s", arn,
			       c->person->far ? "on this resource " : ON_KEY,
			       e->denied ? words[i].denies : words[i].silent);
		if (strcmp(got, want) == 0)
			return true;
	}
	(void)snprintf(want, sizeof(want),
		       "User: %s is not authorized to perform: kms:Decrypt " HIDDEN, arn);
	return e->hidden && strcmp(got, want) == 0;
}

static void check_combination(const struct combination *c)
{
	struct expected e = expect(c);
	struct policy_decision decision;
	char key[1024], text[2048] = "";
	struct scene scene;
	struct row row;
	bool good;

	describe(c, &row, key);
	build(&scene, &row);
	decision = policy_decide(&scene.request, NULL);
	if (decision.result != POLICY_ALLOWED)
		policy_decision_text(&scene.request, &decision, text, sizeof(text));
	good = e.allowed ? decision.result == POLICY_ALLOWED
			 : decision.result != POLICY_ALLOWED &&
				   may_say(c, &e, scene.caller.arn, text);
	if (!good)
		fail_msg("caller %d, key %d, identity %d, boundary %d, session %d, control %d, "
			 "grant %d: %s, got '%s'",
			 c->person->who, c->key, c->identity, c->boundary, c->session, c->control,
			 c->grant, e.allowed ? "is allowed" : "is refused", text);
	tear_down(&scene);
}

static void the_whole_matrix_is_decided_as_the_guides_say(void **state)
{
	enum {
		COUNT = KEY_COUNT * SAYS_COUNT * SAYS_COUNT * SAYS_COUNT * SAYS_COUNT * GRANT_COUNT
	};
	unsigned checked = 0;

	(void)state;
	for (size_t p = 0; p < sizeof(people) / sizeof(people[0]); p++) {
		for (unsigned i = 0; i < COUNT; i++) {
			unsigned n = i;
			struct combination c = {.person = &people[p]};

			c.key = n % KEY_COUNT, n /= KEY_COUNT;
			c.identity = n % SAYS_COUNT, n /= SAYS_COUNT;
			c.boundary = n % SAYS_COUNT, n /= SAYS_COUNT;
			c.session = n % SAYS_COUNT, n /= SAYS_COUNT;
			c.control = n % SAYS_COUNT, n /= SAYS_COUNT;
			c.grant = n;
			if (!applies(&c))
				continue;
			check_combination(&c);
			checked++;
		}
	}
	print_message("# %u combinations\n", checked);
	assert_true(checked > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_matrix_is_decided_as_the_guides_say),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
