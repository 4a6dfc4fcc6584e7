/*
 * kmsvol scenario: the table of its commands, finding the shipped scenarios, list, show, and the two samplers
 * that the engine of the scenarios (tools/scenarios/engine.bash) starts.
 */
#include "kmsvol_scenario.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "scenario_audit.h"
#include "scenario_probe.h"
#include "secret.h"

#define ENGINE	 "engine.bash"
#define FILE_MAX (1024 * 1024) /* bytes of a scenario */

/* Where installed, and where built; seen from the program's directory. */
static const char *const places[] = {"../share/kmsvol/scenarios", "../tools/scenarios"};

int scenario_dir(char **ret_dir, struct err *err)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return err_set(err, errno, "'/proc/self/exe': %s", strerror(errno));
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0'; /* it is absolute */
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		AUTO(freep) char *engine = NULL;
		char *dir;

		if (asprintf(&dir, "%s/%s", exe, places[i]) < 0)
			return err_set(err, ENOMEM, "out of memory");
		if (asprintf(&engine, "%s/" ENGINE, dir) < 0) {
			engine = NULL;
			free(dir);
			return err_set(err, ENOMEM, "out of memory");
		}
		if (access(engine, R_OK) == 0) {
			*ret_dir = dir;
			return 0;
		}
		free(dir);
	}
	return err_set(err, ENOENT,
		       "no scenarios are installed: neither '%s/%s' nor '%s/%s' has them", exe,
		       places[0], exe, places[1]);
}

static bool is_path(const char *word)
{
	size_t len = strlen(word), ending = strlen(SCENARIO_ENDING);

	return strchr(word, '/') ||
	       (len > ending && strcmp(word + len - ending, SCENARIO_ENDING) == 0);
}

