/* The data directory: made when it is not there, locked against a second server. */
#ifndef KMSD_DATADIR_H
#define KMSD_DATADIR_H

struct access_key;
struct buf;
struct err;

/*
 * Open @path (mode 0700 when it is made; its parent must exist) and lock it for as long as the
 * process lives. *@ret_fd is the open directory. -EBUSY: another server has it. -ENOTEMPTY: it holds
 * something, but no database of ours.
 */
int datadir_open(const char *path, int *ret_fd, struct err *err);

#define DATADIR_CREDENTIALS "credentials"

/* Append an access key as a profile of AWS's shared credentials file; 0 or the error of buf_append(). */
int datadir_add_credentials(struct buf *text, const char *profile, const struct access_key *key);

/* Replace the file @name (0600) by @text. */
int datadir_write(int dir_fd, const char *name, const struct buf *text, struct err *err);

#endif
