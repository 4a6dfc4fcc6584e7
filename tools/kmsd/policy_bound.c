/* The unique ids of a policy's principals. See policy_bound.h. */
#include "policy_bound.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"

static bool is_bound(const struct policy_principal *p)
{
	return p->id[0] && (p->form == POLICY_PRINCIPAL_USER || p->form == POLICY_PRINCIPAL_ROLE ||
			    p->form == POLICY_PRINCIPAL_SESSION);
}

int policy_bound_text(const struct policy *policy, char **ret_text, struct err *err)
{
	struct buf text = {.max = 1 << 20};
	const struct policy_principal *p;
	int r = buf_append(&text, "", 0);

	for (size_t i = 0; r == 0 && (p = policy_principal_at(policy, i)); i++)
		if (is_bound(p))
			r = buf_printf(&text, "%s %s\n", p->text, p->id);
	r = r ? r : buf_append(&text, "", 1);
	*ret_text = r == 0 ? strdup((char *)text.bytes) : NULL;
	buf_free(&text);
	return *ret_text ? 0 : err_set(err, ENOMEM, "principals of a policy");
}

static int resolve(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err)
{
	const char *line = arg;
	size_t n = strlen(arn);

	(void)err;
	ret_id[0] = '\0';
	while (*line) {
		size_t len = strcspn(line, "\n");

		if (len > n && memcmp(line, arn, n) == 0 && line[n] == ' ') {
			(void)snprintf(ret_id, POLICY_ID_MAX, "%.*s", (int)(len - n - 1),
				       line + n + 1); /* fits: it was an id */
			break;
		}
		line += len + (line[len] == '\n');
	}
	return 0;
}

struct policy_resolver policy_bound_resolver(const char *text)
{
	return (struct policy_resolver){resolve, (void *)(uintptr_t)text}; /* only read */
}
