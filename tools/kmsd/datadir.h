/* The data directory: made when it is not there, locked against a second server. */
#ifndef KMSD_DATADIR_H
#define KMSD_DATADIR_H

struct access_key;
struct err;

/*
 * Open @path (mode 0700 when it is made; its parent must exist) and lock it for as long as the
 * process lives. *@ret_fd is the open directory. -EBUSY: another server has it.
 */
int datadir_open(const char *path, int *ret_fd, struct err *err);

#define DATADIR_CREDENTIALS "credentials"

/* Write the access key to DATADIR_CREDENTIALS (0600) in the form of AWS's shared credentials file. */
int datadir_write_credentials(int dir_fd, const struct access_key *key, struct err *err);

#endif
