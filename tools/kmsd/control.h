/*
 * What a test may do to a running server: move its clock, disturb its requests. A request is a JSON
 * object, the answer the state of all of it; kmsd(1), CONTROL, has the members. Knows no sockets.
 */
#ifndef KMSD_CONTROL_H
#define KMSD_CONTROL_H

#include <stddef.h>

struct control;
struct err;
struct kms_json;
struct kmsd;

/* @tick is called after the clock was set, for what became due by that. @kmsd and @arg are borrowed. */
int control_new(struct kmsd *kmsd, int (*tick)(void *arg, struct err *err), void *arg,
		struct control **ret_control, struct err *err);
void control_free(struct control *control);

/*
 * Do what @request says, in the order of the manual's list. -EINVAL: it is wrong, and nothing of the
 * part that is wrong, or of the parts behind it, was done. -ENOENT: what it names is not there. Any
 * thread.
 */
int control_apply(struct control *control, const struct kms_json *request, struct err *err);

/* The state, as GET shows it; NULL: out of memory. The caller frees. */
struct kms_json *control_status(struct control *control);

/*
 * An option of the server's command line, as a request: *@ret_request is the caller's.
 * -ENOENT: there is no such option; -EINVAL: its value has another form.
 */
int control_option(const char *name, const char *value, struct kms_json **ret_request,
		   struct err *err);

/* The options by number: name, argument, help; false: no more. */
struct control_option {
	const char *name, *arg, *help;
};
const struct control_option *control_options(size_t *ret_count);

#endif
