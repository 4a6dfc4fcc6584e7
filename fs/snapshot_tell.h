/* A snapshot that was made, copied, or could not be, as a line in the diary of what it is of. */
#ifndef FS_SNAPSHOT_TELL_H
#define FS_SNAPSHOT_TELL_H

struct snapshot_info;

/*
 * Into events.jsonl in @dir, the volume's; a copy's: its source's. @cause: why it failed, NULL when it
 * succeeded. What cannot be told is logged.
 */
void snapshot_tell(const char *dir, const struct snapshot_info *info, const char *cause);

#endif
