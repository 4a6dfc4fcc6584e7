/* Options, usage, exit codes and output of the commands. See kmsvol_cmd.h. */
#include "kmsvol_cmd.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blockcrypt.h"
#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "mount.h"
#include "place.h"
#include "secret.h"
#include "units.h"

#define OPTIONS_MAX  40
#define ASK_TRIES    100
#define ASK_PAUSE_MS 20
#define HELP_VALUE   1000 /* what getopt_long() returns for --help, past every option's index */

int cmd_fail(const struct err *err)
{
	fprintf(stderr, "%s: %s\n", CMD_PROGRAM, err->msg);
	switch (err->num) {
	case EKEYREJECTED:
	case ENOKEY:
		return CMD_KMS_REFUSED;
	case EBADMSG:
	case EUCLEAN:
		return CMD_DAMAGED;
	default:
		return CMD_FAILED;
	}
}

int cmd_wrong(const struct err *err)
{
	fprintf(stderr, "%s: %s\n", CMD_PROGRAM, err->msg);
	return CMD_WRONG_USAGE;
}

int cmd_choose_provider(int want, struct err *err)
{
	int r = blockcrypt_choose((enum blockcrypt_want)want, err);

	if (r == 0 && blockcrypt_notice()[0])
		fprintf(stderr, "%s: %s\n", CMD_PROGRAM, blockcrypt_notice());
	return r;
}

static void print_choices(const struct cmd_option *o)
{
	for (size_t i = 0; o->choices[i]; i++)
		printf("%s%s", i ? ", " : " (", o->choices[i]);
	printf(")");
}

static void print_usage(const struct cmd *cmd)
{
	printf("usage: %s %s %s%s\n\n%s\n", CMD_PROGRAM, cmd->name, cmd->operands,
	       cmd->option_count ? " [OPTION]..." : "", cmd->help);
	printf("\noptions:\n");
	for (size_t i = 0; i < cmd->option_count; i++) {
		const struct cmd_option *o = &cmd->options[i];
		char left[64];

		(void)snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "",
			       o->arg ? o->arg : "");
		printf("  %-33s %s", left, o->help);
		if (o->choices)
			print_choices(o);
		printf("\n");
	}
	printf("  %-33s %s\n", "--help", "show this");
}

static int set_choice(const struct cmd_option *o, const char *text, struct err *err)
{
	char known[256] = "";

	for (int i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], text) == 0) {
			*(int *)o->to = i;
			return 0;
		}
		size_t n = strlen(known);
		(void)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", o->choices[i]);
	}
	return err_set(err, EINVAL, "'%s' is none of %s", text, known);
}

static int set_count(const struct cmd_option *o, const char *text, struct err *err)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || v < 1 || v > CMD_COUNT_MAX)
		return err_set(err, EINVAL, "'%s' is no number from 1 to %d", text, CMD_COUNT_MAX);
	*(uint64_t *)o->to = v;
	return 0;
}

static int set_option(const struct cmd_option *o, const char *text, struct err *err)
{
	struct cmd_list *list;

	switch (o->type) {
	case CMD_FLAG:
		*(bool *)o->to = true;
		return 0;
	case CMD_TEXT:
		*(const char **)o->to = text;
		return *text ? 0 : err_set(err, EINVAL, "its argument is empty");
	case CMD_SIZE:
		return units_parse_size(text, o->to, err);
	case CMD_COUNT:
		return set_count(o, text, err);
	case CMD_DURATION:
		return units_parse_duration(text, o->to, err);
	case CMD_CHOICE:
		return set_choice(o, text, err);
	case CMD_LIST:
		list = o->to;
		if (list->count == CMD_LIST_MAX)
			return err_set(err, E2BIG, "given more than %d times", CMD_LIST_MAX);
		list->texts[list->count++] = text;
		return 0;
	}
	return err_set(err, EINVAL, "unknown type of option");
}

static int refuse(const struct cmd *cmd, const char *what, const char *word)
{
	fprintf(stderr, "%s: %s: %s%s%s%s; see '%s %s --help'\n", CMD_PROGRAM, cmd->name, what,
		word ? " '" : "", word ? word : "", word ? "'" : "", CMD_PROGRAM, cmd->name);
	return CMD_WRONG_USAGE;
}

