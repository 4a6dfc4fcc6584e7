/* The file system of `mount --fs` frozen for a moment (fsfreeze), so that a snapshot finds it clean. */
#ifndef TOOLS_KMSVOL_FREEZE_H
#define TOOLS_KMSVOL_FREEZE_H

struct err;

struct freeze {
	const char *volume_dir;
	int fd;	   /* of the file system */
	int guard; /* when this end of a pipe closes, a process beside us thaws it, should we die */
};

/*
 * Freeze it. @p is a struct freeze. -EINVAL: the volume is not mounted with --fs. The file system thaws
 * when this process ends, however it does.
 */
int freeze_begin(void *p, struct err *err);

/* Thaw it. */
void freeze_end(void *p);

#endif
