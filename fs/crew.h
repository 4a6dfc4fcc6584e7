/*
 * A crew: threads that help with one large I/O, so that it uses more than one core. The caller works too,
 * and does all of it when nobody is free; so a crew can only make things faster, never wait.
 */
#ifndef FS_CREW_H
#define FS_CREW_H

struct crew;
struct err;

/* One part, 0 to parts - 1, of a job; 0 or a negative errno. Parts run in any order, at once. */
typedef int crew_fn(void *arg, unsigned part);

/*
 * As many threads as there are further processors, at most CREW_MAX; none on a machine with one. The
 * caller owns *@ret_crew. -ENOMEM, -EAGAIN.
 */
#define CREW_MAX 3
int crew_new(struct crew **ret_crew, struct err *err);

/* Ends the threads. No job may be under way. NULL is allowed. */
void crew_free(struct crew *crew);

/*
 * Do all parts; returns when none is running any more: 0, or the error of one that failed. Any thread,
 * any number at once. Called within a part of a job, of any crew, it does all itself: that job keeps the
 * processors busy already, and hands nothing from one's cache to another's.
 */
int crew_run(struct crew *crew, unsigned parts, crew_fn *fn, void *arg);

#endif
