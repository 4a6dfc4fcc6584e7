/* What stands before the body of a reply: HTTP/1.1 (RFC 9112) and AWS's request id. */
#ifndef KMSD_HTTP_REPLY_H
#define KMSD_HTTP_REPLY_H

struct buf;
struct flow_reply;

/* Append the head of @reply, its empty line included. @connection is a line of its own about the connection, or "". */
int http_reply_head(const struct flow_reply *reply, const char *connection, struct buf *out);

#endif
