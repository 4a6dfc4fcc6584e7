/* The other end of control_http.h: find the server of a data directory, and ask it. */
#ifndef KMSD_CONTROL_CLIENT_H
#define KMSD_CONTROL_CLIENT_H

struct err;
struct kms_json;

/*
 * Send @request (NULL: only ask for the state) to the server of the data directory @dir. The caller
 * frees *@ret_status. -EINVAL: the server says that the request is wrong; other errors: it is not
 * there, or cannot.
 */
int control_client_ask(const char *dir, const struct kms_json *request,
		       struct kms_json **ret_status, struct err *err);

#endif
