/*
 * Signatures: lines "Name: value" are a request's headers, and what stands behind an empty line is its
 * body. None is signed by someone we know, so all must be refused, and not as trouble of ours.
 */
#include "fuzz.h"

#include "rig.h"

#define LINES_MAX 64

static size_t take_headers(char *text, struct sigv4_header *ret, char **ret_body)
{
	size_t count = 0;
	char *line = text;

	while (*line && *line != '\n' && count < LINES_MAX) {
		char *end = strchr(line, '\n'), *colon = strchr(line, ':');

		if (end)
			*end = '\0';
		if (colon && (!end || colon < end)) {
			*colon = '\0';
			ret[count++] = (struct sigv4_header){line, colon + 1 + (colon[1] == ' ')};
		}
		line = end ? end + 1 : line + strlen(line);
	}
	*ret_body = line + (*line == '\n');
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig *f = fuzz_rig_get();
	struct sigv4_header headers[LINES_MAX];
	char *text = calloc(1, size + 1), *body;
	struct flow_request request = {
		.http = {.method = "POST", .path = "/", .query = "", .headers = headers},
		.address = "127.0.0.1"};
	struct flow_reply reply;

	memcpy(text, data, size);
	request.http.header_count = take_headers(text, headers, &body);
	request.http.body = body;
	request.http.body_len = strlen(body);
	flow_handle(&f->kmsd, &request, f->now_ms, &reply);
	if (reply.status < 400 || reply.status > 413 || !reply.body)
		abort();
	flow_reply_free(&reply);
	free(text);
	return 0;
}
