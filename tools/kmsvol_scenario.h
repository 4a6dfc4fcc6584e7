/* The commands of `kmsvol scenario`, each in a file of its own, and where the shipped scenarios are. */
#ifndef TOOLS_KMSVOL_SCENARIO_H
#define TOOLS_KMSVOL_SCENARIO_H

#include <stddef.h>

struct err;

#define SCENARIO_ENDING	  ".scenario"
#define SCENARIO_LINE_MAX 1024

/* What stands at the head of a scenario file, as "# Title: words". Empty when it is not there. */
struct scenario_head {
	char title[SCENARIO_LINE_MAX];
	char profile[64];
	char time_scale[16];
	char needs[256];    /* words: root, postgresql, ... */
	char real_aws[256]; /* "yes", "partly", or "no, WHY" */
};

/* The directory with the shipped scenarios and their engine, beside the program; the caller frees. */
int scenario_dir(char **ret_dir, struct err *err);

/* The file of the scenario @word: a name of a shipped one, or a path (with a '/' or the ending). The caller frees. */
int scenario_file(const char *word, char **ret_path, struct err *err);

/* -EUCLEAN: it has no title, so it is no scenario. */
int scenario_head_load(const char *path, struct scenario_head *ret, struct err *err);

int scenario_run_cmd(int argc, char **argv);
int scenario_report_cmd(int argc, char **argv);

#endif
