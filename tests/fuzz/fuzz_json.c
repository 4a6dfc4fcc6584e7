/* JSON: what the scan takes, json-c builds, and what is written of it reads back the same. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "kms_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kms_json *v = NULL, *again = NULL;
	struct err err = {0};
	size_t members = 0;
	int scanned = kms_json_scan((const char *)data, size, &members, &err);
	int parsed = kms_json_parse_any((const char *)data, size, &v, &err);
	char *text, *text2;

	if (scanned != parsed || (scanned < 0 && !err.msg[0]) || kms_json_members(v) > members)
		abort();
	if (parsed < 0)
		return 0;
	text = kms_json_text(v);
	if (!text || kms_json_parse_any(text, strlen(text), &again, &err) < 0)
		abort();
	text2 = kms_json_text(again);
	if (!text2 || strcmp(text, text2) != 0)
		abort();
	free(text);
	free(text2);
	kms_json_free(v);
	kms_json_free(again);
	return 0;
}
