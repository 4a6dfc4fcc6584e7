/* `kmsd control`: arguments into a request, the answer into text. See control_command.h. */
#include "control_command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_client.h"
#include "control_show.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"

#define SEE    "see 'kmsd control --help'"
#define DIRVAR "KMSD_DATA_DIR"

struct option_row {
	const char *name, *arg, *help;
};

/* A command: the option's names are the members of the request, as its argument is one. */
struct command {
	const char *group, *verb; /* verb NULL: the group is the command */
	const char *arg;	  /* of one argument; NULL: none */
	const char *help;
	const char *part, *member, *inner; /* of the request; part NULL: only show */
	const struct option_row *options;
	const char *shows; /* part of the state to print; NULL: all */
};

static const struct option_row no_options[] = {{0}};

static const struct option_row throttle_options[] = {
	{"factor", "F", "with AWS's quotas multiplied by F, as 0.01"}, {0}};

static const struct option_row fault_options[] = {
	{"kind", "KIND", "throttle, latency, error, drop (no answer), truncate (half of one)"},
	{"operation", "NAME", "of that operation only, as Decrypt"},
	{"key", "KEY", "of that key only: id, ARN or alias name"},
	{"percent", "N", "of so many of 100 requests (100)"},
	{"count", "N", "of N requests, then no more"},
	{"for", "DURATION", "for so long, then no more"},
	{"exception", "NAME", "of kind error (KMSInternalException)"},
	{"message", "TEXT", "of kind error: its text (none)"},
	{"delay", "DURATION", "of kind latency: how much later"},
	{0}};

static const struct command commands[] = {
	{"status", NULL, NULL, "show all of it", NULL, NULL, NULL, no_options, NULL},
	{"clock", "set", "TIME", "+7d, -2h30m, 2026-12-01T00:00:00Z, or reset", "clock", "set",
	 NULL, no_options, "clock"},
	{"clock", "speed", "N", "go N times as fast as real time; 0 stands still", "clock", "speed",
	 NULL, no_options, "clock"},
	{"propagation", NULL, "DURATION",
	 "let states, policies, grants count so much later; 0: at once", "propagation", "delay",
	 NULL, no_options, "propagation"},
	{"throttle", NULL, "quotas|off", "refuse what is above AWS's request quotas", "throttle",
	 "mode", NULL, throttle_options, "throttle"},
	{"fault", "add", NULL, "let requests fail:", "fault", NULL, "add", fault_options, "fault"},
	{"fault", "list", NULL, "show the faults in force", NULL, NULL, NULL, no_options, "fault"},
	{"fault", "clear", "[ID]", "take away that fault, or all", "fault", "clear", NULL,
	 no_options, "fault"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

/* What the command line says. */
struct line {
	const struct command *command;
	const char *dir;
	bool json;
	struct kms_json *request; /* owned; NULL: only show */
};

static int wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "kmsd: control: "); /* the last resort, as below */
	(void)vfprintf(stderr, fmt, ap);
	(void)fprintf(stderr, "\n");
	va_end(ap);
	return 2;
}

static void usage(void)
{
	printf("Usage: kmsd control [--data-dir DIR] [--json] COMMAND\n"
	       "Change what a running kmsd takes the time to be, and how it fails.\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = &commands[i];
		char words[64];

		(void)snprintf(words, sizeof(words), "%s%s%s%s%s", c->group, c->verb ? " " : "",
			       c->verb ? c->verb : "", c->arg ? " " : "",
			       c->arg ? c->arg : ""); /* fits */
		printf("  %-28s %s\n", words, c->help);
		for (const struct option_row *o = c->options; o->name; o++)
			printf("      --%-10s %-12s %s\n", o->name, o->arg, o->help);
	}
	printf("\n  --data-dir DIR               that of the server; " DIRVAR " when not given\n"
	       "  --json                       print the whole state as JSON\n"
	       "\nDurations are written as 250ms, 5s, 10m, 2h, 7d. Exit: 0 done, 1 failed, 2 wrong "
	       "usage.\nSee kmsd(1).\n");
}

/* How many words of @argv name the command; 0: none does. */
static int find_command(int argc, char **argv, const struct command **ret)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = &commands[i];

		if (argc < 1 || strcmp(argv[0], c->group) != 0)
			continue;
		if (c->verb && (argc < 2 || strcmp(argv[1], c->verb) != 0))
			continue;
		*ret = c;
		return c->verb ? 2 : 1;
	}
	return 0;
}

static bool group_exists(const char *word)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(word, commands[i].group) == 0)
			return true;
	return false;
}

static bool has_option(const struct command *c, const char *name)
{
	for (const struct option_row *o = c->options; o->name; o++)
		if (strcmp(o->name, name) == 0)
			return true;
	return false;
}

