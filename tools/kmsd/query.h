/*
 * The AWS Query protocol: a form in, XML out. Forms become the same JSON objects that AWS JSON
 * requests are, so that operations know one input only; replies are made of the same output objects.
 * Pure.
 */
#ifndef KMSD_QUERY_H
#define KMSD_QUERY_H

#include <stddef.h>

struct buf;
struct err;
struct kms_json;
struct member;
struct query;
struct service;

#define QUERY_PARAMS_MAX 1024
#define QUERY_NAME_MAX	 128 /* bytes of a parameter's name */
#define QUERY_LIST_MAX	 256 /* elements */

/* Decode a form. SerializationException: bad escapes, not UTF-8, or more than the limits above. */
int query_parse(const char *body, size_t len, struct query **ret_query, struct err *err);
void query_free(struct query *query); /* wipes */
void query_freep(struct query **query);

/* A parameter's value; NULL: absent. */
const char *query_get(const struct query *query, const char *name);

/*
 * The input that @members take from @query: "Name", lists "Name.member.1" of strings or, as
 * "Name.member.1.Key", of objects. Unknown parameters are ignored. The caller frees *@ret_input.
 */
int query_input(const struct query *query, const struct member *members,
		struct kms_json **ret_input, struct err *err);

/* Append the reply of @operation: @output's members as elements, arrays as <member> elements. */
int query_reply(const struct service *service, const char *operation, const struct kms_json *output,
		const char *request_id, struct buf *ret);

/* Append <ErrorResponse>. */
int query_error(const struct service *service, const struct err *failure, const char *request_id,
		struct buf *ret);

#endif
