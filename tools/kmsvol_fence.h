/*
 * A fence around a mounted file system: who opens a file or directory of it waits, until the fence goes or
 * the waiting process is killed. Made of fanotify(7) permission events that nobody answers; when the process
 * that holds the fence dies, the kernel lets all go on. Not held: what is open already, and attributes. Needs
 * root.
 */
#ifndef TOOLS_KMSVOL_FENCE_H
#define TOOLS_KMSVOL_FENCE_H

#include <sys/types.h>

struct err;
struct fence;

/* Around the file system that @dir is of, whatever mount it is reached by. -ENOSYS, -EINVAL: not in this kernel. */
int fence_new(int dir, struct fence **ret_fence, struct err *err);

/* Readable when somebody comes to the fence. */
int fence_fd(const struct fence *fence);

/* Let those that are at the fence and are @pid pass; the others wait. */
void fence_pass(struct fence *fence, pid_t pid);

/* All go on. NULL is allowed. */
void fence_free(struct fence *fence);

#endif
