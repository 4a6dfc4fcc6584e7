/*
 * kmsvol: the command line. This file knows the table of commands; each command is a file of its
 * own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "kmsvol_cmd.h"

struct row {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* NULL: not shown */
};

static const struct row rows[] = {
	{"create", cmd_create, "make a new encrypted volume"},
	{"mount", cmd_mount, "show a volume as a file, or as a mounted file system"},
	{"start", cmd_start, "bring a volume back whose key is usable again"},
	{"diff", cmd_diff, "list what differs between two snapshots"},
	{"restore", cmd_restore, "make a volume of a snapshot"},
	{"snapshot", cmd_snapshot, "make, list and delete snapshots"},
	{"events", cmd_events, "list what happened to a volume"},
	{"pause-io", cmd_pause_io, "let a mounted volume's I/O wait, as AWS FIS does"},
	{"inject", cmd_inject, "make a mounted volume's I/O slow or wrong"},
	{"status", cmd_status, "say how a volume is doing"},
	{"unmount", cmd_unmount, "undo a mount"},
	{"umount", cmd_unmount, NULL},
	{"resize", cmd_resize, "make a volume larger"},
	{"rotate", cmd_rotate, "wrap a volume's data key anew, or give it a new one"},
	{"check", cmd_check, "verify a volume, and save what is intact"},
	{"scenario", cmd_scenario, "run an outage of a key from a script, with a report"},
	{"bench", cmd_bench, "measure what encryption costs on this machine"},
	{"export", cmd_export, "write a volume's content to a raw image"},
	{"import", cmd_import, "write a raw image over a volume's content"},
	{"keeper", cmd_keeper, NULL}, /* for mount --fs itself */
};

static int usage(void)
{
	printf("usage: %s COMMAND [ARGUMENT]...\n\n"
	       "Encrypted volumes whose key is in AWS KMS, or in kmsd on this machine.\n\n"
	       "commands:\n",
	       CMD_PROGRAM);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].help)
			printf("  %-10s  %s\n", rows[i].name, rows[i].help);
	printf("\noptions:\n"
	       "  --help      show this; after a command: how to use that\n"
	       "  --version   show the version\n\n"
	       "exit codes: 0 done, 1 failed, 2 wrong usage, 3 KMS refused, 4 data damaged\n");
	return CMD_DONE;
}

static int run(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	struct err err;

	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
		return usage();
	if (strcmp(word, "--version") == 0) {
		printf("%s %s\n", CMD_PROGRAM, KMSVOL_VERSION);
		return CMD_DONE;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(word, rows[i].name) == 0)
			return rows[i].run(argc - 1, argv + 1);
	if (!*word)
		(void)err_set(&err, EINVAL, "no command; see '%s --help'", CMD_PROGRAM);
	else
		(void)err_set(&err, EINVAL, "unknown %s '%s'; see '%s --help'",
			      *word == '-' ? "option" : "command", word, CMD_PROGRAM);
	return cmd_wrong(&err);
}

/* Nothing we open may become a standard stream: the daemon would later close the volume's lock with it. */
static int fill_standard_fds(struct err *err)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return err_set(err, errno, "'/dev/null': %s", strerror(errno));
	(void)close(fd); /* nothing was written */
	return 0;
}

int main(int argc, char **argv)
{
	struct err err;
	int code = fill_standard_fds(&err) < 0 ? cmd_fail(&err) : run(argc, argv);

	if (fflush(stdout) != 0 && code == CMD_DONE) {
		(void)err_set(&err, errno, "standard output: %s", strerror(errno));
		return cmd_fail(&err);
	}
	return code;
}
