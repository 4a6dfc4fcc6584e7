/* Forms in, XML out. See query.h. */
#include "query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "secret.h"
#include "service.h"
#include "validate.h"

struct query {
	char *text; /* decoded; names and values point into it */
	size_t text_len;
	struct {
		const char *name, *value;
	} params[QUERY_PARAMS_MAX];
	size_t count;
};

void query_free(struct query *query)
{
	if (!query)
		return;
	if (query->text)
		OPENSSL_cleanse(query->text, query->text_len);
	free(query->text);
	free(query);
}

void query_freep(struct query **query)
{
	query_free(*query);
	*query = NULL;
}

/* Decode in place "%41" and "+" of the NUL-terminated @text. NULs cannot be said. */
static int decode(char *text)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		uint8_t byte;

		if (*p == '+') {
			*out++ = ' ';
		} else if (*p == '%') {
			char hex[3] = {p[1], p[1] ? p[2] : '\0', '\0'};

			if (bytes_from_hex(hex, &byte, 1) < 0 || byte == 0)
				return -EINVAL;
			*out++ = (char)byte;
			p += 2;
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
	return 0;
}

static int take_param(struct query *q, char *pair)
{
	char *value = strchr(pair, '=');

	if (!*pair)
		return 0; /* "a=1&&b=2" */
	if (value)
		*value++ = '\0';
	else
		value = pair + strlen(pair);
	if (decode(pair) < 0 || (*value && decode(value) < 0) || !bytes_utf8(pair, strlen(pair)) ||
	    !bytes_utf8(value, strlen(value)) || strlen(pair) > QUERY_NAME_MAX ||
	    q->count == QUERY_PARAMS_MAX)
		return -EINVAL;
	q->params[q->count].name = pair;
	q->params[q->count++].value = value;
	return 0;
}

int query_parse(const char *body, size_t len, struct query **ret_query, struct err *err)
{
	AUTO(query_freep) struct query *q = calloc(1, sizeof(*q));
	char *next;

	if (!q || !(q->text = malloc(len + 1)))
		return err_set(err, ENOMEM, "form");
	memcpy(q->text, body, len);
	q->text[len] = '\0';
	q->text_len = len + 1;
	if (strlen(q->text) != len)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	for (char *p = q->text; p; p = next) {
		next = strchr(p, '&');
		if (next)
			*next++ = '\0';
		if (take_param(q, p) < 0)
			return fault_set(err, FAULT_SERIALIZATION, NULL);
	}
	*ret_query = q;
	q = NULL;
	return 0;
}

const char *query_get(const struct query *query, const char *name)
{
	for (size_t i = 0; i < query->count; i++)
		if (strcmp(query->params[i].name, name) == 0)
			return query->params[i].value;
	return NULL;
}

/* Element @n of a list: a string, or the members of an object. NULL with 0: there is none. */
static int element(const struct query *q, const char *list, unsigned n, struct kms_json **ret,
		   enum shape shape)
{
	char prefix[QUERY_NAME_MAX + 32];
	const char *scalar;
	size_t len;
	int r = 0;

	(void)snprintf(prefix, sizeof(prefix), "%s.member.%u", list, n); /* fits: our own names */
	scalar = query_get(q, prefix);
	if (scalar) {
		*ret = validate_from_text(shape, scalar);
		return *ret ? 0 : -ENOMEM;
	}
	len = strlen(prefix);
	prefix[len++] = '.';
	for (size_t i = 0; i < q->count && r == 0; i++) {
		const char *name = q->params[i].name;

		if (strncmp(name, prefix, len) != 0)
			continue;
		if (!*ret && !(*ret = kms_json_new_object()))
			return -ENOMEM;
		r = kms_json_set_str(*ret, name + len, q->params[i].value);
	}
	return r;
}

/* NULL with 0: the list is not there at all. */
static int take_list(const struct query *q, const struct member *m, struct kms_json **ret)
{
	const char *empty = query_get(q, m->name);
	struct kms_json *list = NULL;
	int r = 0;

	if (empty && !(list = kms_json_new_array()))
		return -ENOMEM;
	for (unsigned n = 1; n <= QUERY_LIST_MAX && r == 0; n++) {
		struct kms_json *e = NULL;

		r = element(q, m->name, n, &e, m->shape);
		if (r == 0 && !e)
			break;
		if (r == 0 && !list && !(list = kms_json_new_array()))
			r = -ENOMEM;
		if (r == 0)
			r = kms_json_add(list, e);
		else
			kms_json_free(e);
	}
	if (r < 0) {
		kms_json_free(list);
		return r;
	}
	*ret = list;
	return 0;
}

