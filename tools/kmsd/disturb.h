/* What throttling and faults that were asked for do to a call on its way. */
#ifndef KMSD_DISTURB_H
#define KMSD_DISTURB_H

struct call;
struct err;
struct flow_reply;

/*
 * The caller is known: whether the call may go on. ThrottlingException, or what a fault says; the rest
 * is noted in the call for disturb_reply().
 */
int disturb_call(struct call *call, struct err *err);

/* The same for faults of a key, once it is known. */
int disturb_key(struct call *call, const char *key_id, struct err *err);

/* Tell @reply what was noted. */
void disturb_reply(const struct call *call, struct flow_reply *reply);

#endif
