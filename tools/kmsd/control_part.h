/* What the files of control share: its parts, one for each member of a request. Not for others. */
#ifndef KMSD_CONTROL_PART_H
#define KMSD_CONTROL_PART_H

#include <pthread.h>

struct err;
struct kms_json;
struct kmsd;

struct control {
	struct kmsd *kmsd;
	int (*tick)(void *arg, struct err *err);
	void *arg;
	pthread_mutex_t lock; /* held over a request, so that each is done as a whole */
};

#define CONTROL_WORD_MAX 256

/*
 * A member as text: a string, or a number as it is written. *@ret is NULL when it is absent; the text
 * may lie in @room. -EINVAL: it is something else, or too long.
 */
int control_text(const struct kms_json *obj, const char *name, char room[CONTROL_WORD_MAX],
		 const char **ret, struct err *err);

/* -EINVAL, naming it, when @obj is no object or has a member that is not in @names (ends with NULL). */
int control_check_members(const struct kms_json *obj, const char *what, const char *const *names,
			  struct err *err);

/* Each: do what its member of the request says; its member of the status (NULL: out of memory). */
int control_clock(struct control *control, const struct kms_json *v, struct err *err);
struct kms_json *control_clock_status(struct control *control);
int control_propagation(struct control *control, const struct kms_json *v, struct err *err);
struct kms_json *control_propagation_status(struct control *control);
int control_throttle(struct control *control, const struct kms_json *v, struct err *err);
struct kms_json *control_throttle_status(struct control *control);
int control_fault(struct control *control, const struct kms_json *v, struct err *err);
struct kms_json *control_fault_status(struct control *control);

#endif