int query_input(const struct query *query, const struct member *members,
		struct kms_json **ret_input, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *input = kms_json_new_object();
	int r = input ? 0 : -ENOMEM;

	for (; members && members->name && r == 0; members++) {
		struct kms_json *v = NULL;

		if (validate_is_list(members->shape)) {
			r = take_list(query, members, &v);
		} else {
			const char *text = query_get(query, members->name);

			if (text && !(v = validate_from_text(members->shape, text)))
				r = -ENOMEM;
		}
		if (r == 0 && v)
			r = kms_json_set(input, members->name, v);
	}
	if (r < 0)
		return err_set(err, ENOMEM, "form");
	*ret_input = input;
	input = NULL;
	return 0;
}

/* --- XML --- */

/* Text as XML 1.0 has it; characters it cannot have become U+FFFD. */
static int put_text(struct buf *b, const char *text)
{
	int r = 0;

	for (const char *p = text; *p && r == 0;) {
		size_t n = 0;

		while (p[n] && !strchr("&<>\"'", p[n]) &&
		       ((unsigned char)p[n] >= 0x20 || p[n] == '\t' || p[n] == '\n'))
			n++;
		if (n > 0)
			r = buf_append(b, p, n);
		p += n;
		if (!*p || r < 0)
			break;
		r = buf_printf(b, "%s",
			       *p == '&'    ? "&amp;"
			       : *p == '<'  ? "&lt;"
			       : *p == '>'  ? "&gt;"
			       : *p == '"'  ? "&quot;"
			       : *p == '\'' ? "&#39;"
			       : *p == '\r' ? "&#xD;"
					    : "\xef\xbf\xbd");
		p++;
	}
	return r;
}

static int put_value(const char *name, struct kms_json *v, void *arg);

static int put_content(struct buf *b, struct kms_json *v)
{
	int r = 0;

	switch (kms_json_type(v)) {
	case KMS_JSON_STRING:
		return put_text(b, kms_json_string_value(v));
	case KMS_JSON_INT:
		return buf_printf(b, "%" PRId64, kms_json_int_value(v));
	case KMS_JSON_BOOL:
		return buf_printf(b, "%s", kms_json_bool_value(v) ? "true" : "false");
	case KMS_JSON_ARRAY:
		for (size_t i = 0; i < kms_json_count(v) && r == 0; i++)
			r = put_value("member", kms_json_at(v, i), b);
		return r;
	case KMS_JSON_OBJECT:
		return kms_json_each(v, put_value, b);
	default:
		return 0;
	}
}

static int put_value(const char *name, struct kms_json *v, void *arg)
{
	struct buf *b = arg;
	int r = buf_printf(b, "<%s>", name);

	r = r ? r : put_content(b, v);
	return r ? r : buf_printf(b, "</%s>", name);
}

int query_reply(const struct service *service, const char *operation, const struct kms_json *output,
		const char *request_id, struct buf *ret)
{
	int r = buf_printf(ret, "<%sResponse xmlns=\"%s\">", operation, service->xmlns);

	if (r == 0 && kms_json_count(output) > 0) {
		r = buf_printf(ret, "<%sResult>", operation);
		r = r ? r : kms_json_each(output, put_value, ret);
		r = r ? r : buf_printf(ret, "</%sResult>", operation);
	}
	return r ? r
		 : buf_printf(ret,
			      "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>"
			      "</%sResponse>\n",
			      request_id, operation);
}

int query_error(const struct service *service, const struct err *failure, const char *request_id,
		struct buf *ret)
{
	char message[ERR_MSG_MAX];
	unsigned status;
	const char *code = fault_query_code(failure, &status);
	int r = buf_printf(ret, "<ErrorResponse xmlns=\"%s\"><Error><Type>%s</Type><Code>%s</Code>",
			   service->xmlns, status < 500 ? "Sender" : "Receiver", code);

	fault_text(failure, message);
	r = r ? r : buf_printf(ret, "<Message>");
	r = r ? r : put_text(ret, message);
	return r ? r
		 : buf_printf(ret, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>\n",
			      request_id);
}