int scenario_file(const char *word, char **ret_path, struct err *err)
{
	AUTO(freep) char *dir = NULL;
	char *path;
	int r;

	if (is_path(word)) {
		*ret_path = realpath(word, NULL);
		return *ret_path ? 0 : err_set(err, errno, "'%s': %s", word, strerror(errno));
	}
	r = scenario_dir(&dir, err);
	if (r < 0)
		return r;
	if (asprintf(&path, "%s/%s" SCENARIO_ENDING, dir, word) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (access(path, R_OK) < 0) {
		r = err_set(err, errno, "'%s' is no scenario; '%s scenario list' shows them", word,
			    CMD_PROGRAM);
		free(path);
		return r;
	}
	*ret_path = path;
	return 0;
}

/* "# Name: words" into the member of that name. */
static void take_line(char *line, struct scenario_head *head)
{
	const struct {
		const char *name;
		char *to;
		size_t room;
	} members[] = {
		{"# Title: ", head->title, sizeof(head->title)},
		{"# Profile: ", head->profile, sizeof(head->profile)},
		{"# Time-scale: ", head->time_scale, sizeof(head->time_scale)},
		{"# Needs: ", head->needs, sizeof(head->needs)},
		{"# Real-AWS: ", head->real_aws, sizeof(head->real_aws)},
	};

	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		if (strncmp(line, members[i].name, strlen(members[i].name)) == 0)
			(void)snprintf(members[i].to, members[i].room, "%s",
				       line + strlen(members[i].name)); /* cut on purpose */
}

int scenario_head_load(const char *path, struct scenario_head *ret, struct err *err)
{
	char line[SCENARIO_LINE_MAX];
	FILE *f = fopen(path, "re");
	int num;

	if (!f)
		return err_set(err, errno, "'%s': %s", path, strerror(errno));
	*ret = (struct scenario_head){0};
	while (fgets(line, sizeof(line), f) && *line == '#')
		take_line(line, ret);
	num = ferror(f) ? errno : 0;
	(void)fclose(f); /* nothing was written */
	if (num)
		return err_set(err, num, "'%s': %s", path, strerror(num));
	if (!*ret->title)
		return err_set(err, EUCLEAN,
			       "'%s': no scenario: no line '# Title: ...' at its head", path);
	return 0;
}

static int is_scenario(const struct dirent *e)
{
	return is_path(e->d_name);
}

static int print_list(const char *dir, bool as_json, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *all = kms_json_new_array();
	struct dirent **entries;
	int r = 0, n = scandir(dir, &entries, is_scenario, alphasort);

	if (n < 0)
		return err_set(err, errno, "'%s': %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		AUTO(freep) char *path = NULL;
		struct kms_json *obj = kms_json_new_object();
		struct scenario_head head;
		char *name = entries[i]->d_name;

		if (r == 0 && asprintf(&path, "%s/%s", dir, name) < 0) {
			path = NULL;
			r = err_set(err, ENOMEM, "out of memory");
		}
		if (r == 0)
			r = scenario_head_load(path, &head, err);
		if (r == 0) {
			name[strlen(name) - strlen(SCENARIO_ENDING)] = '\0';
			if (!as_json)
				printf("%-26s %s\n", name, head.title);
			else if (!obj || (kms_json_set_str(obj, "name", name) |
					  kms_json_set_str(obj, "title", head.title) |
					  kms_json_set_str(obj, "profile", head.profile) |
					  kms_json_set_str(obj, "needs", head.needs) |
					  kms_json_set_str(obj, "real_aws", head.real_aws) |
					  kms_json_add(all, kms_json_copy(obj))) < 0)
				r = err_set(err, ENOMEM, "out of memory");
		}
		kms_json_free(obj);
		free(entries[i]);
	}
	free(entries);
	if (r == 0 && as_json) {
		AUTO(freep) char *text = all ? kms_json_text_pretty(all) : NULL;

		if (!text)
			return err_set(err, ENOMEM, "out of memory");
		printf("%s\n", text);
	}
	return r;
}

static int list_cmd(int argc, char **argv)
{
	AUTO(freep) char *dir = NULL;
	bool as_json = false;
	const struct cmd_option options[] = {
		{"json", NULL, CMD_FLAG, &as_json, "print JSON", NULL},
	};
	const struct cmd cmd = {
		"scenario list", "", 0, "List the scenarios that kmsvol brings along.", options, 1};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (scenario_dir(&dir, &err) < 0 || print_list(dir, as_json, &err) < 0)
		return cmd_fail(&err);
	return CMD_DONE;
}

static int show_cmd(int argc, char **argv)
{
	AUTO(freep) char *path = NULL;
	const struct cmd cmd = {
		"scenario show",
		"NAME",
		1,
		"Print a scenario: what it does, step by step, and what is expected.",
		NULL,
		0};
	char line[SCENARIO_LINE_MAX];
	struct err err;
	FILE *f;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (scenario_file(argv[first], &path, &err) < 0)
		return cmd_fail(&err);
	f = fopen(path, "re");
	if (!f) {
		(void)err_set(&err, errno, "'%s': %s", path, strerror(errno));
		return cmd_fail(&err);
	}
	while (fgets(line, sizeof(line), f))
		(void)fputs(line, stdout); /* main() looks whether all could be written */
	(void)fclose(f);		   /* nothing was written */
	return CMD_DONE;
}

static int probe_cmd(int argc, char **argv)
{
	struct scenario_probe probe = {0};
	const struct cmd_option options[] = {
		{"target", "FILE", CMD_TEXT, &probe.target,
		 "read and write the first 64 KiB of this file", NULL},
		{"offset", "SIZE", CMD_SIZE, &probe.offset, "or those behind so many bytes; 0",
		 NULL},
		{"client", "COMMAND", CMD_TEXT, &probe.client, "run this again and again, too",
		 NULL},
		{"samples", "FILE", CMD_TEXT, &probe.samples, "append the samples to it", NULL},
	};
	const struct cmd cmd = {
		"scenario probe",
		"VOL",
		1,
		"Sample ten times a second whether a volume is served: what a scenario "
		"starts beside its workload.\nUntil it is interrupted.",
		options,
		4};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	probe.volume = argv[first];
	if (!probe.target || !probe.samples) {
		(void)err_set(&err, EINVAL, "scenario probe: --target and --samples are needed");
		return cmd_wrong(&err);
	}
	if (probe.offset % SCENARIO_PROBE_BLOCK) {
		(void)err_set(&err, EINVAL, "scenario probe: --offset: no multiple of %d",
			      SCENARIO_PROBE_BLOCK);
		return cmd_wrong(&err);
	}
	return scenario_probe_run(&probe, &err) < 0 ? cmd_fail(&err) : CMD_DONE;
}

static int audit_cmd(int argc, char **argv)
{
	const struct cmd cmd = {"scenario calls",
				"AUDIT FILE",
				2,
				"Append each KMS call that kmsd adds to its audit trail to FILE, "
				"with the time: what a "
				"scenario\nstarts beside its kmsd. Until it is interrupted.",
				NULL,
				0};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	return scenario_audit_run(argv[first], argv[first + 1], &err) < 0 ? cmd_fail(&err)
									  : CMD_DONE;
}

static const struct cmd_row rows[] = {
	{"list", list_cmd, "list the scenarios"},
	{"show", show_cmd, "print one"},
	{"run", scenario_run_cmd, "run one, judge it, write a report"},
	{"report", scenario_report_cmd, "write the report of a run again"},
	{"probe", probe_cmd, "sample whether a volume is served"},
	{"calls", audit_cmd, "note the calls that a kmsd gets"},
};

int cmd_scenario(int argc, char **argv)
{
	static const struct cmd_group group = {"scenario",
					       "Outages of a key, scripted: what happens to a "
					       "volume and who uses it, judged, and as a picture.",
					       rows, sizeof(rows) / sizeof(*rows)};

	return cmd_group(&group, argc, argv);
}
