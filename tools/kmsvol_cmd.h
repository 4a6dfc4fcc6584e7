/*
 * What the commands of kmsvol share: a table of options that is parsed and printed as usage, ends
 * with an exit code, results as text or JSON.
 */
#ifndef TOOLS_KMSVOL_CMD_H
#define TOOLS_KMSVOL_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct kms_config;
struct kms_json;

#define CMD_PROGRAM "kmsvol"

/* Exit codes of the program. */
enum cmd_exit {
	CMD_DONE = 0,
	CMD_FAILED = 1,
	CMD_WRONG_USAGE = 2,
	CMD_KMS_REFUSED = 3,
	CMD_DAMAGED = 4,
};

/* Not an exit code: go on. */
#define CMD_GO (-1)

enum cmd_type {
	CMD_FLAG,     /* bool */
	CMD_TEXT,     /* const char * */
	CMD_SIZE,     /* uint64_t, bytes */
	CMD_COUNT,    /* uint64_t, 1 to CMD_COUNT_MAX */
	CMD_DURATION, /* uint64_t, ms */
	CMD_CHOICE,   /* int, the index of the word in choices */
	CMD_LIST,     /* struct cmd_list; may be given often */
};

#define CMD_COUNT_MAX 1000000
#define CMD_LIST_MAX  64

struct cmd_list {
	const char *texts[CMD_LIST_MAX];
	size_t count;
};

struct cmd_option {
	const char *name; /* without the dashes */
	const char *arg;  /* its argument in the usage; NULL for a flag */
	enum cmd_type type;
	void *to;		    /* of the type above; keeps its value when not given */
	const char *help;	    /* one line */
	const char *const *choices; /* CMD_CHOICE: NULL-terminated */
};

struct cmd {
	const char *name;
	const char *operands; /* as the usage shows them: "VOL DIR"; "[DIR]" may be left out */
	int operand_count;    /* of those that may not */
	const char *help;     /* sentences for `--help` */
	const struct cmd_option *options;
	size_t option_count;
};

/*
 * Parse @argv, whose first element is the command's name. CMD_GO: every option is where it belongs
 * and the operands are argv[*ret_first] and following, up to a NULL. Else the exit code: usage was asked for and
 * printed, or was wrong and has been told.
 */
int cmd_parse(const struct cmd *cmd, int argc, char **argv, int *ret_first);

/* A command of a command: `kmsvol snapshot create`. */
struct cmd_row {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

struct cmd_group {
	const char *name; /* "snapshot" */
	const char *help; /* sentences for `--help` */
	const struct cmd_row *rows;
	size_t row_count;
};

/* Run the row that argv[1] names, or print the usage, or refuse. The exit code. */
int cmd_group(const struct cmd_group *group, int argc, char **argv);

/* Print the sentence in @err and return the exit code for it. */
int cmd_fail(const struct err *err);

/* Say that an argument is wrong and return CMD_WRONG_USAGE. */
int cmd_wrong(const struct err *err);

/*
 * Print an object: as JSON, or as aligned "name: value" lines with members of objects in it as
 * "outer.inner" and members that are null left out. Frees it; NULL is "out of memory".
 */
int cmd_print(struct kms_json *obj, bool as_json);

/*
 * Ask the daemon of a volume to do @op, see mount_control(). @ret_reply: NULL when it does not
 * matter. -ENOTCONN: no daemon runs.
 */
int cmd_ask(const char *volume_dir, const char *op, struct kms_json **ret_reply, struct err *err);

/* The same for a request with more in it than "op". */
int cmd_request(const char *volume_dir, const struct kms_json *request, struct kms_json **ret_reply,
		struct err *err);

/* The options of every command that talks to KMS; @config is a struct kms_config. */
#define CMD_KMS_OPTIONS(config)                                                                    \
	{"endpoint-url", "URL", CMD_TEXT, &(config).endpoint, "where KMS is asked", NULL},         \
		{"region", "NAME", CMD_TEXT, &(config).region, "the AWS region", NULL},            \
		{"plain-calls",                                                                    \
		 NULL,                                                                             \
		 CMD_FLAG,                                                                         \
		 &(config).plain,                                                                  \
		 "ask a kmsd as AWS is asked, not as EBS and RDS do",                              \
		 NULL},                                                                            \
	{                                                                                          \
		"aws-profile", "NAME", CMD_TEXT, &(config).profile,                                \
			"the profile in the AWS files", NULL                                       \
	}

/* The option of every command that encrypts or decrypts blocks; @to is an int that is 0 before. */
#define CMD_PROVIDER_OPTION(to)                                                                    \
	{                                                                                          \
		"crypto-provider", "NAME", CMD_CHOICE, &(to), "who computes the ciphers; auto",    \
			blockcrypt_wants                                                           \
	}

/* Choose the provider of that number (blockcrypt_choose()); what people should know is printed to stderr. */
int cmd_choose_provider(int want, struct err *err);

/* Are the region and the endpoint URL that were given such? -EINVAL: a sentence that begins with the option. */
int cmd_check_kms(const struct kms_config *config, struct err *err);

/* The commands, each in a file of its own. */
int cmd_bench(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_inject(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_keeper(int argc, char **argv);
int cmd_mount(int argc, char **argv);
int cmd_pause_io(int argc, char **argv);
int cmd_resize(int argc, char **argv);
int cmd_rotate(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_scenario(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_unmount(int argc, char **argv);

#endif
