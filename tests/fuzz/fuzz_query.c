/*
 * The Query protocol: the first byte chooses an operation, the rest is its form; what is made of it goes back
 * as XML, as a reply and in an error's text.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "call.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "operations.h"
#include "query.h"
#include "service.h"
#include "validate.h"

static const char *const names[] = {"CreateUser", "PutRolePolicy", "TagRole",
				    "ListUsers",  "CreateRole",	   "UntagUser"};

static void write_xml(const char *name, const struct kms_json *input)
{
	static const struct sigv4_header form = {"Content-Type",
						 "application/x-www-form-urlencoded"};
	const struct sigv4_request request = {.headers = &form, .header_count = 1};
	struct buf xml = {.max = 16 << 20};
	char *text = kms_json_text(input);
	struct err err = {0};

	(void)query_reply(service_of(&request), name, input, "id", &xml); /* or no memory */
	if (xml.len && (!bytes_utf8((char *)xml.bytes, xml.len) || memchr(xml.bytes, 0, xml.len)))
		abort();
	(void)fault_set(&err, FAULT_VALIDATION, "%s", text ? text : ""); /* it is the fault */
	xml.len = 0;
	(void)query_error(service_of(&request), &err, "id", &xml); /* or no memory */
	if (xml.len && !bytes_utf8((char *)xml.bytes, xml.len))
		abort();
	free(text);
	buf_free(&xml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct operation *op;
	struct kms_json *input = NULL;
	struct query *query = NULL;
	struct err err = {0};

	if (size < 1)
		return 0;
	op = operations_find_iam(names[data[0] % (sizeof(names) / sizeof(names[0]))]);
	if (query_parse((const char *)data + 1, size - 1, &query, &err) < 0) {
		if (!err.code[0])
			abort();
		return 0;
	}
	if (query_input(query, op->members, &input, &err) == 0) {
		if (validate_input(input, op->members, &err) < 0 && !err.code[0])
			abort();
		write_xml(op->name, input);
	}
	kms_json_free(input);
	query_free(query);
	return 0;
}
