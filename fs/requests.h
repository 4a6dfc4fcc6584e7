/* What a mounted volume is asked through its control socket, and what it answers. */
#ifndef FS_REQUESTS_H
#define FS_REQUESTS_H

struct kms_json;

/* The reply to a request; for control_start(). @mounted: a struct mounted of mount_internal.h. */
struct kms_json *requests_handle(const struct kms_json *request, void *mounted);

/* What the file `status` shows; malloc()ed. NULL: out of memory. From any thread. */
char *requests_status_text(void *mounted);

#endif
