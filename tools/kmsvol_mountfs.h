/*
 * mount --fs: the volume's file at a private directory, a loop device on it, a file system on
 * that, mounted where the user wants it. Every step is undone when a later one fails or a signal
 * comes. Needs root.
 *
 * ID is the volume's id and a hash of its path: a copy of a volume has the same id.
 *
 *   step | makes | undone by
 *   1 | PLACE_RUN_DIR/ID, the private directory | rmdir
 *   2 | the daemon and its FUSE mount there | umount, and wait for its end
 *   3 | PLACE_RUN_DIR/ID.json, the record, so that `unmount DIR` finds all this | unlink
 *   4 | the loop device, which frees itself with its last user | closing it
 *   5 | the file system, when the volume is blank | (stays: it is the volume's content)
 *   6 | the mount at DIR | umount
 */
#ifndef TOOLS_KMSVOL_MOUNTFS_H
#define TOOLS_KMSVOL_MOUNTFS_H

struct mount_options;

/*
 * Do it; options->mountpoint is where the file system goes. In the foreground: ends when it is
 * unmounted, or unmounts on SIGINT or SIGTERM. Returns the exit code, having told what failed.
 */
int mountfs_run(const struct mount_options *options, const char *type);

#endif