int cmd_parse(const struct cmd *cmd, int argc, char **argv, int *ret_first)
{
	struct option known[OPTIONS_MAX + 2] = {{0}};
	int c, most = cmd->operand_count;
	size_t n = 0;

	for (const char *p = cmd->operands; *p; p++)
		most += *p == '['; /* one that may be left out */
	for (; n < cmd->option_count && n < OPTIONS_MAX; n++)
		known[n] = (struct option){.name = cmd->options[n].name,
					   .has_arg = cmd->options[n].arg != NULL,
					   .val = (int)n + 1};
	known[n] = (struct option){.name = "help", .val = HELP_VALUE};
	opterr = 0;
	optind = 0; /* start anew: main() has used getopt too */
	/* The leading ':' tells a missing argument from an unknown option. */
	while ((c = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
		struct err err;

		if (c == HELP_VALUE || c == 'h') {
			print_usage(cmd);
			return CMD_DONE;
		}
		if (c == ':')
			return refuse(cmd, "option lacks its argument:", argv[optind - 1]);
		/* 0 for an unknown one; a letter is larger than any of ours. */
		if (c == '?' && optopt > 0 &&
		    (optopt <= (int)cmd->option_count || optopt == HELP_VALUE))
			return refuse(cmd, "option takes no argument:", argv[optind - 1]);
		if (c == '?')
			return refuse(cmd, "unknown option", argv[optind - 1]);
		if (set_option(&cmd->options[c - 1], optarg, &err) < 0) {
			(void)err_prefix(&err, "--%s", cmd->options[c - 1].name);
			(void)err_prefix(&err, "%s", cmd->name);
			return cmd_wrong(&err);
		}
	}
	if (argc - optind < cmd->operand_count)
		return refuse(cmd, "too few arguments, wanted are", cmd->operands);
	if (argc - optind > most)
		return refuse(cmd, "one argument too many:", argv[optind + most]);
	for (int i = optind; i < argc; i++)
		if (!*argv[i])
			return refuse(cmd, "an argument is empty", NULL);
	*ret_first = optind;
	return CMD_GO;
}

static int group_usage(const struct cmd_group *group)
{
	printf("usage: %s %s COMMAND [ARGUMENT]...\n\n%s\n\ncommands:\n", CMD_PROGRAM, group->name,
	       group->help);
	for (size_t i = 0; i < group->row_count; i++)
		printf("  %-10s  %s\n", group->rows[i].name, group->rows[i].help);
	printf("\noptions:\n  %-33s %s\n", "--help", "show this; after a command: how to use that");
	return CMD_DONE;
}

int cmd_group(const struct cmd_group *group, int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	struct err err;

	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return group_usage(group);
	for (size_t i = 0; i < group->row_count; i++)
		if (strcmp(word, group->rows[i].name) == 0)
			return group->rows[i].run(argc - 1, argv + 1);
	if (!*word)
		(void)err_set(&err, EINVAL, "%s: no command; see '%s %s --help'", group->name,
			      CMD_PROGRAM, group->name);
	else
		(void)err_set(&err, EINVAL, "%s: unknown %s '%s'; see '%s %s --help'", group->name,
			      *word == '-' ? "option" : "command", word, CMD_PROGRAM, group->name);
	return cmd_wrong(&err);
}

int cmd_check_kms(const struct kms_config *config, struct err *err)
{
	char region[PLACE_REGION_MAX + 1], url[PLACE_ENDPOINT_MAX + 1];
	const char *given = config->endpoint;
	int r = 0;

	if (config->region && (r = place_region(config->region, NULL, region, err)) < 0)
		return err_prefix(err, "--region");
	if (given)
		r = place_endpoint(given, NULL, url, err);
	if (r < 0 && !strchr(given, '@')) /* else it may have a password in it */
		(void)err_prefix(err, "'%.200s'", given);
	return r < 0 ? err_prefix(err, "--endpoint-url") : 0;
}

/* Printing an object as lines: once to measure the names, once to print. */
struct lines {
	const char *prefix;
	size_t width;
	bool print;
};

static int one_line(const char *name, struct kms_json *value, void *p)
{
	struct lines *lines = p;
	char whole[128];

	(void)snprintf(whole, sizeof(whole), "%s%s", lines->prefix, name); /* cut on purpose */
	if (kms_json_type(value) == KMS_JSON_NULL)
		return 0;
	if (kms_json_type(value) == KMS_JSON_OBJECT) {
		struct lines inner = {.width = lines->width, .print = lines->print};
		char prefix[132];

		(void)snprintf(prefix, sizeof(prefix), "%s.", whole);
		inner.prefix = prefix;
		(void)kms_json_each(value, one_line, &inner); /* never stops early */
		lines->width = inner.width;
		return 0;
	}
	if (!lines->print) {
		if (strlen(whole) > lines->width)
			lines->width = strlen(whole);
		return 0;
	}
	AUTO(freep)
	char *text = kms_json_type(value) == KMS_JSON_STRING ? NULL : kms_json_text(value);
	printf("%s:%*s%s\n", whole, (int)(lines->width - strlen(whole) + 1), "",
	       text ? text : kms_json_string_value(value));
	return 0;
}

int cmd_print(struct kms_json *obj, bool as_json)
{
	AUTO(kms_json_freep) struct kms_json *owned = obj;
	struct lines lines = {.prefix = ""};
	struct err err;

	if (owned && as_json) {
		AUTO(freep) char *text = kms_json_text_pretty(obj);

		if (text)
			printf("%s\n", text);
		else
			kms_json_freep(&owned);
	}
	if (!owned) {
		(void)err_set(&err, ENOMEM, "out of memory");
		return cmd_fail(&err);
	}
	if (!as_json) {
		(void)kms_json_each(obj, one_line, &lines); /* never stops early */
		lines.print = true;
		(void)kms_json_each(obj, one_line, &lines);
	}
	return CMD_DONE;
}

int cmd_request(const char *volume_dir, const struct kms_json *request, struct kms_json **ret_reply,
		struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *reply = NULL;
	const struct timespec pause = {.tv_nsec = ASK_PAUSE_MS * 1000000L};
	int r = mount_control(volume_dir, request, &reply, err);

	/* A daemon that dies while we ask: soon nobody listens, and that is the answer. */
	for (int i = 0; (r == -ECONNRESET || r == -EPIPE) && i < ASK_TRIES; i++) {
		(void)nanosleep(&pause, NULL);
		r = mount_control(volume_dir, request, &reply, err);
	}
	if (r < 0)
		return r;
	if (ret_reply) {
		*ret_reply = reply;
		reply = NULL;
	}
	return 0;
}

int cmd_ask(const char *volume_dir, const char *op, struct kms_json **ret_reply, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *request = kms_json_new_object();

	if (!request || kms_json_set_str(request, "op", op) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return cmd_request(volume_dir, request, ret_reply, err);
}
