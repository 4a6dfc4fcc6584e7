/*
 * A file of lines that grows at its end and is turned over by size: STEM.jsonl is written, and when it
 * is full it becomes STEM.N.jsonl, N one more than the last, and the oldest goes. One write(2) is one
 * line, whoever else writes.
 */
#ifndef KMSD_LINEFILE_H
#define KMSD_LINEFILE_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct linefile;

struct linefile_config {
	const char *stem;
	int64_t max_bytes; /* a file that has them is full */
	uint32_t keep;	   /* full files that stay; at least 1 */
};

#define LINEFILE_NAME_MAX 96

/* A last line that a crash has torn is ended first. */
int linefile_open(int dir_fd, const struct linefile_config *config, struct linefile **ret_file,
		  struct err *err);
void linefile_close(struct linefile *file);

/* @text ends with its only line feed. Any thread. -ENOSPC: the line was cut short. */
int linefile_append(struct linefile *file, const char *text, size_t len, struct err *err);

/* What was appended before is on the disk afterwards. Any thread; others go on appending. */
int linefile_sync(struct linefile *file, struct err *err);

/*
 * Reading, by whoever has the directory. The numbers of the full files are *@ret_first to *@ret_last,
 * with holes where one was taken away (0 and 0: there is none); the file that is written has the next.
 */
int linefile_numbers(int dir_fd, const char *stem, uint32_t *ret_first, uint32_t *ret_last,
		     struct err *err);

/*
 * Open file @number of @stem to read, whether it is full by now or not. -ENOENT: it is neither; -1 < 0
 * as open(2) says. The caller closes it.
 */
int linefile_open_number(int dir_fd, const char *stem, uint32_t number);

/* "STEM.N.jsonl"; number 0: "STEM.jsonl". */
void linefile_name(const char *stem, uint32_t number, char ret[LINEFILE_NAME_MAX]);

#endif
