/* Programs that the bench runs: in groups of their own, ended when it ends however it ends. */
#ifndef TOOLS_KMSVOL_BENCH_CHILD_H
#define TOOLS_KMSVOL_BENCH_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Full path of a program of PATH (and of the sbin directories) into @ret, PATH_MAX bytes; false: not there. */
bool child_find(const char *program, char *ret);

/*
 * Start @argv, NULL-terminated; what it prints goes to the files DIR/NAME.out and DIR/NAME.err. It gets a TERM when
 * the caller dies. -ENOENT, ...
 */
int child_start(const char *dir, const char *name, const char *const argv[], pid_t *ret_pid,
		struct err *err);

/* Has it ended? *@ret_status as of waitpid(2). */
bool child_ended(pid_t pid, int *ret_status);

/*
 * Start it, wait until it ends, at most @timeout_ms, or until *@stop. 0: with exit code 0. Else it is killed where it
 * still runs, and the sentence has the last line of what it said. -EINTR, -ETIMEDOUT, -EIO.
 */
int child_run(const char *dir, const char *name, const char *const argv[], uint64_t timeout_ms,
	      const atomic_bool *stop, struct err *err);

/* TERM, and KILL when it is not gone after 10 s. For none (0) nothing. */
void child_end(pid_t pid);

/* The last line that NAME said on stderr, "" for nothing, at most @room bytes. */
void child_last_line(const char *dir, const char *name, char *ret, size_t room);

/* Seconds of processor that @pid, all its threads, has used. Negative: not known. */
double child_cpu_s(pid_t pid);

#endif
