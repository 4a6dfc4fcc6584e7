/* Names: key ids, aliases and ARNs as KeyId has them; principals' ARNs, as texts and against each other. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "grant.h"
#include "keyref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct keyref_place place = {"111122223333", "us-east-1"};
	char *text = malloc(size + 1), arn[KEYREF_ARN_MAX];
	struct keyref ref, again;
	uint8_t uuid[16];
	struct err err = {0};

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (int i = 0; i < 4; i++) {
		err_clear(&err);
		if (keyref_parse(text, &place, i & 1, i & 2, &ref, &err) < 0) {
			if (!err.code[0])
				abort();
			continue;
		}
		if (ref.alias)
			keyref_alias_arn(&place, ref.name, arn);
		else
			keyref_key_arn(&place, ref.name, arn);
		/* what was understood is said so that it is understood again */
		if (strcmp(ref.account, place.account) == 0 &&
		    (keyref_parse(arn, &place, true, true, &again, &err) < 0 ||
		     strcmp(again.name, ref.name) != 0 || again.alias != ref.alias))
			abort();
	}
	(void)ids_uuid_parse(text, uuid); /* whatever it says */
	(void)ids_account_valid(text);	  /* the same */
	(void)ids_region_valid(text);	  /* the same */
	free(text);
	return 0;
}