/* Take the options that all commands have out of @argv, wherever they are. -1: go on. */
static int take_common(int *argc, char **argv, struct line *line)
{
	int kept = 0;

	for (int i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage();
			return 0;
		} else if (strcmp(argv[i], "--json") == 0) {
			line->json = true;
		} else if (strncmp(argv[i], "--data-dir=", 11) == 0) {
			line->dir = argv[i] + 11;
		} else if (strcmp(argv[i], "--data-dir") == 0) {
			if (++i == *argc)
				return wrong("--data-dir: its argument is missing; " SEE);
			line->dir = argv[i];
		} else {
			argv[kept++] = argv[i];
		}
	}
	*argc = kept;
	return -1;
}

/* One option and its value into the request's @members. Returns how many words it took, or -2. */
static int take_option(const struct line *line, int left, char **argv, struct kms_json *members)
{
	const char *equals = strchr(argv[0], '='), *value = equals ? equals + 1 : NULL;
	char name[32];

	(void)snprintf(name, sizeof(name), "%.*s",
		       equals ? (int)(equals - argv[0] - 2) : (int)strlen(argv[0] + 2),
		       argv[0] + 2); /* cut: then it is no option */
	if (!has_option(line->command, name)) {
		(void)wrong("unknown option '%s'; " SEE, argv[0]); /* said */
		return -2;
	}
	if (!value && left < 2) {
		(void)wrong("--%s: its argument is missing; " SEE, name); /* said */
		return -2;
	}
	if (kms_json_has(members, name)) {
		(void)wrong("--%s is given twice", name); /* said */
		return -2;
	}
	if (kms_json_set_str(members, name, value ? value : argv[1]) < 0)
		return -2;
	return value ? 1 : 2;
}

/* Put @members, the leaf of the request, under its names. */
static int wrap(struct line *line, struct kms_json *members)
{
	const struct command *c = line->command;

	if (c->inner) {
		struct kms_json *outer = kms_json_new_object();

		if (!outer || kms_json_set(outer, c->inner, members) < 0) {
			kms_json_free(outer);
			return 1;
		}
		members = outer;
	}
	line->request = kms_json_new_object();
	if (!line->request) {
		kms_json_free(members);
		return 1;
	}
	return kms_json_set(line->request, c->part, members) < 0 ? 1 : -1;
}

static int take_rest(struct line *line, int argc, char **argv)
{
	const struct command *c = line->command;
	struct kms_json *members = kms_json_new_object();
	bool have = false;
	int n = 1, status = members ? -1 : 1;

	for (int i = 0; i < argc && status < 0; i += n) {
		n = 1;
		if (strncmp(argv[i], "--", 2) == 0) {
			n = take_option(line, argc - i, argv + i, members);
			status = n < 0 ? 2 : -1;
		} else if (have || !c->arg) {
			status = wrong("one argument too many: '%s'; " SEE, argv[i]);
		} else {
			have = true;
			status = kms_json_set_str(members, c->member, argv[i]) < 0 ? 1 : -1;
		}
	}
	if (status < 0 && c->arg && !have && c->arg[0] != '[')
		status = wrong("%s%s%s: its argument %s is missing; " SEE, c->group,
			       c->verb ? " " : "", c->verb ? c->verb : "", c->arg);
	if (status < 0 && !have && c->arg && c->arg[0] == '[')
		status = kms_json_set_str(members, c->member, "all") < 0 ? 1 : -1;
	if (status < 0 && c->part)
		return wrap(line, members);
	kms_json_free(members);
	return status;
}

static int read_line(int argc, char **argv, struct line *line)
{
	int status = take_common(&argc, argv, line), n;

	if (status >= 0)
		return status;
	if (argc == 0)
		return wrong("no command; " SEE);
	n = find_command(argc, argv, &line->command);
	if (n == 0 && group_exists(argv[0]))
		return wrong("%s: %s%s%s; " SEE, argv[0],
			     argc < 2 ? "its second word is missing" : "unknown command '",
			     argc < 2 ? "" : argv[1], argc < 2 ? "" : "'");
	if (n == 0)
		return wrong("unknown command '%s'; " SEE, argv[0]);
	status = take_rest(line, argc - n, argv + n);
	if (status >= 0)
		return status;
	if (!line->dir)
		line->dir = getenv(DIRVAR);
	if (!line->dir || !line->dir[0])
		return wrong("which server? Name its data directory with --data-dir or " DIRVAR);
	return -1;
}

static int ask(const struct line *line)
{
	AUTO(kms_json_freep) struct kms_json *status = NULL;
	struct err err = {0};
	int r = control_client_ask(line->dir, line->request, &status, &err);
	char *text;

	if (r < 0) {
		(void)wrong("%s", err.msg); /* said */
		return r == -EINVAL ? 2 : 1;
	}
	if (!line->json) {
		control_show(status, line->command->shows);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	text = kms_json_text_pretty(status);
	if (!text)
		return 1;
	printf("%s\n", text);
	free(text);
	return fflush(stdout) == 0 ? 0 : 1;
}

int control_command(int argc, char **argv)
{
	struct line line = {0};
	int status = read_line(argc - 1, argv + 1, &line);

	if (status < 0)
		status = ask(&line);
	kms_json_free(line.request);
	return status;
}
