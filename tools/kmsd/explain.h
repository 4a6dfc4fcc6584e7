/* `kmsd explain`: the chain of decisions of one request, out of the data directory. See kmsd(1). */
#ifndef KMSD_EXPLAIN_H
#define KMSD_EXPLAIN_H

struct err;
struct kms_json;

/*
 * What was decided on the event @id (decisions.h), from the data directory @dir_fd, whether a server
 * runs or not. -ENOENT: nothing is known of it. -ENODATA: the audit trail has it and no decision is
 * kept; the sentence says why. The caller frees *@ret_record.
 */
int explain_find(int dir_fd, const char *id, struct kms_json **ret_record, struct err *err);

/* The record as text of at most 80 columns. The caller frees. NULL: out of memory. */
char *explain_text(const struct kms_json *record);

/* The command, argv[0] being "explain". Returns the exit status. */
int explain_main(int argc, char **argv);

#endif
